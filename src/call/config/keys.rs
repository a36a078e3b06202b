//! The table of keys: name, type, default, rule. The struct, `config.json`, patching and masking follow from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::form;
use super::hours::BusinessHours;
use super::setting::{Kind, Setting};
use super::word::{CallPolicyMode, SipAudioMode, SipTransport, TelephonyBackend, UnknownCallers, Weekday};
use crate::base::Secret;

/// Characters of an unknown key that a sentence repeats.
const KEY_SHOWN_CHARS_MAX: usize = 64;

/// A key of the configuration, beside its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As in `config.json`.
    pub name: &'static str,
    /// What it is for, in a sentence or two.
    pub meaning: &'static str,
    /// What its values look like.
    pub kind: Kind,
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $rule:expr;)+) => {
        /// The whole configuration, checked. Field names are the keys of `config.json`.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $key: $type,)+
            /// Members of the file that mean nothing to this version: kept, written back, never shown.
            unknown: Map<String, Value>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($key: $default,)+ unknown: Map::new() }
            }
        }

        /// Key, type and rule as they are written below.
        #[cfg(test)]
        pub(super) const TABLE: &[(&str, &str, &str)] =
            &[$((stringify!($key), stringify!($type), stringify!($rule)),)+];

        impl Config {
            /// Takes one value as a client sends it; `None` for an unknown key.
            fn set(&mut self, key: &str, given: &Value) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($key) => Some(self.$key.set(&{ $rule }, given)),)+
                    _ => None,
                }
            }

            /// Takes one value as the file has it; `None` for an unknown key.
            fn load(&mut self, key: &str, given: &Value) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($key) => Some(self.$key.load(&{ $rule }, given)),)+
                    _ => None,
                }
            }

            /// Every key, as people need to know it.
            pub fn keys() -> impl Iterator<Item = Key> {
                [$(Key {
                    name: stringify!($key),
                    meaning: concat!($($doc),+).trim_ascii(),
                    kind: <$type as Setting>::KIND,
                },)+].into_iter()
            }

            fn known_to_json(&self) -> Map<String, Value> {
                let mut object = Map::new();
                $(object.insert(stringify!($key).into(), self.$key.to_json());)+
                object
            }

            pub(super) fn known_to_masked_json(&self) -> Map<String, Value> {
                let mut object = Map::new();
                $(object.insert(stringify!($key).into(), self.$key.to_masked_json());)+
                object
            }
        }
    };
}

