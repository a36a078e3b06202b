//! What Android's telephony tells of its calls: the output of `dumpsys telephony.registry`, read as it arrives.
//!
//! It is no interface: keys stand at any depth, per SIM (`Phone Id=N`) or once after all of them, and the oldest
//! versions have only `mCallState` and `mCallIncomingNumber`. So it is read by key, and the livelier SIM counts.

use super::lines::Lines;
use crate::base::{Number, Pii};

/// How the phone stands: the call that wants most attention. The names are those of HFP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// No call.
    Idle,
    /// A call comes in.
    Incoming,
    /// A call comes in while there is another one.
    Waiting,
    /// A call is made.
    Dialing,
    /// It rings at the other end.
    Alerting,
    /// People talk.
    Active,
    /// The only call is held.
    Held,
    /// There is a call; this Android does not say how it stands.
    OffHook,
}

impl CallState {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Incoming => "incoming",
            Self::Waiting => "waiting",
            Self::Dialing => "dialing",
            Self::Alerting => "alerting",
            Self::Active => "active",
            Self::Held => "held",
            Self::OffHook => "off_hook",
        }
    }
}

/// `PreciseCallState`, in the order in which one hides another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Precise {
    #[default]
    None,
    Holding,
    Active,
    Dialing,
    Alerting,
    Incoming,
    Waiting,
}

impl Precise {
    fn of(value: &str) -> Self {
        match value {
            "1" => Self::Active,
            "2" => Self::Holding,
            "3" => Self::Dialing,
            "4" => Self::Alerting,
            "5" | "9" => Self::Incoming,
            "6" => Self::Waiting,
            // Not valid, idle, disconnected, disconnecting.
            _ => Self::None,
        }
    }
}

/// `TelephonyManager.CALL_STATE_…` of the SIM that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Sim {
    #[default]
    Idle,
    OffHook,
    Ringing,
}

/// One dump.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    lines: Lines,
    found: Found,
}

#[derive(Clone, Debug, Default)]
struct Found {
    over: bool,
    says_anything: bool,
    ringing: bool,
    off_hook: bool,
    sim: Sim,
    number: Option<(Sim, Pii<Number>)>,
    ringing_call: Precise,
    foreground: Precise,
    background: Precise,
}

impl Registry {
    /// Takes a piece of the output.
    pub fn push(&mut self, bytes: &[u8]) {
        let found = &mut self.found;
        self.lines.push(bytes, |line| found.line(line));
    }

    /// The output is over.
    pub fn end(&mut self) {
        let found = &mut self.found;
        self.lines.end(|line| found.line(line));
    }

    /// Nothing of use comes any more.
    pub fn is_over(&self) -> bool {
        self.found.over
    }

    /// How the phone stands; `None` when this was no such dump.
    pub fn state(&self) -> Option<CallState> {
        let found = &self.found;
        let talks = matches!(found.foreground, Precise::Active | Precise::Dialing | Precise::Alerting)
            || found.background == Precise::Holding;
        Some(match (found.ringing, found.off_hook) {
            _ if !found.says_anything => return None,
            (false, false) => CallState::Idle,
            (true, true) => CallState::Waiting,
            (true, false) if talks || found.ringing_call == Precise::Waiting => CallState::Waiting,
            (true, false) => CallState::Incoming,
            (false, true) => match found.foreground {
                Precise::Dialing => CallState::Dialing,
                Precise::Alerting => CallState::Alerting,
                Precise::Active => CallState::Active,
                _ if found.background == Precise::Holding => CallState::Held,
                Precise::None | Precise::Holding | Precise::Incoming | Precise::Waiting => CallState::OffHook,
            },
        })
    }

    /// Who calls, or called, where the phone tells; a waiting caller before the one who is talked to.
    pub fn number(&self) -> Option<&Pii<Number>> {
        self.found.number.as_ref().map(|(_, number)| number)
    }
}

impl Found {
    fn line(&mut self, line: &str) {
        // After the last known state come logs of earlier calls and who listens.
        if line.starts_with("registrations:") || line.starts_with("local logs:") {
            self.over = true;
        }
        if self.over {
            return;
        }
        let Some((key, value)) = line.split_once('=') else { return };
        let value = value.trim();
        match key.trim_end() {
            "Phone Id" => self.sim = Sim::Idle,
            "mCallState" => self.call_state(value),
            "mRingingCallState" => self.ringing_call = self.ringing_call.max(Precise::of(value)),
            "mForegroundCallState" => self.foreground = self.foreground.max(Precise::of(value)),
            "mBackgroundCallState" => self.background = self.background.max(Precise::of(value)),
            "mCallIncomingNumber" => {
                let better = self.number.as_ref().is_none_or(|(sim, _)| *sim < self.sim);
                // An idle SIM may keep its last caller; a hidden number is a word or stars.
                if self.sim != Sim::Idle
                    && better
                    && let Ok(number) = Number::parse(value)
                {
                    self.number = Some((self.sim, Pii(number)));
                }
            }
            _ => {}
        }
    }

