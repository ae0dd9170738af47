//! Ranks that are threads of one process, for tests: they run the code of ranks without MPI.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use super::{Link, Ranks};

/// End of the channels of a rank to and from each rank.
struct Local {
    rank: usize,
    to: Vec<Sender<Vec<u32>>>,
    from: Vec<Receiver<Vec<u32>>>,
}

impl Link for Local {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.to.len()
    }

    fn exchange(&mut self, partner: usize, sent: &[u32], received: &mut [u32]) {
        if !sent.is_empty() {
            self.to[partner].send(sent.to_vec()).expect("the partner is there");
        }
        if !received.is_empty() {
            received.copy_from_slice(&self.from[partner].recv().expect("the partner is there"));
        }
    }
}

/// Calls `work` on `count` ranks at the same time, and returns their results in the order of the ranks.
pub fn run<T: Send>(count: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let mut to: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    for to in &mut to {
        for from in &mut from {
            let (sender, receiver) = mpsc::channel();
            to.push(sender);
            from.push(receiver);
        }
    }
    let links = to.into_iter().zip(from).enumerate();
    thread::scope(|scope| {
        let work = &work;
        let start = |(rank, (to, from))| {
            let link = Local { rank, to, from };
            scope.spawn(move || work(Ranks::new(Box::new(link), Duration::ZERO)))
        };
        let threads: Vec<_> = links.map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("the rank ends")).collect()
    })
}
