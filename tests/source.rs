//! The choice of the data folder, and the errors of folders that cannot be used.

use std::fs;
use std::path::Path;

use mnist_train::data::dataset::{DatasetKind, ImageFormat};
use mnist_train::data::files::{Part, inspect, locate};
use mnist_train::data::known::MNIST;
use mnist_train::data::remote::Remote;
use mnist_train::data::source::{Outcome, Request};
use mnist_train::error::Error;
use mnist_train::model::mnist_cnn::MnistCnn;

mod small_set;

use small_set::{SmallSet, load, names_in};

/// Images and labels of MNIST.
fn format() -> ImageFormat {
    MnistCnn::default().architecture().format()
}

/// A request without a download.
fn offline(directory: Option<&Path>, default_directory: &Path) -> Request {
    Request {
        known: None,
        directory: directory.map(Path::to_path_buf),
        default_directory: default_directory.to_path_buf(),
        remote: None,
    }
}

#[track_caller]
fn assert_says(error: &Error, exit_code: u8, words: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.exit_code(), exit_code, "{message}");
    assert!(!message.contains('\n'), "{message:?}");
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

#[test]
fn uses_the_folder_that_was_named_rather_than_the_default() {
    let (named, default) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SmallSet::new().save(named.path(), &Part::ALL);
    fs::write(default.path().join("train-images-idx3-ubyte"), "damaged").unwrap();
    let request = offline(Some(named.path()), default.path());
    let Outcome::Found(files) = load(&request, &mut ()).unwrap() else {
        panic!("not loaded");
    };
    let dataset = files.read(format()).unwrap();
    assert_eq!(dataset.kind(), DatasetKind::Custom);
    assert_eq!((dataset.train.len(), dataset.test.unwrap().labels()), (3, &[7, 2][..]));
    for part in Part::ALL {
        assert_eq!(files.path(part), named.path().join(part.download_name()));
    }
}

#[test]
fn a_named_folder_that_cannot_be_used_is_an_error_and_never_replaced() {
    let (named, default) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SmallSet::new().save(default.path(), &Part::ALL);
    let missing = named.path().join("missing");
    let mut request = offline(Some(&missing), default.path());
    // No server has this address. If it were asked, the error would be another one.
    request.remote = Some(Remote::with_mirrors(MNIST, "http://127.0.0.1:9".as_ref()));
    let error = load(&request, &mut ()).unwrap_err();
    let folder = missing.display().to_string();
    let mut words = vec![&folder[..], "no such folder", "mnist-train data fetch"];
    words.extend(Part::ALL.map(Part::name));
    assert_says(&error, 1, &words);
    assert!(!missing.exists());

    request.directory = Some(named.path().to_path_buf());
    let error = load(&request, &mut ()).unwrap_err();
    assert_says(&error, 1, &words[2..]);
    assert!(!error.to_string().contains("no such folder"));
}

#[test]
fn names_the_one_file_that_is_missing() {
    for missing in Part::ALL {
        let folder = tempfile::tempdir().unwrap();
        let others: Vec<_> = Part::ALL.into_iter().filter(|&p| p != missing).collect();
        SmallSet::new().save(folder.path(), &others);
        let error = locate(folder.path(), None, &Part::ALL).unwrap_err();
        let remedy =
            "; add them or, if the files that are there are the official MNIST, use 'mnist-t";
        assert_says(&error, 1, &[missing.name(), remedy]);
        for other in others {
            assert!(!error.to_string().contains(other.name()), "{error}");
        }
    }
}

#[test]
fn finds_the_files_under_each_of_their_names() {
    let set = SmallSet::new();
    for (dotted, suffix) in [(false, ""), (false, ".gz"), (true, ""), (true, ".gz")] {
        let folder = tempfile::tempdir().unwrap();
        for part in Part::ALL {
            let name =
                if dotted { part.name().replace("-idx", ".idx") } else { part.name().to_string() };
            fs::write(folder.path().join(name + suffix), set.raw(part)).unwrap();
        }
        let dataset = locate(folder.path(), None, &Part::ALL).unwrap().read(format()).unwrap();
        assert_eq!(dataset.train.len(), 3, "{:?}", names_in(folder.path()));
    }
}

#[test]
fn finds_the_files_where_archives_put_them() {
    let set = SmallSet::new();
    for place in ["raw/NAME", "MNIST/raw/NAME", "NAME/NAME", "raw/NAME/NAME.gz"] {
        let folder = tempfile::tempdir().unwrap();
        for part in Part::ALL {
            let path = folder.path().join(place.replace("NAME", part.name()));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, set.raw(part)).unwrap();
        }
        for request in [offline(Some(folder.path()), folder.path()), offline(None, folder.path())] {
            let Outcome::Found(files) = load(&request, &mut ()).unwrap() else {
                panic!("not found in {place}");
            };
            assert!(files.path(Part::TestLabels).is_file(), "{place}");
        }
    }
}

