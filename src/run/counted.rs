//! What the audio threads count about calls, as far as it is the same over RTP and over voice links. Those threads know
//! nothing of sums: whoever asks adds up.

use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::leg_audio::Loudness;
use crate::dsp::SILENCE_DBFS;

/// The counters of one call: one thread writes them, others read them at any time.
pub(super) trait Counted<const FIGURES: usize> {
    /// Those of its figures that are added up over calls.
    fn figures(&self) -> [u64; FIGURES];
}

/// Sums over all calls of one kind, live and past. Clones are the same.
#[derive(Debug)]
pub(super) struct Sums<C, const FIGURES: usize>(Arc<Mutex<Calls<C, FIGURES>>>);

#[derive(Debug)]
struct Calls<C, const FIGURES: usize> {
    live: Vec<Arc<C>>,
    ended: [u64; FIGURES],
}

impl<C, const FIGURES: usize> Clone for Sums<C, FIGURES> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C, const FIGURES: usize> Default for Sums<C, FIGURES> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Calls { live: Vec::new(), ended: [0; FIGURES] })))
    }
}

impl<C: Counted<FIGURES>, const FIGURES: usize> Sums<C, FIGURES> {
    /// A call began.
    pub(super) fn add(&self, counters: Arc<C>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.forget_ended();
        calls.live.push(counters);
    }

    /// Over all calls, as they are now.
    pub(super) fn now(&self) -> [u64; FIGURES] {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.forget_ended();
        let mut sums = calls.ended;
        for counters in &calls.live {
            add(&mut sums, &**counters);
        }
        sums
    }
}

impl<C: Counted<FIGURES>, const FIGURES: usize> Calls<C, FIGURES> {
    /// A call whose counters nobody else holds has left its thread: they are final.
    fn forget_ended(&mut self) {
        let Self { live, ended } = self;
        live.retain_mut(|counters| {
            // Unlike a look at its count, being the only owner means to see all that the others wrote.
            let last = Arc::get_mut(counters);
            if let Some(counters) = &last {
                add(ended, &**counters);
            }
            last.is_none()
        });
    }
}

fn add<const FIGURES: usize>(sums: &mut [u64; FIGURES], counters: &impl Counted<FIGURES>) {
    for (sum, figure) in sums.iter_mut().zip(counters.figures()) {
        *sum += figure;
    }
}

/// How loud both directions of a call are.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) caller: Level,
    /// What the line hears of us.
    pub(super) line: Level,
}

impl Levels {
    /// Nothing was heard yet.
    pub(super) fn silent() -> Self {
        Self { caller: Level::silent(), line: Level::silent() }
    }

    pub(super) fn set(&self, caller: &Loudness, line: &Loudness) {
        self.caller.set(caller);
        self.line.set(line);
    }
}

/// How loud one direction is, in hundredths of a dB.
#[derive(Debug)]
pub(super) struct Level {
    last: AtomicI32,
    loudest: AtomicI32,
}

impl Level {
    /// The floor, for 0 would be as loud as can be.
    fn silent() -> Self {
        let floor = || AtomicI32::new((SILENCE_DBFS * 100.0) as i32);
        Self { last: floor(), loudest: floor() }
    }

    /// What carries the audio now knows its own loudest second only: another may have carried it before.
    fn set(&self, loudness: &Loudness) {
        self.last.store((loudness.last_dbfs() * 100.0) as i32, Relaxed);
        let loudest = (loudness.loudest_dbfs() * 100.0) as i32;
        self.loudest.store(self.loudest.load(Relaxed).max(loudest), Relaxed);
    }

    /// In dBFS: the last whole second, and the loudest one.
    pub(super) fn get(&self) -> (f32, f32) {
        (self.last.load(Relaxed) as f32 / 100.0, self.loudest.load(Relaxed) as f32 / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two(u64, u64);

    impl Counted<2> for Two {
        fn figures(&self) -> [u64; 2] {
            [self.0, self.1]
        }
    }

    #[test]
    fn a_call_is_in_the_sum_once_while_it_lives_and_afterwards() {
        let sums = Sums::default();
        let asked = sums.clone();
        let (first, second) = (Arc::new(Two(1, 10)), Arc::new(Two(2, 20)));
        sums.add(first.clone());
        sums.add(second.clone());
        assert_eq!((asked.now(), asked.now()), ([3, 30], [3, 30]));
        drop(first);
        assert_eq!((asked.now(), asked.now()), ([3, 30], [3, 30]));
        let kept = sums.0.lock().unwrap().live.len();
        assert_eq!(kept, 1, "the counters of a call that is over are given up");
        drop(second);
        sums.add(Arc::new(Two(4, 40)));
        assert_eq!(asked.now(), [7, 70]);
    }
}
