//! The policy for incoming calls: who is answered, and at what time.

use serde_json::{Value, json};

use super::config::{BusinessHours, CallPolicyMode, Config, UnknownCallers, Weekday};
use crate::base::Number;

/// What becomes of an incoming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is answered after `auto_answer_delay_sec`.
    Answer,
    /// It is left to ring.
    Ignore,
    /// It is refused.
    Reject,
}

impl Action {
    /// `policy_action` of a session.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Ignore => "ignore",
            Self::Reject => "reject",
        }
    }
}

/// An action with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What shall be done.
    pub action: Action,
    /// `policy_reason` of a session.
    pub reason: &'static str,
}

impl Decision {
    /// The member `decision` of the event `call_policy`.
    pub fn to_json(self) -> Value {
        json!({"action": self.action.as_str(), "reason": self.reason})
    }
}

/// Decides about an incoming call at a local time. Whether calls are answered at all (`auto_answer`) is asked before.
pub fn decide(config: &Config, number: Option<&Number>, local: jiff::civil::DateTime) -> Decision {
    let answer = |reason| Decision { action: Action::Answer, reason };
    let turn_away = |reason| {
        let action = if config.auto_reject_blocked { Action::Reject } else { Action::Ignore };
        Decision { action, reason }
    };
    let is_listed = |list: &[String]| {
        let country_code = config.country_code.as_deref();
        number.is_some_and(|number| list.iter().any(|pattern| matches(pattern, number, country_code)))
    };
    if !is_open(config.business_hours, &config.business_days, local) {
        return turn_away("outside_business_hours");
    }
    let denied_unknown = number.is_none() && config.unknown_callers == UnknownCallers::Deny;
    match config.call_policy_mode {
        CallPolicyMode::Allowlist if is_listed(&config.allowed_callers) => answer("allowlist_match"),
        CallPolicyMode::Allowlist if number.is_none() => turn_away("unknown_caller"),
        CallPolicyMode::Allowlist => turn_away("allowlist_miss"),
        CallPolicyMode::Blocklist if is_listed(&config.blocked_callers) => turn_away("blocklist_match"),
        CallPolicyMode::Blocklist | CallPolicyMode::AllowAll if denied_unknown => turn_away("unknown_caller"),
        CallPolicyMode::Blocklist => answer("blocklist_pass"),
        CallPolicyMode::AllowAll => answer("allow_all"),
    }
}

/// Whether a local time is a business time. A window past midnight belongs to the day on which it begins.
fn is_open(hours: Option<BusinessHours>, days: &[Weekday], local: jiff::civil::DateTime) -> bool {
    let today = local.weekday();
    let is_business_day = |day: jiff::civil::Weekday| days.contains(&day.into());
    match hours {
        None => is_business_day(today),
        Some(hours) => {
            hours.begun_today(local.time()) && is_business_day(today)
                || hours.begun_yesterday(local.time()) && is_business_day(today.previous())
        }
    }
}

/// Whether an entry of a caller list means this number: the whole number (as a person would compare it), its last
/// digits, or a glob over its written form, with or without `+`, or over its E.164 form.
fn matches(pattern: &str, number: &Number, country_code: Option<&str>) -> bool {
    if pattern.contains(['*', '?']) {
        let glob: Vec<u8> =
            pattern.bytes().filter(|b| !matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')')).collect();
        let international = number.e164(country_code);
        return [Some(number.as_str()), Some(number.digits()), international.as_deref()]
            .into_iter()
            .flatten()
            .any(|text| glob_matches(&glob, text.as_bytes()));
    }
    let Ok(pattern) = Number::parse(pattern) else { return false };
    let is_suffix = !pattern.as_str().starts_with('+') && number.digits().ends_with(pattern.digits());
    is_suffix || pattern.same_line(number, country_code)
}

/// `*` is any text, `?` any one character. Goes back to the last `*` only, so the time is bounded by the product
/// of the lengths.
pub(super) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while read < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                last_star = Some((at + 1, read));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || Some(&wanted) == text.get(read) => {
                at += 1;
                read += 1;
            }
            Some(_) | None => {
                let Some((after, from)) = last_star else { return false };
                last_star = Some((after, from + 1));
                (at, read) = (after, from + 1);
            }
        }
    }
    glob.get(at..).is_some_and(|rest| rest.iter().all(|&b| b == b'*'))
}

#[cfg(test)]
mod tests {
    use jiff::civil::{DateTime, date};

    use super::*;

