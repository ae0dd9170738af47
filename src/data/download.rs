//! Downloads the four files from the first mirror that delivers them.
//!
//! A file is written under a temporary name in its final folder. It gets its final name when its
//! content is verified and on the disk, so a file with its final name is good even if the program
//! or the machine stopped. An unfinished download starts again from the beginning, because ten
//! megabytes are not worth the trust that resuming would need.
//!
//! A separate thread reads the network, so that a silent host does not keep the user from stopping
//! the program.

use std::env;
use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustls_native_certs::{CertificateResult, load_native_certs};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};

use super::files::Part;
use super::idx::IdxError;
use super::remote::{CLASSES, Event, Progress, Remote, without_password};
use crate::error::{Error, Result, explained, printable_text, quoted};
use crate::files::durable::{Folder, Partial};
use crate::team::STACK_BYTES;

/// Largest download in bytes. The largest of the four files has 47 million bytes unpacked, and some
/// servers unpack gzip before they send.
const MAX_BYTES: u64 = 64 << 20;

/// Longest download of one file; 10 MB in this time are 17 kB a second.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);

/// Slowest rate in bytes a second, averaged over [`Remote::stall_timeout`]. A slower mirror is
/// given up.
const SLOWEST_RATE: u64 = 1 << 10;

/// Unix's error numbers for too many open files: in the whole system, in one process.
const TOO_MANY_OPEN: [i32; 2] = [23, 24];

/// Environment variable with the path of the root certificates to trust instead of the system's.
const CERTIFICATES_VARIABLE: &str = "SSL_CERT_FILE";

/// Time between two calls of `Progress::stop_requested` while nothing is received.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Largest number of bytes that are read from the network at a time.
const CHUNK_BYTES: usize = 1 << 14;
/// Number of chunks that may wait to be written.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Downloads `parts` into `directory`, which is created if it does not exist.
///
/// # Errors
/// - [`Error::Interrupted`] when `progress` asks to stop,
/// - [`Error::Io`] when a file cannot be written,
/// - [`Error::InvalidData`] when no mirror delivered the right file and at least one delivered a
///   wrong file,
/// - [`Error::Unreachable`] when no mirror delivered a file,
/// - [`Error::Unavailable`] when the certificate of a mirror is refused, another process is
///   downloading the same file or the operating system refuses a thread.
pub fn download(
    directory: &Path,
    parts: &[Part],
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let downloaded = Folder::make(directory)
        .and_then(|_folder| download_all(directory, parts, remote, progress));
    downloaded.map_err(|error| error.with_remedy("name another folder with --data"))
}

