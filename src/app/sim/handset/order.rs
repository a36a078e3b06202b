//! What a person or a test tells the phone while it runs: a line of words each.

use crate::base::Number;

/// An indicator's highest value in HFP.
const LEVEL_MAX: u8 = 5;

/// What is listed by `--help`, and with every line that is not understood.
pub const HELP: &str = "\
call NUMBER|hidden    somebody calls; with a call there already, he waits
owner-dials NUMBER    the owner calls somebody on the handset
owner-answers         the owner takes the call on the handset
other-rings           the other end of a call that goes out rings
other-answers         it takes the call
hang-up               the newest call is over, ended at the other end
open-audio            the phone wants the audio on the hands-free unit
drop-audio            the owner takes the audio to the handset
keep-audio            the same, and the phone refuses to give it back until open-audio
indicator NAME N      signal, battchg, roam or service has a new value
raw LINE              any unsolicited AT line
connect               the phone connects its hands-free profile
drop-rfcomm           it closes that connection
vanish, return        the phone goes out of reach, and comes back
pair                  the owner wants to pair
unplug, plug          the host's radio is pulled out, and put in
block, unblock        rfkill blocks it, and does not
quit                  hang up and end";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Call(Option<String>),
    OwnerDials(String),
    OwnerAnswers,
    OtherRings,
    OtherAnswers,
    HangUp,
    OpenAudio,
    DropAudio,
    KeepAudio,
    Indicator(&'static str, u8),
    Raw(String),
    Connect,
    DropRfcomm,
    Vanish,
    Return,
    Pair,
    Plug(bool),
    Block(bool),
    Quit,
}

impl Order {
    /// Reads a line; `Err` is what is wrong with it.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let order = match word {
            "call" if rest == "hidden" => Self::Call(None),
            "call" => Self::Call(Some(number(rest)?)),
            "owner-dials" => Self::OwnerDials(number(rest)?),
            "indicator" => return indicator(rest),
            // Nothing that would make two lines of it.
            "raw" if !rest.is_empty() && !rest.contains(char::is_control) => Self::Raw(rest.to_owned()),
            "raw" => return Err("raw wants a line of printable characters".into()),
            _ if !rest.is_empty() => return Err(format!("{word:?} stands alone, or is not known")),
            "owner-answers" => Self::OwnerAnswers,
            "other-rings" => Self::OtherRings,
            "other-answers" => Self::OtherAnswers,
            "hang-up" => Self::HangUp,
            "open-audio" => Self::OpenAudio,
            "drop-audio" => Self::DropAudio,
            "keep-audio" => Self::KeepAudio,
            "connect" => Self::Connect,
            "drop-rfcomm" => Self::DropRfcomm,
            "vanish" => Self::Vanish,
            "return" => Self::Return,
            "pair" => Self::Pair,
            "unplug" => Self::Plug(false),
            "plug" => Self::Plug(true),
            "block" => Self::Block(true),
            "unblock" => Self::Block(false),
            "quit" => Self::Quit,
            _ => return Err(format!("{word:?} is not known; the lines are:\n{HELP}")),
        };
        Ok(order)
    }
}

fn number(text: &str) -> Result<String, String> {
    Number::parse(text).map(|number| number.as_str().to_owned()).map_err(|error| error.to_string())
}

fn indicator(rest: &str) -> Result<Order, String> {
    let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let names = ["signal", "battchg", "roam", "service"];
    let name = names.into_iter().find(|known| *known == name);
    let value = value.trim().parse().ok().filter(|value| *value <= LEVEL_MAX);
    let both = name.zip(value).map(|(name, value)| Order::Indicator(name, value));
    both.ok_or_else(|| format!("indicator wants one of {} and 0 to {LEVEL_MAX}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_orders_or_say_what_is_wrong() {
        let good = [
            ("call +1 555 0100", Order::Call(Some("+15550100".into()))),
            ("call hidden", Order::Call(None)),
            ("  hang-up ", Order::HangUp),
            ("indicator battchg 1", Order::Indicator("battchg", 1)),
            ("raw +XYZ: 1, 2", Order::Raw("+XYZ: 1, 2".into())),
            ("unplug", Order::Plug(false)),
        ];
        for (line, order) in good {
            assert_eq!(Order::read(line), Ok(order), "{line}");
        }
        for line in [
            "",
            "call",
            "call you",
            "hang-up now",
            "raw",
            "raw a\rb",
            "indicator call 1",
            "indicator signal 9",
        ] {
            assert!(Order::read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_line_of_the_help_is_understood() {
        let argument = |words: &str| match words.split_once(' ') {
            Some(("call" | "owner-dials", _)) => format!("{} 123", words.split(' ').next().unwrap()),
            Some(("indicator", _)) => "indicator signal 3".to_owned(),
            Some(("raw", _)) => "raw +X".to_owned(),
            _ => words.to_owned(),
        };
        for line in HELP.lines() {
            for words in line.split("  ").next().unwrap().split(", ") {
                assert!(Order::read(&argument(words)).is_ok(), "{words}");
            }
        }
    }
}
