//! Downloads the four files, from whichever mirror has them.
//!
//! A file is written under a temporary name in the folder where it is to be, and gets its final
//! name when its content has been verified and is on the disk: what has a final name is good,
//! whenever the program or the machine stopped. What was left behind is started afresh, because ten
//! megabytes are not worth the trust that resuming would need.
//!
//! The network is read on a thread of its own, so that a host that has stopped sending does not
//! keep anybody from stopping the program.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::{Agent, Timeout};

use super::files::Part;
use super::idx::IdxError;
use super::remote::{Event, Progress, Remote, without_password};
use crate::error::{Error, Result, explained, quoted};
use crate::files::durable::{self, Partial};

/// No file is larger than this, in bytes: the largest of the four has 47 million unpacked, which
/// is how a server that unpacks gzip itself sends it.
const MAX_BYTES: u64 = 64 << 20;

/// No file takes longer than this; 10 MB in that time are 17 kB a second.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);

/// A mirror that sends less than this over [`Remote::stall_timeout`], in bytes a second, is left.
const SLOWEST_RATE: u64 = 1 << 10;

/// What a process may have open has a limit, and so has what all may: Unix's numbers for these.
const TOO_MANY_OPEN: [i32; 2] = [23, 24];

/// How often `Progress::stop_requested` is asked while nothing comes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How much is read at a time, and how many such pieces may wait to be written.
const CHUNK_BYTES: usize = 1 << 14;
const CHUNKS_IN_FLIGHT: usize = 16;

/// Downloads `parts` into `directory`, which is created if need be.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asked to stop, [`Error::Io`] when a file cannot be
/// written, [`Error::InvalidData`] when no mirror delivered the right file and at least one
/// delivered a wrong one, [`Error::Unreachable`] when none delivered anything, and
/// [`Error::Unavailable`] when another process is downloading the same or the operating system
/// refuses a thread.
pub fn download(
    directory: &Path,
    parts: &[Part],
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    durable::in_folder(directory, || download_all(directory, parts, remote, progress))
}

fn download_all(
    directory: &Path,
    parts: &[Part],
    remote: &Remote,
    progress: &mut dyn Progress,
) -> Result<()> {
    // A mirror that has delivered is asked first for the next file.
    let mut mirrors: Vec<&str> = remote.mirrors.iter().map(String::as_str).collect();
    for &part in parts {
        let delivered = download_part(directory, part, &mirrors, remote, progress)?;
        mirrors.rotate_left(delivered);
    }
    Ok(())
}

/// Why a file did not come from one mirror.
enum Failure {
    /// The mirror does not deliver, or not all of it.
    Undelivered(String),
    /// The mirror delivered something else.
    Wrong(String),
    /// It is not the mirror's fault, and the next one is not tried.
    Local(Error),
}

/// Downloads one file and returns the index of the mirror that had it.
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
    let mut any_wrong = false;
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
            Err(Failure::Wrong(reason)) => {
                any_wrong = true;
                reason
            }
        };
        let reason = &quoted(&reason);
        progress.event(Event::Failed { part, host, reason });
        write!(reasons, "; {host}: {reason}").expect("a string takes everything");
    }
    let message = format!(
        "cannot download {}{reasons}; check the network, or name other mirrors in MNIST_MIRRORS",
        part.download_name(),
    );
    Err(if any_wrong { Error::InvalidData(message) } else { Error::Unreachable(message) })
}

/// Fills `partial` with what is at `url` and verifies it.
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
    verify(partial, part, bytes, &remote.sha256[part as usize])
}

/// How long it may take to find a mirror, to connect to it and to hear from it.
fn longest_silence(remote: &Remote) -> Duration {
    2 * remote.connect_timeout + remote.stall_timeout
}

/// How fast a file has been coming lately.
struct Pace {
    since: Instant,
    /// What had come by then.
    bytes: u64,
}

