//! The load of other processes on the machine during a measurement.

use std::fs;

/// Processor time since the machine started, in the kernel's ticks.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    /// Time of all processors, idle or busy.
    all: u64,
    /// Busy time of all processors, with the time that a hypervisor gave to other machines.
    busy: u64,
    /// Processor time of this process.
    own: u64,
}

/// A running measurement of the load of other processes.
#[derive(Debug)]
pub struct Contention(Option<Ticks>);

impl Contention {
    /// Starts the measurement.
    pub fn start() -> Self {
        Self(ticks())
    }

    /// Share of the time of all processors that other processes have used since the start, from 0
    /// to 1; `None` outside Linux, where it is unknown.
    pub fn share_of_others(&self) -> Option<f64> {
        let (before, after) = (self.0?, ticks()?);
        let (busy, own) = (after.busy - before.busy, after.own - before.own);
        let all = after.all - before.all;
        (all > 0).then(|| busy.saturating_sub(own) as f64 / all as f64)
    }
}

/// The ticks until now; `None` outside Linux.
fn ticks() -> Option<Ticks> {
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let fields = machine.lines().next()?.split_whitespace().skip(1).take(8);
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[user, nice, system, idle, iowait, irq, softirq, steal] = &fields[..] else { return None };
    let busy = user + nice + system + irq + softirq + steal;
    // The process's name, in brackets, may contain anything; fields 12 and 13 after it are utime
    // and stime.
    let process = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = process.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Ticks { all: busy + idle + iowait, busy, own: next()? + next()? })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_work_of_this_process_does_not_count_as_the_work_of_others() {
        let contention = Contention::start();
        let (before, mut after) = (contention.0.unwrap(), ticks().unwrap());
        let began = Instant::now();
        while after.own < before.own + 5 {
            assert!(began.elapsed() < Duration::from_secs(60), "no time is booked: {after:?}");
            black_box((0..100_000).sum::<u64>());
            after = ticks().unwrap();
        }
        assert!((0.0..1.0).contains(&contention.share_of_others().unwrap()));
    }
}
