//! The phone's indicators (HFP 4.34.2 `+CIND`, `+CIEV`; 4.35): it says once in which order they come, then only
//! numbers.

use super::at::{fields, list, quoted};

/// Indicators that a phone lists at most; HFP has seven, phones add their own.
const INDICATORS_MAX: usize = 20;

/// The indicators that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indicator {
    /// `service`: 1 with a network.
    Service,
    /// `call`: 1 while a call is active or held.
    Call,
    /// `callsetup`: 0 none, 1 incoming, 2 dialling, 3 the other end rings.
    CallSetup,
    /// `callheld`: 0 none, 1 one held and one active, 2 only held.
    CallHeld,
    /// `signal`: 0 to 5.
    Signal,
    /// `roam`: 1 in a foreign network.
    Roam,
    /// `battchg`: 0 to 5.
    BatteryCharge,
}

impl Indicator {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "service" => Self::Service,
            "call" => Self::Call,
            // The second form is that of HFP 1.0.
            "callsetup" | "call_setup" => Self::CallSetup,
            "callheld" => Self::CallHeld,
            "signal" => Self::Signal,
            "roam" => Self::Roam,
            "battchg" => Self::BatteryCharge,
            _ => return None,
        })
    }

    fn max(self) -> u8 {
        match self {
            Self::Service | Self::Call | Self::Roam => 1,
            Self::CallSetup => 3,
            Self::CallHeld => 2,
            Self::Signal | Self::BatteryCharge => 5,
        }
    }
}

/// The last values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the indicators of the enum")]
pub struct Values {
    pub service: u8,
    pub call: u8,
    pub call_setup: u8,
    pub call_held: u8,
    pub signal: u8,
    pub roam: u8,
    pub battery_charge: u8,
}

/// Order and values.
#[derive(Clone, Debug, Default)]
pub struct Indicators {
    order: Vec<Option<Indicator>>,
    values: Values,
}

impl Indicators {
    /// The last values.
    pub fn values(&self) -> Values {
        self.values
    }

    /// Whether the phone has said which it has, the two without which no call can be followed among them.
    pub fn is_usable(&self) -> bool {
        [Indicator::Call, Indicator::CallSetup].iter().all(|needed| self.order.contains(&Some(*needed)))
    }

    /// `+CIND: ("service",(0,1)),…`, the answer to `AT+CIND=?`.
    pub fn read_order(&mut self, rest: &str) {
        let name = |field| quoted(fields(list(field)?).next()?);
        self.order =
            fields(rest).take(INDICATORS_MAX).map(|field| name(field).and_then(Indicator::of)).collect();
    }

    /// `+CIND: 1,0,…`, the answer to `AT+CIND?`.
    pub fn read_values(&mut self, rest: &str) {
        for (index, field) in fields(rest).take(INDICATORS_MAX).enumerate() {
            self.set(index, field);
        }
    }

    /// `+CIEV: index,value`; indices count from 1. What changed, if anything did; when two calls change places,
    /// `callheld` is told as it was (HFP 4.22.2).
    pub fn read_event(&mut self, rest: &str) -> Option<Indicator> {
        let mut fields = fields(rest);
        let index = fields.next()?.parse::<usize>().ok()?.checked_sub(1)?;
        self.set(index, fields.next()?)
    }

    fn set(&mut self, index: usize, value: &str) -> Option<Indicator> {
        let indicator = (*self.order.get(index)?)?;
        let value = value.parse::<u8>().ok()?.min(indicator.max());
        let slot = match indicator {
            Indicator::Service => &mut self.values.service,
            Indicator::Call => &mut self.values.call,
            Indicator::CallSetup => &mut self.values.call_setup,
            Indicator::CallHeld => &mut self.values.call_held,
            Indicator::Signal => &mut self.values.signal,
            Indicator::Roam => &mut self.values.roam,
            Indicator::BatteryCharge => &mut self.values.battery_charge,
        };
        let swapped = indicator == Indicator::CallHeld && value == 1;
        (std::mem::replace(slot, value) != value || swapped).then_some(indicator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_the_phones_own_order_says() {
        let mut indicators = Indicators::default();
        assert!(!indicators.is_usable());
        indicators.read_order(r#"("callsetup",(0-3)),("newmail",(0,1)),("call",(0,1)),("battchg",(0-5))"#);
        assert!(indicators.is_usable());
        indicators.read_values("1,1,0,4");
        assert_eq!(indicators.values(), Values { call_setup: 1, battery_charge: 4, ..Values::default() });
        assert_eq!(indicators.read_event("3,1"), Some(Indicator::Call));
        assert_eq!(indicators.read_event("3,1"), None, "no change");
        assert_eq!(indicators.read_event("2,1"), None, "not one of ours");
    }

    #[test]
    fn nonsense_changes_nothing_and_too_much_is_cut() {
        let mut indicators = Indicators::default();
        indicators.read_order(r#"("call",(0,1)),(((,call,("call_setup",(0-3))"#);
        for event in ["", "0,1", "9,1", "1", "1,", "1,x", "-1,1", "1,-1", "99999999999999999999,1"] {
            assert_eq!(indicators.read_event(event), None, "{event:?}");
        }
        indicators.read_event("1,200");
        assert_eq!(indicators.values().call, 1);
    }
}
