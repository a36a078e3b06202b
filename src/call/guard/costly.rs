//! Numbers that cost more than a call: premium services, and short numbers on a SIM. A program that dials them by
//! mistake, or because somebody led it there, spends its owner's money.

use super::{INTERNATIONAL_PREFIXES, numbers_of};
use crate::base::Number;
use crate::call::command::Target;
use crate::call::config::{Backend, Config};
use crate::call::policy::glob_matches;

/// Numbers with so many digits and no `+` are short: services of the network, or extensions behind a telephone system.
const SHORT_DIGITS_MAX: usize = 6;

/// Our own country code without `+` before it is read as one from this length on: shorter ones are local numbers.
const AT_HOME_DIGITS_MIN: usize = 10;

/// Premium services in their international form, as the countries' numbering plans have them (each regulator's plan, as
/// notified to the ITU). Only what costs extra by its plan: shared-cost and free services are dialled. Where a plan has
/// no such range to itself (Hong Kong, Malta), nothing is listed.
const PREMIUM_NUMBERS: &[&[&str]] = &[
    // Of no country (ITU-T E.164.1): premium services, satellites, networks of their own.
    &["+979*", "+870*", "+881*", "+882*", "+883*"],
    // North America; the second form is what 1 900 becomes where the trunk prefix 1 was dialled. Mexico, Brazil,
    // Argentina.
    &["+1900*", "+11900*", "+52900*", "+55900*", "+54600*", "+54609*"],
    // Germany, Austria, Switzerland; directories are short, 118 is not.
    &["+49900*", "+49137*", "+49138*", "+49118??", "+49118???"],
    &["+43900*", "+43901*", "+43930*", "+43931*", "+43939*", "+43118??", "+43118???"],
    &["+41900*", "+41901*", "+41906*"],
    // Britain, Ireland (a number of Dublin, +353 1 5…, is two digits shorter).
    &["+449*", "+44871*", "+44872*", "+44873*", "+4470*", "+44118???", "+35315????????", "+353118??"],
    // France, the Netherlands, Belgium, Luxembourg.
    &["+3389*", "+33118???", "+31900*", "+31906*", "+31909*", "+3118??"],
    &["+3290*", "+352900*", "+352901*", "+352905*"],
    // Spain, Portugal, Italy, Greece, Cyprus.
    &["+34803*", "+34806*", "+34807*", "+34905*", "+34907*", "+34118??"],
    &["+351601*", "+351646*", "+351648*", "+351760*", "+351761*", "+351762*"],
    &["+39892*", "+39893*", "+39894*", "+39895*", "+39899*", "+3090*", "+35790*"],
    // Denmark, Sweden, Norway, Finland, Iceland, Estonia, Latvia, Lithuania.
    &["+4590*", "+46900*", "+46939*", "+46944*", "+47820*", "+47829*", "+358600*", "+358700*", "+35490*"],
    &["+37290*", "+37190*", "+37090*"],
    // Poland, Czechia, Slovakia, Hungary, Romania, Bulgaria, Moldova.
    &["+4870*", "+42090*", "+421900*", "+3690*", "+36690*", "+4090*", "+35990*", "+373900*"],
    // Slovenia, Croatia, Bosnia, Serbia.
    &["+38690*", "+38560*", "+38790*", "+38190*"],
    // Turkey, Israel, Ukraine, Russia.
    &["+90900*", "+97219*", "+380900*", "+7809*", "+78809*"],
    // Australia, New Zealand, Japan, Korea, Taiwan, Singapore, Thailand.
    &["+61190*", "+64900*", "+81990*", "+8260*", "+886204*", "+886209*", "+651900*", "+661900*"],
];

/// It is a premium service, by the list of the configuration or the built-in one.
pub(super) fn is_premium(target: &Target, config: &Config) -> bool {
    let country_code = config.country_code.as_deref();
    let is_like = |number: &Number, listed: &str| {
        let forms = forms(number, country_code);
        forms.iter().any(|form| glob_matches(listed.as_bytes(), form.as_bytes()))
    };
    numbers_of(target).iter().any(|number| match &config.premium_numbers {
        Some(list) => list.iter().any(|listed| is_like(number, listed)),
        None => PREMIUM_NUMBERS.iter().copied().flatten().any(|listed| {
            // 900 alone is an extension, not the beginning of a service.
            !(is_short_form(number) && listed.ends_with('*')) && is_like(number, listed)
        }),
    })
}

fn is_short_form(number: &Number) -> bool {
    !number.as_str().starts_with('+') && number.digits().len() <= SHORT_DIGITS_MAX
}

/// It is short, and short numbers are not dialled on this line. Unless a list says otherwise, they are extensions over
/// SIP, and what a network sells on a SIM.
pub(super) fn is_short(target: &Target, config: &Config) -> bool {
    let is_allowed = |number: &Number| match &config.allowed_short_numbers {
        Some(list) => list.iter().any(|listed| glob_matches(listed.as_bytes(), number.as_str().as_bytes())),
        None => config.selected_backend() == Backend::Sip,
    };
    numbers_of(target).iter().filter(|number| is_short_form(number)).any(|number| !is_allowed(number))
}