/// Downloads `parts` one after the other into the existing folder `directory`.
fn download_all(
    directory: &Path,
    parts: &[Part],
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<()> {
    // The mirror that delivered a file is the first to be asked for the next file.
    let mut mirrors: Vec<&str> = remote.mirrors.iter().map(String::as_str).collect();
    for &part in parts {
        let delivered = download_part(directory, part, &mirrors, remote, progress)?;
        mirrors.rotate_left(delivered);
    }
    Ok(())
}

/// Reason why one mirror did not deliver a file.
enum Failure {
    /// The mirror delivers nothing or only a part of the file.
    Undelivered(String),
    /// The mirror's certificate comes from nobody whom this machine trusts. There is a network, so
    /// this is no reason to do without the data.
    Untrusted(String),
    /// The mirror delivered something else.
    Wrong(String),
    /// The reason is this machine or the user, so the next mirror is not tried.
    Local(Error),
}

/// Downloads one file and returns the index of the mirror that delivered it.
fn download_part(
    directory: &Path,
    part: Part,
    mirrors: &[&str],
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<usize> {
    let path = directory.join(part.download_name());
    let mut partial = Partial::begin(&path)?;
    if path.exists() {
        return Ok(0); // Another process has just finished it.
    }
    let mut reasons = String::new();
    let (mut any_wrong, mut any_untrusted) = (false, false);
    for (index, mirror) in mirrors.iter().enumerate() {
        let host = &host(mirror);
        progress.event(Event::Requested { part, host });
        let url = format!("{}/{}", mirror.trim_end_matches('/'), part.download_name());
        let reason = match transfer(&url, part, &mut partial, remote, progress) {
            Ok(()) => {
                partial.publish()?;
                progress.event(Event::Verified { path: &path });
                return Ok(index);
            }
            Err(Failure::Local(error)) => return Err(error),
            Err(Failure::Undelivered(reason)) => reason,
            Err(Failure::Untrusted(reason)) => {
                any_untrusted = true;
                reason
            }
            Err(Failure::Wrong(reason)) => {
                any_wrong = true;
                reason
            }
        };
        let reason = quoted(&reason);
        let is_known = reasons.contains(&format!(": {reason}"));
        let reason = if is_known { "the same" } else { &reason };
        progress.event(Event::Failed { part, host, reason });
        write!(reasons, "; {host}: {reason}").expect("a string takes everything");
    }
    let remedy = if any_untrusted {
        "if your network has a root certificate of its own, name its PEM file in SSL_CERT_FILE"
    } else {
        "check the network"
    };
    let message = format!(
        "cannot download {}{reasons}; {remedy}, or name other mirrors in MNIST_MIRRORS",
        part.download_name(),
    );
    Err(match (any_wrong, any_untrusted) {
        (true, _) => Error::InvalidData(message),
        (_, true) => Error::Unavailable(message),
        _ => Error::Unreachable(message),
    })
}

/// Downloads the file at `url` into `partial` and verifies it.
fn transfer(
    url: &str,
    part: Part,
    partial: &mut Partial,
    remote: &Remote,
    progress: &mut dyn Progress,
) -> std::result::Result<(), Failure> {
    partial.restart().map_err(Failure::Local)?;
    let messages = request(url, remote).map_err(Failure::Local)?;
    let asked = Instant::now();
    let mut bytes = 0;
    let mut total = None;
    let mut pace = None;
    loop {
        if let Some(signal) = progress.stop_requested() {
            return Err(Failure::Local(Error::Interrupted {
                signal,
                message: format!("download of {} stopped", part.download_name()),
            }));
        }
        match messages.recv_timeout(POLL_INTERVAL) {
            Ok(Message::Head { length }) => {
                total = length;
                pace = Some(Pace { since: Instant::now(), bytes });
            }
            Ok(Message::Chunk(chunk)) => {
                partial.append(&chunk).map_err(Failure::Local)?;
                bytes += chunk.len() as u64;
                progress.event(Event::Received { bytes, total });
            }
            Ok(Message::Failed(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(pace) = &mut pace {
            pace.check(bytes, remote.stall_timeout).map_err(Failure::Undelivered)?;
        }
        let limit = if pace.is_some() { FILE_TIMEOUT } else { longest_silence(remote) };
        if asked.elapsed() > limit {
            let what = if pace.is_some() { "not complete" } else { "no answer" };
            return Err(Failure::Undelivered(format!("{what} within {limit:?}")));
        }
    }
    verify(partial, part, bytes, remote)
}

/// Longest time to find a mirror's address, connect to it and receive the start of its answer.
fn longest_silence(remote: &Remote) -> Duration {
    2 * remote.connect_timeout + remote.stall_timeout
}

/// Measures how fast a file is received in the current window of time.
struct Pace {
    /// Start of the window.
    since: Instant,
    /// Number of bytes received before the window.
    bytes: u64,
}

impl Pace {
    /// Refuses a rate below [`SLOWEST_RATE`] when a `window` has passed, and begins the next one.
    /// `bytes` is the number of bytes received so far.
    fn check(&mut self, bytes: u64, window: Duration) -> std::result::Result<(), String> {
        if self.since.elapsed() < window {
            return Ok(());
        }
        let came = bytes - self.bytes;
        if came < SLOWEST_RATE * window.as_millis() as u64 / 1000 {
            return Err(format!("only {came} bytes came in {window:?}"));
        }
        *self = Self { since: Instant::now(), bytes };
        Ok(())
    }
}

/// Message of the network thread. The thread closes the channel after its last message.
enum Message {
    /// The mirror has answered; it says the length of the file in bytes, or does not.
    Head { length: Option<u64> },
    /// Next bytes of the file.
    Chunk(Vec<u8>),
    /// Last message when the download failed.
    Failed(Failure),
}

/// Starts a thread that requests `url`. It ends by itself when the receiver is dropped or a timeout
/// passes.
fn request(url: &str, remote: &Remote) -> Result<Receiver<Message>> {
    let agent = agent(url, remote)?;
    let url = url.to_string();
    let remote = remote.clone();
    let (sender, receiver) = mpsc::sync_channel(CHUNKS_IN_FLIGHT);
    let download = move || {
        if let Err(error) = receive(&agent, &url, &sender) {
            // The receiver may be gone.
            let _ = sender.send(Message::Failed(failure(error, &remote)));
        }
    };
    let thread = thread::Builder::new().name("download".into()).stack_size(STACK_BYTES);
    thread.spawn(download).map_err(Error::threads(1))?;
    Ok(receiver)
}

/// Sends the content at `url`, chunk by chunk, to the receiver of `sender` while it exists.
fn receive(
    agent: &Agent,
    url: &str,
    sender: &SyncSender<Message>,
) -> std::result::Result<(), ureq::Error> {
    let body = agent.get(url).call()?.into_body();
    let head = Message::Head { length: body.content_length() };
    let mut is_wanted = sender.send(head).is_ok();
    let mut reader = body.into_with_config().limit(MAX_BYTES).reader();
    while is_wanted {
        let mut chunk = vec![0; CHUNK_BYTES];
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => chunk.truncate(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        is_wanted = sender.send(Message::Chunk(chunk)).is_ok();
    }
    Ok(())
}

/// HTTP client for `url`. It never waits for ever and never follows a redirection from https to
/// http. Its proxy comes from the environment, except for an address of this machine, which a proxy
/// cannot reach.
///
/// The client has no timeout for finding the address and none for the whole download: ureq would
/// start a thread for each, and panic where the operating system refuses the thread. [`transfer`]
/// enforces both limits.
///
/// # Errors
/// The errors of [`trusted`].
fn agent(url: &str, remote: &Remote) -> Result<Agent> {
    let roots = match trusted() {
        Err(error) if url.starts_with("https://") => return Err(error),
        trusted => trusted.unwrap_or(RootCerts::WebPki),
    };
    let mut config = Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .https_only(url.starts_with("https://"))
        .max_redirects(5)
        .timeout_connect(Some(remote.connect_timeout))
        .timeout_recv_response(Some(remote.stall_timeout))
        .timeout_per_write(Some(remote.stall_timeout))
        .timeout_per_read(Some(remote.stall_timeout));
    if ["127.0.0.1", "localhost", "[::1]"].contains(&host(url).as_str()) {
        config = config.proxy(None);
    }
    Ok(config.build().into())
}

/// Root certificates to trust: those in the file that `SSL_CERT_FILE` names, or else the system's,
/// or else, if the system has none, Mozilla's, which are part of the program.
///
/// # Errors
/// [`Error::Unavailable`] when the file that the variable names holds no certificate.
fn trusted() -> Result<RootCerts> {
    let CertificateResult { certs, errors, .. } = load_native_certs();
    if !certs.is_empty() {
        return Ok(certs.iter().map(|der| Certificate::from_der(der).to_owned()).into());
    }
    let Some(path) = env::var_os(CERTIFICATES_VARIABLE) else {
        return Ok(RootCerts::WebPki);
    };
    let reason = errors.first().map_or("it holds none".into(), ToString::to_string);
    Err(Error::Unavailable(format!(
        "{CERTIFICATES_VARIABLE}: no certificate can be read from '{}' ({}): name a PEM file of root \
         certificates",
        printable_text(&path),
        quoted(&reason),
    )))
}

/// Host of a web address, without a password, safe to print on a terminal.
fn host(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).map(String::from);
    quoted(&host.unwrap_or_else(|| without_password(url)))
}

/// Failure that `error` means, in words that tell a user whether the network, the mirror or this
/// machine is the reason.
fn failure(error: ureq::Error, remote: &Remote) -> Failure {
    Failure::Undelivered(match error {
        ureq::Error::StatusCode(code) => format!("HTTP status {code}"),
        ureq::Error::HostNotFound => "host not found".into(),
        ureq::Error::Timeout(Timeout::Connect) => {
            format!("no connection within {:?}", remote.connect_timeout)
        }
        ureq::Error::Timeout(_) => format!("nothing came for {:?}", remote.stall_timeout),
        ureq::Error::RequireHttpsOnly(_) => "redirects from https to http, which is refused".into(),
        ureq::Error::BodyExceedsLimit(limit) => format!("sends more than {limit} bytes"),
        ureq::Error::Io(error) if is_local(&error) => {
            let problem = format!("cannot open a connection: {}", explained(&error));
            return Failure::Local(Error::Unavailable(problem));
        }
        ureq::Error::Io(error) => match certificate_problem(&error) {
            Some(problem) => {
                return Failure::Untrusted(format!("its certificate was refused ({problem:?})"));
            }
            None => explained(&error),
        },
        // The text may contain the address with its password.
        other => other.to_string().split(' ').map(without_password).collect::<Vec<_>>().join(" "),
    })
}

/// Reason why the mirror's certificate was refused, if `error` says that it was.
fn certificate_problem(error: &io::Error) -> Option<&rustls::CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(problem) => Some(problem),
        _ => None,
    }
}

/// Whether `error` is a lack of memory or open files on this machine, and not of the network.
fn is_local(error: &io::Error) -> bool {
    let number = error.raw_os_error().filter(|_| cfg!(unix));
    error.kind() == io::ErrorKind::OutOfMemory
        || number.is_some_and(|number| TOO_MANY_OPEN.contains(&number))
}

/// Checks that `partial`, of `length` bytes, is a valid file of the kind `part` with the checksum that
/// `remote` has for it.
fn verify(
    partial: &mut Partial,
    part: Part,
    length: u64,
    remote: &Remote,
) -> std::result::Result<(), Failure> {
    let path = partial.temporary().to_path_buf();
    let unreadable = |error| Failure::Local(Error::io("read", &path)(error));
    let file = partial.content().map_err(Failure::Local)?;
    let content =
        part.examine(BufReader::new(file), length, CLASSES).map_err(|error| match error {
            IdxError::Read(error) => unreadable(error),
            IdxError::Empty | IdxError::GzipTruncated { .. } => {
                Failure::Undelivered(error.to_string())
            }
            _ => Failure::Wrong(error.to_string()),
        })?;
    let stored = || {
        let mut bytes = Vec::new();
        let mut file = partial.content().map_err(Failure::Local)?;
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    };
    let (found, expected) = (remote.digest(&content, stored)?, &remote.sha256[part as usize]);
    if found == *expected {
        return Ok(());
    }
    let which = if remote.of_packed { "compressed" } else { "uncompressed" };
    Err(Failure::Wrong(format!("SHA-256 of the {which} file is {found}, expected {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::known::MNIST;

    #[test]
    fn an_https_address_allows_only_https() {
        let https_only = |url| agent(url, &Remote::of(MNIST)).unwrap().config().https_only();
        assert!(https_only("https://mirror.example/mnist/"));
        assert!(!https_only("http://mirror.example/mnist/"));
    }

    #[test]
    fn shows_the_host_without_the_password() {
        assert_eq!(host("https://me:secret@mirror.example:1/mnist"), "mirror.example");
        assert_eq!(host("\x1b[2J"), "\\u{1b}[2J");
        for bad in ["http://me:sec ret@mirror.example/", "me:sec/ret@mirror.example/"] {
            assert!(!host(bad).contains("ret@"), "{}", host(bad));
        }
    }
}
