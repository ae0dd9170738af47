//! What a run leaves for its reader: the history in its checkpoint, the files of `--log` and
//! `--tensorboard`, and the page of `report`.

use std::fs;

use mnist_train::model::checkpoint::{self, EpochRecord, Model};

mod program;

use program::{Run, Workplace};

/// Flags of a short run.
const SHORT: &str = "--json --max-samples 200 --batch-size 50";

/// Results by epoch in the checkpoint `name`.
fn history(place: &Workplace, name: &str) -> Vec<EpochRecord> {
    match checkpoint::read(&place.path(name), None).unwrap().1 {
        Model::Checkpoint(checkpoint) => checkpoint.metadata.history,
        Model::Weights(_) => panic!("{name} has weights alone"),
    }
}

/// Text of the file `name`.
fn text(place: &Workplace, name: &str) -> String {
    String::from_utf8(place.read(name)).unwrap()
}

/// Cells of the rows of a log, without the heading and without the two times at the end.
fn rows(log: &str) -> Vec<Vec<&str>> {
    log.lines().skip(1).map(|line| line.split(',').take(12).collect()).collect()
}

#[test]
fn a_log_has_a_row_for_each_epoch_and_changes_no_weight() {
    let (place, without) = (Workplace::new(), Workplace::new());
    let run = place.run(&format!("{SHORT} --epochs 2 --validation 50 --log log.csv")).succeeds();
    let expected = without.run(&format!("{SHORT} --epochs 2 --validation 50")).succeeds();
    assert_eq!(run.weights(), expected.weights());
    assert_eq!(place.read("ckpt.bin"), without.read("ckpt.bin"));
    assert_eq!(place.names(), ["ckpt.bin", "log.csv"]);

    let log = text(&place, "log.csv");
    let heading = "epoch,loss,train_accuracy,validation_correct,validation_total,validation_loss,\
                   test_correct,test_total,test_loss,gradient_norm,weight_norm,lr,seconds,\
                   images_per_second";
    assert_eq!(log.lines().next(), Some(heading));
    assert_eq!(log.lines().count(), 3);
    for (line, event) in log.lines().skip(1).zip(&run.events()[1..]) {
        for (name, cell) in heading.split(',').zip(line.split(',')) {
            let expected = event.get(name).map(ToString::to_string).unwrap_or_default();
            assert_eq!(cell, expected, "{name}");
        }
    }
}

#[test]
fn a_resumed_run_replaces_the_rows_of_epochs_that_it_runs_again() {
    let (whole, parts) = (Workplace::new(), Workplace::new());
    whole.run(&format!("{SHORT} --epochs 4 --log log.csv")).succeeds();
    parts.run(&format!("{SHORT} --epochs 2 --log log.csv")).succeeds();
    let after_two = parts.read("ckpt.bin");
    parts.run("--resume --epochs 3 --log log.csv").succeeds();
    // Epoch 2 is run once more.
    fs::write(parts.path("ckpt.bin"), &after_two).unwrap();
    parts.run("--resume --epochs 4 --log log.csv").succeeds();
    assert_eq!(rows(&text(&parts, "log.csv")), rows(&text(&whole, "log.csv")));
    assert_eq!(parts.read("ckpt.bin"), whole.read("ckpt.bin"));

    // A log that is begun late has what the checkpoint knows of the earlier epochs, but no times.
    fs::write(parts.path("ckpt.bin"), &after_two).unwrap();
    parts.run("--resume --epochs 4 --log late.csv").succeeds();
    let late = text(&parts, "late.csv");
    assert_eq!(rows(&late), rows(&text(&whole, "log.csv")));
    assert!(late.lines().nth(2).unwrap().ends_with(",,"), "{late}");
}

