//! Prepares pictures for a network as MNIST's were prepared (LeCun et al., "Gradient-based learning
//! applied to document recognition", 1998, section III.A).
//!
//! 1. **Paper.** The border, a twenty-eighth of the shorter side wide, is paper: its mean is the
//!    grey of the paper. If the rest of the picture is darker in the mean, the ink is dark and the
//!    picture is inverted; otherwise the ink is bright.
//! 2. **Ink.** The ink of a pixel is its distance from the grey of the paper. A picture whose
//!    strongest ink is weaker than [`LEAST_CONTRAST`] is blank.
//! 3. **Box.** The picture is cut to the box around all ink that has at least a tenth of the strongest.
//!    The box is scaled, with its aspect ratio kept, until its longer side is 20 pixels of 28. A pixel
//!    is the mean of the area that it covers. Then the strongest ink becomes 255, so thin strokes of a
//!    large picture do not fade.
//! 4. **Centre.** The box is moved by whole pixels until its centre of mass is at the centre of the
//!    image. Background is 0.
//!
//! Nothing else is removed: a picture must show one digit, on paper of one grey.

use std::ops::Range;

use super::grey::Picture;

/// Smallest difference between paper and the strongest ink of a picture that is not blank.
pub const LEAST_CONTRAST: u8 = 32;

/// Image with these `sides` [H, W] that a network gets of `picture`; `None` if it is blank.
pub fn image(picture: &Picture, sides: [usize; 2]) -> Option<Vec<u8>> {
    let ink = ink(picture)?;
    let [rows, columns] = bounds(&ink);
    let longest = (sides[0].min(sides[1]) * 20 / 28).max(1);
    let scale = longest as f64 / rows.len().max(columns.len()) as f64;
    let scaled_sides =
        [&rows, &columns].map(|range| ((range.len() as f64 * scale).round() as usize).max(1));
    let scaled = scaled(&ink, [rows, columns], scaled_sides);
    let strongest = scaled.iter().copied().fold(0.0, f64::max);
    let digit: Vec<u8> = scaled.iter().map(|ink| (ink * 255.0 / strongest).round() as u8).collect();
    Some(centred(&digit, scaled_sides, sides))
}

/// Ink of every pixel of `picture`, its distance from the grey of the paper; `None` if it is blank.
fn ink(picture: &Picture) -> Option<Picture> {
    let [rows, columns] = picture.sides;
    let width = (rows.min(columns) / 28).max(1);
    let inner = |side: usize| width..side.saturating_sub(width);
    let sum = |pixels: &[u8]| pixels.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
    let inner_rows = picture.pixels.chunks_exact(columns).take(inner(rows).end).skip(width);
    let inner_sum: u64 = inner_rows.map(|row| sum(row.get(inner(columns)).unwrap_or(&[]))).sum();
    let inner_count = (inner(rows).len() * inner(columns).len()) as u64;
    let border_sum = sum(&picture.pixels) - inner_sum;
    let border_count = (rows * columns) as u64 - inner_count;
    let paper = ((border_sum + border_count / 2) / border_count) as u8;
    // Both means, times the numbers of pixels: below 64 million squared times 255, so no overflow.
    let is_dark = inner_sum * border_count < border_sum * inner_count;
    let depth = |&grey: &u8| {
        if is_dark { paper.saturating_sub(grey) } else { grey.saturating_sub(paper) }
    };
    let pixels: Vec<u8> = picture.pixels.iter().map(depth).collect();
    let strongest = *pixels.iter().max()?;
    (strongest >= LEAST_CONTRAST).then_some(Picture { sides: picture.sides, pixels })
}

/// Rows and columns of the box around all ink of at least a tenth of the strongest.
fn bounds(ink: &Picture) -> [Range<usize>; 2] {
    let [rows, columns] = ink.sides;
    let least = ink.pixels.iter().max().map_or(0, |strongest| strongest.div_ceil(10));
    let (mut top, mut bottom, mut left, mut right) = (rows, 0, columns, 0);
    for (y, row) in ink.pixels.chunks_exact(columns).enumerate() {
        let is_in = |&pixel: &u8| pixel >= least;
        let Some(first) = row.iter().position(is_in) else { continue };
        let last = row.iter().rposition(is_in).expect("there is a first");
        (top, bottom) = (top.min(y), y + 1);
        (left, right) = (left.min(first), right.max(last + 1));
    }
    [top..bottom, left..right]
}

