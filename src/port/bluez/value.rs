//! What properties hold, read with bounds. A value of a type that nothing here uses is `Other`.

use dbus::arg::{ArgType, Iter};

/// A text, in bytes; what is longer is cut.
const TEXT_BYTES_MAX: usize = 512;
/// Texts of one list; what follows is not read.
const TEXTS_MAX: usize = 256;
/// Entries of one dictionary, the objects of the host among them; what follows is not read.
const ENTRIES_MAX: usize = 8192;

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string or an object path.
    Text(String),
    /// A list of strings.
    Texts(Vec<String>),
    /// A boolean.
    Flag(bool),
    /// Something else.
    Other,
}

/// Names and values, in their order.
pub(super) type Properties = Vec<(String, Value)>;

/// At most so much of a text, whole characters.
pub(super) fn clipped(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or("").to_owned()
}

/// Reads an `a{sv}` that stands here; anything else is empty.
pub(super) fn properties(at: &mut Iter<'_>) -> Properties {
    let mut found = Vec::new();
    entries(at, |key, mut value| {
        let value = value.recurse(ArgType::Variant).map_or(Value::Other, |mut inside| read(&mut inside));
        found.push((key, value));
    });
    found
}

/// Calls back with each entry's key and the place of its value, for an `a{s…}` or `a{o…}` that stands here.
pub(super) fn entries<'a>(at: &mut Iter<'a>, mut each: impl FnMut(String, Iter<'a>)) {
    let Some(mut list) = at.recurse(ArgType::Array) else { return };
    for _ in 0..ENTRIES_MAX {
        let Some(mut entry) = list.recurse(ArgType::DictEntry) else { return };
        if let Some(key) = text(&mut entry)
            && entry.next()
        {
            each(key, entry);
        }
        if !list.next() {
            return;
        }
    }
}

/// Reads an `as` that stands here; an empty list may be one of anything.
pub(super) fn texts(at: &mut Iter<'_>) -> Option<Vec<String>> {
    let mut list = at.recurse(ArgType::Array)?;
    if !matches!(list.arg_type(), ArgType::String | ArgType::ObjectPath | ArgType::Invalid) {
        return None;
    }
    let mut found = Vec::new();
    while found.len() < TEXTS_MAX {
        let Some(one) = text(&mut list) else { break };
        found.push(one);
        if !list.next() {
            break;
        }
    }
    Some(found)
}

/// Reads a string or an object path that stands here.
pub(super) fn text(at: &mut Iter<'_>) -> Option<String> {
    match at.get::<&str>() {
        Some(text) => Some(clipped(text)),
        None => at.get::<dbus::Path<'_>>().map(|path| clipped(&path)),
    }
}

fn read(at: &mut Iter<'_>) -> Value {
    if let Some(flag) = at.get::<bool>() {
        return Value::Flag(flag);
    }
    if let Some(text) = text(at) {
        return Value::Text(text);
    }
    texts(at).map_or(Value::Other, Value::Texts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dbus::Message;
    use dbus::arg::Variant;

    use super::*;

    fn signal() -> Message {
        Message::new_signal("/", "org.example.A", "B").unwrap()
    }

    #[test]
    fn each_type_is_read_and_strange_ones_are_other() {
        let nested: BTreeMap<&str, Variant<Vec<u16>>> = [("x", Variant(vec![1]))].into();
        let message = signal()
            .append1(Variant("text"))
            .append3(Variant(true), Variant(vec!["a", "b"]), Variant(7_u32))
            .append2(Variant(nested), Variant(dbus::Path::new("/a").unwrap()));
        let mut at = message.iter_init();
        let mut seen = Vec::new();
        loop {
            seen.push(read(&mut at.recurse(ArgType::Variant).unwrap()));
            if !at.next() {
                break;
            }
        }
        assert_eq!(
            seen,
            [
                Value::Text("text".into()),
                Value::Flag(true),
                Value::Texts(vec!["a".into(), "b".into()]),
                Value::Other,
                Value::Other,
                Value::Text("/a".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_dictionary_has_no_entries() {
        assert_eq!(properties(&mut signal().append1(3_u8).iter_init()), []);
        assert_eq!(properties(&mut signal().append1(vec!["a"]).iter_init()), []);
        assert_eq!(properties(&mut signal().iter_init()), []);
        let plain: BTreeMap<&str, u8> = [("Alias", 1)].into();
        assert_eq!(properties(&mut signal().append1(plain).iter_init()), [("Alias".into(), Value::Other)]);
    }

    #[test]
    fn long_texts_and_long_lists_are_cut() {
        assert_eq!(clipped(&"é".repeat(400)).len(), TEXT_BYTES_MAX);
        assert_eq!(clipped(&format!("a{}", "é".repeat(400))).len(), TEXT_BYTES_MAX - 1);
        let message = signal().append1(vec!["a"; 1000]);
        assert_eq!(texts(&mut message.iter_init()).unwrap().len(), TEXTS_MAX);
    }
}
