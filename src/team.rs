//! A team: a few threads that share short pieces of work, one piece after the other.
//!
//! A training step is a chain of pieces of work that take microseconds, and each piece needs the
//! whole result of the piece before it. Waking a sleeping thread takes longer than a short piece,
//! and so does a barrier that sleeps. Therefore the threads of a team wait by spinning: they read
//! an atomic number until it changes. They yield after a while, and sleep only if no work comes for
//! longer (a file is being read, an evaluation is printed).
//!
//! Every item has an owner: item i belongs to thread i modulo the number of threads. A thread first
//! takes its own items, in a given order, and then *steals* the items that busier threads have not
//! begun. So the data of an item stay in the cache of one core from piece to piece, and a thread
//! that another program disturbs loses items to the other threads. Every item is worked on once,
//! and its result must not depend on the thread.
//!
//! There is `unsafe` code here, because the threads outlive a piece of work and borrow the data of
//! the piece.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
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

/// Size in bytes of the stack of every thread that the program starts, which is enough for all of
/// them, whatever `RUST_MIN_STACK` says.
pub const STACK_BYTES: usize = 2 << 20;

/// Number of bytes for what a thread allocates when it begins.
const FIRST_ALLOCATIONS: usize = 1 << 20;

/// Number of spins before a waiting thread begins to yield its core, about 20 µs.
const SPINS: u32 = 1 << 10;
/// Number of yields before a waiting thread sleeps, at least about 200 µs.
const YIELDS: u32 = 1 << 10;

/// Checks that there is memory for `threads` threads: for their stacks, and for what each allocates when
/// it begins. For the latter the C library has no error: it ends the program.
///
/// # Errors
/// [`io::ErrorKind::OutOfMemory`] when there is less.
pub fn check_memory(threads: usize) -> io::Result<()> {
    let refused = || io::Error::from(io::ErrorKind::OutOfMemory);
    let bytes = threads * (STACK_BYTES + FIRST_ALLOCATIONS);
    let layout = Layout::array::<u8>(bytes).map_err(|_| refused())?;
    // The program's own allocator would end the program. Without `black_box`, the compiler would leave
    // both calls out.
    // SAFETY: there is at least one thread, so the layout is not empty.
    let memory = hint::black_box(unsafe { System.alloc(layout) });
    if memory.is_null() {
        return Err(refused());
    }
    // SAFETY: the memory has just been allocated with this layout.
    unsafe { System.dealloc(memory, layout) };
    Ok(())
}

/// Threads that work together. The thread that owns the team is one of them; the others are its
/// workers.
#[derive(Debug)]
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Whether each item of the present piece was taken.
    taken: Vec<AtomicBool>,
}

/// State that the owner and the workers share. Each number has its own cache line, so that a write
/// to one does not delay threads that read another.
#[derive(Debug, Default)]
struct Shared {
    /// Number of pieces of work so far; its change tells the workers to begin.
    piece: Line<AtomicUsize>,
    /// Number of workers that have not finished the present piece.
    busy: Line<AtomicUsize>,
    /// Number of workers that sleep.
    asleep: Line<AtomicUsize>,
    /// Function that every thread calls for the present piece.
    job: Mutex<Option<Job>>,
    /// Payload of the panic of a worker.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Whether the workers must end.
    dismissed: AtomicBool,
}

