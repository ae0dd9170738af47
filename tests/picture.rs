//! Pictures to classify: what a network sees of them, what is refused, and the command `predict`.

use std::fs;
use std::process::Command;

use ::png::{BitDepth, ColorType};
use flate2::Compression;
use flate2::Crc;
use flate2::write::{GzEncoder, ZlibEncoder};
use mnist_train::data::idx::images_header;
use mnist_train::data::picture::decode::png;
use mnist_train::data::picture::{Pictures, parse};
use mnist_train::data::synthetic;

mod allocation;
mod png_file;
mod program;

use png_file::{enlarged, grey, with};
use program::{Run, TEST_IMAGES, Workplace, digits};

/// Sides of the images of MNIST.
const SIDES: [usize; 2] = [28, 28];

/// The first `count` synthetic test digits.
fn some_digits(count: usize) -> Vec<Vec<u8>> {
    let test = synthetic::generate(1, 1, count).test.unwrap();
    (0..count).map(|index| test.image(index).to_vec()).collect()
}

/// Image that a network gets of the file with these `bytes`.
fn seen(bytes: &[u8]) -> Vec<u8> {
    parse(bytes).unwrap().image(0, SIDES).expect("it is not blank")
}

/// Forms in which a user may have `digit`, (28, 28), as names and PNG files.
fn forms(digit: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (sides, ink) = enlarged(digit, 7, 0, [0, 0]);
    let (shifted_sides, shifted) = enlarged(digit, 7, 60, [-43, 29]);
    let inverted: Vec<u8> = ink.iter().map(|ink| 255 - ink).collect();
    let colour = |ink: &u8, strokes: [u8; 3], paper: [u8; 3]| {
        let mix = |i: usize| {
            let [ink, stroke, paper] = [*ink, strokes[i], paper[i]].map(u32::from);
            ((ink * stroke + (255 - ink) * paper + 127) / 255) as u8
        };
        [mix(0), mix(1), mix(2)]
    };
    let blue = |ink: &u8| colour(ink, [20, 30, 140], [250, 245, 225]);
    let (eight, sixteen) = (BitDepth::Eight, BitDepth::Sixteen);
    let black_with_alpha: Vec<u8> = ink.iter().flat_map(|&ink| [0, ink]).collect();
    let colour_with_alpha: Vec<u8> = ink.iter().flat_map(|&ink| [0, 0, 0, ink]).collect();
    let blue_ink: Vec<u8> = ink.iter().flat_map(blue).collect();
    let two_bytes: Vec<u8> = inverted.iter().flat_map(|&grey| [grey, 77]).collect();
    let palette: Vec<u8> = (0..=255).flat_map(|ink| blue(&ink)).collect();
    vec![
        ("enlarged", grey(sides, &ink)),
        ("inverted", grey(sides, &inverted)),
        ("shifted", grey(shifted_sides, &shifted)),
        ("alpha", with(sides, ColorType::GrayscaleAlpha, eight, &black_with_alpha, |_| {})),
        ("rgba", with(sides, ColorType::Rgba, eight, &colour_with_alpha, |_| {})),
        ("blue", with(sides, ColorType::Rgb, eight, &blue_ink, |_| {})),
        ("16 bit", with(sides, ColorType::Grayscale, sixteen, &two_bytes, |_| {})),
        ("palette", {
            with(sides, ColorType::Indexed, eight, &ink, |encoder| encoder.set_palette(palette))
        }),
    ]
}

/// Largest difference of two pixels, and mean difference.
fn differences(a: &[u8], b: &[u8]) -> (u8, f64) {
    let each = || a.iter().zip(b).map(|(&a, &b)| a.abs_diff(b));
    let sum: f64 = each().map(f64::from).sum();
    (each().max().unwrap(), sum / a.len() as f64)
}

#[test]
fn a_digit_gives_the_same_image_in_every_form_of_a_picture() {
    for (index, digit) in some_digits(20).iter().enumerate() {
        let forms = forms(digit);
        let expected = seen(&forms[0].1);
        for (name, file) in &forms {
            let (largest, _) = differences(&seen(file), &expected);
            assert!(largest <= 3, "digit {index}, {name}: {largest}");
        }
    }
}

