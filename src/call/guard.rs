//! The outbound guard: what is asked before any leg dials. Emergency numbers are never dialled by a program, nor are
//! those that cost extra; calls in an hour and in a day and their minutes are bounded, so that a fault in a client
//! costs neither lives nor a fortune.

mod costly;
mod minutes;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::command::{Conflict, Refusal, RefusalKind, Target};
use super::config::Config;
use crate::base::Number;

pub use minutes::Talked;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Emergency numbers of the world, as dialled. Numbers that are ordinary somewhere else are here too: refusing an
/// extension is repaired by a list of one's own (`emergency_numbers`), sending out an ambulance is not.
const EMERGENCY_NUMBERS: [&[&str]; 6] = [
    // Where GSM or the local network redirects them almost anywhere.
    &["112", "911", "999", "000"],
    // The same behind a telephone system that wants 0 or 9 for an outside line, or 1 for long distance.
    &["0112", "9112", "0911", "9911", "1911", "0999", "9999", "0000"],
    // Europe.
    &[
        "01", "02", "03", "04", "15", "17", "18", "92", "93", "94", "061", "062", "080", "085", "091", "092",
        "100", "101", "102", "103", "104", "105", "107", "108", "110", "113", "114", "115", "117", "118",
        "119", "122", "133", "140", "144", "150", "155", "156", "158", "159", "166", "199",
    ],
    // The Americas.
    &[
        "060", "065", "066", "068", "106", "116", "123", "131", "132", "171", "190", "191", "192", "193",
        "194", "988",
    ],
    // Africa and the Middle East.
    &["111", "125", "175", "197", "198", "996", "997", "998", "10111", "10177"],
    // Asia and the Pacific.
    &["16", "120", "994", "995", "1122", "1669"],
];

/// International prefixes, and the country where each is one; `None` where the digits mean nothing else.
const INTERNATIONAL_PREFIXES: [(&str, Option<&str>); 5] =
    [("0011", None), ("00", None), ("011", Some("1")), ("810", Some("7")), ("010", Some("81"))];

/// Digits of an emergency number that is dialled behind a country code; longer ones could be subscribers there.
const BEHIND_COUNTRY_DIGITS_MAX: usize = 3;

/// A number without any prefix is read as beginning with our own country code from this length on; shorter ones are
/// extensions (1110 in the country 1).
const AT_HOME_DIGITS_MIN: usize = 5;

/// Why a call is not dialled. No sentence holds the number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It would reach an emergency service.
    #[error("emergency numbers are never dialled; the list is emergency_numbers in the configuration")]
    Emergency,
    /// It is a premium service.
    #[error("numbers that cost extra are not dialled; the list is premium_numbers in the configuration")]
    Premium,
    /// It is short, and such numbers are not dialled on this line.
    #[error(
        "short numbers are not dialled on this line; allowed_short_numbers in the configuration may list them"
    )]
    Short,
    /// Too many outbound calls began lately.
    #[error("the budget of {max} outbound calls per {window} is spent ({key} in the configuration)")]
    Budget {
        /// How many are allowed.
        max: u32,
        /// `hour` or `day`.
        window: &'static str,
        /// The key that says so.
        key: &'static str,
        /// Seconds until one more is allowed.
        retry_after_sec: u64,
    },
    /// Too many minutes were talked lately.
    #[error(
        "the budget of {max} outbound minutes per day is spent (outbound_minutes_per_day in the configuration)"
    )]
    Minutes {
        /// How many are allowed.
        max: u32,
        /// Seconds until a call is allowed.
        retry_after_sec: u64,
    },
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Emergency => Self::conflict(Conflict::EmergencyNumber, message),
            Refused::Premium => Self::conflict(Conflict::PremiumNumber, message),
            Refused::Short => Self::conflict(Conflict::ShortNumber, message),
            Refused::Budget { retry_after_sec, .. } | Refused::Minutes { retry_after_sec, .. } => {
                Self { retry_after_sec: Some(retry_after_sec), ..Self::new(RefusalKind::Budget, message) }
            }
        }
    }
}

