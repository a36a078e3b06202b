//! What clients ask about phones themselves: pairing, connections, trust.

use super::core::Switch;
use super::io::{AskId, Output};
use super::phone_list;
use crate::base::Now;
use crate::call::command::{Answer, Conflict, PhoneAsk, PhoneTask, Refusal, RefusalKind, Reply};
use crate::call::phones::{PAIRING_WINDOW_SEC_MAX, PhoneCommand};
use crate::hfp::host::{Address, PairingAsk};

impl Switch {
    pub(super) fn phone_asked(&mut self, now: Now, ask: AskId, asked: PhoneAsk) {
        let reply = match asked {
            PhoneAsk::List => Ok(Answer::Phones(phone_list::object(&self.phones, now))),
            PhoneAsk::OpenWindow { timeout_sec } => self.open_window(timeout_sec),
            PhoneAsk::CloseWindow => {
                self.ask_phones(PhoneCommand::ClosePairingWindow).map(|()| Answer::PhonesAsked)
            }
            PhoneAsk::AnswerPairing { accept, phone, number } => self.answer_pairing(accept, phone, number),
            PhoneAsk::Do { task, phone } => self.do_with(now, task, phone),
        };
        self.reply(ask, reply);
    }

    /// Without Bluetooth there is nobody to ask.
    fn ask_phones(&mut self, command: PhoneCommand) -> Result<(), Refusal> {
        if let Some(fault) = &self.phones.fault {
            return Err(Refusal::new(RefusalKind::Unavailable, fault.clone()));
        }
        self.outputs.push_back(Output::Phone(command));
        Ok(())
    }

    fn open_window(&mut self, timeout_sec: Option<u32>) -> Reply {
        let seconds = match timeout_sec.unwrap_or(self.config.discoverable_timeout) {
            0 => PAIRING_WINDOW_SEC_MAX,
            seconds => seconds.min(PAIRING_WINDOW_SEC_MAX),
        };
        self.ask_phones(PhoneCommand::OpenPairingWindow { seconds })?;
        Ok(Answer::PairingWindow { timeout_sec: seconds })
    }

    fn answer_pairing(&mut self, accept: bool, phone: Option<Address>, number: Option<u32>) -> Reply {
        let Some((name, ask)) = self.phones.pairing.asks.clone() else {
            return Err(Refusal::conflict(Conflict::NothingAsked, "no phone asks anything"));
        };
        // Who names the phone names the whole question: an answer to one without a number is none to one with it.
        let is_it = phone.is_none_or(|phone| phone == name.address)
            && (number == ask.number() || (phone.is_none() && number.is_none()));
        if !is_it {
            return Err(Refusal::conflict(
                Conflict::AskedOtherwise,
                "another question is asked now: see pairing.asks of /v1/phones",
            ));
        }
        if let PairingAsk::TypeThere(_) = ask {
            return Err(Refusal::conflict(
                Conflict::NothingAsked,
                "the number is typed on the phone: nothing is to be answered here",
            ));
        }
        self.ask_phones(PhoneCommand::AnswerPairing { phone: name.address, ask, accept })?;
        Ok(Answer::PhonesAsked)
    }

    fn do_with(&mut self, now: Now, task: PhoneTask, phone: Address) -> Reply {
        let known = |phones: &crate::call::phones::Phones| {
            phones.phones.iter().find(|known| known.name.address == phone).cloned()
        };
        let shown =
            known(&self.phones).ok_or_else(|| Refusal::new(RefusalKind::NotFound, "phone not found"))?;
        self.ask_phones(match task {
            PhoneTask::Connect => PhoneCommand::Connect { phone },
            PhoneTask::Disconnect => PhoneCommand::Disconnect { phone },
            PhoneTask::Trust => PhoneCommand::Trust { phone, trusted: true },
            PhoneTask::Untrust => PhoneCommand::Trust { phone, trusted: false },
            PhoneTask::Remove => PhoneCommand::Remove { phone },
        })?;
        Ok(Answer::PhoneAsked(phone_list::phone(&shown, self.phones.selected, now)))
    }
}
