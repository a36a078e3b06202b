//! How fast the link's clock is against ours. Packets come late by chance, never early: of each window only the least
//! late one counts.

use std::time::{Duration, Instant};

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(5);
/// Nothing is told before the first and the last window are so far apart.
const APART_MIN: Duration = Duration::from_secs(10);
/// After such a pause the measurement begins anew: it was no clock that stood still.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// Audio time against monotonic time.
#[derive(Clone, Debug, Default)]
pub(super) struct Drift {
    run: Option<Run>,
    ppm: Option<i32>,
}

/// An unbroken stretch of audio.
#[derive(Clone, Debug)]
struct Run {
    origin: Instant,
    last_packet: Instant,
    audio_micros: i64,
    window_ends: Instant,
    window: Point,
    first: Option<Point>,
}

/// The least late packet of a window.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Instant,
    late_micros: i64,
}

impl Drift {
    /// Audio of this length came, the part that was lost with it.
    pub(super) fn heard(&mut self, now: Instant, micros: u64) {
        let pause = |run: &Run| now.saturating_duration_since(run.last_packet) >= PAUSE_MIN;
        let run = match self.run.take() {
            Some(run) if !pause(&run) => self.run.insert(run),
            _ => {
                // The first packet's own length is not in the time since it came.
                let window = Point { at: now, late_micros: 0 };
                let window_ends = now + WINDOW;
                let run =
                    Run { origin: now, last_packet: now, audio_micros: 0, window_ends, window, first: None };
                self.run = Some(run);
                return;
            }
        };
        run.last_packet = now;
        run.audio_micros += micros as i64;
        let late_micros = now.saturating_duration_since(run.origin).as_micros() as i64 - run.audio_micros;
        if now >= run.window_ends {
            let (point, first) = (run.window, *run.first.get_or_insert(run.window));
            let apart = point.at.saturating_duration_since(first.at);
            if apart >= APART_MIN {
                let micros = (first.late_micros - point.late_micros) as f64;
                self.ppm = Some((micros / apart.as_secs_f64()).round() as i32);
            }
            run.window_ends = now + WINDOW;
            run.window = Point { at: now, late_micros };
        } else if late_micros <= run.window.late_micros {
            run.window = Point { at: now, late_micros };
        }
    }

    /// Millionths that the link's clock is fast; negative when it is slow. `None` before enough was heard.
    pub(super) fn ppm(&self) -> Option<i32> {
        self.ppm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::base::time::any_instant;

    /// What is found for a clock that is off by `ppm`, when packets of 7.5 ms come late by up to `jitter_micros`.
    fn found(ppm: f64, jitter_micros: u32, seconds: u32) -> Option<i32> {
        let (mut drift, mut rng, start) = (Drift::default(), Rng::from_u64(1), any_instant());
        for packet in 0..seconds * 1000 * 2 / 15 {
            let micros =
                f64::from(packet) * 7500.0 / (1.0 + ppm / 1e6) + f64::from(rng.below(jitter_micros + 1));
            drift.heard(start + Duration::from_micros(micros as u64), 7500);
        }
        drift.ppm()
    }

    #[test]
    fn a_clock_that_is_fast_or_slow_is_found_through_jitter() {
        assert_eq!(found(0.0, 4000, 9), None, "too early to tell");
        for ppm in [-250.0, -30.0, 0.0, 60.0, 500.0] {
            let error = f64::from(found(ppm, 4000, 120).unwrap()) - ppm;
            assert!(error.abs() < 10.0, "{ppm}: off by {error}");
        }
    }

    #[test]
    fn a_pause_is_no_drift() {
        let (mut drift, start) = (Drift::default(), any_instant());
        for packet in 0..8000u32 {
            let pause = if packet >= 4000 { Duration::from_secs(3) } else { Duration::ZERO };
            drift.heard(start + pause + Duration::from_micros(7500) * packet, 7500);
        }
        assert_eq!(drift.ppm(), Some(0));
    }
}
