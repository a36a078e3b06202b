//! What follows from several keys together: the backend, the SIP account, the policy of a session.

use std::collections::BTreeMap;

use serde_json::Value;

use super::keys::Config;
use super::word::{SipAudioMode, SipTransport, TelephonyBackend};
use crate::call::leg::SipAccount;
use crate::call::phones::PhoneSettings;
use crate::hfp::host::Address;

/// The keys that a session keeps as its `policy`.
const POLICY_KEYS: [&str; 11] = [
    "auto_answer",
    "auto_answer_delay_sec",
    "call_policy_mode",
    "allowed_callers",
    "blocked_callers",
    "unknown_callers",
    "business_hours",
    "business_days",
    "auto_reject_blocked",
    "max_call_duration_sec",
    "timezone",
];

/// What carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SIP.
    Sip,
    /// A phone over Bluetooth Hands-Free.
    Hfp,
    /// A phone over the Android Debug Bridge.
    Adb,
}

impl Backend {
    /// `sip`, `hfp` or `adb`: `via`, `backend` and `selected` of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Hfp => "hfp",
            Self::Adb => "adb",
        }
    }
}

impl Config {
    /// The backend in use: the configured one; `auto` is SIP when server and user name are set, else the phone.
    pub fn selected_backend(&self) -> Backend {
        match self.telephony_backend {
            TelephonyBackend::Auto if self.sip_server.is_some() && self.sip_username.is_some() => {
                Backend::Sip
            }
            TelephonyBackend::Auto | TelephonyBackend::Hfp => Backend::Hfp,
            TelephonyBackend::Sip => Backend::Sip,
            TelephonyBackend::Adb => Backend::Adb,
        }
    }

    /// The account that the SIP leg shall use: none unless SIP is selected, has a server and a transport that exists.
    pub fn sip_account(&self) -> Option<SipAccount> {
        // Sending in the clear what was asked to be encrypted would be worse than no line.
        if self.selected_backend() != Backend::Sip || self.sip_transport != SipTransport::Udp {
            return None;
        }
        Some(SipAccount {
            server: self.sip_server.clone()?,
            port: self.sip_port as u16,
            username: self.sip_username.clone(),
            password: self.sip_password.clone(),
            local_port: self.sip_local_port as u16,
        })
    }

    /// What keeps every call over SIP from being made, as far as the keys tell: a sentence.
    pub fn sip_fault(&self) -> Option<&'static str> {
        match (self.sip_transport, self.sip_audio_mode) {
            _ if self.sip_server.is_none() => Some("sip_server is not set"),
            (SipTransport::Tcp, _) => Some("sip_transport tcp is not available"),
            (SipTransport::Tls, _) => Some("sip_transport tls is not available"),
            (SipTransport::Udp, SipAudioMode::Direct) => Some("audio mode direct is not available"),
            (SipTransport::Udp, SipAudioMode::Agent) => None,
        }
    }

    /// Where `auto` chose phones: how it would choose SIP.
    pub fn sip_hint(&self) -> Option<&'static str> {
        if self.telephony_backend != TelephonyBackend::Auto || self.selected_backend() == Backend::Sip {
            return None;
        }
        Some(if self.sip_server.is_some() {
            "for SIP set telephony_backend to sip, or sip_username"
        } else {
            "for SIP set sip_server and sip_username"
        })
    }

    /// Which phones are used.
    pub fn phone_settings(&self) -> PhoneSettings {
        let backend = self.selected_backend();
        let bound = |(serial, phone): (&String, &Value)| {
            let phone = phone.as_str()?.parse().ok()?;
            Some((serial.clone(), phone))
        };
        let bindings: BTreeMap<String, Address> = self.device_bindings.iter().filter_map(bound).collect();
        let by_adb = backend == Backend::Adb;
        let target = self.target_device.as_deref().and_then(|device| device.parse().ok());
        // Whoever names the phone at adb means that phone.
        let named = self.adb_serial.as_ref().filter(|_| by_adb).and_then(|serial| bindings.get(serial));
        let target = target.or(named.copied());
        PhoneSettings {
            in_use: backend != Backend::Sip,
            by_adb,
            target,
            auto_select: self.auto_select_device,
            adb_serial: self.adb_serial.clone(),
            bindings,
        }
    }

    /// The policy settings, as a session keeps them.
    pub fn policy_snapshot(&self) -> Value {
        let mut object = self.known_to_masked_json();
        object.retain(|key, _| POLICY_KEYS.contains(&key.as_str()));
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(changes: Value) -> Config {
        Config::default().patched(changes.as_object().unwrap()).unwrap()
    }

    #[test]
    fn auto_is_sip_when_server_and_user_are_set_and_else_the_phone() {
        assert_eq!(Config::default().selected_backend(), Backend::Hfp);
        assert_eq!(config(json!({"sip_server": "a"})).selected_backend(), Backend::Hfp);
        let sip = config(json!({"sip_server": "a", "sip_username": "1"}));
        assert_eq!(sip.selected_backend().as_str(), "sip");
        assert_eq!(config(json!({"telephony_backend": "sip"})).selected_backend(), Backend::Sip);
        assert_eq!(config(json!({"telephony_backend": "ADB"})).selected_backend(), Backend::Adb);
    }

    #[test]
    fn the_account_needs_a_server_and_never_falls_back_to_clear_text() {
        let trunk = config(json!({"telephony_backend": "sip", "sip_server": "10.0.0.1", "sip_port": "5070"}));
        let account = trunk.sip_account().unwrap();
        assert_eq!((account.server.as_str(), account.port, account.username), ("10.0.0.1", 5070, None));
        assert_eq!(trunk.sip_fault(), None);
        let bare = config(json!({"telephony_backend": "sip"}));
        assert_eq!((bare.sip_account(), bare.sip_fault()), (None, Some("sip_server is not set")));
        let tls = config(json!({"sip_server": "a", "sip_username": "1", "sip_transport": "TLS"}));
        assert_eq!((tls.sip_account(), tls.sip_fault()), (None, Some("sip_transport tls is not available")));
        let direct = config(json!({"sip_server": "a", "sip_username": "1", "sip_audio_mode": "direct"}));
        assert_eq!(direct.sip_fault(), Some("audio mode direct is not available"));
    }

    #[test]
    fn the_snapshot_holds_every_policy_key_and_nothing_else() {
        let snapshot =
            config(json!({"sip_password": "s", "business_hours": "09:00-17:00"})).policy_snapshot();
        let object = snapshot.as_object().unwrap();
        assert_eq!(object.len(), POLICY_KEYS.len());
        assert_eq!(object["business_hours"], "09:00-17:00");
    }
}
