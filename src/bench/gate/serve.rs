//! The protocol between the gate and the programs that it compares, and the program's side of it.
//!
//! A program that serves prints the names of its rows, and then answers requests. Requests come on
//! stdin and replies go to stdout, each is one line of JSON:
//!
//! ```text
//! → the flag --serve                                     ← {"rows":["relu forward, tiled, 1 thread"]}
//! → "check"                                              ← "checked"
//! → {"calls":{"row":"relu forward, tiled, 1 thread"}}    ← {"calls":5000}
//! → {"time":{"row":"relu forward, tiled, 1 thread","calls":5000}}
//!                                                        ← {"nanoseconds":20123456}
//! ```
//!
//! Between two requests, the program sleeps. It ends when stdin does. A result that is wrong, or a
//! request that it does not understand, is an error, and ends it too.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::bench::suite::Suite;
use crate::error::{Error, Result, quoted};

/// What the gate asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// To compare the results of all rows with the reference.
    Check,
    /// The number of calls that take the time of a round.
    Calls {
        /// Name of the row.
        row: String,
    },
    /// The time of some calls.
    Time {
        /// Name of the row.
        row: String,
        /// Number of calls.
        calls: usize,
    },
}

/// Answer of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Names of all rows.
    Rows(Vec<String>),
    /// All results are right.
    Checked,
    /// Number of calls.
    Calls(usize),
    /// Time of the calls.
    Nanoseconds(u64),
}

/// Answers the `requests` about the rows of `suite` until they end, or nobody reads the `replies`.
///
/// # Errors
/// When a request is not understood, a result is wrong, or a case cannot begin.
pub fn serve(suite: &dyn Suite, requests: impl BufRead, mut replies: impl Write) -> Result<()> {
    let protocol = suite.protocol();
    let mut rows = suite.rows();
    let mut reply = |reply: Reply| {
        let line = serde_json::to_string(&reply).expect("plain data");
        writeln!(replies, "{line}").and_then(|()| replies.flush()).is_ok()
    };
    if !reply(Reply::Rows(rows.iter().map(|row| row.name.clone()).collect())) {
        return Ok(());
    }
    for line in requests.lines().map_while(std::io::Result::ok) {
        let unknown =
            || Error::Unavailable(format!("a request is not understood: {}", quoted(&line)));
        let request: Request = serde_json::from_str(&line).map_err(|_| unknown())?;
        let named = match &request {
            Request::Check => None,
            Request::Calls { row } | Request::Time { row, .. } => {
                Some(rows.iter_mut().find(|one| one.name == *row).ok_or_else(unknown)?)
            }
        };
        let answer = match (request, named) {
            (Request::Time { calls, .. }, Some(row)) => {
                let time = protocol.turn(row.case.as_mut(), calls)?;
                Reply::Nanoseconds(time.as_nanos() as u64)
            }
            (_, Some(row)) => Reply::Calls(protocol.calls(row.case.as_mut())?),
            (_, None) => suite.check().map(|()| Reply::Checked)?,
        };
        if !reply(answer) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::bench::suite::Row;
    use crate::bench::timing::{Case, Protocol};

    /// Sleeps a millisecond in each call.
    struct Sleeper;

    impl Case for Sleeper {
        fn begin(&mut self) -> Result<()> {
            Ok(())
        }

        fn call(&mut self, calls: usize) {
            thread::sleep(Duration::from_millis(calls as u64));
        }

        fn most_calls(&self) -> usize {
            7
        }

        fn end(&mut self) {}
    }

    /// A suite with the row `nap`, whose results are right or not.
    struct Naps(bool);

    impl Suite for Naps {
        fn protocol(&self) -> Protocol {
            let hour = Duration::from_secs(3600);
            Protocol { rounds: 1, round: hour, warm_up: Duration::ZERO }
        }

        fn check(&self) -> Result<()> {
            if self.0 { Ok(()) } else { Err(Error::Unavailable("a nap is wrong".into())) }
        }

        fn rows(&self) -> Vec<Row<'_>> {
            vec![Row { name: "nap".into(), case: Box::new(Sleeper) }]
        }
    }

    /// Replies to `requests`, and the error that ended them.
    fn served(is_right: bool, requests: &str) -> (Vec<Reply>, Option<String>) {
        let mut replies = Vec::new();
        let error = serve(&Naps(is_right), requests.as_bytes(), &mut replies).err();
        let replies = str::from_utf8(&replies).unwrap().lines();
        let replies = replies.map(|line| serde_json::from_str(line).unwrap()).collect();
        (replies, error.map(|error| error.to_string()))
    }

    #[test]
    fn every_request_has_one_reply_until_requests_end() {
        let requests = "\"check\"\n{\"calls\":{\"row\":\"nap\"}}\n\
                        {\"time\":{\"row\":\"nap\",\"calls\":3}}\n";
        let (replies, error) = served(true, requests);
        assert_eq!(error, None);
        assert_eq!(
            replies[..3],
            [Reply::Rows(vec!["nap".into()]), Reply::Checked, Reply::Calls(7)]
        );
        let [Reply::Nanoseconds(time)] = replies[3..] else { panic!("{replies:?}") };
        assert!(time >= 3_000_000, "three calls of a millisecond: {time} ns");
        assert_eq!(served(true, "").0.len(), 1);
    }

    #[test]
    fn wrong_results_and_unknown_requests_end_it() {
        assert_eq!(served(false, "\"check\"\n").1.unwrap(), "a nap is wrong");
        for request in
            ["what?", "\"sing\"", "{\"calls\":{\"row\":\"walk\"}}", "{\"time\":{\"row\":\"nap\"}}"]
        {
            let (replies, error) = served(true, &format!("{request}\n\"check\"\n"));
            assert_eq!(replies.len(), 1);
            assert_eq!(error.unwrap(), format!("a request is not understood: {request}"));
        }
    }
}