/// The number as it is dialled, and in every international form that a network may read it in.
fn forms(number: &Number, country_code: Option<&str>) -> Vec<String> {
    let mut forms = vec![number.as_str().to_owned()];
    forms.extend(number.e164(country_code));
    let digits = number.digits();
    if number.as_str().starts_with('+') {
        return forms;
    }
    for (prefix, country) in INTERNATIONAL_PREFIXES {
        if country.is_none() || country == country_code {
            forms.extend(digits.strip_prefix(prefix).map(|rest| format!("+{rest}")));
        }
    }
    let is_at_home = country_code.is_some_and(|country| digits.starts_with(country));
    if is_at_home && digits.len() >= AT_HOME_DIGITS_MIN {
        forms.push(format!("+{digits}"));
    }
    forms
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::Pii;

    fn config(changes: Value) -> Config {
        Config::default().patched(changes.as_object().unwrap()).unwrap()
    }

    fn target(text: &str) -> Target {
        if text.contains(':') {
            Target::Uri(Pii(text.into()))
        } else {
            Target::Number(Number::parse(text).unwrap())
        }
    }

    #[test]
    fn premium_services_are_known_in_every_form_that_is_dialled() {
        for (country, texts) in [
            (
                json!(null),
                &["+49 900 1 234567", "+1 900 555 0100", "+979 123", "+8816 1", "0044 909 879 0000"][..],
            ),
            (
                json!("49"),
                &["0900 1 234567", "0137 123", "004490912345", "11833", "499001234567", "+44118123"],
            ),
            (json!("1"), &["900 555 0100", "1 900 555 0100", "011 49 900 1 234567", "sip:19005550100@h"]),
            (
                json!("44"),
                &["0909 879 0000", "0871 123456", "118 118", "sip:%30909879@h", "tel:+449098790000"],
            ),
            (json!("33"), &["0899 123456", "118 218", "+33 118 218"]),
            (json!("353"), &["1550 123 456", "11850", "00353 1599 123456"]),
            (json!("358"), &["0600 12345", "0700 12345"]),
            (json!("64"), &["0900 12345"]),
            (json!("65"), &["1900 123 4567"]),
            (json!("352"), &["900 12345"]),
        ] {
            let config = config(json!({ "country_code": country }));
            for text in texts {
                assert!(is_premium(&target(text), &config), "{text} {country}");
            }
        }
    }

    #[test]
    fn ordinary_numbers_are_not_premium() {
        for (country, texts) in [
            (json!(null), &["0900 1 234567", "+49 30 900 123", "11833", "sip:bob@900.example"][..]),
            (json!("49"), &["0800 123", "030 900123", "0171 900900", "0180 5 1"]),
            (json!("1"), &["212 555 0190", "1 800 555 0100", "900"]),
            // Reading and Paris have 118 in their ordinary numbers.
            (json!("44"), &["0118 496 0123", "020 7946 0999"]),
            (json!("33"), &["01 18 22 33 44", "+33 1 18 22 33 44"]),
            (json!("90"), &["+905551112233", "0532 900 00 00"]),
            // Dublin, whose numbers begin as premium ones do; mobiles of Slovakia, Hong Kong and Serbia.
            (json!("353"), &["01 525 0123", "+353 1 599 0123"]),
            (json!(null), &["+421 905 123456", "+852 9001 2345", "+381 60 1234567", "+358 60 12345"]),
        ] {
            let config = config(json!({ "country_code": country }));
            for text in texts {
                assert!(!is_premium(&target(text), &config), "{text} {country}");
            }
        }
    }

    #[test]
    fn a_list_of_ones_own_replaces_the_built_in_one() {
        let own = config(json!({"country_code": "49", "premium_numbers": ["+49180*", "019?", "+8835100*"]}));
        for text in ["0180 5 1", "+49 180 5 1", "0190", "00883 5100 1"] {
            assert!(is_premium(&target(text), &own), "{text}");
        }
        for text in ["0900 1 234567", "01900"] {
            assert!(!is_premium(&target(text), &own), "{text}");
        }
        assert!(!is_premium(&target("+4990012"), &config(json!({"premium_numbers": []}))));
    }

    #[test]
    fn short_numbers_are_extensions_over_sip_and_services_on_a_sim() {
        let sip = config(json!({"telephony_backend": "sip"}));
        let phone = config(json!({"telephony_backend": "hfp"}));
        for (text, short) in
            [("22333", true), ("1", true), ("123456", true), ("1234567", false), ("+12345", false)]
        {
            assert!(!is_short(&target(text), &sip), "{text}");
            assert_eq!(is_short(&target(text), &phone), short, "{text}");
        }
        let some = json!({"telephony_backend": "hfp", "allowed_short_numbers": ["2233?", "77"]});
        for (text, short) in [("22333", false), ("77", false), ("771", true)] {
            assert_eq!(is_short(&target(text), &config(some.clone())), short, "{text}");
        }
        let none = config(json!({"telephony_backend": "sip", "allowed_short_numbers": []}));
        assert!(is_short(&target("1001"), &none) && is_short(&target("sip:1001@pbx"), &none));
        let all = config(json!({"telephony_backend": "hfp", "allowed_short_numbers": ["*"]}));
        assert!(!is_short(&target("22333"), &all));
    }

    #[test]
    fn the_built_in_list_is_international_and_names_each_pattern_once() {
        let mut list = PREMIUM_NUMBERS.concat();
        let listed = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), listed);
        let fits = |pattern: &&str| {
            pattern.starts_with('+')
                && pattern.bytes().skip(1).all(|b| b.is_ascii_digit() || b == b'*' || b == b'?')
        };
        assert!(list.iter().all(fits));
    }
}
