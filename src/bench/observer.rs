//! The observer of a measurement, which may show how far it is.

/// Observer of the progress of a measurement.
pub trait Observer {
    /// Called before a part of the measurement that is not timing; `doing` says what it does.
    fn part(&mut self, doing: &str);
    /// Called before `cases` are timed in `rounds`.
    fn timing(&mut self, cases: usize, rounds: usize);
    /// Called before each turn of the case called `name`. Rounds count from 1; round 0 prepares.
    fn turn(&mut self, name: &str, round: usize);
    /// Called after each part and after timing.
    fn finished(&mut self);
}