/// The box of `ink` with these `ranges` of rows and columns, scaled to the sides `to` [H', W'].
fn scaled(ink: &Picture, ranges: [Range<usize>; 2], to: [usize; 2]) -> Vec<f64> {
    let [covered_rows, covered_columns] = [0, 1].map(|axis| {
        let (range, count) = (&ranges[axis], to[axis]);
        let length = range.len() as f64 / count as f64;
        let covered = |index: usize| {
            covered(range, length * index as f64, length * (index + 1) as f64, length)
        };
        (0..count).map(covered).collect::<Vec<_>>()
    });
    let mut pixels = Vec::with_capacity(to[0] * to[1]);
    for rows in &covered_rows {
        for columns in &covered_columns {
            let row = |&(y, share): &(usize, f64)| {
                let row = &ink.pixels[y * ink.sides[1]..];
                share * columns.iter().map(|&(x, share)| share * f64::from(row[x])).sum::<f64>()
            };
            pixels.push(rows.iter().map(row).sum::<f64>());
        }
    }
    pixels
}

/// Pixels of `range` between the places `from` and `to` in it, each with the share that it has of
/// this `length`.
fn covered(range: &Range<usize>, from: f64, to: f64, length: f64) -> Vec<(usize, f64)> {
    let share = |index: usize| {
        let place = index as f64;
        ((place + 1.0).min(to) - place.max(from)).max(0.0) / length
    };
    let end = (to.ceil() as usize).min(range.len());
    (from as usize..end).map(|index| (range.start + index, share(index))).collect()
}

/// Blank image of the sides `to` [H, W] with `digit`, whose sides are `from` [H', W'] and not larger,
/// moved by whole pixels so that its centre of mass is as near as possible to the middle.
pub fn centred(digit: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let mut mass = 0;
    let mut moments = [0; 2];
    for (row, pixels) in digit.chunks_exact(from[1]).enumerate() {
        for (column, &pixel) in pixels.iter().enumerate() {
            let pixel = usize::from(pixel);
            mass += pixel;
            moments[0] += pixel * row;
            moments[1] += pixel * column;
        }
    }
    let [top, left] = [0, 1].map(|axis| {
        let centre_of_mass = (moments[axis] + mass / 2) / mass;
        (to[axis] / 2).saturating_sub(centre_of_mass).min(to[axis] - from[axis])
    });
    let mut image = vec![0; to[0] * to[1]];
    for (row, pixels) in digit.chunks_exact(from[1]).enumerate() {
        image[(top + row) * to[1] + left..][..from[1]].copy_from_slice(pixels);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture<const W: usize>(rows: &[[u8; W]]) -> Picture {
        Picture { sides: [rows.len(), W], pixels: rows.concat() }
    }

    #[test]
    fn a_stroke_on_paper_fills_the_box_and_stands_in_the_centre() {
        // Dark ink, three rows high and one column wide, off the centre. In an image of 6×6, the box
        // is 4 pixels high and one wide, so each of its pixels covers three quarters of a row.
        let paper = picture(&[
            [200, 200, 200, 200],
            [200, 100, 200, 200],
            [200, 100, 200, 200],
            [200, 50, 200, 200],
            [200, 200, 200, 200],
        ]);
        let image = image(&paper, [6, 6]).unwrap();
        let mut expected = [0; 36];
        // Ink of 100 and of 150; the strongest becomes 255, and the last pixel covers the last row.
        for (row, ink) in (1..).zip([170, 170, 198, 255]) {
            expected[row * 6 + 3] = ink;
        }
        assert_eq!(image, expected);
    }

    #[test]
    fn bright_ink_and_dark_ink_of_the_same_depth_give_the_same_image() {
        let dark = picture(&[[90, 90, 90, 90], [90, 10, 50, 90], [90, 90, 90, 90]]);
        let bright = picture(&[[90, 90, 90, 90], [90, 170, 130, 90], [90, 90, 90, 90]]);
        assert_eq!(image(&dark, [28, 28]), image(&bright, [28, 28]));
    }

    #[test]
    fn paper_without_ink_is_blank() {
        assert_eq!(image(&picture(&[[255; 9]; 9]), [28, 28]), None);
        assert_eq!(image(&picture(&[[7]]), [28, 28]), None);
        let faint = |grey| picture(&[[0, 0, 0], [0, grey, 0], [0, 0, 0]]);
        assert_eq!(image(&faint(LEAST_CONTRAST - 1), [28, 28]), None);
        assert!(image(&faint(LEAST_CONTRAST), [28, 28]).is_some());
    }
}