/// A value that shares its cache line with no other value.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// Function that takes and does items until none is left, as the thread with the given index. Its
/// real lifetime is shorter than `'static`: see [`Team::run`].
#[derive(Clone, Copy)]
struct Job(&'static (dyn Fn(usize) + Sync));

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// Order in which n items are begun: a permutation of 0..n.
#[derive(Debug, Clone)]
pub struct Order(Vec<usize>);

impl Order {
    /// The order 0, 1, …, `items` − 1.
    pub fn of(items: usize) -> Self {
        Self((0..items).collect())
    }

    /// Makes this the order 0, 1, …, `items` − 1. Allocates only for more items than ever before.
    pub fn reset(&mut self, items: usize) {
        self.0.clear();
        self.0.extend(0..items);
    }

    /// Sorts the items by descending `length`, so that the items begun last are short and no thread
    /// waits long for another one.
    pub fn longest_first(&mut self, length: impl Fn(usize) -> usize) {
        self.0.sort_unstable_by_key(|&item| (Reverse(length(item)), item));
    }
}

/// Pointer to the items, from which each thread takes items by index.
struct Items<T>(*mut T);

// SAFETY: the pointer is used to hand each item to one thread, which `T: Send` allows.
unsafe impl<T: Send> Sync for Items<T> {}

impl<T> Items<T> {
    /// The item at `index`.
    ///
    /// # Safety
    /// - `index` is in bounds.
    /// - No other reference to this item exists.
    #[allow(clippy::mut_from_ref)] // Each item is asked for once.
    unsafe fn get(&self, index: usize) -> &mut T {
        // SAFETY: the caller promises that the index is in bounds and the reference is unique.
        unsafe { &mut *self.0.add(index) }
    }
}

impl Team {
    /// A team of `threads` threads, of which the calling thread is one.
    ///
    /// # Errors
    /// When the operating system refuses to start a thread.
    pub fn new(threads: usize) -> io::Result<Self> {
        check_memory(threads)?;
        let mut team = Self { shared: Arc::default(), workers: Vec::new(), taken: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&team.shared);
            let worker =
                thread::Builder::new().name(format!("team {index}")).stack_size(STACK_BYTES);
            team.workers.push(worker.spawn(move || shared.serve(index))?);
        }
        Ok(team)
    }

    /// Number of threads, the owner included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` once with every index and item, on all threads, and returns when all items are
    /// done. Each thread begins its own items in `order`, and then the items that are left.
    ///
    /// # Panics
    /// When `work` panics, or `order` is for another number of items.
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
        self.taken.resize_with(items.len().max(self.taken.len()), AtomicBool::default);
        self.taken.iter_mut().for_each(|taken| *taken.get_mut() = false);
        let (threads, taken, items) = (self.threads(), &self.taken, Items(items.as_mut_ptr()));
        self.run(&|thread| {
            let items = &items;
            let own = |index: &&usize| *index % threads == thread;
            let others = |index: &&usize| !own(index);
            for &index in order.0.iter().filter(own).chain(order.0.iter().filter(others)) {
                if !taken[index].swap(true, Ordering::Relaxed) {
                    // SAFETY: an order is a permutation of 0..n, so the index is in bounds. One
                    // thread finds that the item was not taken, so no other thread gets it.
                    work(index, unsafe { items.get(index) });
                }
            }
        });
    }

    /// Calls `job` on every thread of the team with the index of the thread, and returns when all
    /// calls have returned.
    fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        // SAFETY: a worker uses the job only while it is busy. `Wait` waits until no worker is busy
        // before this function returns, also when the owner's own call of the job panics.
        let job = Job(unsafe { mem::transmute::<&(dyn Fn(usize) + Sync), &'static _>(job) });
        let shared = &*self.shared;
        // If the owner panicked in an earlier piece, the panic of a worker in that piece is still
        // here.
        *lock(&shared.panic) = None;
        *lock(&shared.job) = Some(job);
        shared.busy.0.store(self.workers.len(), Ordering::Relaxed);
        // This addition is sequentially consistent, like the operations of a worker that goes to
        // sleep: either the owner sees that the worker sleeps, or the worker sees the new piece.
        shared.piece.0.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.0.load(Ordering::SeqCst) > 0 {
            self.workers.iter().for_each(|worker| worker.thread().unpark());
        }
        {
            let _wait = Wait(shared);
            job.0(0);
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
            // A worker never panics: it catches the panics of its jobs.
            let _ = worker.join();
        }
    }
}

/// Waits, when it is dropped, until no worker is busy.
struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = 0;
        while self.0.busy.0.load(Ordering::Acquire) > 0 {
            spin_or_yield(&mut waits);
        }
    }
}

impl Shared {
    /// Main function of the worker with the index `thread`: waits for pieces of work and does them
    /// until it is dismissed.
    #[inline(never)] // A profile recognizes waiting workers by this name.
    fn serve(&self, thread: usize) {
        let mut done = 0;
        loop {
            self.await_change(done);
            done += 1;
            if self.dismissed.load(Ordering::Relaxed) {
                return;
            }
            let job = lock(&self.job).expect("a piece has a job");
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| job.0(thread))) {
                // One panic is enough to report. An earlier payload must not be dropped here,
                // because its drop might panic.
                mem::forget(lock(&self.panic).replace(panic));
            }
            self.busy.0.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until the number of pieces is no longer `done`: first spins, then yields, then sleeps.
    fn await_change(&self, done: usize) {
        let mut waits = 0;
        while self.piece.0.load(Ordering::Acquire) == done {
            if waits < SPINS + YIELDS {
                spin_or_yield(&mut waits);
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

/// Waits a moment: spins in the first [`SPINS`] calls, which `waits` counts, and then yields the
/// core to other threads.
fn spin_or_yield(waits: &mut u32) {
    *waits = waits.saturating_add(1);
    if *waits < SPINS { hint::spin_loop() } else { thread::yield_now() }
}

/// Locks `mutex`, also after a thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_by_any_number_of_threads() {
        // Miri takes long to wait for what a CPU waits a moment.
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
