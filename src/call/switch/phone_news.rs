//! What clients are told of phones outside calls: that one came, went, or is no longer as it was.
//!
//! ```text
//!   came ─▶ first shown as connected: `phone_connected` ─▶ no longer so: `phone_changed` ─▶ went: `phone_disconnected`
//!           └─ at most one in 10 s                        └─ at most one in 10 s, the last state in the end
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::core::Switch;
use super::phone_list;
use crate::base::Now;
use crate::call::events::{agent_event, of_no_call};
use crate::call::journal::Record;
use crate::call::phones::{PhoneLink, PhoneName};
use crate::hfp::host::Address;

/// Links and indicators flap, and whatever is told is stored.
const NEWS_APART: Duration = Duration::from_secs(10);
/// Told of a phone that was connected when the service died.
const DIED: &str = "the service ended while the phone was connected";

/// What was told of phones.
#[derive(Debug, Default)]
pub(super) struct PhoneNews {
    known: BTreeMap<Address, Known>,
}

/// A phone that is here, or was a moment ago.
#[derive(Debug)]
struct Known {
    is_here: bool,
    /// As it was last told; `None` before `phone_connected`.
    told: Option<Value>,
    /// It is shown, and not as it was told.
    differs: bool,
    connected_not_before: Instant,
    changed_not_before: Instant,
}

impl Known {
    /// When it is told next, should it differ.
    fn not_before(&self) -> Instant {
        if self.told.is_some() { self.changed_not_before } else { self.connected_not_before }
    }
}

/// Something to be told of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Connected,
    Changed,
}

impl PhoneNews {
    fn came(&mut self, now: Instant, phone: Address) {
        self.known.retain(|_, known| {
            known.is_here || known.connected_not_before.max(known.changed_not_before) > now
        });
        let before = self.known.get(&phone);
        let came = Known {
            is_here: true,
            told: None,
            differs: false,
            connected_not_before: before.map_or(now, |known| known.connected_not_before),
            changed_not_before: before.map_or(now, |known| known.changed_not_before),
        };
        self.known.insert(phone, came);
    }

    /// Whether it was told that it came.
    fn went(&mut self, phone: Address) -> bool {
        let Some(known) = self.known.get_mut(&phone) else { return false };
        (known.is_here, known.differs) = (false, false);
        known.told.take().is_some()
    }

    /// The phones that are connected are these. What is to be told of them now.
    fn shown(&mut self, now: Instant, phones: &[(PhoneName, Value)]) -> Vec<(usize, News)> {
        self.known.values_mut().for_each(|known| known.differs = false);
        let told = phones.iter().map(|(phone, object)| self.shown_one(now, phone.address, object));
        told.enumerate().filter_map(|(at, news)| Some((at, news?))).collect()
    }

    fn shown_one(&mut self, now: Instant, phone: Address, object: &Value) -> Option<News> {
        let known = self.known.get_mut(&phone).filter(|known| known.is_here)?;
        known.differs = known.told.as_ref() != Some(object);
        if !known.differs || now < known.not_before() {
            return None;
        }
        known.differs = false;
        if known.told.replace(object.clone()).is_none() {
            known.connected_not_before = now + NEWS_APART;
            return Some(News::Connected);
        }
        known.changed_not_before = now + NEWS_APART;
        Some(News::Changed)
    }

    /// When something that waits may be told.
    fn deadline(&self) -> Option<Instant> {
        self.known.values().filter(|known| known.differs).map(Known::not_before).min()
    }
}

impl Switch {
    /// A phone came; how it is, is shown in a moment. If it was away so shortly that it was never shown to be, nothing
    /// new may be shown of it.
    pub(super) fn news_of_coming(&mut self, now: Now, phone: &PhoneName) {
        self.phone_news.came(now.mono, phone.address);
        self.news_of_phones(now);
    }

    /// A phone went. One that nobody was told of goes without a word.
    pub(super) fn news_of_going(&mut self, now: Now, phone: &PhoneName, sentence: String) {
        if self.phone_news.went(phone.address) {
            self.tell_of_phone(now, agent_event::PHONE_DISCONNECTED, phone, ("reason", sentence.into()));
        }
    }

