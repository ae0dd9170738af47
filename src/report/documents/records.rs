//! The records from which tables are made.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::words::contended;
use crate::error::{Error, printable, quoted};
use crate::files::input;
use crate::measure::machine::Topology;
use crate::report::text::numbers::counted;

/// Folder of all records, beside the documents.
pub const PROFILES: &str = "profiles";

/// Records in the folder `profiles` beside a document.
pub struct Records<'a> {
    /// Folder of the document.
    pub folder: &'a Path,
}

impl Records<'_> {
    /// Text of the file `name`, like `transcript/stdout.txt`.
    pub fn text(&self, name: &str) -> Result<String, String> {
        input::text(&self.folder.join(PROFILES).join(name)).map_err(|error| error.to_string())
    }

    /// Value in the JSON file `name`.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let value = serde_json::from_str(&self.text(name)?);
        let value = value.map_err(|error| self.foreign(name, &error.to_string()))?;
        self.value(name, &value)
    }

    /// Events called `kind` in the JSON lines of the file `name`; there is at least one.
    pub fn events<T: DeserializeOwned>(&self, name: &str, kind: &str) -> Result<Vec<T>, String> {
        let mut events = Vec::new();
        for line in self.text(name)?.lines() {
            let event: Value = serde_json::from_str(line)
                .map_err(|error| self.foreign(name, &error.to_string()))?;
            if event["event"] == kind {
                events.push(self.value(name, &event)?);
            }
        }
        match events.is_empty() {
            true => Err(self.foreign(name, &format!("it has no event '{kind}'"))),
            false => Ok(events),
        }
    }

    /// The one event called `kind` in the JSON lines of the file `name`.
    pub fn event<T: DeserializeOwned>(&self, name: &str, kind: &str) -> Result<T, String> {
        Ok(self.events(name, kind)?.remove(0))
    }

    /// Those of `names` that have a folder in the folder `record`, in their order.
    ///
    /// # Errors
    /// When there are none.
    pub fn present(
        &self,
        record: &str,
        names: &[&'static str],
    ) -> Result<Vec<&'static str>, String> {
        let folder = self.folder.join(PROFILES).join(record);
        let mut present = names.to_vec();
        present.retain(|name| folder.join(name).is_dir());
        match present.is_empty() {
            true => Err(format!("{}: has no record: make one", printable(&folder))),
            false => Ok(present),
        }
    }

    /// Names of the files in the folder `record`.
    pub fn names(&self, record: &str) -> Result<Vec<String>, String> {
        let folder = self.folder.join(PROFILES).join(record);
        let read = || -> io::Result<Vec<String>> {
            let entries = folder.read_dir()?;
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into())).collect()
        };
        read().map_err(|error| Error::io("read", &folder)(error).to_string())
    }

    /// Circumstances of `record`.
    pub fn facts(&self, record: &str) -> Result<Facts, String> {
        self.json(&format!("{record}/machine.json"))
    }

    /// Line about the circumstances and the place of `record`.
    pub fn footer(&self, record: &str) -> Result<String, String> {
        Ok(self.facts(record)?.footer(record))
    }

    /// Lines about the circumstances and the places of `records`, one for each computer.
    pub fn footers(&self, records: &[String]) -> Result<String, String> {
        let mut computers: Vec<(String, Vec<String>)> = Vec::new();
        for record in records {
            let facts = self.facts(record)?;
            let (computer, origin) = (facts.computer(), facts.origin(record));
            match computers.iter_mut().find(|(other, _)| *other == computer) {
                Some((_, origins)) => origins.push(origin),
                None => computers.push((computer, vec![origin])),
            }
        }
        let lines = computers.iter().map(|(computer, origins)| line(computer, &origins.join("; ")));
        Ok(lines.collect())
    }

    /// Reason for refusing the file `name` because of `problem`.
    pub fn foreign(&self, name: &str, problem: &str) -> String {
        let path = self.folder.join(PROFILES).join(name);
        format!("{}: is no record: {}: make it again", printable(&path), quoted(problem))
    }

    fn value<T: DeserializeOwned>(&self, name: &str, value: &Value) -> Result<T, String> {
        serde_path_to_error::deserialize(value)
            .map_err(|error| self.foreign(name, &error.to_string()))
    }
}

/// Circumstances of a record.
#[derive(Debug, Deserialize)]
pub struct Facts {
    /// Date and time of the record.
    pub date: String,
    /// Machine and build.
    #[serde(flatten)]
    pub computer: Computer,
    /// Git commit.
    pub commit: String,
    /// Share of the time of all processors that other processes used, if it is known.
    pub share_of_others: Option<f64>,
}

/// Machine and build of a record.
#[derive(Debug, Clone, Deserialize)]
pub struct Computer {
    cpu: Option<String>,
    /// Number of threads that can run at once.
    pub threads: usize,
    features: Vec<String>,
    topology: Option<Topology>,
    kernel: Option<String>,
    rustc: String,
    load_average: Option<f64>,
}

impl Facts {
    /// Line about the circumstances, and the place, of `record`.
    pub fn footer(&self, record: &str) -> String {
        line(&self.computer(), &self.origin(record))
    }

    fn computer(&self) -> String {
        let Computer { cpu, threads, features, topology, kernel, rustc, .. } = &self.computer;
        let topology = topology.as_ref().map(|topology| format!(", {topology}"));
        let [cpu, kernel] = [cpu, kernel].map(|text| text.as_deref().unwrap_or("unknown"));
        format!(
            "{cpu}, {}{}, {}; {kernel}, {rustc}",
            counted(*threads, "thread"),
            topology.unwrap_or_default(),
            features.join(" "),
        )
    }

    fn origin(&self, record: &str) -> String {
        let Self { date, commit, share_of_others, computer } = self;
        format!(
            "commit {commit}, {date}, load average at the start {}{}: \
             [{PROFILES}/{record}]({PROFILES}/{record})",
            computer.load_average.map_or("unknown".into(), |load| format!("{load:?}")),
            share_of_others.map(contended).unwrap_or_default(),
        )
    }
}

fn line(computer: &str, origins: &str) -> String {
    format!("\n{computer}; {origins}.\n")
}
