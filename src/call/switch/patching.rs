//! Changing the configuration: checked, stored, then in force. One change after the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::core::Switch;
use super::io::{AskId, Output};
use super::journaling::{CommitFor, refusal_of};
use crate::base::Now;
use crate::call::command::{Answer, Refusal, RefusalKind};
use crate::call::config::Config;
use crate::call::journal::{CommitError, ConfigWrite};
use crate::call::leg::LegCommand;
use crate::call::phones::PhoneCommand;
use crate::hfp::host::Address;

/// Changes that may wait for the one being stored; beyond this a client is asked to come back.
const WAITING_MAX: usize = 64;
/// Entries of `device_bindings` up to which one that was learnt is added.
const BINDINGS_MAX: usize = 64;

/// The change being stored, and those behind it.
#[derive(Default)]
pub(super) struct Patching {
    /// With whoever asked for it; what was learnt nobody asked for.
    storing: Option<(Option<AskId>, Config)>,
    waiting: VecDeque<(AskId, Map<String, Value>)>,
    learnt: BTreeMap<String, Address>,
}

impl Switch {
    pub(super) fn patch_config(&mut self, ask: AskId, patch: Map<String, Value>) {
        if self.patching.storing.is_some() {
            if self.patching.waiting.len() < WAITING_MAX {
                self.patching.waiting.push_back((ask, patch));
            } else {
                let mut refusal =
                    Refusal::new(RefusalKind::Storage, "too many configuration changes at once");
                refusal.retry_after_sec = Some(1);
                self.reply(ask, Err(refusal));
            }
            return;
        }
        let patched =
            self.config.patched(&patch).and_then(|config| match (self.zones)(config.timezone.as_deref()) {
                Some(_) => Ok(config),
                None => Err(format!(
                    "timezone: {} is not known here",
                    config.timezone.as_deref().unwrap_or_default()
                )),
            });
        match patched {
            Ok(config) => {
                self.store_config(Some(ask), config);
            }
            Err(sentence) => self.reply(ask, Err(Refusal::new(RefusalKind::Invalid, sentence))),
        }
    }

    fn store_config(&mut self, ask: Option<AskId>, config: Config) {
        let text = config.to_file_text();
        self.patching.storing = Some((ask, config));
        self.commit_with(CommitFor::Patch, Some(ConfigWrite { text }));
    }

    /// The phone with this serial number at adb is this one: kept in `device_bindings`, unless it says something else
    /// already.
    pub(super) fn learn_binding(&mut self, serial: String, phone: Address) {
        self.patching.learnt.insert(serial, phone);
        self.store_learnt();
    }

    fn store_learnt(&mut self) {
        while self.patching.storing.is_none()
            && let Some((serial, phone)) = self.patching.learnt.pop_first()
        {
            let bindings = &self.config.device_bindings;
            if !bindings.contains_key(&serial) && bindings.len() < BINDINGS_MAX {
                let mut config = (*self.config).clone();
                config.device_bindings.insert(serial, phone.to_string().into());
                self.store_config(None, config);
            }
        }
    }

    pub(super) fn config_is_stored(&mut self, _now: Now, result: Result<(), CommitError>) {
        let Some((ask, config)) = self.patching.storing.take() else { return };
        match result {
            Ok(()) => {
                let masked = config.to_masked_json();
                self.config = Arc::new(config);
                self.apply_config();
                if let Some(ask) = ask {
                    self.reply(ask, Ok(Answer::ConfigSaved(masked)));
                }
            }
            Err(error) => match ask {
                Some(ask) => self.reply(ask, Err(refusal_of(&error))),
                // It is learnt again when the phone is plugged in again.
                None => log::warn!("device_bindings was not stored: {error}"),
            },
        }
        while self.patching.storing.is_none() {
            let Some((ask, patch)) = self.patching.waiting.pop_front() else { break };
            self.patch_config(ask, patch);
        }
        self.store_learnt();
    }

    /// The file was read again (SIGHUP).
    pub(super) fn config_read(&mut self, read: Result<Map<String, Value>, String>) {
        match read {
            Ok(object) => {
                let (config, ignored) = Config::from_json(&object);
                for sentence in ignored {
                    log::warn!("config.json: {sentence}");
                }
                self.config = Arc::new(config);
                self.apply_config();
            }
            Err(sentence) => log::error!("config.json was not read: {sentence}"),
        }
    }

    /// Makes the configuration effective: for SIP its account, for the phones their settings, the rest for everyone.
    pub(super) fn apply_config(&mut self) {
        if let Some(zone) = (self.zones)(self.config.timezone.as_deref()) {
            self.zone = zone;
        }
        let account = self.config.sip_account();
        if account != self.account {
            self.account.clone_from(&account);
            self.outputs.push_back(Output::Leg(LegCommand::Configure(account)));
        }
        let settings = self.config.phone_settings();
        if self.phone_settings.as_ref() != Some(&settings) {
            self.phone_settings = Some(settings.clone());
            self.outputs.push_back(Output::Phone(PhoneCommand::Configure(settings)));
        }
        self.outputs.push_back(Output::ConfigChanged(self.config.clone()));
    }
}