    /// At the start: a phone that was connected when the last run died.
    pub(super) fn news_of_loss(&mut self, now: Now, phone: &PhoneName) {
        self.tell_of_phone(now, agent_event::PHONE_DISCONNECTED, phone, ("reason", DIED.into()));
    }

    /// What is shown of phones is new, or may be told now.
    pub(super) fn news_of_phones(&mut self, now: Now) {
        let selected = self.phones.selected;
        let ready = self.phones.phones.iter().filter(|phone| phone.link == PhoneLink::Ready);
        let shown: Vec<_> =
            ready.map(|phone| (phone.name.clone(), phone_list::phone(phone, selected, now))).collect();
        for (at, news) in self.phone_news.shown(now.mono, &shown) {
            let name = match news {
                News::Connected => agent_event::PHONE_CONNECTED,
                News::Changed => agent_event::PHONE_CHANGED,
            };
            if let Some((phone, object)) = shown.get(at) {
                self.tell_of_phone(now, name, phone, ("phone", object.clone()));
            }
        }
    }

    /// When `news_of_phones` is due although nothing happens.
    pub(super) fn phone_news_due(&self) -> Option<Instant> {
        self.phone_news.deadline()
    }

    fn tell_of_phone(&mut self, now: Now, name: &'static str, phone: &PhoneName, more: (&str, Value)) {
        let (member, value) = more;
        let payload = json!({ "address": phone.address.to_string(), "name": phone.name.0, member: value });
        let seq = self.seq();
        let event = of_no_call(seq, now, &mut self.rng, name, payload);
        self.records.push(Record::Event(event.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pii;
    use crate::base::time::any_instant;

    const A: Address = Address::new([1; 6]);
    const B: Address = Address::new([2; 6]);

    /// What is told of a phone that is shown with some battery after so many milliseconds.
    struct Watch {
        news: PhoneNews,
        begun: Instant,
    }

    impl Watch {
        /// A is here.
        fn new() -> Self {
            let begun = any_instant();
            let mut news = PhoneNews::default();
            news.came(begun, A);
            Self { news, begun }
        }

        fn at(&self, ms: u64) -> Instant {
            self.begun + Duration::from_millis(ms)
        }

        /// A alone is shown.
        fn shows(&mut self, ms: u64, battery: u8) -> Option<News> {
            self.shows_all(ms, &[(A, battery)]).first().map(|(_, news)| *news)
        }

        fn shows_all(&mut self, ms: u64, phones: &[(Address, u8)]) -> Vec<(Address, News)> {
            let shown = phones.iter().map(|(address, battery)| {
                let phone = PhoneName { address: *address, name: Pii("a phone".into()) };
                (phone, json!({ "battery": battery }))
            });
            let told = self.news.shown(self.at(ms), &shown.collect::<Vec<_>>());
            told.into_iter().map(|(at, news)| (phones[at].0, news)).collect()
        }

        fn due(&self) -> Option<u64> {
            let due = self.news.deadline()?;
            Some(due.duration_since(self.begun).as_millis() as u64)
        }
    }

    #[test]
    fn a_phone_is_connected_once_and_changed_when_it_is_no_longer_the_same() {
        let mut watch = Watch::new();
        assert_eq!(watch.shows(0, 3), Some(News::Connected));
        assert_eq!((watch.shows(100, 3), watch.due()), (None, None));
        assert_eq!(watch.shows(200, 4), Some(News::Changed), "the first change is news at once");
        assert_eq!((watch.shows(300, 4), watch.due()), (None, None));
        assert_eq!(watch.shows(10_200, 5), Some(News::Changed));
    }

    #[test]
    fn an_indicator_that_flaps_is_told_every_ten_seconds_and_its_last_state_in_the_end() {
        let mut watch = Watch::new();
        watch.shows(0, 0);
        // For an hour it is another one five times a second; then it rests.
        let mut told = Vec::new();
        let mut last = 0;
        for ms in (200..=3_600_000).step_by(200) {
            last = (ms / 200 % 5) as u8;
            told.extend(watch.shows(ms, last).map(|_| ms));
        }
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= 10_000), "{told:?}");
        assert!((350..=361).contains(&told.len()), "{}", told.len());
        let due = watch.due().expect("the last state is not told yet");
        assert!(due <= 3_610_000);
        assert_eq!(watch.shows(due - 1, last), None);
        assert_eq!((watch.shows(due, last), watch.due()), (Some(News::Changed), None));
    }

    #[test]
    fn a_link_that_flaps_is_told_every_ten_seconds_and_that_it_is_up_in_the_end() {
        let mut watch = Watch::new();
        assert_eq!(watch.shows(0, 3), Some(News::Connected));
        let (mut connected, mut disconnected) = (Vec::new(), 0);
        for ms in (200..=600_000).step_by(200) {
            disconnected += u32::from(watch.news.went(A));
            assert_eq!(watch.due(), None, "nothing waits of a phone that is away");
            watch.news.came(watch.at(ms), A);
            connected.extend(watch.shows(ms, 3).map(|_| ms));
        }
        assert!(connected.windows(2).all(|pair| pair[1] - pair[0] >= 10_000), "{connected:?}");
        assert!((58..=60).contains(&connected.len()), "{}", connected.len());
        assert!(disconnected as usize <= connected.len() + 1);
        if let Some(due) = watch.due() {
            assert_eq!((watch.shows(due - 1, 3), watch.shows(due, 3)), (None, Some(News::Connected)));
        }
        assert_eq!(watch.shows(700_000, 3), None, "it is told that it is here");
        // After a while it is nobody's business any more.
        assert!(watch.news.went(A));
        watch.news.came(watch.at(720_000), B);
        assert!(!watch.news.known.contains_key(&A));
    }

    #[test]
    fn a_phone_that_was_away_changes_no_sooner_for_that() {
        let mut watch = Watch::new();
        watch.shows(0, 3);
        assert_eq!(watch.shows(9000, 4), Some(News::Changed));
        assert!(watch.news.went(A));
        // By now it may be told to be back, but not to have changed.
        watch.news.came(watch.at(10_500), B);
        watch.news.came(watch.at(10_600), A);
        assert_eq!(watch.shows(10_600, 4), Some(News::Connected));
        assert_eq!((watch.shows(10_700, 5), watch.due()), (None, Some(19_000)));
        assert_eq!(watch.shows(19_000, 5), Some(News::Changed));
    }

    #[test]
    fn what_is_as_it_was_told_before_its_time_came_is_no_news() {
        let mut watch = Watch::new();
        watch.shows(0, 3);
        watch.shows(1000, 4);
        assert_eq!((watch.shows(2000, 5), watch.due()), (None, Some(11_000)));
        assert_eq!((watch.shows(3000, 4), watch.due()), (None, None), "it is back");
        assert_eq!(watch.shows(20_000, 4), None);
    }

    #[test]
    fn what_is_not_shown_any_more_is_not_waited_for() {
        let mut watch = Watch::new();
        watch.shows(0, 3);
        watch.shows(1000, 4);
        assert_eq!((watch.shows(2000, 5), watch.due()), (None, Some(11_000)));
        assert_eq!((watch.shows_all(3000, &[]), watch.due()), (vec![], None));
        assert_eq!((watch.shows(4000, 5), watch.due()), (None, Some(11_000)));
    }

    #[test]
    fn each_phone_has_its_own_time_and_one_that_was_never_shown_goes_without_a_word() {
        let mut watch = Watch::new();
        watch.news.came(watch.begun, B);
        assert_eq!(watch.due(), None, "nothing is due before it is shown");
        watch.shows(0, 1);
        watch.shows(0, 2);
        assert_eq!(watch.shows_all(1, &[(A, 2), (B, 1)]), [(B, News::Connected)]);
        assert_eq!(watch.shows_all(2, &[(A, 1), (B, 2)]), [(B, News::Changed)], "A's time is not its");
        assert_eq!(watch.due(), Some(10_000));
        assert!(watch.news.went(B) && !watch.news.went(B));
        assert_eq!(watch.shows_all(20_000, &[(A, 2), (B, 1)]), [], "it is not here");
        watch.news.came(watch.at(20_001), B);
        assert!(!watch.news.went(B));
    }
}