impl Pace {
    /// Begins anew every `window`; refuses less than [`SLOWEST_RATE`] over one.
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

/// What the network thread has to say. When it has said everything, it hangs up.
enum Message {
    Head { length: Option<u64> },
    Chunk(Vec<u8>),
    Failed(Failure),
}

/// Asks for `url` on a thread of its own, which ends by itself when nobody listens any more or
/// when time is up.
fn request(url: &str, remote: &Remote) -> Result<Receiver<Message>> {
    let agent = agent(url, remote);
    let url = url.to_string();
    let remote = remote.clone();
    let (sender, receiver) = mpsc::sync_channel(CHUNKS_IN_FLIGHT);
    let download = move || {
        if let Err(error) = receive(&agent, &url, &sender) {
            // Nobody may be listening any more.
            let _ = sender.send(Message::Failed(failure(error, &remote)));
        }
    };
    thread::Builder::new().name("download".into()).spawn(download).map_err(Error::threads(1))?;
    Ok(receiver)
}

fn receive(
    agent: &Agent,
    url: &str,
    sender: &SyncSender<Message>,
) -> std::result::Result<(), ureq::Error> {
    let body = agent.get(url).call()?.into_body();
    let head = Message::Head { length: body.content_length() };
    let mut listened_to = sender.send(head).is_ok();
    let mut reader = body.into_with_config().limit(MAX_BYTES).reader();
    while listened_to {
        let mut chunk = vec![0; CHUNK_BYTES];
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => chunk.truncate(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        listened_to = sender.send(Message::Chunk(chunk)).is_ok();
    }
    Ok(())
}

/// The client for `url`: nothing waits for ever, and what begins with https stays with https,
/// wherever it is redirected. Proxies are taken from the environment, except for this machine
/// itself, which a proxy cannot reach.
///
/// There is no timeout for finding the address, nor one for everything: ureq would start a thread
/// for these, and panic where the operating system refuses it. [`transfer`] keeps these times.
fn agent(url: &str, remote: &Remote) -> Agent {
    let mut config = Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .max_redirects(5)
        .timeout_connect(Some(remote.connect_timeout))
        .timeout_recv_response(Some(remote.stall_timeout))
        .timeout_per_write(Some(remote.stall_timeout))
        .timeout_per_read(Some(remote.stall_timeout));
    if ["127.0.0.1", "localhost", "[::1]"].contains(&host(url).as_str()) {
        config = config.proxy(None);
    }
    config.build().into()
}

/// The host of a web address, safe on a terminal and without any password before it.
fn host(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).map(String::from);
    quoted(&host.unwrap_or_else(|| without_password(url)))
}

/// What went wrong, in words for a person who wants to know whom to ask.
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
        ureq::Error::Io(error) => explained(&error),
        // It may hold the address.
        other => other.to_string().split(' ').map(without_password).collect::<Vec<_>>().join(" "),
    })
}

/// Whether this machine and no network is the reason.
fn is_local(error: &io::Error) -> bool {
    let number = error.raw_os_error().filter(|_| cfg!(unix));
    error.kind() == io::ErrorKind::OutOfMemory
        || number.is_some_and(|number| TOO_MANY_OPEN.contains(&number))
}

/// Whether `partial` is a valid file of the kind `part`, and the one that has the SHA-256
/// `expected`.
fn verify(
    partial: &mut Partial,
    part: Part,
    length: u64,
    expected: &str,
) -> std::result::Result<(), Failure> {
    let path = partial.temporary().to_path_buf();
    let unreadable = |error| Failure::Local(Error::io("read", &path)(error));
    let file = partial.content().map_err(Failure::Local)?;
    let content = part.examine(BufReader::new(file), length).map_err(|error| match error {
        IdxError::Read(error) => unreadable(error),
        IdxError::Empty | IdxError::GzipTruncated { .. } => Failure::Undelivered(error.to_string()),
        _ => Failure::Wrong(error.to_string()),
    })?;
    let found = content.sha256.to_string();
    if found != expected {
        return Err(Failure::Wrong(format!(
            "SHA-256 of the uncompressed file is {found}, expected {expected}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_with_https_when_it_began_with_https() {
        let https_only = |url| agent(url, &Remote::default()).config().https_only();
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