#[test]
fn an_enlarged_digit_gives_the_image_that_networks_are_trained_on() {
    let digits = some_digits(100);
    let same = digits.iter().filter(|digit| {
        let (sides, pixels) = enlarged(digit, 7, 0, [0, 0]);
        differences(&seen(&grey(sides, &pixels)), digit).1 < 1.0
    });
    // Where the outermost row of a digit is fainter than a tenth, the digit is a little larger.
    let same = same.count();
    assert!(same >= 80, "{same} of {}", digits.len());
}

#[test]
fn images_of_the_right_size_are_taken_as_they_are_and_others_are_prepared() {
    let digit = &some_digits(1)[0];
    let (sides, pixels) = enlarged(digit, 3, 0, [0, 0]);
    let idx = |sides: [usize; 2], pixels: &[u8]| {
        [images_header(pixels.len() / (sides[0] * sides[1]), sides[0], sides[1]), pixels.to_vec()]
            .concat()
    };
    let blank = [7; 28 * 28];
    let plain = idx(SIDES, &[&digit[..], &blank].concat());
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut packed, &plain).unwrap();
    for file in [plain, packed.finish().unwrap()] {
        let pictures = parse(&file).unwrap();
        assert_eq!(pictures.count(), 2);
        assert_eq!(pictures.image(0, SIDES).as_ref(), Some(digit));
        assert_eq!(pictures.image(1, SIDES), None);
    }
    assert_eq!(seen(&idx(sides, &pixels)), seen(&grey(sides, &pixels)));
}

/// Bytes of the chunk `name` of a PNG file.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes(), &name[..], data, &crc.sum().to_be_bytes()].concat()
}

/// Bytes of a grey PNG file with this `interlacing` and these rows of samples, each behind the
/// number of its filter.
fn crafted([rows, columns]: [u32; 2], interlacing: u8, data: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut packed, data).unwrap();
    let header = [&columns.to_be_bytes()[..], &rows.to_be_bytes(), &[8, 0, 0, 0, interlacing]];
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header.concat()),
        chunk(b"IDAT", &packed.finish().unwrap()),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

#[test]
fn an_interlaced_picture_and_the_first_of_an_animation_are_read() {
    let sides = [11, 9];
    let pixels: Vec<u8> = (0..99).map(|i| (i * 37 % 251) as u8).collect();
    // First row and column of each pass, and the steps to the next (PNG specification, section 8).
    let passes = [
        [0, 0, 8, 8],
        [0, 4, 8, 8],
        [4, 0, 8, 4],
        [0, 2, 4, 4],
        [2, 0, 4, 2],
        [0, 1, 2, 2],
        [1, 0, 2, 1],
    ];
    let mut data = Vec::new();
    for [top, left, down, right] in passes {
        for row in (top..sides[0]).step_by(down) {
            data.push(0);
            data.extend((left..sides[1]).step_by(right).map(|column| pixels[row * 9 + column]));
        }
    }
    let interlaced = png(&crafted([11, 9], 1, &data)).unwrap();
    assert_eq!((interlaced.sides, &interlaced.pixels), (sides, &pixels));

    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 9, 11);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.write_image_data(&[9; 99]).unwrap();
    writer.finish().unwrap();
    assert_eq!(png(&bytes).unwrap(), interlaced);
}