#[test]
fn takes_the_first_file_that_can_be_used() {
    let set = SmallSet::new();
    let half = |part: Part| set.raw(part)[..set.raw(part).len() / 2].to_vec();
    for part in Part::ALL {
        let folder = tempfile::tempdir().unwrap();
        set.save(folder.path(), &Part::ALL);
        fs::write(folder.path().join(part.name()), half(part)).unwrap();
        let files = locate(folder.path(), None, &Part::ALL).unwrap();
        assert_eq!(files.path(part), folder.path().join(part.download_name()));
        // If none can be used, the first one is named.
        fs::write(folder.path().join(part.download_name()), half(part)).unwrap();
        let files = locate(folder.path(), None, &Part::ALL).unwrap();
        let error = files.read(format()).unwrap_err();
        assert_says(&error, 3, &[&format!("{}: ", folder.path().join(part.name()).display())]);
    }
    // A whole set below the folder comes before half a set in it.
    let folder = tempfile::tempdir().unwrap();
    set.save(folder.path(), &Part::ALL[..2]);
    fs::create_dir(folder.path().join("raw")).unwrap();
    set.save(&folder.path().join("raw"), &Part::ALL);
    locate(folder.path(), None, &Part::ALL).unwrap();
}

#[test]
fn a_folder_with_the_name_of_a_file_is_never_no_data() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let error = load(&offline(None, folder.path()), &mut ()).unwrap_err();
    assert_says(&error, 1, &["missing train-images-idx3-ubyte"]);
}

#[test]
fn a_test_set_needs_no_training_set() {
    let (set, folder) = (SmallSet::new(), tempfile::tempdir().unwrap());
    set.save(folder.path(), &Part::ALL[2..]);
    let test = |folder: &Path| {
        let files = locate(folder, None, &Part::ALL[2..]).unwrap();
        files.read_test(format()).unwrap()
    };
    let alone = test(folder.path());
    assert_eq!((alone.split.labels(), alone.kind), (&[7, 2][..], DatasetKind::Custom));
    assert_eq!(alone.sha256s, None);
    fs::write(folder.path().join("train-images-idx3-ubyte"), "damaged").unwrap();
    set.save(folder.path(), &Part::ALL[1..2]);
    assert_eq!(test(folder.path()), alone);
    fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    set.save(folder.path(), &Part::ALL[..1]);
    let dataset = locate(folder.path(), None, &Part::ALL).unwrap().read(format()).unwrap();
    assert_eq!(test(folder.path()).sha256s, Some(dataset.sha256s()));

    let error = locate(&folder.path().join("missing"), None, &Part::ALL[2..]).unwrap_err();
    assert_says(&error, 1, &["missing t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (also"]);
}

#[test]
fn a_training_set_needs_no_test_set() {
    let (set, folder) = (SmallSet::new(), tempfile::tempdir().unwrap());
    set.save(folder.path(), &Part::ALL[..2]);
    let train = |folder: &Path| {
        let files = locate(folder, None, &Part::ALL[..2]).unwrap();
        files.read_train(format()).unwrap()
    };
    let alone = train(folder.path());
    assert_eq!((alone.train.len(), &alone.test, alone.kind()), (3, &None, DatasetKind::Custom));
    let [all, training] = alone.sha256s();
    assert_eq!(all, training);
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), "damaged").unwrap();
    set.save(folder.path(), &Part::ALL[3..]);
    assert_eq!(train(folder.path()), alone);
    fs::remove_file(folder.path().join("t10k-images-idx3-ubyte")).unwrap();
    set.save(folder.path(), &Part::ALL[2..3]);
    let dataset = locate(folder.path(), None, &Part::ALL).unwrap().read(format()).unwrap();
    assert_eq!(train(folder.path()), dataset);
    let [all, training_again] = dataset.sha256s();
    assert_eq!(training_again, training);
    assert_ne!(all, training);

    let damaged = folder.path().join("train-labels-idx1-ubyte");
    fs::write(&damaged, "damaged").unwrap();
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte.gz")).unwrap();
    let files = locate(folder.path(), None, &Part::ALL[..2]).unwrap();
    assert_says(&files.read_train(format()).unwrap_err(), 3, &["train-labels-idx1-ubyte: "]);
}

#[test]
fn says_that_a_file_is_not_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "").unwrap();
    for request in [offline(Some(&file), folder.path()), offline(None, &file)] {
        let error = load(&request, &mut ()).unwrap_err();
        assert_says(&error, 1, &[&file.display().to_string(), "is not a folder"]);
    }
}

#[test]
fn an_invalid_file_in_the_default_folder_is_an_error_that_names_it() {
    for invalid in Part::ALL {
        let folder = tempfile::tempdir().unwrap();
        SmallSet::new().save(folder.path(), &Part::ALL);
        let name = invalid.download_name();
        fs::write(folder.path().join(&name), "<html>").unwrap();
        let error = load(&offline(None, folder.path()), &mut ()).unwrap_err();
        assert_says(&error, 3, &[&name, "looks like HTML"]);
    }
}

