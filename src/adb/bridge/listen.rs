//! Who reads the answer to a question, and how it ended.

use super::phone::Ask;
use crate::adb::address::{Finder, PLACES};
use crate::adb::registry::Registry;
use crate::adb::shell;
use crate::adb::telecom::Telecom;

/// Bytes of what a command says that are kept.
const SAID_BYTES_MAX: usize = 4096;

/// The reader of one answer.
pub(super) enum Listen {
    Registry(Registry),
    Telecom(Telecom),
    Address(Finder),
    Said(Vec<u8>),
}

/// How an answer ended.
pub(super) enum End {
    /// It is all there.
    Whole,
    /// The server refused, with its words if it had any.
    Refused(Option<String>),
    /// The connection broke, or it took too long.
    Cut,
}

impl Listen {
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Look => Self::Registry(Registry::default()),
            Ask::Refine => Self::Telecom(Telecom::default()),
            Ask::Address(_) => Self::Address(Finder::default()),
            Ask::Act(_) => Self::Said(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Registry(dump) => dump.push(bytes),
            Self::Telecom(dump) => dump.push(bytes),
            Self::Address(finder) => finder.push(bytes),
            Self::Said(said) => {
                let room = SAID_BYTES_MAX.saturating_sub(said.len()).min(bytes.len());
                said.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
        }
    }

    /// Nothing of use comes any more.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Registry(dump) => dump.is_over(),
            Self::Telecom(dump) => dump.is_over(),
            Self::Address(finder) => finder.found().is_some(),
            Self::Said(_) => false,
        }
    }

    /// The last line may have no end.
    pub(super) fn end(&mut self) {
        match self {
            Self::Registry(dump) => dump.end(),
            Self::Telecom(dump) => dump.end(),
            Self::Address(finder) => finder.end(),
            Self::Said(_) => {}
        }
    }
}

impl Ask {
    /// What the phone's shell is told.
    pub(super) fn command(&self) -> &str {
        match self {
            Self::Look => shell::REGISTRY,
            Self::Refine => shell::TELECOM,
            Self::Address(place) => PLACES.get(*place).copied().unwrap_or_default(),
            Self::Act(command) => command,
        }
    }
}