#[test]
fn what_is_no_picture_is_refused_with_its_reason() {
    let good = crafted([2, 3], 0, &[0, 1, 2, 3, 0, 4, 5, 6]);
    assert_eq!(png(&good).unwrap().pixels, [1, 2, 3, 4, 5, 6]);
    let mut flipped = good.clone();
    flipped[45] ^= 1;
    let few_rows = crafted([3, 3], 0, &[0, 1, 2, 3, 0, 4, 5, 6]);
    let palette = with([1, 1], ColorType::Indexed, BitDepth::Eight, &[0], |encoder| {
        encoder.set_palette(vec![1, 2, 3]);
    });
    let no_palette = [&palette[..33], &palette[33 + 15..]].concat();
    let odd =
        |colours: &[u8]| [&palette[..33], &chunk(b"PLTE", colours), &palette[33 + 15..]].concat();
    for (name, bytes, reason) in [
        ("empty", vec![], "is empty, without a picture: give a PNG file"),
        ("text", b"seven".to_vec(), "neither PNG nor IDX images"),
        ("JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), "is JPEG"),
        ("zip", b"PK\x03\x04\x14\0".to_vec(), "is packed with zip"),
        (
            "labels",
            b"\0\0\x08\x01\0\0\0\x01\x07".to_vec(),
            "holds labels, not images: give the file of the images",
        ),
        ("flipped bit", flipped, "damaged PNG ("),
        ("no palette", no_palette, "damaged PNG ("),
        ("palette of 4 bytes", odd(&[1; 4]), "damaged PNG (a palette of 4 bytes, and a colour has"),
        ("palette of 767 bytes", odd(&[1; 767]), "damaged PNG (a palette of 767 bytes"),
        ("palette of 771 bytes", odd(&[1; 771]), "damaged PNG ("),
        ("palette without colours", odd(&[]), "damaged PNG ("),
        ("few rows", few_rows, "PNG"),
        ("no columns", crafted([5, 0], 0, &[]), "a PNG without pixels"),
        ("no rows", crafted([0, 5], 1, &[]), "a PNG without pixels"),
        ("pixels", crafted([8000, 8001], 0, &[0]), "8001×8000 pixels, and a picture may have 64 m"),
        (
            "side",
            crafted([65_536, 1], 0, &[0]),
            "1×65536 pixels, and a picture may have 64 million",
        ),
        (
            "IDX side",
            images_header(1, 1, 70_000).into_iter().chain([9; 70_000]).collect(),
            "70000×1",
        ),
        ("overflow", crafted([u32::MAX, u32::MAX], 1, &[0]), "4294967295×4294967295 pixels"),
    ] {
        let error = parse(&bytes).err().unwrap_or_else(|| panic!("{name} is accepted")).to_string();
        assert!(error.contains(reason), "{name}: {error}");
        assert!(!error.contains(char::is_control), "{name}: {error}");
    }
}

#[test]
fn a_picture_that_is_cut_off_anywhere_is_refused() {
    let digit = &some_digits(1)[0];
    let animated_or_not = [grey(SIDES, digit), crafted([2, 1], 1, &[0, 7, 0, 8])];
    for whole in animated_or_not {
        for length in 8..whole.len() {
            let error = parse(&whole[..length]).expect_err("it is cut off").to_string();
            assert!(error.contains("PNG"), "{length} of {}: {error}", whole.len());
        }
    }
}

#[test]
fn a_header_that_promises_too_much_costs_no_memory() {
    for bytes in [crafted([8000, 8000], 0, &[0; 100]), crafted([100_000, 100_000], 1, &[0; 100])] {
        let (outcome, peak) = allocation::peak_bytes(|| parse(&bytes));
        assert!(outcome.is_err());
        assert!(peak < 1 << 20, "{peak} bytes");
    }
}

/// A folder with the model `ckpt.bin`, trained on the synthetic digits.
fn trained(epochs: usize) -> Workplace {
    let place = Workplace::new();
    place.run(&format!("--epochs {epochs} --json")).succeeds();
    place
}

#[test]
fn predict_finds_the_same_class_in_every_form_and_agrees_with_eval() {
    let place = trained(5);
    for (number, digit) in some_digits(8).iter().enumerate() {
        let forms = forms(digit);
        for (form, (_, file)) in forms.iter().enumerate() {
            fs::write(place.path(&format!("{form}.png")), file).unwrap();
        }
        let files: String = (0..forms.len()).map(|form| format!(" {form}.png")).collect();
        let events = Run::of(place.bare(&format!("predict --json{files}"))).succeeds().events();
        assert_eq!(events.len(), forms.len());
        for (event, (name, _)) in events.iter().zip(&forms) {
            let class = |event: &serde_json::Value| event["predictions"][0]["class"].clone();
            assert_eq!(class(event), class(&events[0]), "digit {number}, {name}");
        }
    }

    let images = digits().join("t10k-images-idx3-ubyte");
    let labels = fs::read(digits().join("t10k-labels-idx1-ubyte")).unwrap();
    let predict = |flags: &str| {
        let mut command = place.bare(&format!("predict --json {flags}"));
        command.arg(&images);
        Run::of(command).succeeds().events()
    };
    let all = predict("--top 1");
    assert_eq!(all.len(), TEST_IMAGES);
    let is_right = |(event, label): &(&serde_json::Value, &u8)| {
        event["predictions"][0]["class"] == **label && event["predictions"][1].is_null()
    };
    let right = all.iter().zip(&labels[8..]).filter(is_right).count();
    assert_eq!(place.run("eval --json").succeeds().last("eval")["correct"], right);
    assert_eq!(predict("--top 1 --index 99..102"), all[99..102]);
    assert_eq!(predict("--top 1 --index 7"), all[7..8]);
    assert_eq!(all[7]["index"], 7);
    assert_eq!(all[7]["pictures"], TEST_IMAGES);
    assert_eq!(predict("--top 99 --index 0")[0]["predictions"].as_array().unwrap().len(), 10);
}

#[test]
fn predictions_are_shown_with_the_image_and_whether_they_are_sure() {
    let place = trained(5);
    let (sides, pixels) = enlarged(&some_digits(1)[0], 7, 0, [0, 0]);
    fs::write(place.path("seven.png"), grey(sides, &pixels)).unwrap();
    fs::write(place.path("blank.png"), grey([50, 50], &[255; 2500])).unwrap();
    let predict = |arguments: &str| {
        let run = Run::of(place.bare(&format!("predict {arguments}")));
        run.succeeds().fits_a_terminal().stdout
    };
    let sure = predict("seven.png blank.png --threshold 0");
    let lines: Vec<_> = sure.lines().collect();
    assert_eq!((lines.len(), lines[0]), (1 + 14 + 2, "seven.png"));
    assert!(sure.contains('█') && lines[1..4].iter().all(|line| line.ends_with(" %")), "{sure}");
    assert_eq!(lines[15..], ["blank.png", "  blank: nothing to classify"]);
    let unsure = predict("seven.png --threshold 1 --top 1");
    assert!(unsure.lines().nth(1).unwrap().ends_with(" %  unsure"), "{unsure}");

    let mut piped = Command::new("sh");
    let line = "exec \"$0\" predict --json --threshold 1 < seven.png";
    piped.args(["-c", line, env!("CARGO_BIN_EXE_mnist-train")]).current_dir(place.path("."));
    let event = Run::of(piped).succeeds().last("predict");
    assert_eq!((&event["file"], &event["unsure"]), (&"-".into(), &true.into()));
    assert_eq!(event["blank"], false);
    let blank = Run::of(place.bare("predict blank.png --json")).succeeds().last("predict");
    assert_eq!((&blank["blank"], &blank["unsure"]), (&true.into(), &true.into()));
    assert_eq!(blank["predictions"], serde_json::json!([]));
}

#[test]
fn a_file_that_fails_is_one_line_and_the_others_are_classified() {
    let place = trained(1);
    let digit = &some_digits(1)[0];
    fs::write(place.path("good.png"), grey(SIDES, digit)).unwrap();
    fs::write(place.path("bad.png"), &grey(SIDES, digit)[..60]).unwrap();
    fs::write(place.path("letter.txt"), "seven").unwrap();
    let run = |arguments: &str| Run::of(place.bare(&format!("predict {arguments}")));
    run("bad.png").fails(3, &["bad.png: truncated PNG: fetch it again"]);
    run("none.png").fails(1, &["none.png: cannot open: no such file or directory"]);
    run("letter.txt").fails(3, &["letter.txt: neither PNG nor IDX images: convert the picture"]);
    run("good.png --index 1")
        .fails(2, &["--index: there is no picture 1 in good.png: choose from 0"]);
    run("good.png --index 2..1").rejects_flags(&["--index", "must be a number N, or A..B"]);
    run("-").fails(3, &["stdin: is empty, without a picture: give a PNG file, or an IDX file"]);
    run("good.png --model none").fails(1, &["none: cannot open"]);

    let several = run("--json letter.txt good.png none.png good.png");
    assert_eq!(several.events().len(), 2);
    let several = several.fails(3, &["2 of 4 files failed, as the lines above say"]);
    let lines: Vec<_> = several.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("not classified: letter.txt: neither PNG nor IDX"), "{lines:?}");
    assert!(lines[1].starts_with("not classified: none.png: cannot open"), "{lines:?}");
    run("none.png letter.txt").fails(1, &["2 of 2 files failed"]);
}

#[test]
fn a_picture_has_one_image_and_a_file_of_images_as_many_as_its_header_says() {
    let picture = parse(&grey([3, 3], &[0, 0, 0, 0, 200, 0, 0, 0, 0])).unwrap();
    assert!(matches!(&picture, Pictures::Png(png) if png.sides == [3, 3]));
    // One pixel fills the box of 20×20, whose centre of mass is its middle.
    let image = picture.image(0, SIDES).unwrap();
    let ink = image.iter().filter(|&&pixel| pixel > 0).count();
    assert_eq!((picture.count(), ink, image[14 * 28 + 14]), (1, 400, 255));
}