keys! {
    /// The phone to use, by Bluetooth address.
    target_device: Option<String> = None, form::mac as form::Form;
    /// PulseAudio or PipeWire sink of this machine.
    local_sink: Option<String> = None, form::name as form::Form;
    /// Its source.
    local_source: Option<String> = None, form::name as form::Form;
    /// Echo cancellation between sink and source.
    echo_cancel: bool = true, ();
    /// Buffering of the phone's audio, in milliseconds.
    latency_msec: u32 = 60, 0..=10_000;
    /// The Android phone to use, by serial number.
    adb_serial: Option<String> = None, form::name as form::Form;
    /// Seconds that this machine stays visible for pairing; 0 is for a day.
    discoverable_timeout: u32 = 180, 0..=86_400;
    /// Whether incoming calls are answered, as the policy decides.
    auto_answer: bool = false, ();
    /// Seconds of ringing before that.
    auto_answer_delay_sec: u32 = 2, 0..=600;
    /// Seconds after which an answered call is ended; 0 is never.
    max_call_duration_sec: u32 = 0, 0..=604_800;
    /// Use the only phone there is when none is named.
    auto_select_device: bool = true, ();
    /// What belongs to which phone.
    device_bindings: Map<String, Value> = Map::new(), ();
    /// How incoming calls are chosen.
    call_policy_mode: CallPolicyMode = CallPolicyMode::AllowAll, ();
    /// Numbers, last digits or globs that are answered in mode `allowlist`.
    allowed_callers: Vec<String> = Vec::new(), form::caller_pattern as form::Form;
    /// Numbers, last digits or globs that are not answered in mode `blocklist`.
    blocked_callers: Vec<String> = Vec::new(), form::caller_pattern as form::Form;
    /// What becomes of callers without a number.
    unknown_callers: UnknownCallers = UnknownCallers::Allow, ();
    /// When calls are answered; unset is at any time of day.
    business_hours: Option<BusinessHours> = None, ();
    /// On which days, whether or not there are hours; an empty list is on none.
    business_days: Vec<Weekday> = vec![
        Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun,
    ], ();
    /// Whether calls that are not answered are refused, or left to ring.
    auto_reject_blocked: bool = false, ();
    /// Whether calls are written to the log.
    log_calls: bool = true, ();
    /// What carries calls.
    telephony_backend: TelephonyBackend = TelephonyBackend::Auto, ();
    /// Registrar and outbound proxy.
    sip_server: Option<String> = None, form::host as form::Form;
    /// User part of our address there, and the digest user name.
    sip_username: Option<String> = None, form::sip_user as form::Form;
    /// Digest password.
    sip_password: Option<Secret> = None, ();
    /// Port of the server.
    sip_port: u32 = 5060, 1..=65_535;
    /// How SIP messages travel.
    sip_transport: SipTransport = SipTransport::Udp, ();
    /// Sound device to record from in mode `direct`.
    sip_capture_device: Option<String> = None, form::name as form::Form;
    /// Sound device to play to in mode `direct`.
    sip_playback_device: Option<String> = None, form::name as form::Form;
    /// Who talks on a SIP call.
    sip_audio_mode: SipAudioMode = SipAudioMode::Agent, ();
    /// UDP port to listen on; 0 lets the system choose.
    sip_local_port: u32 = 0, 0..=65_535;
    /// Calls at the same time; another one finds the line busy.
    max_concurrent_calls: u32 = 1, 1..=1000;
    /// Seconds of ringing after which a call is given up, in both directions.
    ring_timeout_sec: u32 = 60, 1..=3600;
    /// Country calling code of this line, to compare numbers written in different ways.
    country_code: Option<String> = None, form::country_code as form::Form;
    /// IANA name of the zone for opening hours and session ids; unset is the system's.
    timezone: Option<String> = None, form::zone_name as form::Form;
    /// Names by which this machine may be asked over HTTP, beside its own.
    allowed_hosts: Vec<String> = Vec::new(), form::host as form::Form;
    /// Web origins whose pages may use the API.
    allowed_origins: Vec<String> = Vec::new(), form::origin as form::Form;
    /// Agent id by line or number.
    agents: BTreeMap<String, String> = BTreeMap::new(), form::name as form::Form;
    /// Outbound calls that may begin in any hour; 0 is no limit.
    outbound_calls_per_hour_max: u32 = 100, 0..=1_000_000;
    /// Outbound calls that may begin in any 24 hours; 0 is no limit.
    outbound_calls_per_day_max: u32 = 500, 0..=1_000_000;
    /// Numbers that are never dialled, as dialled. Unset is the built-in list of the world; a list replaces it
    /// whole, so that a telephone system whose extension is 110 can free it. An empty list guards nothing.
    emergency_numbers: Option<Vec<String>> = None, form::emergency_number as form::Form;
    /// Numbers that are not dialled because they cost extra, as dialled or with `+`, or globs such as `+49900*`.
    /// Unset is the built-in list of premium services; a list replaces it whole. An empty list guards nothing.
    premium_numbers: Option<Vec<String>> = None, form::dialled_pattern as form::Form;
    /// Short numbers, of up to 6 digits, that may be dialled, or globs. Unset is all of them over SIP, where they
    /// are extensions, and none on a phone's SIM. An empty list allows none, the list of `*` all.
    allowed_short_numbers: Option<Vec<String>> = None, form::dialled_pattern as form::Form;
    /// Minutes that the answered outbound calls of any 24 hours may last together before no more is dialled; 0 is no
    /// limit. A call under way is not ended by it.
    outbound_minutes_per_day: u32 = 0, 0..=1_000_000;
}

impl Config {
    /// The configuration of a file. What cannot be used keeps its default, and a sentence says so; of a list the
    /// good entries are kept; unknown members are kept as they are.
    pub fn from_json(object: &Map<String, Value>) -> (Self, Vec<String>) {
        let mut config = Self::default();
        let mut ignored = Vec::new();
        for (key, value) in object {
            match config.load(key, value) {
                Some(Ok(())) => {}
                Some(Err(expected)) => {
                    ignored.push(format!("{key} must be {expected}; what does not fit was ignored"));
                }
                None => {
                    config.unknown.insert(key.clone(), value.clone());
                }
            }
        }
        (config, ignored)
    }

    /// This configuration with the named keys changed: all of them, or a sentence that names the first key that is
    /// unknown or whose value does not fit. The sentence holds no value.
    pub fn patched(&self, changes: &Map<String, Value>) -> Result<Self, String> {
        let mut config = self.clone();
        for (key, value) in changes {
            match config.set(key, value) {
                Some(Ok(())) => {}
                Some(Err(expected)) => return Err(format!("{key} must be {expected}")),
                None => {
                    let shown: String = key.chars().take(KEY_SHOWN_CHARS_MAX).collect();
                    return Err(format!("unknown configuration key {shown}"));
                }
            }
        }
        Ok(config)
    }

    /// What clients see: every key; a secret that is set is `***`.
    pub fn to_masked_json(&self) -> Value {
        self.known_to_masked_json().into()
    }

    /// The whole text of `config.json`, secrets and unknown members included.
    pub fn to_file_text(&self) -> String {
        let mut object = self.unknown.clone();
        object.extend(self.known_to_json());
        format!("{:#}\n", Value::Object(object))
    }
}
