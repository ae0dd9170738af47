//! The datasets that have a name: the names, checksums and mirrors of their files, how the files
//! store images and labels, and the names of the classes.

use serde::{Deserialize, Serialize};

use super::part::Part;

/// Dataset with a name, a row of [`KNOWN`]. Its images have 28×28 pixels.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// Name of the dataset: the value of `--dataset`, and the folder below the data folder.
    pub name: &'static str,
    /// Name of the dataset in a sentence.
    pub title: &'static str,
    /// Beginning of the names of its files, which are MNIST's if it is empty.
    prefix: &'static str,
    /// Folder to which torchvision writes its files, below the folder that the user names.
    pub torchvision: &'static str,
    /// How its files store images and labels.
    pub layout: Layout,
    /// Number of classes.
    pub classes: usize,
    /// Name of each class; empty if the names are the numbers from 0.
    pub class_names: &'static [&'static str],
    /// Checksums of its files.
    pub sha256: Sha256s,
    /// Web addresses of folders that hold the four files under their official names with `.gz`, and
    /// ask for no registration.
    pub mirrors: &'static [&'static str],
    /// Folder in which a package of the operating system puts the four files.
    pub package: Option<&'static str>,
    /// What a person does to get the files, if the program cannot download them.
    pub remedy: &'static str,
}

/// How the files of a dataset store its images and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Whether the files store the pixels of an image column by column.
    pub transposed: bool,
    /// Label of the first class in the files.
    pub first_label: u16,
}

impl Layout {
    /// Layout of MNIST.
    pub const UPRIGHT: Self = Self { transposed: false, first_label: 0 };
}

