//! Work that finds more work, shared between threads: every job is done once, and a thread ends only when nothing is
//! left and nobody can find more.
//!
//! What a thread found and has not put on the agenda yet, nobody else knows of. So a thread is busy until it has let go
//! of it: a thread that waited while it held the last jobs would be told that all was done.

use crate::error::{Error, Result};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Jobs still to do, and who is at work.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    state: Mutex<State<T>>,
    more: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// Taken from the end.
    jobs: Vec<T>,
    busy: usize,
    failed: Option<Error>,
}

/// One thread's hand.
pub(super) trait Hand<T> {
    /// Does one job. What it finds it keeps, or puts on the agenda at once.
    fn work(&mut self, job: T) -> Result<()>;
    /// Whether it keeps as much as it should.
    fn is_full(&self) -> bool;
    /// Writes down what it keeps, and puts what is to be done about it on the agenda.
    fn let_go(&mut self) -> Result<()>;
}

impl<T> Agenda<T> {
    pub(super) fn new(first: T) -> Self {
        Self { state: Mutex::new(State { jobs: vec![first], busy: 0, failed: None }), more: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("agenda lock")
    }

    pub(super) fn add(&self, jobs: impl IntoIterator<Item = T>) {
        self.state().jobs.extend(jobs);
        self.more.notify_all();
    }

    /// Works until all is done or one thread failed: then all end, and [`Agenda::outcome`] says why.
    pub(super) fn share(&self, hand: &mut impl Hand<T>) {
        while let Some(first) = self.first() {
            let done = self.stint(first, hand);
            let mut state = self.state();
            state.busy -= 1;
            if let Err(e) = done {
                state.failed.get_or_insert(e);
            }
            drop(state);
            self.more.notify_all();
        }
    }

    pub(super) fn outcome(&self) -> Result<()> {
        self.state().failed.take().map_or(Ok(()), Err)
    }

    /// Job after job while there are any.
    fn stint(&self, first: T, hand: &mut impl Hand<T>) -> Result<()> {
        let mut next = Some(first);
        while let Some(job) = next {
            hand.work(job)?;
            if hand.is_full() {
                hand.let_go()?;
            }
            next = self.another();
            if next.is_none() {
                hand.let_go()?;
                next = self.another();
            }
        }
        Ok(())
    }

    fn another(&self) -> Option<T> {
        let mut state = self.state();
        if state.failed.is_some() { None } else { state.jobs.pop() }
    }

    /// Waits for a job and is busy with it; None when all is done.
    fn first(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some(job);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.more.wait_timeout(state, Duration::from_secs(1)).expect("agenda lock").0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// What a hand tells the test, and what it waits for, around the one moment that matters.
    struct Scripted<'a> {
        agenda: &'a Agenda<&'static str>,
        done: &'a Mutex<Vec<&'static str>>,
        keeps: Vec<&'static str>,
        /// Of the thread that finds: to say that it found, and to hear that the other took the last job.
        window: Option<(Sender<()>, Receiver<()>)>,
        /// Of the thread that takes the last job.
        took: Option<Sender<()>>,
    }

    impl Hand<&'static str> for Scripted<'_> {
        fn work(&mut self, job: &'static str) -> Result<()> {
            self.done.lock().unwrap().push(job);
            if job == "finds more" {
                self.keeps.push("found");
            }
            if let Some(took) = self.took.take() {
                took.send(()).unwrap();
                // Ends its job only when the other has nothing to do, whatever it did before.
                while self.agenda.state().busy > 1 {
                    std::thread::yield_now();
                }
            }
            Ok(())
        }
        /// Asked right after a job: here the other thread takes the last one on the agenda.
        fn is_full(&self) -> bool {
            if let Some((found, taken)) = self.window.as_ref().filter(|_| !self.keeps.is_empty()) {
                found.send(()).unwrap();
                taken.recv().unwrap();
            }
            false
        }
        fn let_go(&mut self) -> Result<()> {
            self.agenda.add(self.keeps.drain(..));
            Ok(())
        }
    }

    #[test]
    fn what_one_thread_found_is_done_though_another_took_the_last_job() {
        let (agenda, done) = (Agenda::new("nothing in it"), Mutex::new(vec![]));
        agenda.add(["finds more"]);
        let ((found, when_found), (took, when_took)) = (channel(), channel());
        let hand = || Scripted { agenda: &agenda, done: &done, keeps: vec![], window: None, took: None };
        std::thread::scope(|s| {
            let (mut finder, mut taker) = (hand(), hand());
            finder.window = Some((found, when_took));
            taker.took = Some(took);
            let agenda = &agenda;
            s.spawn(move || agenda.share(&mut finder));
            s.spawn(move || {
                when_found.recv().unwrap();
                agenda.share(&mut taker);
            });
        });
        agenda.outcome().unwrap();
        assert_eq!(done.into_inner().unwrap(), ["finds more", "nothing in it", "found"]);
    }

    #[test]
    fn one_failure_ends_all_and_is_told() {
        struct Fails;
        impl Hand<u32> for Fails {
            fn work(&mut self, job: u32) -> Result<()> {
                if job == 3 { Err(Error::retry("do the third")) } else { Ok(()) }
            }
            fn is_full(&self) -> bool {
                false
            }
            fn let_go(&mut self) -> Result<()> {
                Ok(())
            }
        }
        let agenda = Agenda::new(0);
        agenda.add(1..10);
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| agenda.share(&mut Fails));
            }
        });
        assert_eq!(agenda.outcome().unwrap_err().to_string(), "do the third");
    }
}