    fn call_state(&mut self, value: &str) {
        self.sim = match value {
            "0" => Sim::Idle,
            "1" => Sim::Ringing,
            "2" => Sim::OffHook,
            _ => return,
        };
        self.says_anything = true;
        self.ringing |= self.sim == Sim::Ringing;
        self.off_hook |= self.sim == Sim::OffHook;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<CallState>, Option<String>) {
        let mut dump = Registry::default();
        for piece in text.as_bytes().chunks(7) {
            dump.push(piece);
        }
        dump.end();
        (dump.state(), dump.number().map(|number| number.0.as_str().to_owned()))
    }

    fn fixture(android: &str, name: &str) -> (Option<CallState>, Option<String>) {
        let path = format!("{}/tests/fixtures/adb/{android}-{name}.txt", env!("CARGO_MANIFEST_DIR"));
        read(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    #[test]
    fn every_android_from_8_to_14_is_read_alike() {
        let caller = Some("+15550100".to_owned());
        for android in ["android8", "android11", "android14"] {
            assert_eq!(fixture(android, "idle"), (Some(CallState::Idle), None), "{android}");
            assert_eq!(fixture(android, "ringing"), (Some(CallState::Incoming), caller.clone()), "{android}");
            assert_eq!(fixture(android, "dialing"), (Some(CallState::Dialing), None), "{android}");
            assert_eq!(fixture(android, "active").0, Some(CallState::Active), "{android}");
        }
    }

    #[test]
    fn a_call_that_comes_in_beside_another_one_is_waiting() {
        let waiting = Some(CallState::Waiting);
        assert_eq!(fixture("android14", "waiting"), (waiting, Some("+15550199".into())));
        assert_eq!(read("mCallState=1\nmForegroundCallState=1\n").0, waiting);
        assert_eq!(read("mCallState=1\nmBackgroundCallState=2\n").0, waiting);
        assert_eq!(read("mCallState=1\nmRingingCallState=6\n").0, waiting);
    }

    #[test]
    fn the_oldest_say_only_that_there_is_a_call() {
        assert_eq!(read("mCallState=2\nmCallIncomingNumber=0301\n").0, Some(CallState::OffHook));
        assert_eq!(
            read("mCallState=1\nmCallIncomingNumber=0301"),
            (Some(CallState::Incoming), Some("0301".into()))
        );
    }

    #[test]
    fn the_livelier_sim_counts_and_a_disconnected_call_hides_none() {
        let text = "Phone Id=0\n mCallState=0\n mForegroundCallState=7\n mCallIncomingNumber=111\n\
            Phone Id=1\n mCallState=2\n mForegroundCallState=1\n mCallIncomingNumber=222\n\
            Phone Id=2\n mCallState=0\n mForegroundCallState=-1\n mCallIncomingNumber=333\n";
        assert_eq!(read(text), (Some(CallState::Active), Some("222".into())));
        assert_eq!(
            read("mCallState=2\nmForegroundCallState=0\nmBackgroundCallState=2").0,
            Some(CallState::Held)
        );
        assert_eq!(read("mCallState=2\nmForegroundCallState=4").0, Some(CallState::Alerting));
        assert_eq!(read("mCallState=0\nmForegroundCallState=1").0, Some(CallState::Idle), "what is stale");
    }

    #[test]
    fn logs_of_earlier_calls_and_other_texts_say_nothing() {
        assert_eq!(read("mCallState=0\nlocal logs:\n mCallState=2\n").0, Some(CallState::Idle));
        assert_eq!(read("mCallState=0\nregistrations: count=9\n mCallState=1\n").0, Some(CallState::Idle));
        for text in
            ["", "Permission Denial: can't dump telephony.registry", "mCallState=ringing\n", "mCallState"]
        {
            assert_eq!(read(text), (None, None), "{text}");
        }
        for number in ["", "null", "***", "xxxxxxx", "<private>"] {
            let text = format!("mCallState=1\nmCallIncomingNumber={number}\n");
            assert_eq!(read(&text), (Some(CallState::Incoming), None), "{number}");
        }
    }
}