#[test]
fn a_log_replaces_nothing_but_a_log() {
    let place = Workplace::new();
    fs::write(place.path("notes.csv"), "day,work\n1,much\n").unwrap();
    let foreign = ["notes.csv: is not the log of an earlier run, and is not replaced"];
    place.run(&format!("{SHORT} --epochs 1 --log notes.csv")).fails(3, &foreign);
    for ending in ["", ".best", ".best.previous", ".previous.2", ".unsaved"] {
        let run = place.run(&format!("{SHORT} --epochs 1 --log ckpt.bin{ending}"));
        run.fails(2, &["is a file of the model: name another"]);
    }
    let missing = ["missing/log.csv: the folder missing does not exist"];
    place.run(&format!("{SHORT} --epochs 1 --log missing/log.csv")).fails(1, &missing);
    assert_eq!(place.names(), ["notes.csv"]);
    assert_eq!(text(&place, "notes.csv"), "day,work\n1,much\n");

    // The log of another run is replaced.
    let log = "ckpt.bin.best.csv";
    place.run(&format!("{SHORT} --epochs 2 --log {log}")).succeeds();
    place.run(&format!("{SHORT} --epochs 1 --log {log}")).succeeds();
    assert_eq!(text(&place, log).lines().count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_any_more_costs_no_model() {
    let (place, expected) = (Workplace::new(), Workplace::new());
    let flags = format!("{SHORT} --epochs 2 --model m");
    // The folder has the longest path, so a file in it has a path that is too long.
    let folder = vec!["d".repeat(250); 16].join("/") + &"/d".repeat(30);
    let run = place.run(&format!("{flags} --tensorboard {folder}"));
    let run = run.fails(1, &["file name too long"]);
    assert_eq!(run.stderr.matches("not logged: ").count(), 1, "{run:#?}");
    expected.run(&flags).succeeds();
    assert_eq!(place.read("m"), expected.read("m"));
}

/// Scalars of an event file: step, name and value. Checksums are not compared.
fn scalars(file: &[u8]) -> Vec<(u64, String, f32)> {
    /// Fields of a message: number, and value as bytes or as a number.
    fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
        fn varint(message: &mut &[u8]) -> u64 {
            let end = message.iter().position(|byte| byte & 128 == 0).unwrap() + 1;
            let bytes = message.split_off(..end).unwrap();
            bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 127))
        }
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = varint(&mut message);
            let length = match key & 7 {
                0 => {
                    fields.push((key >> 3, Vec::new(), varint(&mut message)));
                    continue;
                }
                1 => 8,
                2 => varint(&mut message) as usize,
                _ => 4,
            };
            fields.push((key >> 3, message.split_off(..length).unwrap().to_vec(), 0));
        }
        fields
    }
    let mut rest = file;
    let mut scalars = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let event = fields(&rest[12..][..length]);
        rest = &rest[12 + length + 4..];
        let step = event.iter().find(|field| field.0 == 2).unwrap().2;
        for (_, summary, _) in event.iter().filter(|field| field.0 == 5) {
            for (_, value, _) in fields(summary) {
                let value = fields(&value);
                let name = String::from_utf8(value[0].1.clone()).unwrap();
                let number = f32::from_le_bytes(value[1].1.clone().try_into().unwrap());
                scalars.push((step, name, number));
            }
        }
    }
    scalars
}