/// Whether this target may be dialled now. `started_unix_ms` says when the outbound calls of at least the last
/// 24 hours began, `talked` when they were answered, those under way too; both in any order.
pub fn check(
    target: &Target,
    config: &Config,
    started_unix_ms: &[i64],
    talked: &[Talked],
    now_unix_ms: i64,
) -> Result<(), Refused> {
    if is_emergency(target, config) {
        return Err(Refused::Emergency);
    }
    if costly::is_premium(target, config) {
        return Err(Refused::Premium);
    }
    if costly::is_short(target, config) {
        return Err(Refused::Short);
    }
    let budgets = [
        (config.outbound_calls_per_day_max, DAY_MS, "day", "outbound_calls_per_day_max"),
        (config.outbound_calls_per_hour_max, HOUR_MS, "hour", "outbound_calls_per_hour_max"),
    ];
    for (max, window_ms, window, key) in budgets {
        if let Some(retry_after_sec) = spent(max, window_ms, started_unix_ms, now_unix_ms) {
            return Err(Refused::Budget { max, window, key, retry_after_sec });
        }
    }
    let max = config.outbound_minutes_per_day;
    if let Some(retry_after_sec) = minutes::spent(max, talked, now_unix_ms) {
        return Err(Refused::Minutes { max, retry_after_sec });
    }
    Ok(())
}

/// Seconds until one more call fits, when `max` (0: no limit) or more began within the window.
fn spent(max: u32, window_ms: i64, started_unix_ms: &[i64], now_unix_ms: i64) -> Option<u64> {
    let max = max as usize;
    // A start in the future is a clock that was set back: it counts as if it were now.
    let mut within: Vec<i64> = started_unix_ms
        .iter()
        .map(|&at| at.min(now_unix_ms))
        .filter(|&at| at > now_unix_ms.saturating_sub(window_ms))
        .collect();
    if max == 0 || within.len() < max {
        return None;
    }
    within.sort_unstable();
    let leaves_last = within.get(within.len() - max)?;
    let wait_ms = leaves_last.saturating_add(window_ms).saturating_sub(now_unix_ms);
    Some(wait_ms.max(1).unsigned_abs().div_ceil(1000))
}

fn is_emergency(target: &Target, config: &Config) -> bool {
    let is_listed = |dialled: &str| match &config.emergency_numbers {
        Some(list) => list.iter().any(|listed| listed == dialled),
        None => EMERGENCY_NUMBERS.iter().any(|region| region.contains(&dialled)),
    };
    let country_code = config.country_code.as_deref();
    let is_sos = |user: &String| {
        let user = user.to_ascii_lowercase();
        user == "sos" || user.starts_with("sos.")
    };
    let asks_for_help = match target {
        Target::Number(_) => false,
        Target::Uri(uri) => users_of(&uri.0).iter().any(is_sos),
    };
    asks_for_help
        || numbers_of(target)
            .iter()
            .any(|number| dialled_forms(number, country_code).iter().any(|form| is_listed(form)))
}

/// The number, or every one that some element on the way may read in a URI.
fn numbers_of(target: &Target) -> Vec<Number> {
    match target {
        Target::Number(number) => vec![number.clone()],
        Target::Uri(uri) => users_of(&uri.0).iter().filter_map(|user| Number::parse(user).ok()).collect(),
    }
}

/// What a network may take this number for: the digits themselves, and short digits behind a country code, which
/// some trunks route within that country (`+49112`, `0049112`, `+49 (0) 112`, and `49112` at home).
fn dialled_forms<'a>(number: &'a Number, country_code: Option<&str>) -> Vec<&'a str> {
    let mut forms = vec![number.digits()];
    let mut behind = |international: &'a str| {
        let national = international.get(country_code_len(international)..).unwrap_or("");
        for short in [Some(international), Some(national), national.strip_prefix('0')].into_iter().flatten() {
            if (1..=BEHIND_COUNTRY_DIGITS_MAX).contains(&short.len()) {
                forms.push(short);
            }
        }
    };
    if number.as_str().starts_with('+') {
        behind(number.digits());
        return forms;
    }
    for (prefix, country) in INTERNATIONAL_PREFIXES {
        if country.is_none() || country == country_code {
            number.digits().strip_prefix(prefix).into_iter().for_each(&mut behind);
        }
    }
    let is_at_home = country_code.is_some_and(|country| number.digits().starts_with(country));
    if is_at_home && number.digits().len() >= AT_HOME_DIGITS_MIN {
        behind(number.digits());
    }
    forms
}

