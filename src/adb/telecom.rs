//! How a call stands where the telephony registry only says that there is one: the call list of `dumpsys telecom`.
//!
//! Calls of other programs (messengers) are in this list too, so it never says that there is a call.

use super::lines::Lines;
use super::registry::CallState;

/// One dump.
#[derive(Clone, Debug, Default)]
pub struct Telecom {
    lines: Lines,
    list: List,
}

#[derive(Clone, Debug, Default)]
struct List {
    place: Place,
    rank: u8,
    state: Option<CallState>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    After,
}

impl Telecom {
    /// Takes a piece of the output.
    pub fn push(&mut self, bytes: &[u8]) {
        let list = &mut self.list;
        self.lines.push(bytes, |line| list.line(line));
    }

    /// The output is over.
    pub fn end(&mut self) {
        let list = &mut self.list;
        self.lines.end(|line| list.line(line));
    }

    /// The list of calls was read; what follows are those of earlier days.
    pub fn is_over(&self) -> bool {
        self.list.place == Place::After
    }

    /// The call that wants most attention.
    pub fn state(&self) -> Option<CallState> {
        self.list.state
    }
}

impl List {
    fn line(&mut self, line: &str) {
        match self.place {
            Place::Before if line == "mCalls:" => self.place = Place::Inside,
            Place::Inside if line.starts_with('[') => {
                if let Some((rank, state)) = state_of(line)
                    && rank > self.rank
                {
                    self.rank = rank;
                    self.state = Some(state);
                }
            }
            Place::Inside => self.place = Place::After,
            Place::Before | Place::After => {}
        }
    }
}

/// `[Call id=TC@1, state=ACTIVE, …]`, or before Android 11 `[TC@1, ACTIVE, …]`.
fn state_of(line: &str) -> Option<(u8, CallState)> {
    let word = line.split(',').nth(1)?.trim();
    Some(match word.strip_prefix("state=").unwrap_or(word) {
        "ON_HOLD" | "HELD" | "HOLDING" => (1, CallState::Held),
        "ACTIVE" => (2, CallState::Active),
        "CONNECTING" | "SELECT_PHONE_ACCOUNT" | "DIALING" | "PULLING" => (3, CallState::Dialing),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<CallState> {
        let mut dump = Telecom::default();
        text.as_bytes().chunks(5).for_each(|piece| dump.push(piece));
        dump.end();
        dump.state()
    }

    #[test]
    fn both_spellings_of_a_call_are_read() {
        for (call, state) in [
            ("[Call id=TC@1, state=ACTIVE, tpac=x, handle=tel:***]", CallState::Active),
            ("[TC@7, DIALING, com.android.phone/x, tel:***, A]", CallState::Dialing),
            ("[Call id=TC@2, state=ON_HOLD, tpac=null]", CallState::Held),
        ] {
            let text = format!("CallsManager: \n  mCalls: \n    {call}\n  mForegroundCall: none\n");
            assert_eq!(read(&text), Some(state));
        }
    }

    #[test]
    fn only_the_list_of_calls_counts_and_the_busiest_of_them() {
        let text = "Historical Call: [TC@1, ACTIVE, x]\n mCalls:\n  [TC@2, ON_HOLD, x]\n  [TC@3, DIALING, x]\n\
            \n mCallAudioManager:\n  [TC@9, ACTIVE, x]\n";
        assert_eq!(read(text), Some(CallState::Dialing));
        assert_eq!(read(" mCalls:\n mForegroundCall: [TC@9, ACTIVE, x]\n"), None);
        assert_eq!(read(" mCalls:\n  [TC@2, DISCONNECTED, x]\n  [\n  [TC@3]\n"), None);
        assert_eq!(read("Can't find service: telecom"), None);
    }
}
