//! Downloads from mirrors that work and from mirrors that fail.
#![cfg(feature = "download")]

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mnist_train::data::files::Part;
use mnist_train::data::known::MNIST;
use mnist_train::data::remote::{Event, Progress, Remote};
use mnist_train::data::source::{Outcome, Request, fetch, find};
use mnist_train::digest::Sha256Digest;
use mnist_train::error::{Error, Result};
use mnist_train::files::lock::lock_for_writing;
use mnist_train::model::mnist_cnn::MnistCnn;
use tempfile::TempDir;

mod program;
mod small_set;

use program::{Run, Workplace};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use small_set::{SmallSet, load, names_in};

/// Answer of a mirror to a request for one file.
#[derive(Clone)]
enum Answer {
    /// The whole file with these bytes.
    File(Vec<u8>),
    /// A status line without a file.
    Status(&'static str),
    /// These bytes, and then the end, although the header promised one byte more.
    Short(Vec<u8>),
    /// These bytes, and then nothing, while the connection stays open.
    Hang(Vec<u8>),
    /// One byte from time to time.
    Drip,
    /// A file of 80 MiB.
    Huge,
    /// A redirect to this address.
    Redirect(String),
}

/// A web server on this machine, which runs as long as the test program.
struct Mirror {
    url: String,
    /// Names of the files that were requested.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    /// A mirror that answers a request for the file NAME with `answer(NAME)`.
    fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mnist", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&asked);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, names) = (Arc::clone(&answer), Arc::clone(&names));
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let name = requested_name(&stream);
                    names.lock().unwrap().push(name.clone());
                    // The client may have closed the connection.
                    let _ = respond(stream, answer(&name));
                });
            }
        });
        Self { url, asked }
    }

    /// A mirror that has the files of `set`.
    fn of(set: &SmallSet) -> Self {
        let files = Part::ALL.map(|part| (part.download_name(), set.gzip(part)));
        Self::new(move |name| match files.iter().find(|file| file.0 == name) {
            Some((_, content)) => Answer::File(content.clone()),
            None => Answer::Status("404 Not Found"),
        })
    }

    /// A mirror that always gives the same answer.
    fn always(answer: Answer) -> Self {
        Self::new(move |_| answer.clone())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request and returns the name of the requested file.
fn requested_name(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let first = lines.next().unwrap();
    assert!(lines.any(|line| line.is_empty()), "a request has an end");
    let path = first.split(' ').nth(1).unwrap();
    path.rsplit('/').next().unwrap().to_string()
}

fn respond(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut head = |status: &str, header: &str| {
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{header}\r\n\r\n")
    };
    let length = |bytes: usize| format!("Content-Length: {bytes}");
    match answer {
        Answer::File(content) => {
            head("200 OK", &length(content.len()))?;
            stream.write_all(&content)
        }
        Answer::Status(status) => head(status, &length(0)),
        Answer::Short(content) => {
            head("200 OK", &length(content.len() + 1))?;
            stream.write_all(&content)
        }
        Answer::Hang(content) => {
            head("200 OK", &length(content.len() + 1))?;
            stream.write_all(&content)?;
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Answer::Drip => {
            head("200 OK", &length(1 << 20))?;
            loop {
                stream.write_all(&[0x1f])?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::Huge => {
            head("200 OK", "Content-Type: application/gzip")?;
            (0..80).try_for_each(|_| stream.write_all(&[0; 1 << 20]))
        }
        Answer::Redirect(location) => head("302 Found", &format!("Location: {location}")),
    }
}

/// A source of downloads with these `mirrors`, which must deliver the files of `set`.
fn remote(set: &SmallSet, mirrors: &[&Mirror]) -> Remote {
    Remote {
        title: MNIST.title,
        of_packed: false,
        mirrors: mirrors.iter().map(|mirror| mirror.url.clone()).collect(),
        sha256: Part::ALL.map(|part| Sha256Digest::of([set.raw(part)]).to_string()),
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(5),
    }
}

fn request(folder: &Path, remote: Remote) -> Request {
    let default_directory = folder.to_path_buf();
    Request { known: None, directory: None, default_directory, remote: Some(remote) }
}

/// Fetches the small set from a mirror that gives this `answer`, and returns the error. It must
/// leave no file in the new folder.
#[track_caller]
fn error_from(answer: Answer) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let remote = remote(&SmallSet::new(), &[&Mirror::always(answer)]);
    let error = fetch(folder.path(), MNIST, &remote, &mut ()).unwrap_err();
    assert_eq!(names_in(folder.path()), [""; 0]);
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    assert!(message.contains("train-images-idx3-ubyte.gz; 127.0.0.1: "), "{message}");
    error
}

#[track_caller]
fn assert_says(error: &Error, exit_code: u8, words: &str) {
    let message = error.to_string();
    assert_eq!(error.exit_code(), exit_code, "{message}");
    assert!(message.contains(words), "'{words}' is not in: {message}");
}

/// Names of the four files on a mirror, sorted.
fn all_names() -> Vec<String> {
    let mut names = Part::ALL.map(Part::download_name).to_vec();
    names.sort();
    names
}

/// Observer that writes down the events of a download.
#[derive(Default)]
struct Diary {
    lines: Vec<String>,
}

impl Progress for Diary {
    fn event(&mut self, event: Event<'_>) {
        self.lines.push(match event {
            Event::Requested { part, host } => format!("ask {host} for {}", part.name()),
            Event::Received { bytes, total } => format!("{bytes} of {total:?}"),
            Event::Failed { part, host, reason } => {
                format!("{} not from {host}: {reason}", part.name())
            }
            Event::Verified { path } => {
                assert!(path.exists());
                format!("got {}", path.file_name().unwrap().display())
            }
        });
    }

    fn stop_requested(&self) -> Option<i32> {
        None
    }
}

#[test]
fn downloads_what_is_missing_and_loads_it() {
    let set = SmallSet::new();
    let mirror = Mirror::of(&set);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let request = request(&folder, remote(&set, &[&mirror]));
    let Outcome::Found(files) = load(&request, &mut ()).unwrap() else {
        panic!("not loaded");
    };
    let dataset = files.read(MnistCnn::default().architecture().format()).unwrap();
    assert_eq!(dataset.train.labels(), [5, 0, 4]);
    assert_eq!(files.path(Part::TestImages).parent(), Some(&*folder));
    assert_eq!(names_in(&folder), all_names());
    assert_eq!(mirror.asked().len(), 4);

    // The second call finds the files.
    load(&request, &mut ()).unwrap();
    assert_eq!(mirror.asked().len(), 4);
}

#[test]
fn downloads_the_files_alone_that_are_needed() {
    let set = SmallSet::new();
    let mirror = Mirror::of(&set);
    let parent = tempfile::tempdir().unwrap();
    let request = request(&parent.path().join("data"), remote(&set, &[&mirror]));
    let test = [Part::TestImages, Part::TestLabels];
    let Outcome::Found(_) = find(&request, &test, &mut ()).unwrap() else { panic!("not found") };
    assert_eq!(mirror.asked(), test.map(Part::download_name));
}

#[test]
fn completes_a_folder_that_holds_some_of_the_official_files() {
    let set = SmallSet::new();
    let mirror = Mirror::of(&set);
    let folder = tempfile::tempdir().unwrap();
    set.save(folder.path(), &Part::ALL[..3]);
    let files = fetch(folder.path(), MNIST, &remote(&set, &[&mirror]), &mut ()).unwrap();
    assert_eq!(mirror.asked(), [Part::TestLabels.download_name()]);
    let read = files.read(MnistCnn::default().architecture().format()).unwrap();
    assert_eq!(read.test.unwrap().labels(), [7, 2]);
}

#[test]
fn never_mixes_two_sets_nor_overwrites_one() {
    let set = SmallSet::new();
    let mirror = Mirror::of(&set);
    // For this mirror the small set is not the official one.
    let mut other = remote(&set, &[&mirror]);
    other.sha256 = other.sha256.map(|_| "0".repeat(64));
    for (parts, says) in [
        (&Part::ALL[..3], "missing t10k-labels-idx1-ubyte"),
        (&Part::ALL[..], "no file is overwritten"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        set.save(folder.path(), parts);
        let before = names_in(folder.path());
        let error = fetch(folder.path(), MNIST, &other, &mut ()).unwrap_err();
        assert_says(&error, 1, says);
        assert_says(&error, 1, "train-images-idx3-ubyte.gz: not the official MNIST");
        assert_eq!(names_in(folder.path()), before);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), "").unwrap();
    let error = load(&request(folder.path(), other), &mut ()).unwrap_err();
    assert_says(&error, 1, "empty file");
    assert_eq!(mirror.asked(), [""; 0]);
}

#[test]
fn goes_on_to_the_next_mirror_and_stays_there() {
    let set = SmallSet::new();
    let (empty, good) = (Mirror::always(Answer::Status("404 Not Found")), Mirror::of(&set));
    let folder = tempfile::tempdir().unwrap();
    let mut diary = Diary::default();
    fetch(folder.path(), MNIST, &remote(&set, &[&empty, &good]), &mut diary).unwrap();
    assert_eq!(empty.asked(), [Part::TrainImages.download_name()]);
    assert_eq!(good.asked().len(), 4);

    let length = set.gzip(Part::TrainImages).len();
    let progress = format!("{length} of Some({length})");
    assert_eq!(
        diary.lines[..3],
        [
            "ask 127.0.0.1 for train-images-idx3-ubyte",
            "train-images-idx3-ubyte not from 127.0.0.1: HTTP status 404",
            "ask 127.0.0.1 for train-images-idx3-ubyte",
        ]
    );
    let verified =
        diary.lines.iter().position(|line| line == "got train-images-idx3-ubyte.gz").unwrap();
    assert_eq!(diary.lines[verified - 1], progress);
}

#[test]
fn a_file_with_a_wrong_checksum_never_gets_its_name() {
    let set = SmallSet::new();
    let swapped = Mirror::always(Answer::File(set.gzip(Part::TestImages)));
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(folder.path(), MNIST, &remote(&set, &[&swapped]), &mut ()).unwrap_err();
    assert_says(&error, 3, "SHA-256");
    let expected = Sha256Digest::of([set.raw(Part::TrainImages)]).to_string();
    assert_says(&error, 3, &format!("expected {expected}"));
    assert_eq!(names_in(folder.path()), [""; 0]);

    // The next mirror has the right one.
    let good = Mirror::of(&set);
    fetch(folder.path(), MNIST, &remote(&set, &[&swapped, &good]), &mut ()).unwrap();
    assert_eq!(names_in(folder.path()), all_names());
}

#[test]
fn says_what_is_wrong_with_a_mirror() {
    let packed = SmallSet::new().gzip(Part::TrainImages);
    let (length, half) = (packed.len(), packed.len() / 2);
    for (name, answer, exit_code, says) in [
        ("not there", Answer::Status("404 Not Found"), 1, "HTTP status 404"),
        ("broken", Answer::Status("503 Service Unavailable"), 1, "HTTP status 503"),
        ("shorter than announced", Answer::Short(packed[..half].to_vec()), 1, "disconnected"),
        ("short", Answer::File(packed[..length - 1].to_vec()), 1, "truncated gzip"),
        ("empty", Answer::File(Vec::new()), 1, "empty file"),
        ("an error page", Answer::File(b"<html>login</html>".to_vec()), 3, "looks like HTML"),
        ("huge", Answer::Huge, 1, "more than 67108864 bytes"),
        (
            "elsewhere, where nobody is",
            Answer::Redirect("http://127.0.0.1:9/".into()),
            1,
            "refused",
        ),
    ] {
        let error = error_from(answer);
        assert_eq!(error.exit_code(), exit_code, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

#[test]
fn a_mirror_that_stops_sending_is_given_up() {
    let set = SmallSet::new();
    let mut packed = set.gzip(Part::TrainImages);
    packed.truncate(100);
    let (hanging, good) = (Mirror::always(Answer::Hang(packed)), Mirror::of(&set));
    let mut remote = remote(&set, &[&hanging, &good]);
    remote.stall_timeout = Duration::from_millis(200);
    let folder = tempfile::tempdir().unwrap();
    let mut diary = Diary::default();
    let start = Instant::now();
    fetch(folder.path(), MNIST, &remote, &mut diary).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    // Either of the two may be noticed first.
    let failures = ["only 100 bytes came in 200ms", "nothing came for 200ms"]
        .map(|reason| format!("train-images-idx3-ubyte not from 127.0.0.1: {reason}"));
    assert!(diary.lines.iter().any(|line| failures.contains(line)), "{:?}", diary.lines);
}

#[test]
fn a_mirror_that_sends_too_slowly_is_given_up() {
    let set = SmallSet::new();
    let mut remote = remote(&set, &[&Mirror::always(Answer::Drip), &Mirror::of(&set)]);
    remote.stall_timeout = Duration::from_millis(500);
    let folder = tempfile::tempdir().unwrap();
    let mut diary = Diary::default();
    fetch(folder.path(), MNIST, &remote, &mut diary).unwrap();
    let failure = |line: &&String| line.contains("not from 127.0.0.1: only ");
    let failure = diary.lines.iter().find(failure).expect("the first mirror is left");
    assert!(failure.ends_with(" bytes came in 500ms"), "{failure}");
    assert_eq!(names_in(folder.path()), all_names());
}

#[test]
fn follows_a_redirect() {
    let set = SmallSet::new();
    let good = Mirror::of(&set);
    let url = good.url.clone();
    let redirecting = Mirror::new(move |name| Answer::Redirect(format!("{url}/{name}")));
    let folder = tempfile::tempdir().unwrap();
    fetch(folder.path(), MNIST, &remote(&set, &[&redirecting]), &mut ()).unwrap();
    assert_eq!(good.asked().len(), 4);
}

#[test]
fn without_a_mirror_that_answers_there_is_no_data_and_every_reason() {
    let set = SmallSet::new();
    let gone = Mirror::always(Answer::Status("410 Gone"));
    let mut remote = remote(&set, &[&gone]);
    remote.mirrors.extend(["mnist", "again"].map(|path| format!("http://127.0.0.1:9/{path}/")));
    let folder = tempfile::tempdir().unwrap();
    let outcome = load(&request(folder.path(), remote), &mut ()).unwrap();
    let Outcome::NotAvailable { reason } = outcome else {
        panic!("loaded from nowhere");
    };
    assert_says(&reason, 1, "HTTP status 410");
    assert_says(&reason, 1, "refused");
    assert_says(&reason, 1, ": the same; ");
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[test]
fn a_wrong_or_unwritable_file_is_an_error_even_without_data() {
    let set = SmallSet::new();
    let swapped = Mirror::always(Answer::File(set.gzip(Part::TestImages)));
    let folder = tempfile::tempdir().unwrap();
    let error = load(&request(folder.path(), remote(&set, &[&swapped])), &mut ()).unwrap_err();
    assert_says(&error, 3, "SHA-256");

    // A folder has the name of the temporary file.
    let partial = folder.path().join(".train-images-idx3-ubyte.gz.mnist-train.tmp");
    fs::create_dir(&partial).unwrap();
    let good = Mirror::of(&set);
    let error = load(&request(folder.path(), remote(&set, &[&good])), &mut ()).unwrap_err();
    assert_says(&error, 1, ".mnist-train.tmp: cannot write: is a directory");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let within = request(&file.join("data"), remote(&set, &[&good]));
    let error = load(&within, &mut ()).unwrap_err();
    assert_says(&error, 1, "not a directory");
    assert_eq!(good.asked(), [""; 0]);
}

/// The test runs itself again in a process that has no more files to open.
#[cfg(target_os = "linux")]
#[test]
fn too_many_open_files_are_an_error_even_without_data() {
    const NAME: &str = "too_many_open_files_are_an_error_even_without_data";
    const AGAIN: &str = "MNIST_TRAIN_TEST_AGAIN";
    if std::env::var_os(AGAIN).is_none() {
        let again = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--test-threads=1"])
            .env(AGAIN, "1")
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&again.stdout).contains("1 passed"), "{again:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut remote = remote(&SmallSet::new(), &[]);
    remote.mirrors = vec!["http://127.0.0.1:9".into()];
    // Two files can still be opened: the lock and the temporary file.
    let mut open: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    open.truncate(open.len() - 2);
    let outcome = load(&request(folder.path(), remote), &mut ());
    drop(open);
    assert_says(&outcome.unwrap_err(), 1, "cannot open a connection: too many open files");
}

#[test]
fn a_mirror_without_a_certificate_does_not_deliver() {
    let set = SmallSet::new();
    let mut remote = remote(&set, &[&Mirror::of(&set)]);
    remote.mirrors[0] = remote.mirrors[0].replace("http:", "https:");
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(folder.path(), MNIST, &remote, &mut ()).unwrap_err();
    assert_says(&error, 1, "127.0.0.1: ");
    assert_eq!(names_in(folder.path()), [""; 0]);
}

/// File of `tests/certificates`.
fn certificate_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// Address of a web server that proves with a certificate to be localhost, and has no file.
fn server_with_a_certificate() -> String {
    let chain = vec![CertificateDer::from_pem_file(certificate_file("localhost.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate_file("localhost.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream.unwrap());
            // The client ends the connection if it refuses the certificate.
            let mut request = BufReader::new(&mut stream).lines().map_while(io::Result::ok);
            if request.any(|line| line.is_empty()) {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    format!("https://localhost:{port}/")
}

#[test]
fn a_root_certificate_that_the_user_names_is_trusted() {
    let (place, address) = (Workplace::new(), server_with_a_certificate());
    let run = |file: PathBuf| {
        let mut command = place.bare("data fetch");
        command.env("MNIST_MIRRORS", &address).env("SSL_CERT_FILE", file);
        // The thread of the download has a large stack all the same.
        command.env_remove("SSL_CERT_DIR").env("RUST_MIN_STACK", "1");
        Run::of(command)
    };
    let trusted = run(certificate_file("root.pem"));
    assert!(trusted.stderr.contains("localhost: HTTP status 404"), "{}", trusted.stderr);
    for file in ["README.md", "missing.pem"].map(certificate_file) {
        let refused = run(file);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("error: SSL_CERT_FILE: no certificate"), "{refused:?}");
    }
}

#[test]
fn a_refused_certificate_is_an_error_even_without_data() {
    let (place, address) = (Workplace::new(), server_with_a_certificate());
    let mut command = place.bare("--epochs 1");
    command.env("MNIST_MIRRORS", address).env_remove("SSL_CERT_FILE");
    let run = Run::of(command);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    for words in ["localhost: its certificate was refused (UnknownIssuer); ", "in SSL_CERT_FILE"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("SYNTHETIC"), "{}", run.stderr);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn starts_a_partial_file_afresh() {
    let set = SmallSet::new();
    let folder = tempfile::tempdir().unwrap();
    let left_over = folder.path().join(TEMPORARY);
    fs::write(&left_over, vec![0x1f; 100_000]).unwrap();
    fetch(folder.path(), MNIST, &remote(&set, &[&Mirror::of(&set)]), &mut ()).unwrap();
    assert_eq!(names_in(folder.path()), all_names());
}

/// Temporary name of the first file.
const TEMPORARY: &str = ".train-images-idx3-ubyte.gz.mnist-train.tmp";

#[test]
fn leaves_a_partial_file_of_somebody_else_alone() {
    let (set, folder) = (SmallSet::new(), tempfile::tempdir().unwrap());
    let theirs = folder.path().join("train-images-idx3-ubyte.gz.part");
    fs::write(&theirs, "precious").unwrap();
    fetch(folder.path(), MNIST, &remote(&set, &[&Mirror::of(&set)]), &mut ()).unwrap();
    assert_eq!(fs::read_to_string(theirs).unwrap(), "precious");
}

#[cfg(unix)]
#[test]
fn writes_nothing_outside_its_folder() {
    let (set, folder) = (SmallSet::new(), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let links: [fn(&Path, &Path) -> io::Result<()>; 2] =
        [|to, at| std::os::unix::fs::symlink(to, at), |to, at| fs::hard_link(to, at)];
    for link in links {
        link(&victim, &data.join(TEMPORARY)).unwrap();
        fetch(&data, MNIST, &remote(&set, &[&Mirror::of(&set)]), &mut ()).unwrap();
        assert_eq!(names_in(&data), all_names());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&data).unwrap();
    }
}

#[test]
fn leaves_a_file_to_the_process_that_is_downloading_it() {
    let set = SmallSet::new();
    let mirror = Mirror::of(&set);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let theirs = lock_for_writing(&path).unwrap();
    let error = fetch(folder.path(), MNIST, &remote(&set, &[&mirror]), &mut ()).unwrap_err();
    assert_says(&error, 1, "another run is writing it");
    assert_eq!(mirror.asked(), [""; 0]);
    drop(theirs);
    assert_eq!(names_in(folder.path()), [""; 0]);
}

/// Observer that asks to stop as soon as the first bytes have arrived.
#[derive(Default)]
struct Impatient {
    received: bool,
}

impl Progress for Impatient {
    fn event(&mut self, event: Event<'_>) {
        self.received |= matches!(event, Event::Received { .. });
    }

    fn stop_requested(&self) -> Option<i32> {
        self.received.then_some(2)
    }
}

#[test]
fn a_signal_stops_a_download_that_hangs_and_leaves_nothing() {
    let set = SmallSet::new();
    let hanging = Mirror::always(Answer::Hang(set.gzip(Part::TrainImages)));
    let stopped = |get: &dyn Fn(&TempDir, &Remote, &mut Impatient) -> Result<()>| {
        let folder = tempfile::tempdir().unwrap();
        let mut remote = remote(&set, &[&hanging]);
        remote.stall_timeout = Duration::from_secs(60);
        let start = Instant::now();
        let error = get(&folder, &remote, &mut Impatient::default()).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_says(&error, 130, "train-images-idx3-ubyte.gz stopped");
        assert_eq!(names_in(folder.path()), [""; 0]);
    };
    stopped(&|folder, remote, progress| fetch(folder.path(), MNIST, remote, progress).map(|_| ()));
    stopped(&|folder, remote, progress| {
        load(&request(folder.path(), remote.clone()), progress).map(|_| ())
    });
}
