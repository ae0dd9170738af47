//! Ranks: processes that train one model together, and the sums that they exchange.
//!
//! Every rank calls the same methods in the same order. Sums are made by *recursive doubling*: in round
//! k, rank r exchanges what it has with rank r XOR 2ᵏ, and both add it. A sum of two numbers does not
//! depend on their order, so after log₂ R rounds all R ranks have the sum of a binary tree, and all have
//! the same bits.
//!
//! ```text
//! rank 0   g₀ ─┬─ g₀ + g₁ ─┬─ (g₀ + g₁) + (g₂ + g₃)
//! rank 1   g₁ ─┘           │          "
//! rank 2   g₂ ─┬─ g₂ + g₃ ─┘          "
//! rank 3   g₃ ─┘                      "
//! ```
//!
//! If each rank has the sum of an aligned part of a larger tree, the result is the sum of that tree. It
//! does not depend on R. `MPI_Allreduce` would not promise this: it may add in any order.
//!
//! [`Link`] is what carries messages: MPI, if a launcher of it started the ranks ([`launched`]), or
//! channels between threads ([`local`]), by which the same code is tested without MPI.

pub mod launched;
pub mod local;
#[cfg(feature = "mpi")]
pub mod mpi;

use std::cell::RefCell;
use std::fmt;
use std::ops::{AddAssign, Sub};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Carrier of messages between ranks.
pub trait Link {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of all ranks.
    fn count(&self) -> usize;

    /// Sends words to the rank `partner`, and receives as many as `received` has room for from it. Either
    /// may be empty. If the partner is lost, this process ends.
    fn exchange(&mut self, partner: usize, sent: &[u32], received: &mut [u32]);

    /// Lets an exchange give a silent partner up some time after `is_stopping` returns true.
    fn give_up_after(&mut self, _is_stopping: Box<dyn Fn() -> bool>) {}
}

/// This process as one of the ranks. Clones are handles of the same link.
#[derive(Clone)]
pub struct Ranks(Rc<RefCell<Exchange>>);

/// Cost of the messages of a rank.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    /// Time in exchanges, waiting for partners included.
    pub duration: Duration,
    /// Number of bytes that were sent.
    pub bytes: u64,
    /// Number of exchanges.
    pub exchanges: u64,
}

impl Sub for Traffic {
    type Output = Self;

    /// Cost since an earlier time.
    fn sub(self, earlier: Self) -> Self {
        Self {
            duration: self.duration - earlier.duration,
            bytes: self.bytes - earlier.bytes,
            exchanges: self.exchanges - earlier.exchanges,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.duration += other.duration;
        self.bytes += other.bytes;
        self.exchanges += other.exchanges;
    }
}

/// State of a [`Ranks`].
struct Exchange {
    link: Box<dyn Link>,
    /// Time that is waited before each exchange, to simulate a slower network.
    delay: Duration,
    traffic: Traffic,
    /// Whether the ranks above 0 wait for what rank 0 sends next.
    is_idle: bool,
    /// Message to send.
    sent: Vec<u32>,
    /// Message that was received.
    received: Vec<u32>,
}

/// What a rank knows of the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A rank has failed.
    Failure,
    /// A signal with this number asks a rank to stop.
    Signal(i32),
}

impl End {
    /// Bit of this end; the bit of no signal is that of a failure.
    fn bit(self) -> u32 {
        match self {
            Self::Failure => 1,
            Self::Signal(number) => 1 << number,
        }
    }

    /// The most important end of those whose bits are set.
    fn first(bits: u32) -> Option<Self> {
        match bits.trailing_zeros() {
            u32::BITS => None,
            0 => Some(Self::Failure),
            number => Some(Self::Signal(number as i32)),
        }
    }
}

