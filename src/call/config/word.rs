//! Settings that are one word of a closed list; taken in any letter case, kept as written here.

/// A closed list of words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Each value with its word.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of a word in any letter case.
    fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim())).map(|(_, value)| *value)
    }

    /// The word of a value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The words for a sentence: `a, b or c`.
    fn choices() -> String {
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            Some((last, _)) => (*last).to_owned(),
            None => String::new(),
        }
    }
}

macro_rules! words {
    ($(#[$page:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$page])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }

        impl $name {
            /// The word in `config.json`.
            pub fn as_str(self) -> &'static str {
                self.word()
            }
        }
    };
}

words! {
    /// How incoming calls are chosen.
    CallPolicyMode {
        /// Every caller.
        AllowAll = "allow_all",
        /// Only `allowed_callers`.
        Allowlist = "allowlist",
        /// Everyone but `blocked_callers`.
        Blocklist = "blocklist",
    }
}

words! {
    /// What becomes of callers without a number.
    UnknownCallers {
        /// They are treated as others.
        Allow = "allow",
        /// They are not answered.
        Deny = "deny",
    }
}

words! {
    /// What carries calls, as configured.
    TelephonyBackend {
        /// SIP when server and user name are set, else the phone.
        Auto = "auto",
        /// SIP.
        Sip = "sip",
        /// A phone over Bluetooth Hands-Free.
        Hfp = "hfp",
        /// A phone over the Android Debug Bridge.
        Adb = "adb",
    }
}

words! {
    /// How SIP messages travel.
    SipTransport {
        /// Datagrams.
        Udp = "udp",
        /// A stream.
        Tcp = "tcp",
        /// An encrypted stream.
        Tls = "tls",
    }
}

words! {
    /// Who talks on a SIP call.
    SipAudioMode {
        /// The agent.
        Agent = "agent",
        /// This machine's own microphone and loudspeaker.
        Direct = "direct",
    }
}

words! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

impl From<jiff::civil::Weekday> for Weekday {
    fn from(day: jiff::civil::Weekday) -> Self {
        match day {
            jiff::civil::Weekday::Monday => Self::Mon,
            jiff::civil::Weekday::Tuesday => Self::Tue,
            jiff::civil::Weekday::Wednesday => Self::Wed,
            jiff::civil::Weekday::Thursday => Self::Thu,
            jiff::civil::Weekday::Friday => Self::Fri,
            jiff::civil::Weekday::Saturday => Self::Sat,
            jiff::civil::Weekday::Sunday => Self::Sun,
        }
    }
}
