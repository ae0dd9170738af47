//! A few threads that share the items of one short piece of work after the other.
//!
//! A training step is a chain of pieces of work of microseconds, each of which needs all of the one
//! before. Waking sleeping threads takes longer than the short pieces do, and so does a barrier
//! that sleeps; so the members of a team wait by looking at a number in memory. Only when nothing
//! comes for a while (a file is being read, an evaluation is printed) do they go to sleep.
//!
//! Items are handed out one at a time in a given order to whoever is free. Which thread works on
//! which item is chance; every item is worked on once, and its result must not depend on by whom.
//!
//! There is `unsafe` code here, because threads that outlive a piece of work borrow what the piece
//! works on.

#![allow(unsafe_code)]

use std::any::Any;
use std::cmp::Reverse;
use std::fmt;
use std::hint;
use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Looks at the number before a thread offers its core to others: some 20 µs.
const LOOKS: u32 = 1 << 10;
/// Offers before it goes to sleep: at least some 200 µs.
const OFFERS: u32 = 1 << 10;

/// Threads that work together, the one that owns the team among them.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What the owner and the workers look at. Each number has a cache line of its own, so that writing
/// one does not disturb those who wait for another.
#[derive(Debug, Default)]
struct Shared {
    /// Counts pieces of work; a change is the signal to begin.
    piece: Line<AtomicUsize>,
    /// The next place in the order of the items.
    next: Line<AtomicUsize>,
    /// Workers that are not done with the present piece.
    busy: Line<AtomicUsize>,
    /// Workers that must be woken.
    asleep: Line<AtomicUsize>,
    job: Mutex<Option<Job>>,
    /// What a worker panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    dismissed: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// Claims and does items until none is left. The lifetime is a lie: see [`Team::run`].
#[derive(Clone, Copy)]
struct Job(&'static (dyn Fn() + Sync));

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// The order in which items are begun: a permutation of 0..n.
#[derive(Debug, Clone)]
pub struct Order(Vec<usize>);

impl Order {
    /// First to last.
    pub fn of(items: usize) -> Self {
        Self((0..items).collect())
    }

    /// First to last of another number of items.
    pub fn reset(&mut self, items: usize) {
        self.0.clear();
        self.0.extend(0..items);
    }

    /// Puts the items first that take longest, so that the last to be begun are short.
    pub fn longest_first(&mut self, length: impl Fn(usize) -> usize) {
        self.0.sort_unstable_by_key(|&item| (Reverse(length(item)), item));
    }
}

/// Items that threads take by index.
struct Items<T>(*mut T);

// SAFETY: the pointer is used to hand each item to one thread, which `T: Send` allows.
unsafe impl<T: Send> Sync for Items<T> {}

impl<T> Items<T> {
    /// # Safety
    /// `index` is in bounds, and nobody else uses that item.
    #[allow(clippy::mut_from_ref)] // Each item is asked for once.
    unsafe fn get(&self, index: usize) -> &mut T {
        // SAFETY: what the caller promises.
        unsafe { &mut *self.0.add(index) }
    }
}

impl Team {
    /// A team of `threads`, the caller's own being one of them.
    ///
    /// # Errors
    /// When the operating system refuses to start a thread.
    pub fn new(threads: usize) -> io::Result<Self> {
        let mut team = Self { shared: Arc::default(), workers: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&team.shared);
            let worker = thread::Builder::new().name(format!("team {index}"));
            team.workers.push(worker.spawn(move || shared.serve())?);
        }
        Ok(team)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` once with every item and its index, beginning them in `order`, and returns when
    /// all are done.
    ///
    /// # Panics
    /// When `work` does, and when `order` is of another number of items.
    pub fn for_each<T: Send>(
        &mut self,
        items: &mut [T],
        order: &Order,
        work: impl Fn(usize, &mut T) + Sync,
    ) {
        assert_eq!(items.len(), order.0.len());
        if self.workers.is_empty() {
            return order.0.iter().for_each(|&index| work(index, &mut items[index]));
        }
        let (shared, items) = (&*self.shared, Items(items.as_mut_ptr()));
        shared.next.0.store(0, Ordering::Relaxed);
        self.run(&|| {
            let items = &items;
            while let Some(&index) = order.0.get(shared.next.0.fetch_add(1, Ordering::Relaxed)) {
                // SAFETY: an order is a permutation and each of its places is claimed once, so the
                // index is in bounds and no other thread gets it.
                work(index, unsafe { items.get(index) });
            }
        });
    }

    /// Calls `job` on every thread of the team, and returns when all calls have.
    fn run(&self, job: &(dyn Fn() + Sync)) {
        // SAFETY: the workers use the job only until they are no longer busy, and `Wait` waits for
        // that before this function is left, also by a panic of our own call.
        let job =
            Job(unsafe { mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(job) });
        let shared = &*self.shared;
        // A panic of the owner's own call has left this behind, if anybody panicked with it.
        *lock(&shared.panic) = None;
        *lock(&shared.job) = Some(job);
        shared.busy.0.store(self.workers.len(), Ordering::Relaxed);
        // Sequentially consistent, as is a worker's going to sleep: either we see it asleep, or it
        // sees the new piece.
        shared.piece.0.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.0.load(Ordering::SeqCst) > 0 {
            self.workers.iter().for_each(|worker| worker.thread().unpark());
        }
        {
            let _wait = Wait(shared);
            job.0();
        }
        *lock(&shared.job) = None;
        if let Some(panic) = lock(&shared.panic).take() {
            panic::resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.dismissed.store(true, Ordering::Relaxed);
        self.shared.piece.0.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // Panics of jobs have been caught, and there are no others.
            let _ = worker.join();
        }
    }
}

/// Waits, when it is dropped, until no worker is busy.
struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut looks = 0;
        while self.0.busy.0.load(Ordering::Acquire) > 0 {
            look_again(&mut looks);
        }
    }
}

impl Shared {
    /// The life of a worker.
    #[inline(never)] // So that a profile can tell waiting by name.
    fn serve(&self) {
        let mut done = 0;
        loop {
            self.await_change(done);
            done += 1;
            if self.dismissed.load(Ordering::Relaxed) {
                return;
            }
            let job = lock(&self.job).expect("a piece has a job");
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| job.0())) {
                // One is enough to tell; what others died of must not be dropped here, where
                // dropping it might panic.
                mem::forget(lock(&self.panic).replace(panic));
            }
            self.busy.0.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns when `piece` is no longer `done`.
    fn await_change(&self, done: usize) {
        let mut looks = 0;
        while self.piece.0.load(Ordering::Acquire) == done {
            if looks < LOOKS + OFFERS {
                look_again(&mut looks);
                continue;
            }
            self.asleep.0.fetch_add(1, Ordering::SeqCst);
            while self.piece.0.load(Ordering::SeqCst) == done {
                thread::park();
            }
            self.asleep.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Lets a moment pass: the longer it has been, the more of the core is left to others.
fn look_again(looks: &mut u32) {
    *looks = looks.saturating_add(1);
    if *looks < LOOKS { hint::spin_loop() } else { thread::yield_now() }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_by_any_number_of_threads() {
        // An interpreter waits for a long time where a CPU waits for a moment.
        let rounds = if cfg!(miri) { 3 } else { 50 };
        for threads in [1, 2, 3, 7] {
            let mut team = Team::new(threads).unwrap();
            assert_eq!(team.threads(), threads);
            for count in [0, 1, 2, 14, 100] {
                let mut items = vec![0; count];
                let mut order = Order::of(count);
                order.longest_first(|item| item % 5);
                for round in 1..=rounds {
                    team.for_each(&mut items, &order, |index, item| *item += index + 1);
                    assert!(items.iter().enumerate().all(|(i, &item)| item == round * (i + 1)));
                }
            }
        }
    }

    #[test]
    fn a_team_wakes_up_after_a_pause() {
        let mut team = Team::new(3).unwrap();
        let mut items = [0; 10];
        for round in 1..4 {
            thread::sleep(std::time::Duration::from_millis(50));
            team.for_each(&mut items, &Order::of(10), |_, item| *item += 1);
            assert_eq!(items, [round; 10]);
        }
    }

    #[test]
    fn a_panic_in_an_item_reaches_the_owner_and_the_team_goes_on() {
        let mut team = Team::new(2).unwrap();
        let mut items = [0; 8];
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            team.for_each(&mut items, &Order::of(8), |index, _| assert_ne!(index, 5));
        }));
        assert!(outcome.is_err());
        team.for_each(&mut items, &Order::of(8), |index, item| *item = index);
        assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn the_longest_items_come_first() {
        let mut order = Order::of(4);
        order.longest_first(|item| [3, 9, 3, 5][item]);
        assert_eq!(order.0, [1, 3, 0, 2]);
    }
}
