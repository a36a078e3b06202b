//! The calls on a phone: as `AT+CLCC` lists them (HFP 4.32), or, where a phone lists none, as its indicators say.

use super::at::{fields, kept, quoted};
use super::indicator::Values;
use crate::base::Pii;

/// Calls on one phone at most: a network allows one waiting, one held and a conference of five beside it.
const CALLS_MAX: usize = 8;

/// Where a call stands (3GPP 27.007 7.18 `stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Both talk.
    Active,
    /// Parked.
    Held,
    /// Going out; the other end does not ring yet.
    Dialing,
    /// Going out; the other end rings.
    Alerting,
    /// Coming in.
    Incoming,
    /// Coming in while there is another one.
    Waiting,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its index on the phone, from 1; used again when it is over.
    pub index: u8,
    /// The other one called.
    pub incoming: bool,
    /// Where it stands.
    pub state: CallState,
    /// The other party's number, when it is shown; any characters.
    pub number: Option<Pii<String>>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new, or stands elsewhere, or its number became known.
    Now(Call),
    /// It is over.
    Over(u8),
}

/// All calls, and the list that is being read.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    known: Vec<Call>,
    listed: Vec<Call>,
}

impl Calls {
    /// Those that are there.
    pub fn known(&self) -> &[Call] {
        &self.known
    }

    /// `+CLCC: idx,dir,stat,mode,mpty[,number,type]`: one call of the list. Data and fax calls are none.
    pub fn read(&mut self, rest: &str) {
        if let Some(call) = listed(rest)
            && self.listed.len() < CALLS_MAX
            && self.listed.iter().all(|other| other.index != call.index)
        {
            self.listed.push(call);
        }
    }

    /// The list is complete.
    pub fn finish(&mut self) -> Vec<Change> {
        let listed = std::mem::take(&mut self.listed);
        self.replace_by(listed)
    }

    /// The list broke off: it says nothing.
    pub fn abandon(&mut self) {
        self.listed.clear();
    }

    /// What the indicators alone say (HFP 4.10), for a phone that lists no calls: one that is up, one being set up,
    /// one held.
    pub fn follow(&mut self, values: Values) -> Vec<Change> {
        let before = |states: &[CallState]| {
            self.known.iter().find(|call| states.contains(&call.state)).map(|call| call.index)
        };
        let active_before = before(&[CallState::Active]);
        let held_before = before(&[CallState::Held]);
        let setup_before =
            before(&[CallState::Incoming, CallState::Waiting, CallState::Dialing, CallState::Alerting]);
        // A call keeps its index when it is answered, when it is put on hold and when it is taken back.
        let held = (values.call_held > 0).then(|| held_before.or(active_before).unwrap_or(3));
        let taken = setup_before.filter(|_| values.call_setup == 0);
        let active = (values.call == 1 && values.call_held != 2).then(|| {
            let resumed = held_before.filter(|_| held.is_none());
            let others = [active_before, resumed, taken].into_iter().flatten();
            others.chain(1..=3).find(|index| Some(*index) != held).unwrap_or(1)
        });
        let free = |index: &u8| Some(*index) != held && Some(*index) != active;
        let setup = setup_before.into_iter().chain(1..=3).find(free).unwrap_or(1);
        let mut calls = Vec::new();
        let mut push = |index, incoming: Option<bool>, state| {
            let before = self.known.iter().find(|call| call.index == index);
            let incoming = incoming.or(before.map(|call| call.incoming)).unwrap_or(false);
            let number = before.and_then(|call| call.number.clone());
            calls.push(Call { index, incoming, state, number });
        };
        if let Some(active) = active {
            push(active, None, CallState::Active);
        }
        if let Some(held) = held {
            push(held, None, CallState::Held);
        }
        match values.call_setup {
            1 if values.call == 1 => push(setup, Some(true), CallState::Waiting),
            1 => push(setup, Some(true), CallState::Incoming),
            2 => push(setup, Some(false), CallState::Dialing),
            3 => push(setup, Some(false), CallState::Alerting),
            _ => {}
        }
        self.replace_by(calls)
    }

    /// `+CLIP` or `+CCWA` said who calls: for the call that comes in and has no number yet.
    pub fn name_caller(&mut self, number: &str) -> Option<Change> {
        let number = shown(number)?;
        let incoming = |call: &&mut Call| matches!(call.state, CallState::Incoming | CallState::Waiting);
        let call = self.known.iter_mut().find(incoming).filter(|call| call.number.is_none())?;
        call.number = Some(number);
        Some(Change::Now(call.clone()))
    }

    /// The link is gone: what goes on on the handset is not known here.
    pub fn clear(&mut self) -> Vec<Change> {
        self.replace_by(Vec::new())
    }

    fn replace_by(&mut self, mut calls: Vec<Call>) -> Vec<Change> {
        for call in &mut calls {
            // A number that was known stays known: some lists are without.
            let before = self.known.iter().find(|before| before.index == call.index);
            call.number = call.number.take().or_else(|| before.and_then(|before| before.number.clone()));
        }
        let gone = self.known.iter().filter(|before| calls.iter().all(|call| call.index != before.index));
        let mut changes: Vec<Change> = gone.map(|call| Change::Over(call.index)).collect();
        let new = calls.iter().filter(|call| !self.known.contains(call));
        changes.extend(new.cloned().map(Change::Now));
        self.known = calls;
        changes
    }
}