impl Ranks {
    /// The rank at this end of `link`, which waits `delay` before each exchange.
    pub fn new(link: Box<dyn Link>, delay: Duration) -> Self {
        let (sent, received) = (Vec::new(), Vec::new());
        let traffic = Traffic::default();
        Self(Rc::new(RefCell::new(Exchange {
            link,
            delay,
            traffic,
            is_idle: true,
            sent,
            received,
        })))
    }

    /// Number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.0.borrow().link.rank()
    }

    /// Number of all ranks.
    pub fn count(&self) -> usize {
        self.0.borrow().link.count()
    }

    /// Cost of all messages so far.
    pub fn traffic(&self) -> Traffic {
        self.0.borrow().traffic
    }

    /// Lets an exchange give a silent partner up some time after `is_stopping` returns true.
    pub fn give_up_after(&self, is_stopping: impl Fn() -> bool + 'static) {
        self.0.borrow_mut().link.give_up_after(Box::new(is_stopping));
    }

    /// Says whether the ranks above 0 wait for what rank 0 sends next, and are not in the middle of a
    /// job.
    pub fn set_idle(&self, is_idle: bool) {
        self.0.borrow_mut().is_idle = is_idle;
    }

    /// Whether the ranks above 0 wait for what rank 0 sends next.
    pub fn is_idle(&self) -> bool {
        self.0.borrow().is_idle
    }

    /// Adds the numbers of all ranks in the order of the tree, and unites the bits of their `words`, in
    /// one exchange a round. A rank for which `is_there` is false has no part of the sum; the ranks that
    /// have one are the first ones.
    ///
    /// # Panics
    /// When the number of ranks is no power of two.
    pub fn sum(
        &self,
        numbers: &mut [&mut [f32]],
        words: &mut [u32],
        is_there: impl Fn(usize) -> bool,
    ) {
        let combine = |numbers: &mut [f32], received: &[u32], parts| {
            let pairs = numbers.iter_mut().zip(received);
            match parts {
                // The sum of two numbers does not depend on their order, but for NaN, which ends the run.
                (true, true) => pairs.for_each(|(number, bits)| *number += f32::from_bits(*bits)),
                (false, true) => pairs.for_each(|(number, bits)| *number = f32::from_bits(*bits)),
                _ => {}
            }
        };
        self.0.borrow_mut().all_reduce(numbers, words, is_there, combine);
    }

    /// Unites the bits of the numbers of all ranks. So a number that is 0 on all ranks but one gets the
    /// value of this one.
    ///
    /// # Panics
    /// When the number of ranks is no power of two.
    pub fn unite(&self, numbers: &mut [&mut [f32]]) {
        let combine = |numbers: &mut [f32], received: &[u32], _| {
            for (number, bits) in numbers.iter_mut().zip(received) {
                *number = f32::from_bits(number.to_bits() | bits);
            }
        };
        self.0.borrow_mut().all_reduce(numbers, &mut [], |_| true, combine);
    }

    /// Tells all ranks how this rank would end the run, and returns how they all do.
    ///
    /// # Panics
    /// When the number of ranks is no power of two.
    pub fn agree(&self, end: Option<End>) -> Option<End> {
        let mut words = [end.map_or(0, End::bit)];
        self.sum(&mut [], &mut words, |_| true);
        End::first(words[0])
    }

    /// Replaces `bytes` by those of rank 0.
    pub fn broadcast(&self, bytes: &mut Vec<u8>) {
        let mut exchange = self.0.borrow_mut();
        let length = bytes.len() as u64;
        let mut halves = [length as u32, (length >> 32) as u32];
        exchange.broadcast(&mut halves);
        let length = (u64::from(halves[0]) | u64::from(halves[1]) << 32) as usize;
        if exchange.link.rank() == 0 {
            return exchange.broadcast(&mut words_of(bytes));
        }
        let mut words = vec![0; length.div_ceil(4)];
        exchange.broadcast(&mut words);
        *bytes = bytes_of(&words, length);
    }

    /// The `bytes` of each rank, on rank 0; nothing on the others.
    pub fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut exchange = self.0.borrow_mut();
        if exchange.link.rank() > 0 {
            exchange.run(0, &[bytes.len() as u32], &mut []);
            exchange.run(0, &words_of(bytes), &mut []);
            return Vec::new();
        }
        let mut all = vec![bytes.to_vec()];
        for partner in 1..exchange.link.count() {
            let mut length = [0];
            exchange.run(partner, &[], &mut length);
            let length = length[0] as usize;
            let mut words = vec![0; length.div_ceil(4)];
            exchange.run(partner, &[], &mut words);
            all.push(bytes_of(&words, length));
        }
        all
    }

    /// Waits until every rank has a result.
    ///
    /// # Errors
    /// On rank 0 the first error of a rank, on the others their own error or [`Error::OfAnotherRank`].
    pub fn check<T>(&self, own: Result<T>) -> Result<T> {
        let is_failure = self.agree(own.as_ref().err().map(|_| End::Failure)).is_some();
        if !is_failure {
            return own;
        }
        let message = own.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let messages = self.gather(message.as_bytes());
        _ = own?;
        let first = messages.iter().enumerate().find(|(_, message)| !message.is_empty());
        Err(first.map_or(Error::OfAnotherRank, |(rank, message)| {
            Error::Unavailable(format!("rank {rank}: {}", String::from_utf8_lossy(message)))
        }))
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.count())
    }
}

