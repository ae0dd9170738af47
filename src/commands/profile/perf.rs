//! The hidden command `perf-flamegraph`: draws the samples of Linux perf.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use inferno::collapse::Collapse;
use inferno::collapse::perf::Folder;

use super::outputs::{FOLDED, GRAPH, is_of_profile};
use crate::cli::{OutputArgs, PerfFlamegraphArgs};
use crate::commands::output::Output;
use crate::error::{Error, Result, printable};
use crate::files::durable;
use crate::files::lock::lock_for_writing;
use crate::files::replaceable;
use crate::profile::flamegraph::{self, Heading};
use crate::profile::stacks::{Folded, Stack};
use crate::report::text::numbers::grouped;

/// Draws the output of `perf script`, cleaned in the same way as the program's own samples.
pub fn perf_flamegraph(args: &PerfFlamegraphArgs) -> anyhow::Result<()> {
    if args.out.extension() != Some("svg".as_ref()) {
        let path = printable(&args.out);
        return Err(Error::Usage(format!("--out {path}: the name must end in .svg")).into());
    }
    let files = [(args.out.clone(), GRAPH), (args.out.with_extension(FOLDED), FOLDED)];
    // Both files are locked before either is read. Locking also refuses what is not a regular file.
    let locks = files.each_ref().map(|(path, _)| lock_for_writing(path));
    let _locks = locks.into_iter().collect::<Result<Vec<_>>>()?;
    for (path, kind) in &files {
        replaceable::check(path, "the graph", |text| is_of_profile(text, kind, args.stage))?;
    }
    let mut lines = Vec::new();
    Folder::default()
        .collapse(io::stdin().lock(), &mut lines)
        .map_err(Error::io("read", Path::new("stdin")))?;
    let lines = String::from_utf8(lines).context("perf's names of functions are not text")?;
    let stacks: Vec<Stack> = lines.lines().filter_map(stack).collect();
    let folded = Folded::of(&stacks);
    let stage = args.stage.name;
    if folded.samples() == 0 {
        bail!("perf has no samples of stage {stage}: record it again, and look at 'perf report'");
    }
    let heading = Heading {
        title: format!("{stage}: {} samples by perf", grouped(folded.samples())),
        subtitle: format!("event {}; mnist-train {}", args.event, env!("CARGO_PKG_VERSION")),
    };
    let graph = flamegraph::draw(&folded, stage, &heading);
    let lines = folded.lines(stage);
    for ((path, _), content) in files.iter().zip([graph, lines]) {
        durable::replace(path, content.as_bytes())?;
    }
    let output = Output::new(OutputArgs { json: false }, true);
    output.print(&printable(&args.out));
    Ok(output.finish()?)
}

/// Stack from a line of the form `program;function;function samples`.
fn stack(line: &str) -> Option<Stack> {
    let (frames, samples) = line.rsplit_once(' ')?;
    let functions = frames.split(';').skip(1).map(str::to_string).collect();
    Some(Stack { functions, samples: samples.parse().ok()? })
}