/// SHA-256 of the four files of a dataset in lower-case hexadecimal, in the order of [`Part::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sha256s {
    /// Checksums of the uncompressed files, which tell the dataset however its files are packed.
    Unpacked([&'static str; 4]),
    /// Checksums of the files as the mirrors have them, with `.gz`.
    Packed([&'static str; 4]),
}

impl Known {
    /// Dataset with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }

    /// Whether its files have names of their own, and not MNIST's.
    pub fn has_own_names(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Official name of the uncompressed file for `part`.
    pub fn file_name(&self, part: Part) -> String {
        match self.prefix {
            "" => part.name().into(),
            prefix => format!("{prefix}{}", part.name().replace("t10k", "test")),
        }
    }

    /// Names that the file for `part` may have, in the order in which they are tried. The content,
    /// not the name, tells whether the file is gzip.
    pub fn spellings(&self, part: Part) -> [String; 4] {
        let dashed = self.file_name(part);
        let dotted = dashed.replace("-idx", ".idx");
        [dashed.clone(), format!("{dashed}.gz"), dotted.clone(), format!("{dotted}.gz")]
    }
}

/// Names of all datasets, with commas between them.
pub fn names() -> String {
    KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// MNIST, and each dataset whose files have MNIST's names and are not recognized.
pub static MNIST: &Known = &KNOWN[0];

/// A dataset in the form and with the names of MNIST's files.
const LIKE_MNIST: Known = Known {
    name: "",
    title: "",
    prefix: "",
    torchvision: "",
    layout: Layout::UPRIGHT,
    classes: 10,
    class_names: &[],
    sha256: Sha256s::Unpacked([""; 4]),
    mirrors: &[],
    package: None,
    remedy: "",
};

/// A split of EMNIST. Its images are transposed.
const EMNIST: Known = Known {
    torchvision: "EMNIST",
    layout: Layout { transposed: true, first_label: 0 },
    remedy: "EMNIST is one archive of all its files: download \
             https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip, unpack it, and name its folder \
             with --data",
    ..LIKE_MNIST
};

/// Table of the datasets that have a name.
///
/// The checksums of KMNIST are those of TensorFlow Datasets, and the checksums of EMNIST those of
/// the Python package mnists, which both list files with `.gz`.
pub static KNOWN: [Known; 9] = [
    Known {
        name: "mnist",
        title: "MNIST",
        torchvision: "MNIST",
        sha256: Sha256s::Unpacked([
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ]),
        mirrors: &[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ],
        ..LIKE_MNIST
    },
    Known {
        name: "fashion",
        title: "Fashion-MNIST",
        torchvision: "FashionMNIST",
        class_names: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        sha256: Sha256s::Unpacked([
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ]),
        mirrors: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
        // Of the Debian package dataset-fashion-mnist.
        package: Some("/usr/share/datasets/fashion-mnist"),
        ..LIKE_MNIST
    },
    Known {
        name: "kmnist",
        title: "KMNIST",
        torchvision: "KMNIST",
        class_names: &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        sha256: Sha256s::Packed([
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ]),
        mirrors: &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        ..LIKE_MNIST
    },
    Known {
        name: "emnist-balanced",
        title: "EMNIST balanced",
        prefix: "emnist-balanced-",
        classes: 47,
        class_names: &MERGED,
        sha256: Sha256s::Packed([
            "74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4",
            "b46d41e5156a0a8aaaa4d18979fdd1588850fa8571018acffd5d93b325a7d6ed",
            "117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db",
            "a67cac948379b67270b9a4d0a01c8ec661598accf2f2b1964340b7c83cb175cd",
        ]),
        ..EMNIST
    },
    Known {
        name: "emnist-byclass",
        title: "EMNIST by class",
        prefix: "emnist-byclass-",
        classes: 62,
        class_names: &BY_CLASS,
        sha256: Sha256s::Packed([
            "9e21987f03a6eb8b870187e785883ddad96947299587908f1a7ec2ca0f4be5f0",
            "f7ef403d48dc18a89dae0d83d11ee69cecb6e1c12c3a961d03712e495c02a8fa",
            "5ec835bd5d5b1a66378a132e727fef20fe994b3cc666899befcca5ac766f50cd",
            "501e305eeeacb093b162592d80e8a2632040872360fa6d85cfcb2200d91ca92a",
        ]),
        ..EMNIST
    },
    Known {
        name: "emnist-bymerge",
        title: "EMNIST by merge",
        prefix: "emnist-bymerge-",
        classes: 47,
        class_names: &MERGED,
        sha256: Sha256s::Packed([
            "39bf8c68037dad40db35348895f7e4e056e8c0a005ab78869c9fbc2c96e947be",
            "2c47293b9e62d6abf6ad05fbf67e40baa32adfd380b8d7b44dcc35534b64e1f1",
            "5e5815ec1b522089134435f7c55e75a00960b58414793593ffff23efc0821683",
            "8bda1516255683ba9071e141947ca0c91a911176065cdd6259b0b4d8dc5b5f35",
        ]),
        ..EMNIST
    },
    Known {
        name: "emnist-digits",
        title: "EMNIST digits",
        prefix: "emnist-digits-",
        sha256: Sha256s::Packed([
            "f7c95004d14d81af89522e67d8f0c781dfb3bd544181c81bfe1eb6b41c35b726",
            "6638a6ff5fe2eefd9cca2471995b46c82986b8e4b2a70d2f5ce8e05d7edb319e",
            "20ebe43509264f7639d37c835a3f0b009e90b29e00a099a03101abe1644a3f63",
            "bad1834c45d5988e270b99d43b13edc3fd898f658ffbc2caf2846ef27f7b05b0",
        ]),
        ..EMNIST
    },
    Known {
        name: "emnist-letters",
        title: "EMNIST letters",
        prefix: "emnist-letters-",
        layout: Layout { transposed: true, first_label: 1 },
        classes: 26,
        class_names: BY_CLASS.split_at(10).1.split_at(26).0,
        sha256: Sha256s::Packed([
            "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f",
            "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c",
            "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d",
            "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb",
        ]),
        ..EMNIST
    },
    Known {
        name: "emnist-mnist",
        title: "EMNIST mnist",
        prefix: "emnist-mnist-",
        sha256: Sha256s::Packed([
            "5f9942f441031c0f1f2e4d162059fd6e19ea808b34c328b6d16cab0ed24c78f2",
            "00c6d3c2342fdffb1711e0b5656cac4ce5862d2826399d383a9bac07d612e9f8",
            "b25640fa9e356c618132f5df347c95ef5bae6d9c2596be1de40f7e0ae1c3eac6",
            "bcc5385d38f083dba046f5f756e99b32f5ea7fad122c6243c71c2239873065ca",
        ]),
        ..EMNIST
    },
];

/// Classes of EMNIST by class: digits, capital letters, small letters.
#[rustfmt::skip] // One line for each kind.
const BY_CLASS: [&str; 62] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z",
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z",
];

/// Classes of EMNIST in which a small letter that looks like the capital letter is the capital one.
#[rustfmt::skip] // One line for each kind.
const MERGED: [&str; 47] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z",
    "a", "b", "d", "e", "f", "g", "h", "n", "q", "r", "t",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_has_names_of_its_own() {
        for (index, known) in KNOWN.iter().enumerate() {
            let names = known.class_names;
            assert!(names.is_empty() || names.len() == known.classes, "{known:?}");
            assert_eq!(known.mirrors.is_empty(), !known.remedy.is_empty(), "{known:?}");
            let (Sha256s::Unpacked(sums) | Sha256s::Packed(sums)) = known.sha256;
            let is_sum = |sum: &str| sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit());
            assert!(sums.into_iter().all(is_sum), "{known:?}");
            for other in &KNOWN[..index] {
                assert_ne!(known.name, other.name);
                assert_ne!(known.sha256, other.sha256);
            }
        }
        assert_eq!(Known::find("emnist-letters").unwrap().class_names[..3], ["A", "B", "C"]);
    }
}