impl Exchange {
    /// Sends to `partner`, and receives from it.
    fn run(&mut self, partner: usize, sent: &[u32], received: &mut [u32]) {
        let started = Instant::now();
        while started.elapsed() < self.delay {
            std::hint::spin_loop();
        }
        self.link.exchange(partner, sent, received);
        self.traffic.duration += started.elapsed();
        self.traffic.bytes += size_of_val(sent) as u64;
        self.traffic.exchanges += 1;
    }

    /// Recursive doubling: `combine` adds what was received to the numbers, and is told whether this
    /// rank and its partner have a part of the sum. Words are united.
    fn all_reduce(
        &mut self,
        numbers: &mut [&mut [f32]],
        words: &mut [u32],
        is_there: impl Fn(usize) -> bool,
        combine: impl Fn(&mut [f32], &[u32], (bool, bool)),
    ) {
        let (rank, count) = (self.link.rank(), self.link.count());
        assert!(count.is_power_of_two(), "{count} ranks");
        let (mut sent, mut received) =
            (std::mem::take(&mut self.sent), std::mem::take(&mut self.received));
        let mut distance = 1;
        while distance < count {
            sent.clear();
            for numbers in &*numbers {
                sent.extend(numbers.iter().map(|number| number.to_bits()));
            }
            sent.extend_from_slice(words);
            received.resize(sent.len(), 0);
            let partner = rank ^ distance;
            self.run(partner, &sent, &mut received);
            // A group of ranks has a part of the sum if its first one does.
            let parts = (is_there(rank & !(distance - 1)), is_there(partner & !(distance - 1)));
            let mut rest = &received[..];
            for numbers in &mut *numbers {
                let own;
                (own, rest) = rest.split_at(numbers.len());
                combine(numbers, own, parts);
            }
            words.iter_mut().zip(rest).for_each(|(word, received)| *word |= received);
            distance *= 2;
        }
        (self.sent, self.received) = (sent, received);
    }

    /// Replaces `words` by those of rank 0: in round k, 2ᵏ ranks send them to as many others.
    fn broadcast(&mut self, words: &mut [u32]) {
        let (rank, count) = (self.link.rank(), self.link.count());
        let mut distance = 1;
        while distance < count {
            if rank < distance && rank + distance < count {
                self.run(rank + distance, words, &mut []);
            } else if (distance..2 * distance).contains(&rank) {
                self.run(rank - distance, &[], words);
            }
            distance *= 2;
        }
    }
}