#[test]
fn events_have_the_results_of_each_epoch_and_two_runs_are_not_mixed() {
    let place = Workplace::new();
    place.run(&format!("{SHORT} --epochs 2 --stage tiled --tensorboard tb/run")).succeeds();
    let files = || {
        let entries = fs::read_dir(place.path("tb/run")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let found = scalars(&fs::read(&files()[0]).unwrap());
    let history = history(&place, "ckpt.bin");
    for (epoch, record) in history.iter().enumerate() {
        for (name, value) in [
            ("loss/train", record.loss),
            ("accuracy/train", record.train_accuracy),
            ("norm/weights", record.weight_norm),
            ("norm/gradient", record.gradient_norm.unwrap()),
            ("learning_rate", record.lr),
        ] {
            let expected = (epoch as u64, name.to_string(), value as f32);
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
    }
    assert_eq!(found.iter().filter(|(_, name, _)| name == "accuracy/test").count(), 2);

    let mixed = ["tb/run has events of an earlier run", "go on with --resume"];
    place.run(&format!("{SHORT} --epochs 1 --tensorboard tb/run")).fails(1, &mixed);
    place.run("--resume --epochs 3 --tensorboard tb/run").succeeds();
    let files = files();
    assert_eq!(files.len(), 2);
    let steps = scalars(&fs::read(&files[1]).unwrap()).into_iter().map(|(step, ..)| step);
    assert!(steps.collect::<Vec<_>>().iter().all(|step| *step == 2));
}

#[test]
fn a_checkpoint_has_the_results_of_its_epochs() {
    let place = Workplace::new();
    let run = place.run(&format!("{SHORT} --epochs 3 --clip-norm 1")).succeeds();
    let history = history(&place, "ckpt.bin");
    assert_eq!(history.len(), 3);
    for (record, event) in history.iter().zip(&run.events()[1..]) {
        assert_eq!(event["loss"], record.loss);
        assert_eq!(event["gradient_norm"], record.gradient_norm.unwrap());
        assert_eq!(event["weight_norm"], record.weight_norm);
        assert!(record.weight_norm > 1.0, "{record:?}");
    }
    // The last epoch is saved before it is tested, and a run that goes on tests it once more.
    assert!(history[1].test_correct.is_some() && history[2].test_correct.is_none());
    place.run("--resume --epochs 4").succeeds();
    let history = self::history(&place, "ckpt.bin");
    assert_eq!(run.events()[3]["test_correct"], history[2].test_correct.unwrap());
}

#[cfg(feature = "plots")]
mod pages {
    use super::*;

    /// The page as an XML document, which it is but for its first line.
    #[track_caller]
    fn parsed(page: &str) -> roxmltree::Document<'_> {
        roxmltree::Document::parse(page.strip_prefix("<!doctype html>\n").unwrap()).unwrap()
    }

    #[track_caller]
    fn is_self_contained(page: &str) {
        parsed(page);
        for address in ["src=\"h", "href=\"h", "url(", "@import", "<link", "fetch(", "import("] {
            assert!(!page.contains(address), "{address}");
        }
    }

    #[test]
    fn a_page_of_a_run_has_all_of_it_and_loads_nothing() {
        let place = Workplace::new();
        place.run(&format!("{SHORT} --epochs 2 --validation 50 --arch lenet5")).succeeds();
        let run = place.run("report --out page.html").succeeds();
        assert!(run.stdout.starts_with("wrote page.html: "), "{run:#?}");
        let page = text(&place, "page.html");
        is_self_contained(&page);
        let document = parsed(&page);
        let count = |name: &str, class: &str| {
            let is_it = |node: &roxmltree::Node<'_, '_>| {
                node.has_tag_name(name) && node.attribute("class").unwrap_or_default() == class
            };
            document.descendants().filter(is_it).count()
        };
        // Four plots of curves; the stage measures the norm of the gradient too.
        assert_eq!((count("svg", "plot"), count("td", "right"), count("td", "wrong")), (5, 10, 90));
        let evaluated = place.run("eval --json").succeeds().last("eval");
        let correct = evaluated["correct"].as_u64().unwrap();
        assert!(page.contains(&format!("<p class=\"result\">{correct} of 150 test images")));
        let mistakes = (150 - correct).min(24) as usize;
        assert_eq!(page.matches("alt=\"test image ").count(), mistakes);
        assert_eq!(page.matches("alt=\"kernel ").count(), 6);
        for words in ["conv6k5p2", "batch-size", "61,706 parameters", "id=\"weights\""] {
            assert!(page.contains(words), "{words}");
        }

        // A second page replaces the first, and nothing else.
        place.run("report --out page.html").succeeds();
        fs::write(place.path("other.html"), "<p>mine</p>").unwrap();
        let foreign = ["other.html: is not the page of an earlier run, and is not replaced"];
        place.run("report --out other.html").fails(3, &foreign);
        assert_eq!(text(&place, "other.html"), "<p>mine</p>");
        let conflict = place.bare("report --out x.html trend a b");
        Run::of(conflict).rejects_flags(&["trend", "cannot be used with"]);
        assert!(Run::of(place.bare("report --model none --offline")).code == 1);
    }

    #[test]
    fn a_page_without_a_history_or_without_a_pad_says_so() {
        let place = Workplace::new();
        place.run(&format!("{SHORT} --epochs 1 --arch flatten,fc10")).succeeds();
        let bytes = place.read("ckpt.bin");
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let weights = file.iter().filter(|(name, _)| !name.starts_with("adam."));
        fs::write(place.path("w"), safetensors::serialize(weights, None).unwrap()).unwrap();
        place.run("report --model w --arch flatten,fc10").succeeds();
        let page = text(&place, "report.html");
        is_self_contained(&page);
        assert!(page.contains("The file of the model has no results of its epochs."));
        assert!(page.contains("The first layer, flatten, is no convolution"));

        place.run(&format!("{SHORT} --epochs 1 --arch flatten,fc9000,fc200,fc10 --model large"));
        place.run("report --model large --out large.html").succeeds();
        let page = text(&place, "large.html");
        is_self_contained(&page);
        assert!(page.contains("have 33 MiB, and a page contains weights of at most 32 MiB"));
        assert!(!page.contains("<script") && page.len() < 1_000_000);
    }
}

#[cfg(not(feature = "plots"))]
#[test]
fn a_program_without_pages_says_so() {
    let words = ["report: this program was built without pages", "--features plots"];
    Run::of(Workplace::new().bare("report")).fails(2, &words);
}
