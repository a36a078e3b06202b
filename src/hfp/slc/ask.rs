//! What is asked of the phone: the commands of HFP 4.34, as text, and what their failing means.

use super::core::Command;
use crate::base::Number;
use crate::hfp::feature::{Codec, HfFeatures};

/// One AT command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// `AT+BRSF=`: our features.
    Features,
    /// `AT+BAC=`: our codecs.
    Codecs,
    /// `AT+CIND=?`.
    IndicatorOrder,
    /// `AT+CIND?`.
    IndicatorValues,
    /// `AT+CMER=3,0,0,1`: tell changes.
    TellIndicators,
    /// `AT+CHLD=?`.
    HoldTest,
    /// `AT+BIND=2`: of our own indicators we know the battery.
    Bind,
    /// `AT+BIND=?`.
    BindTest,
    /// `AT+BIND?`.
    BindRead,
    /// `AT+CMEE=1`.
    ExtendedErrors,
    /// `AT+CLIP=1`.
    ShowCaller,
    /// `AT+CCWA=1`.
    ShowWaiting,
    /// `AT+COPS=3,0`: operators as long names.
    OperatorFormat,
    /// `AT+COPS?`.
    Operator,
    /// `AT+CNUM`.
    OwnNumber,
    /// `AT+CLCC`.
    ListCalls,
    /// `ATD…;`.
    Dial(Number),
    /// `ATA`.
    Answer,
    /// `AT+CHUP`.
    Hangup,
    /// `AT+VTS=`.
    Dtmf(char),
    /// `AT+CHLD=0`: the waiting call is busy, or the held ones are released.
    RefuseWaiting,
    /// `AT+CHLD=1x`: this call alone is released.
    Release(u8),
    /// `AT+BCS=`: the codec is taken.
    TakeCodec(Codec),
    /// `AT+BCC`: open the audio link.
    OpenAudio,
}

impl Ask {
    /// The line, with its CR.
    pub(super) fn line(&self, features: HfFeatures, codecs: &[Codec]) -> String {
        let text = match self {
            Self::Features => format!("AT+BRSF={}", features.0),
            Self::Codecs => {
                let ids: Vec<String> = codecs.iter().map(|codec| (*codec as u8).to_string()).collect();
                format!("AT+BAC={}", ids.join(","))
            }
            Self::IndicatorOrder => "AT+CIND=?".into(),
            Self::IndicatorValues => "AT+CIND?".into(),
            Self::TellIndicators => "AT+CMER=3,0,0,1".into(),
            Self::HoldTest => "AT+CHLD=?".into(),
            Self::Bind => "AT+BIND=2".into(),
            Self::BindTest => "AT+BIND=?".into(),
            Self::BindRead => "AT+BIND?".into(),
            Self::ExtendedErrors => "AT+CMEE=1".into(),
            Self::ShowCaller => "AT+CLIP=1".into(),
            Self::ShowWaiting => "AT+CCWA=1".into(),
            Self::OperatorFormat => "AT+COPS=3,0".into(),
            Self::Operator => "AT+COPS?".into(),
            Self::OwnNumber => "AT+CNUM".into(),
            Self::ListCalls => "AT+CLCC".into(),
            Self::Dial(number) => format!("ATD{};", number.as_str()),
            Self::Answer => "ATA".into(),
            Self::Hangup => "AT+CHUP".into(),
            Self::Dtmf(tone) => format!("AT+VTS={tone}"),
            Self::RefuseWaiting => "AT+CHLD=0".into(),
            Self::Release(index) => format!("AT+CHLD=1{index}"),
            Self::TakeCodec(codec) => format!("AT+BCS={}", *codec as u8),
            Self::OpenAudio => "AT+BCC".into(),
        };
        text + "\r"
    }

    /// What the user wanted with it; `None` for questions of our own.
    pub(super) fn command(self) -> Option<Command> {
        if let Self::Dial(number) = self {
            return Some(Command::Dial(number));
        }
        if let Self::Dtmf(tone) = self {
            return Some(Command::Dtmf(tone));
        }
        if let Self::Release(index) = self {
            return Some(Command::Release { index });
        }
        let plain = [
            (Self::Answer, Command::Answer),
            (Self::Hangup, Command::Hangup),
            (Self::RefuseWaiting, Command::RefuseWaiting),
        ];
        plain.into_iter().find(|(ask, _)| *ask == self).map(|(_, command)| command)
    }

    /// Whether asking again does no harm when no answer came: all but what acts a second time, and a codec that the
    /// phone no longer waits for.
    pub(super) fn may_be_repeated(&self) -> bool {
        !matches!(
            self,
            Self::Dial(_) | Self::Dtmf(_) | Self::RefuseWaiting | Self::Release(_) | Self::TakeCodec(_)
        )
    }

    /// Whether it is answered with a line of its own before the end, always.
    pub(super) fn is_known_by_its_line(&self) -> bool {
        matches!(self, Self::Features | Self::IndicatorOrder | Self::IndicatorValues)
    }

    /// Whether the connection cannot be used when the phone refuses this.
    pub(super) fn is_vital(&self) -> bool {
        matches!(self, Self::IndicatorOrder | Self::IndicatorValues | Self::TellIndicators)
    }

    /// Whether it is about a call, so that `NO CARRIER` and the like may end it.
    pub(super) fn is_about_a_call(&self) -> bool {
        matches!(self, Self::Dial(_) | Self::Answer | Self::Hangup | Self::RefuseWaiting | Self::Release(_))
    }
}