    fn config(changes: Value) -> Config {
        Config::default().patched(changes.as_object().unwrap()).unwrap()
    }

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    /// 2026-11-22 is a Sunday.
    fn november(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 11, day).at(hour, minute, 0, 0)
    }

    fn reason(changes: Value, from: Option<&str>) -> (&'static str, &'static str) {
        let decision = decide(&config(changes), from.map(number).as_ref(), november(23, 12, 0));
        (decision.action.as_str(), decision.reason)
    }

    #[test]
    fn the_actions_are_those_of_the_description() {
        assert_eq!(Action::Reject as usize, 2);
        let actions = [Action::Answer, Action::Ignore, Action::Reject].map(Action::as_str);
        crate::call::api::document::lists("PolicyAction", actions);
    }

    #[test]
    fn every_rule_of_the_policy_has_its_reason() {
        let from = Some("+905551112233");
        assert_eq!(reason(json!({}), from), ("answer", "allow_all"));
        assert_eq!(reason(json!({}), None), ("answer", "allow_all"));
        assert_eq!(reason(json!({"unknown_callers": "deny"}), from), ("answer", "allow_all"));
        assert_eq!(reason(json!({"unknown_callers": "deny"}), None), ("ignore", "unknown_caller"));

        let allow = json!({"call_policy_mode": "allowlist", "allowed_callers": ["+905551112233"]});
        assert_eq!(reason(allow.clone(), from), ("answer", "allowlist_match"));
        assert_eq!(reason(allow.clone(), Some("+905551112234")), ("ignore", "allowlist_miss"));
        assert_eq!(reason(allow, None), ("ignore", "unknown_caller"));

        let block = json!({"call_policy_mode": "blocklist", "blocked_callers": ["*2233"],
            "unknown_callers": "deny", "auto_reject_blocked": true});
        assert_eq!(reason(block.clone(), from), ("reject", "blocklist_match"));
        assert_eq!(reason(block.clone(), Some("+4930")), ("answer", "blocklist_pass"));
        assert_eq!(reason(block, None), ("reject", "unknown_caller"));
        let lenient = json!({"call_policy_mode": "blocklist", "blocked_callers": ["*"]});
        assert_eq!(reason(lenient, None), ("answer", "blocklist_pass"));
    }

    #[test]
    fn the_hours_come_before_the_lists_and_say_so() {
        let closed = json!({"business_hours": "13:00-17:00", "call_policy_mode": "allowlist",
            "allowed_callers": ["1"], "auto_reject_blocked": true});
        assert_eq!(reason(closed, Some("1")), ("reject", "outside_business_hours"));
        assert_eq!(
            reason(json!({"business_days": ["tue"]}), Some("1")),
            ("ignore", "outside_business_hours")
        );
    }

    #[test]
    fn a_window_holds_its_begin_and_not_its_end() {
        let hours = config(json!({"business_hours": "09:00-17:00", "business_days": ["mon"]}));
        let open = |day, hour, minute| {
            is_open(hours.business_hours, &hours.business_days, november(day, hour, minute))
        };
        assert!(open(23, 9, 0) && open(23, 16, 59));
        assert!(!open(23, 8, 59) && !open(23, 17, 0) && !open(24, 12, 0));
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_on_which_it_begins() {
        let hours = config(json!({"business_hours": "22:00-06:00", "business_days": ["fri"]}));
        let open = |day, hour, minute| {
            is_open(hours.business_hours, &hours.business_days, november(day, hour, minute))
        };
        assert!(open(20, 22, 0) && open(20, 23, 59) && open(21, 0, 0) && open(21, 5, 59));
        assert!(!open(20, 5, 59) && !open(20, 21, 59) && !open(21, 6, 0) && !open(21, 22, 0));
    }

    #[test]
    fn the_same_begin_and_end_is_a_whole_day() {
        let hours = config(json!({"business_hours": "08:00-08:00", "business_days": ["mon"]}));
        let open = |day, hour| is_open(hours.business_hours, &hours.business_days, november(day, hour, 0));
        assert!(open(23, 8) && open(24, 7) && !open(23, 7) && !open(24, 8));
    }

    #[test]
    fn patterns_are_whole_numbers_last_digits_or_globs() {
        for (pattern, from, country, expected) in [
            ("+90 (555) 111-22.33", "+905551112233", None, true),
            ("030 123", "+4930123", Some("49"), true),
            ("030 123", "+4930123", None, false),
            ("1112233", "+905551112233", None, true),
            ("1112234", "+905551112233", None, false),
            ("+1112233", "+905551112233", None, false),
            ("1112233", "112233", None, false),
            ("*4443322", "+494443322", None, true),
            ("*4443322", "4443322", None, true),
            ("+49*", "+4930123", None, true),
            ("+49*", "030123", Some("49"), true),
            ("+49*", "030123", None, false),
            ("49*22", "+493022", None, true),
            ("100?", "1001", None, true),
            ("100?", "10011", None, false),
            ("?*", "1", None, true),
            ("*1*2*3", "91929", None, false),
            ("*1*2*3", "9192934563", None, true),
            ("+49 30-*", "+4930123", None, true),
        ] {
            assert_eq!(matches(pattern, &number(from), country), expected, "{pattern} {from} {country:?}");
        }
    }

    #[test]
    fn a_glob_of_many_stars_takes_no_time() {
        let glob = "*1".repeat(120);
        assert!(!matches(&glob, &number(&"1".repeat(32)), None));
    }

    #[test]
    fn a_decision_is_an_object_for_the_event() {
        let decision = decide(&Config::default(), None, november(23, 1, 0));
        assert_eq!(decision.to_json(), json!({"action": "answer", "reason": "allow_all"}));
    }
}
