//! Properties of objects, and what of them changed.

use std::collections::BTreeMap;

use dbus::arg::{ArgType, Iter, RefArg, Variant};

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Path(String),
    Texts(Vec<String>),
    Flag(bool),
    Number(u32),
    Short(u16),
    Byte(u8),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Its type, as D-Bus writes it.
    pub(super) fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Path(_) => "o",
            Self::Texts(_) => "as",
            Self::Flag(_) => "b",
            Self::Number(_) => "u",
            Self::Short(_) => "q",
            Self::Byte(_) => "y",
        }
    }

    /// As a variant.
    pub(super) fn wire(&self) -> Variant<Box<dyn RefArg>> {
        Variant(match self.clone() {
            Self::Text(text) => Box::new(text),
            Self::Path(path) => match dbus::Path::new(path) {
                Ok(path) => Box::new(path),
                Err(text) => Box::new(text),
            },
            Self::Texts(texts) => Box::new(texts),
            Self::Flag(flag) => Box::new(flag),
            Self::Number(number) => Box::new(number),
            Self::Short(number) => Box::new(number),
            Self::Byte(byte) => Box::new(byte),
        })
    }

    /// The value in the variant that stands here; `None` for types that no settable property has.
    pub(super) fn read(at: &mut Iter<'_>) -> Option<Self> {
        let mut inside = at.recurse(ArgType::Variant)?;
        let text = inside.get::<&str>().map(Self::text);
        text.or_else(|| inside.get::<bool>().map(Self::Flag))
            .or_else(|| inside.get::<u32>().map(Self::Number))
    }
}

pub(super) type Properties = BTreeMap<&'static str, Value>;
pub(super) type Interfaces = BTreeMap<&'static str, Properties>;
/// Everything that the host shows, by path.
pub(super) type Objects = BTreeMap<String, Interfaces>;

/// As `a{sv}`.
pub(super) fn dict(properties: &Properties) -> BTreeMap<String, Variant<Box<dyn RefArg>>> {
    properties.iter().map(|(name, value)| ((*name).to_owned(), value.wire())).collect()
}

/// As `a{sa{sv}}`.
pub(super) fn dicts(interfaces: &Interfaces) -> BTreeMap<String, BTreeMap<String, Variant<Box<dyn RefArg>>>> {
    interfaces.iter().map(|(name, properties)| ((*name).to_owned(), dict(properties))).collect()
}

/// One thing that the bus is told of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added { path: String, interfaces: Interfaces },
    Removed { path: String, interfaces: Vec<&'static str> },
    Properties { path: String, interface: &'static str, changed: Properties },
}

/// What became of `before`.
pub(super) fn changes(before: &Objects, now: &Objects) -> Vec<Change> {
    let mut found = Vec::new();
    for (path, interfaces) in before {
        if !now.contains_key(path) {
            let interfaces = interfaces.keys().copied().collect();
            found.push(Change::Removed { path: path.clone(), interfaces });
        }
    }
    for (path, interfaces) in now {
        let Some(old) = before.get(path) else {
            found.push(Change::Added { path: path.clone(), interfaces: interfaces.clone() });
            continue;
        };
        for (interface, properties) in interfaces {
            let was = |name: &str| old.get(interface).and_then(|old| old.get(name));
            let changed: Properties = properties
                .iter()
                .filter(|(name, value)| was(name) != Some(value))
                .map(|(name, value)| (*name, value.clone()))
                .collect();
            if !changed.is_empty() {
                found.push(Change::Properties { path: path.clone(), interface, changed });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_tells_what_came_what_went_and_what_changed() {
        let properties = |flag| Properties::from([("A", Value::Flag(flag)), ("B", Value::Number(1))]);
        let object = |flag| Interfaces::from([("i", properties(flag))]);
        let before = Objects::from([("/gone".into(), object(true)), ("/same".into(), object(true))]);
        let now = Objects::from([("/new".into(), object(true)), ("/same".into(), object(false))]);
        assert_eq!(
            changes(&before, &now),
            [
                Change::Removed { path: "/gone".into(), interfaces: vec!["i"] },
                Change::Added { path: "/new".into(), interfaces: object(true) },
                Change::Properties {
                    path: "/same".into(),
                    interface: "i",
                    changed: Properties::from([("A", Value::Flag(false))])
                },
            ]
        );
        assert_eq!(changes(&now, &now), []);
    }
}