#[test]
fn without_data_and_without_a_download_it_says_why() {
    let folder = tempfile::tempdir().unwrap();
    for default in [folder.path(), &folder.path().join("missing")] {
        let outcome = load(&offline(None, default), &mut ()).unwrap();
        let Outcome::NotAvailable { reason } = outcome else {
            panic!("loaded from nowhere");
        };
        let why =
            if cfg!(feature = "download") { "--offline" } else { "without its feature 'download'" };
        assert_says(&reason, 1, &[&default.display().to_string(), why]);
    }
}

#[test]
fn an_incomplete_default_folder_is_an_error_when_nothing_may_be_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    SmallSet::new().save(folder.path(), &Part::ALL[..3]);
    let error = load(&offline(None, folder.path()), &mut ()).unwrap_err();
    assert_says(&error, 1, &["missing t10k-labels-idx1-ubyte"]);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_not_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    SmallSet::new().save(folder.path(), &Part::ALL[1..]);
    let link = folder.path().join("train-images-idx3-ubyte");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let error = load(&offline(None, folder.path()), &mut ()).unwrap_err();
    assert_says(&error, 1, &["train-images-idx3-ubyte: cannot open"]);
}

#[test]
fn escapes_control_characters_in_names() {
    let error = locate(Path::new("data\x1b[2J\nnext"), None, &Part::ALL).unwrap_err();
    assert_says(&error, 1, &["data\\u{1b}[2J\\nnext: "]);
}

#[test]
fn inspects_each_file_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let set = SmallSet::new();
    set.save(folder.path(), &Part::ALL[..2]);
    fs::write(folder.path().join("t10k-images.idx3-ubyte"), "").unwrap();
    let [train_images, train_labels, test_images, test_labels] =
        inspect(folder.path(), None).unwrap().try_into().unwrap();

    for (inspection, part) in [(train_images, Part::TrainImages), (train_labels, Part::TrainLabels)]
    {
        let facts = inspection.file.unwrap().unwrap();
        assert_eq!(inspection.part, part);
        assert_eq!(facts.path, folder.path().join(part.download_name()));
        assert_eq!(facts.stored_bytes, set.gzip(part).len() as u64);
        assert_eq!(facts.content.count, 3);
        assert_eq!(facts.kind, DatasetKind::Custom);
    }
    let error = test_images.file.unwrap().unwrap_err();
    assert_says(&error, 3, &["t10k-images.idx3-ubyte: empty file"]);
    assert!(test_labels.file.is_none());

    let nowhere = inspect(&folder.path().join("missing"), None).unwrap();
    assert!(nowhere.iter().all(|inspection| inspection.file.is_none()));
}

#[test]
fn takes_mirrors_from_a_list() {
    let mirrors = |list: &str| Remote::with_mirrors(MNIST, list.as_ref()).mirrors;
    assert_eq!(mirrors(" http://a/b,https://c/\n,"), ["http://a/b", "https://c/"]);
    for empty in ["", " , "] {
        let public = mirrors(empty);
        assert_eq!(public, Remote::of(MNIST).mirrors);
        assert!(public.iter().all(|mirror| mirror.starts_with("https://")));
    }
}

#[cfg(feature = "download")]
#[test]
fn mirrors_are_checked_when_they_are_needed_and_passwords_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = offline(None, folder.path());
    let long = format!("ftp://{}", "x".repeat(100_000));
    for (bad, shown) in [
        ("ftp://a", "'ftp://a'"),
        ("http://a b", "'b'"),
        ("/data", "'/data'"),
        ("http://", "'http://'"),
        ("ftp://me:sec/ret@a/b", "'ftp://a/b'"),
        ("me:secret@a/b", "'a/b'"),
        ("http://ä/", "'http://ä/'"),
        (&long, "xxx…"),
    ] {
        request.remote = Some(Remote::with_mirrors(MNIST, bad.as_ref()));
        let error = load(&request, &mut ()).unwrap_err();
        assert_says(&error, 2, &["MNIST_MIRRORS", "https://", shown]);
        assert!(error.to_string().len() < 400, "{error}");
    }
    SmallSet::new().save(folder.path(), &Part::ALL);
    load(&request, &mut ()).unwrap();
}

#[cfg(all(unix, feature = "download"))]
#[test]
fn mirrors_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let mut request = offline(None, folder.path());
    request.remote =
        Some(Remote::with_mirrors(MNIST, std::ffi::OsStr::from_bytes(b"http://a\xff/")));
    let error = load(&request, &mut ()).unwrap_err();
    assert_says(&error, 2, &[r"'http://a\xff/' is not a web address"]);
}
