//! Changing the configuration: checked, stored, then in force. One change after the other.

use std::collections::VecDeque;
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

/// Changes that may wait for the one being stored; beyond this a client is asked to come back.
const WAITING_MAX: usize = 64;

/// The change being stored, and those behind it.
#[derive(Default)]
pub(super) struct Patching {
    storing: Option<(AskId, Config)>,
    waiting: VecDeque<(AskId, Map<String, Value>)>,
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
                let text = config.to_file_text();
                self.patching.storing = Some((ask, config));
                self.commit_with(CommitFor::Patch, Some(ConfigWrite { text }));
            }
            Err(sentence) => self.reply(ask, Err(Refusal::new(RefusalKind::Invalid, sentence))),
        }
    }

    pub(super) fn config_is_stored(&mut self, _now: Now, result: Result<(), CommitError>) {
        let Some((ask, config)) = self.patching.storing.take() else { return };
        match result {
            Ok(()) => {
                let masked = config.to_masked_json();
                self.config = Arc::new(config);
                self.apply_config();
                self.reply(ask, Ok(Answer::ConfigSaved(masked)));
            }
            Err(error) => self.reply(ask, Err(refusal_of(&error))),
        }
        while self.patching.storing.is_none() {
            let Some((ask, patch)) = self.patching.waiting.pop_front() else { break };
            self.patch_config(ask, patch);
        }
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