fn listed(rest: &str) -> Option<Call> {
    let mut fields = fields(rest);
    let index = fields.next()?.parse().ok().filter(|index| *index > 0)?;
    let incoming = match fields.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let state = match fields.next()? {
        "0" => CallState::Active,
        // 6: held by Response and Hold.
        "1" | "6" => CallState::Held,
        "2" => CallState::Dialing,
        "3" => CallState::Alerting,
        "4" => CallState::Incoming,
        "5" => CallState::Waiting,
        _ => return None,
    };
    let voice = fields.next()? == "0";
    let _multiparty = fields.next();
    let number = fields.next().and_then(quoted).and_then(shown);
    voice.then_some(Call { index, incoming, state, number })
}

fn shown(number: &str) -> Option<Pii<String>> {
    Some(kept(number)).filter(|number| !number.is_empty()).map(Pii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: u8, incoming: bool, state: CallState, number: Option<&str>) -> Call {
        Call { index, incoming, state, number: number.map(|number| Pii(number.to_owned())) }
    }

    fn list(calls: &mut Calls, lines: &[&str]) -> Vec<Change> {
        for line in lines {
            calls.read(line);
        }
        calls.finish()
    }

    #[test]
    fn a_list_is_compared_with_the_one_before_hfp_4_32() {
        let mut calls = Calls::default();
        let ringing = call(1, true, CallState::Incoming, Some("+15550100"));
        assert_eq!(list(&mut calls, &[r#"1,1,4,0,0,"+15550100",145"#]), [Change::Now(ringing.clone())]);
        assert_eq!(list(&mut calls, &["1,1,4,0,0"]), [], "the number stays known");
        let active = Call { state: CallState::Active, ..ringing };
        let waiting = call(2, true, CallState::Waiting, None);
        let changes = list(&mut calls, &["1,1,0,0,0", "2,1,5,0,0"]);
        assert_eq!(changes, [Change::Now(active), Change::Now(waiting.clone())]);
        let taken = Call { state: CallState::Active, ..waiting };
        assert_eq!(list(&mut calls, &["2,1,0,0,0"]), [Change::Over(1), Change::Now(taken)]);
        assert_eq!(calls.clear(), [Change::Over(2)]);
    }

    #[test]
    fn what_is_no_voice_call_or_no_call_at_all_is_passed_over() {
        let mut calls = Calls::default();
        let lines = ["1,1,4,1,0", "x", "", "1,2,0,0,0", "1,0,9,0,0", "300,0,0,0,0", "1,0"];
        assert_eq!(list(&mut calls, &lines), []);
        let many: Vec<String> = (1..=200).map(|index| format!("{index},0,0,0,0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(list(&mut calls, &many).len(), CALLS_MAX);
    }

    #[test]
    fn without_a_list_the_indicators_tell_the_calls_hfp_4_10() {
        let mut calls = Calls::default();
        let ringing = Values { call_setup: 1, ..Values::default() };
        assert_eq!(calls.follow(ringing), [Change::Now(call(1, true, CallState::Incoming, None))]);
        let named = call(1, true, CallState::Incoming, Some("5550100"));
        assert_eq!(calls.name_caller("5550100"), Some(Change::Now(named.clone())));
        assert_eq!(calls.name_caller("5550199"), None, "it has a number");
        let up = Values { call: 1, ..Values::default() };
        assert_eq!(calls.follow(up), [Change::Now(Call { state: CallState::Active, ..named })]);
        let waiting = Values { call: 1, call_setup: 1, ..Values::default() };
        assert_eq!(calls.follow(waiting), [Change::Now(call(2, true, CallState::Waiting, None))]);
        assert_eq!(calls.follow(up), [Change::Over(2)]);
        assert_eq!(calls.follow(Values::default()), [Change::Over(1)]);
    }

    #[test]
    fn without_a_list_a_call_on_hold_stays_the_same_call_hfp_4_10() {
        let mut calls = Calls::default();
        let up = Values { call: 1, ..Values::default() };
        let held = Values { call_held: 2, ..up };
        let beside = Values { call_held: 1, ..up };
        calls.follow(up);
        assert_eq!(calls.follow(held), [Change::Now(call(1, false, CallState::Held, None))]);
        assert_eq!(calls.follow(up), [Change::Now(call(1, false, CallState::Active, None))]);
        let waiting = Values { call_setup: 1, ..up };
        assert_eq!(calls.follow(waiting), [Change::Now(call(2, true, CallState::Waiting, None))]);
        let changes = calls.follow(beside);
        assert!(changes.contains(&Change::Now(call(1, false, CallState::Held, None))), "{changes:?}");
        assert!(changes.contains(&Change::Now(call(2, true, CallState::Active, None))), "{changes:?}");
        assert_eq!(calls.follow(held), [Change::Over(2)], "the active one ended");
        assert_eq!(calls.follow(up), [Change::Now(call(1, false, CallState::Active, None))]);
        assert_eq!(calls.follow(Values::default()), [Change::Over(1)]);
    }
}