/// Bytes as words; the last word is filled up with 0.
fn words_of(bytes: &[u8]) -> Vec<u32> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    };
    bytes.chunks(4).map(word).collect()
}

/// The first `length` bytes of `words`.
fn bytes_of(words: &[u32], length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn the_sum_is_that_of_one_tree_for_any_number_of_ranks() {
        // Rounding makes the order of additions visible.
        let leaf = |index: usize| 1.0 / (3 + 5 * index) as f32;
        let tree = |leaves: &[f32]| {
            let mut sums = leaves.to_vec();
            while sums.len() > 1 {
                sums = sums.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
            sums[0]
        };
        for present in 1..=8 {
            let leaves: Vec<f32> = (0..present).map(leaf).collect();
            let expected = tree(&leaves);
            for count in [1, 2, 4, 8] {
                let own = 8 / count;
                let found = local::run(count, |ranks| {
                    let first = ranks.rank() * own;
                    let leaves = leaves.get(first..(first + own).min(present)).unwrap_or_default();
                    let mut sum = if leaves.is_empty() { f32::NAN } else { tree(leaves) };
                    let mut words = [1 << ranks.rank()];
                    let numbers = slice::from_mut(&mut sum);
                    ranks.sum(&mut [numbers], &mut words, |rank| rank * own < present);
                    (sum.to_bits(), words[0])
                });
                let expected = (expected.to_bits(), (1 << count) - 1);
                assert_eq!(found, vec![expected; count], "{present} leaves, {count} ranks");
            }
        }
    }

    #[test]
    fn numbers_that_one_rank_has_reach_all_with_their_bits() {
        let numbers = [-0.0, f32::MIN_POSITIVE / 4.0, -1.5e30, 0.0];
        let found = local::run(4, |ranks| {
            let mut all = [0.0; 4];
            all[ranks.rank()] = numbers[ranks.rank()];
            ranks.unite(&mut [&mut all]);
            all.map(f32::to_bits)
        });
        assert_eq!(found, [numbers.map(f32::to_bits); 4]);
    }

    #[test]
    fn bytes_reach_all_of_any_number_of_ranks() {
        for count in 1..=9 {
            let found = local::run(count, |ranks| {
                let mut bytes = if ranks.rank() == 0 { b"seven b".to_vec() } else { vec![9; 40] };
                ranks.broadcast(&mut bytes);
                let own = vec![ranks.rank() as u8; ranks.rank()];
                let gathered = ranks.gather(&own);
                (bytes, gathered)
            });
            for (rank, (bytes, gathered)) in found.into_iter().enumerate() {
                assert_eq!(bytes, b"seven b");
                let all: Vec<_> = (0..count).map(|rank| vec![rank as u8; rank]).collect();
                assert_eq!(gathered, if rank == 0 { all } else { vec![] });
            }
        }
    }

    #[test]
    fn all_ranks_end_alike_and_a_failure_comes_before_a_signal() {
        let found = local::run(4, |ranks| {
            let of_one = |rank, end| (ranks.rank() == rank).then_some(end);
            let none = ranks.agree(None);
            let signal = ranks.agree(of_one(3, End::Signal(15)));
            let failure = of_one(2, End::Failure);
            let both = ranks.agree(of_one(0, End::Signal(2)).or(failure));
            [none, signal, both]
        });
        let expected = [None, Some(End::Signal(15)), Some(End::Failure)];
        assert_eq!(found, [expected; 4]);
    }

    #[test]
    fn an_error_of_one_rank_is_an_error_of_all() {
        let found = local::run(4, |ranks| {
            assert_eq!(ranks.check(Ok(7)).unwrap(), 7);
            let own = match ranks.rank() {
                2 => Err(Error::Unavailable("no room".into())),
                _ => Ok(()),
            };
            ranks.check(own).unwrap_err().to_string()
        });
        let other = Error::OfAnotherRank.to_string();
        assert_eq!(found, ["rank 2: no room", &other, "no room", &other]);
    }
}
