//! How busy others keep the machine while something is measured.

use std::fs;

/// Processor time since the machine started, in the kernel's ticks.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    /// Of all processors, idle or not.
    all: u64,
    /// Of them, not idle; with what a hypervisor gave to others.
    busy: u64,
    /// Of this process.
    own: u64,
}

/// A measurement that has begun.
#[derive(Debug)]
pub struct Contention(Option<Ticks>);

impl Contention {
    /// Begins.
    pub fn start() -> Self {
        Self(ticks())
    }

    /// The share of the time of all processors that others have used since the start; `None` where
    /// the operating system does not say, which is everywhere but on Linux.
    pub fn share_of_others(&self) -> Option<f64> {
        let (before, after) = (self.0?, ticks()?);
        let (busy, own) = (after.busy - before.busy, after.own - before.own);
        let all = after.all - before.all;
        (all > 0).then(|| busy.saturating_sub(own) as f64 / all as f64)
    }
}

fn ticks() -> Option<Ticks> {
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let fields = machine.lines().next()?.split_whitespace().skip(1).take(8);
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[user, nice, system, idle, iowait, irq, softirq, steal] = &fields[..] else { return None };
    let busy = user + nice + system + irq + softirq + steal;
    // The name, in brackets, may hold anything; behind it utime and stime are fields 12 and 13.
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
    fn own_work_is_not_that_of_others() {
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
