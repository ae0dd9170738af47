//! Predictions as text: the image that the network gets, with the most probable classes beside it.

use std::fmt::Write;

use super::numbers::sure;
use crate::error::escaped;
use crate::report::predict::Predict;

/// `predict` as lines of text, without a line end after the last.
pub fn lines(predict: &Predict) -> String {
    let mut text = escaped(&predict.file);
    if predict.pictures > 1 {
        _ = write!(text, ", image {}", predict.index);
    }
    if predict.blank {
        text.push_str("\n  blank: nothing to classify");
    }
    let names: Vec<_> = predict.predictions.iter().map(|one| escaped(&one.name)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(3);
    let width = predict.image.first().map_or(0, |line| line.chars().count());
    for row in 0..predict.image.len().max(predict.predictions.len()) {
        let image = predict.image.get(row).map_or("", String::as_str);
        let mut line = format!("  {image:width$}");
        if let Some((name, prediction)) = names.get(row).zip(predict.predictions.get(row)) {
            _ = write!(line, "  {name:>longest$}  {:>9}", sure(prediction.probability));
        }
        if row == 0 && predict.unsure {
            line.push_str("  unsure");
        }
        _ = write!(text, "\n{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::SCHEMA_VERSION;
    use crate::report::predict::Prediction;

    #[test]
    fn classes_stand_beside_the_image() {
        let prediction = |class: usize, probability| {
            let name = class.to_string();
            Prediction { class, name, probability }
        };
        let predict = Predict {
            schema: SCHEMA_VERSION,
            file: "a\nb.png".into(),
            pictures: 1,
            index: 0,
            blank: false,
            unsure: true,
            predictions: vec![prediction(7, 0.5123), prediction(1, 0.25), prediction(10, 0.125)],
            image: vec!["█▀ ".into(), "  ▄".into()],
        };
        assert_eq!(
            lines(&predict),
            "a\\nb.png\n  █▀     7    51.23 %  unsure\n    ▄    1    25.00 %\n        10    12.50 %"
        );
        let blank =
            Predict { blank: true, predictions: vec![], image: vec![], index: 4, ..predict };
        let blank = Predict { pictures: 9, ..blank };
        assert_eq!(lines(&blank), "a\\nb.png, image 4\n  blank: nothing to classify");
    }
}
