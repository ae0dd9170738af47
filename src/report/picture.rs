//! Images as text: a line of half-block characters shows two rows of pixels.

/// Lines of text that show `image`, (H, `width`); each line has `width` characters.
///
/// A pixel is ink if it has at least half of the full intensity. This restores the black and white
/// digits from which MNIST was made.
pub fn lines(image: &[u8], width: usize) -> Vec<String> {
    let ink = |row: &[u8], column: usize| row.get(column).is_some_and(|&pixel| pixel >= 128);
    let line = |rows: &[u8]| {
        let (upper, lower) = rows.split_at(width.min(rows.len()));
        (0..width)
            .map(|column| match (ink(upper, column), ink(lower, column)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect()
    };
    image.chunks(2 * width).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_share_a_line_and_an_odd_last_row_has_its_own() {
        let image = [255, 255, 0, 0, 255, 0, 255, 0, 128, 127, 0, 200];
        assert_eq!(lines(&image, 4), ["█▀▄ ", "▀  ▀"]);
        assert_eq!(lines(&image[..4], 2), ["▀▀"]);
    }
}
