//! The order in which a service level connection is set up (HFP 4.2.1) and what is asked once it is.

use super::ask::Ask;
use super::core::Slc;
use crate::hfp::feature::{AgFeatures, HfFeatures};

impl Slc {
    /// What comes after `done` while the connection is set up; `None`: it is.
    pub(super) fn after(&self, done: &Ask) -> Option<Ask> {
        let steps = [
            (Ask::Features, true),
            (Ask::Codecs, self.negotiates_codecs()),
            (Ask::IndicatorOrder, true),
            (Ask::IndicatorValues, true),
            (Ask::TellIndicators, true),
            (Ask::HoldTest, self.both(HfFeatures::THREE_WAY, AgFeatures::THREE_WAY)),
            (Ask::Bind, self.both(HfFeatures::HF_INDICATORS, AgFeatures::HF_INDICATORS)),
            (Ask::BindTest, self.both(HfFeatures::HF_INDICATORS, AgFeatures::HF_INDICATORS)),
            (Ask::BindRead, self.both(HfFeatures::HF_INDICATORS, AgFeatures::HF_INDICATORS)),
        ];
        let mut steps = steps.into_iter().skip_while(|(step, _)| step != done).skip(1);
        steps.find(|(_, applies)| *applies).map(|(step, _)| step)
    }

    /// What is worth knowing once it is up.
    pub(super) fn first_questions(&self) -> Vec<Ask> {
        let questions = [
            (Ask::ExtendedErrors, self.ag_features().has(AgFeatures::EXTENDED_ERRORS)),
            (Ask::ShowCaller, true),
            (Ask::ShowWaiting, self.both(HfFeatures::THREE_WAY, AgFeatures::THREE_WAY)),
            (Ask::OperatorFormat, true),
            (Ask::Operator, true),
            (Ask::OwnNumber, true),
        ];
        questions.into_iter().filter(|(_, applies)| *applies).map(|(ask, _)| ask).collect()
    }

    /// HFP 4.2.1.2: both sides know more than CVSD.
    pub(super) fn negotiates_codecs(&self) -> bool {
        self.both(HfFeatures::CODEC_NEGOTIATION, AgFeatures::CODEC_NEGOTIATION)
    }

    fn both(&self, own: HfFeatures, phones: AgFeatures) -> bool {
        self.hf_features().has(own) && self.ag_features().has(phones)
    }
}