/// How many digits the country code has with which an international number begins (ITU-T E.164, list of codes).
fn country_code_len(international: &str) -> usize {
    match international.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    }
}

/// Every text that some element on the way may read as the user part of a URI, percent-decoded: up to the first and
/// up to the last `@`, or the whole when there is none (`sip:112`); without password and parameters (RFC 3261
/// 19.1.1); whole, and what follows the last service code (`#31#112`).
fn users_of(uri: &str) -> Vec<String> {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest).trim_start_matches('/');
    let ends = [rest.find('@'), rest.rfind('@'), Some(rest.len())];
    let mut users = Vec::new();
    for user in ends.into_iter().flatten().filter_map(|end| rest.get(..end)) {
        let decoded = percent_decode_str(user).decode_utf8_lossy();
        for raw in [user, &*decoded] {
            let bare = raw.split([':', ';', ',', '?', '@']).next().unwrap_or("").trim();
            let last = bare.rsplit(['*', '#']).next().unwrap_or("");
            users.push(bare.to_owned());
            users.push(last.to_owned());
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::Pii;

    const NOW: i64 = 1_795_337_467_000;

    /// Over SIP, where short numbers are extensions.
    fn config(changes: Value) -> Config {
        let sip = json!({"telephony_backend": "sip"});
        let sip = Config::default().patched(sip.as_object().unwrap()).unwrap();
        sip.patched(changes.as_object().unwrap()).unwrap()
    }

    fn verdict(text: &str, config: &Config) -> Result<(), Refused> {
        let target = if text.contains("sip") || text.contains(':') {
            Target::Uri(Pii(text.into()))
        } else {
            Target::Number(Number::parse(text).unwrap())
        };
        check(&target, config, &[], &[], NOW)
    }

    #[test]
    fn emergency_numbers_are_refused_in_every_form_that_is_dialled() {
        let unknown_country = config(json!({}));
        for text in [
            "112",
            "1-1-2",
            "(911)",
            "999",
            "000",
            "110",
            "119",
            "15",
            "066",
            "190",
            "9911",
            "0112",
            "+112",
            "+911",
            "+49112",
            "+49 (0) 112",
            "+1911",
            "0049112",
            "00112",
            "+44999",
            "+61000",
            "+353112",
            "001149112",
            "sip:112@pbx.example",
            "SIP:112@pbx.example",
            "sips:911@h",
            "sip:+49112@h;user=phone",
            "sip:112",
            "tel:112",
            "sip:1-1-2@h",
            "sip:%31%31%32@h",
            "sip:112;phone-context=+49@h",
            "sip:112:secret@h",
            "sip:112@a@b",
            "sip:#31#112@h",
            "sip:*31%23112@h",
            "sip:0049112@h",
            "sip:sos@h",
            "sip:sos.police@h",
            "sip:112,1@h",
        ] {
            assert_eq!(verdict(text, &unknown_country), Err(Refused::Emergency), "{text}");
        }
        assert_eq!(verdict("49112", &config(json!({"country_code": "49"}))), Err(Refused::Emergency));
        assert_eq!(verdict("01149112", &config(json!({"country_code": "1"}))), Err(Refused::Emergency));
        assert_eq!(verdict("81049112", &config(json!({"country_code": "7"}))), Err(Refused::Emergency));
    }

    #[test]
    fn ordinary_numbers_and_extensions_are_dialled() {
        for country in [json!(null), json!("49"), json!("1"), json!("39"), json!("81")] {
            let config = config(json!({"country_code": country}));
            for text in [
                "+905551112233",
                "+493011220",
                "030112",
                "+49301120",
                "0113 234 0112",
                "1120",
                "1001",
                "200",
                "6001",
                "5551112",
                "+2903112",
                "01132340112",
                "sip:alice@example.com",
                "sip:1001@pbx",
                "sip:bob@112.example",
                "sip:sosumi@h",
                "sip:echo%40home@h",
                "+49180112",
            ] {
                assert_eq!(verdict(text, &config), Ok(()), "{text} {country}");
            }
        }
    }

    #[test]
    fn a_list_replaces_the_built_in_one() {
        let own = config(json!({"emergency_numbers": ["112", "5-5-5"]}));
        for text in ["112", "555", "+49112", "sip:555@h"] {
            assert_eq!(verdict(text, &own), Err(Refused::Emergency), "{text}");
        }
        for text in ["110", "9911", "101", "sip:100@pbx"] {
            assert_eq!(verdict(text, &own), Ok(()), "{text}");
        }
        assert_eq!(verdict("112", &config(json!({"emergency_numbers": []}))), Ok(()));
    }

    #[test]
    fn the_built_in_list_names_each_number_once_as_plain_digits() {
        let mut list = EMERGENCY_NUMBERS.concat();
        let listed = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), listed);
        assert!(list.iter().all(|number| number.len() <= 5 && number.bytes().all(|b| b.is_ascii_digit())));
    }

    fn budget(changes: Value, started: &[i64]) -> Option<(&'static str, u64)> {
        let target = Target::Number(Number::parse("+905551112233").unwrap());
        match check(&target, &config(changes), started, &[], NOW) {
            Ok(()) => None,
            Err(Refused::Budget { window, retry_after_sec, .. }) => Some((window, retry_after_sec)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_spent_budget_says_when_one_more_call_fits() {
        let two = json!({"outbound_calls_per_hour_max": 2, "outbound_calls_per_day_max": 3});
        let minutes_ago = |minutes: i64| NOW - minutes * 60_000;
        assert_eq!(budget(two.clone(), &[]), None);
        assert_eq!(budget(two.clone(), &[minutes_ago(10)]), None);
        assert_eq!(budget(two.clone(), &[minutes_ago(10), minutes_ago(50)]), Some(("hour", 600)));
        assert_eq!(budget(two.clone(), &[minutes_ago(60), minutes_ago(50)]), None);
        let lowered = [minutes_ago(50), minutes_ago(40), minutes_ago(10)];
        assert_eq!(budget(json!({"outbound_calls_per_hour_max": 1}), &lowered), Some(("hour", 3000)));
        let day = [minutes_ago(23 * 60), minutes_ago(61), minutes_ago(62)];
        assert_eq!(budget(two, &day), Some(("day", 3600)));
        let none = json!({"outbound_calls_per_hour_max": 0, "outbound_calls_per_day_max": 0});
        assert_eq!(budget(none, &[NOW; 1000]), None);
    }

    #[test]
    fn a_clock_set_back_never_makes_the_wait_longer_than_the_window() {
        let one = json!({"outbound_calls_per_hour_max": 1});
        assert_eq!(budget(one.clone(), &[NOW + DAY_MS]), Some(("hour", 3600)));
        assert_eq!(budget(one, &[i64::MAX, i64::MIN]), Some(("hour", 3600)));
    }

    #[test]
    fn refusals_are_409_and_429_and_hold_no_number() {
        let conflict = |refusal: &Refusal, which| {
            assert_eq!((refusal.kind, refusal.retry_after_sec), (RefusalKind::Conflict(which), None));
        };
        conflict(&Refusal::from(Refused::Emergency), Conflict::EmergencyNumber);
        let country = config(json!({"country_code": "49", "allowed_short_numbers": ["22"]}));
        for (text, which, key) in [
            ("0900 1 234567", Conflict::PremiumNumber, "premium_numbers"),
            ("1001", Conflict::ShortNumber, "allowed_short_numbers"),
        ] {
            let refusal = Refusal::from(verdict(text, &country).unwrap_err());
            conflict(&refusal, which);
            assert!(refusal.message.contains(key) && !refusal.message.contains('1'), "{}", refusal.message);
        }
        let talked = [Talked { from_unix_ms: NOW - 120_000, to_unix_ms: NOW }];
        let target = Target::Number(Number::parse("+905551112233").unwrap());
        let limited = config(json!({"outbound_minutes_per_day": 2}));
        let refusal = Refusal::from(check(&target, &limited, &[], &talked, NOW).unwrap_err());
        assert_eq!((refusal.kind, refusal.retry_after_sec), (RefusalKind::Budget, Some(86_400 - 120 + 1)));
        assert!(refusal.message.contains("2 outbound minutes per day"));
        let spent = Refused::Budget {
            max: 2,
            window: "hour",
            key: "outbound_calls_per_hour_max",
            retry_after_sec: 9,
        };
        let refusal = Refusal::from(spent);
        assert_eq!((refusal.kind, refusal.retry_after_sec), (RefusalKind::Budget, Some(9)));
        assert!(refusal.message.contains("2 outbound calls per hour"));
    }
}
