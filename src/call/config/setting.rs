//! What a setting is: takes JSON by its rule, gives JSON back. One implementation for each type of value.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::form::Form;
use super::hours::BusinessHours;
use super::word::{Weekday, Word};
use crate::base::Secret;
use crate::base::integer::whole;

/// Characters of one text value; a longer one is refused.
pub(super) const TEXT_CHARS_MAX: usize = 256;
/// Entries of a list or an object; a longer one is refused.
pub(super) const ENTRIES_MAX: usize = 1000;
/// Bytes of an object whose members are free, as JSON text; a larger one is refused.
pub(super) const FREE_OBJECT_BYTES_MAX: usize = 64 * 1024;
/// What clients see in place of a secret that is set; sent back, it leaves the secret as it is.
pub(super) const MASK: &str = "***";

/// What the values of a key look like, for those who write them without JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Integer,
    /// A text, one of some words, or nothing.
    Text,
    /// A text that is never shown.
    Secret,
    /// A list of texts.
    List,
    /// A list of texts, or null for the built-in one.
    ListOrBuiltIn,
    /// An object whose values are texts.
    Map,
    /// An object of any form.
    Object,
}

/// A value that knows how to be set from JSON.
pub(super) trait Setting: Sized {
    /// How its values are written.
    const KIND: Kind;

    /// What the table says beside the type.
    type Rule;

    /// Takes a value. The error completes the sentence "KEY must be …"; then nothing has changed.
    fn set(&mut self, rule: &Self::Rule, given: &Value) -> Result<(), String>;

    /// Takes a value from disk: as `set`, but of a list the good entries are kept beside the error.
    fn load(&mut self, rule: &Self::Rule, given: &Value) -> Result<(), String> {
        self.set(rule, given)
    }

    /// The value as `config.json` has it.
    fn to_json(&self) -> Value;

    /// The value as clients see it.
    fn to_masked_json(&self) -> Value {
        self.to_json()
    }
}

/// null leaves it; true and false, 0 and 1, and the two words as text.
impl Setting for bool {
    const KIND: Kind = Kind::Flag;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        let taken = match given {
            Value::Null => return Ok(()),
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => match whole(number) {
                Some(0) => Some(false),
                Some(1) => Some(true),
                Some(_) | None => None,
            },
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        };
        *self = taken.ok_or("true or false")?;
        Ok(())
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

/// null leaves it; an integer in the range, or its digits as text.
impl Setting for u32 {
    const KIND: Kind = Kind::Integer;
    type Rule = RangeInclusive<u32>;

    fn set(&mut self, range: &Self::Rule, given: &Value) -> Result<(), String> {
        let taken = match given {
            Value::Null => return Ok(()),
            Value::Number(number) => whole(number),
            Value::String(text) if text.trim().bytes().all(|b| b.is_ascii_digit()) => {
                text.trim().parse().ok()
            }
            Value::String(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        *self = taken
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("an integer from {} to {}", range.start(), range.end()))?;
        Ok(())
    }

    fn to_json(&self) -> Value {
        (*self).into()
    }
}

/// null and the empty text clear it.
impl Setting for Option<String> {
    const KIND: Kind = Kind::Text;
    type Rule = Form;

    fn set(&mut self, form: &Form, given: &Value) -> Result<(), String> {
        *self = match text_or_cleared(given)? {
            Some(text) => Some(form(text)?),
            None => None,
        };
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.as_deref().into()
    }
}

/// null and the empty text clear it; the mask leaves it; nothing is trimmed.
impl Setting for Option<Secret> {
    const KIND: Kind = Kind::Secret;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        match given {
            Value::String(text) if text == MASK => {}
            Value::Null => *self = None,
            Value::String(text) if text.is_empty() => *self = None,
            Value::String(text) if is_long(text) || text.contains(char::is_control) => {
                return Err(format!(
                    "a text of at most {TEXT_CHARS_MAX} characters without control characters"
                ));
            }
            Value::String(text) => *self = Some(Secret::new(text.as_str())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err("a text".into());
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.as_ref().map(Secret::expose).into()
    }

    fn to_masked_json(&self) -> Value {
        self.as_ref().map(|_| MASK).into()
    }
}

/// null and the empty text clear it: no opening hours.
impl Setting for Option<BusinessHours> {
    const KIND: Kind = Kind::Text;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        *self = match text_or_cleared(given)? {
            Some(text) => Some(BusinessHours::parse(text).ok_or("hours in the form HH:MM-HH:MM")?),
            None => None,
        };
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.map(|hours| hours.to_string()).into()
    }
}

/// null leaves it; one of the words.
impl<W: Word> Setting for W {
    const KIND: Kind = Kind::Text;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        if !given.is_null() {
            *self = given.as_str().and_then(W::parse).ok_or_else(W::choices)?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.word().into()
    }
}

/// null leaves it; a list of texts of one form.
impl Setting for Vec<String> {
    const KIND: Kind = Kind::List;
    type Rule = Form;

    fn set(&mut self, form: &Form, given: &Value) -> Result<(), String> {
        let mut list = self.clone();
        list.load(form, given)?;
        *self = list;
        Ok(())
    }

    fn load(&mut self, form: &Form, given: &Value) -> Result<(), String> {
        let Some(entries) = entries_of(given)? else { return Ok(()) };
        let mut fault = None;
        self.clear();
        for entry in entries {
            let text = text_or_cleared(entry).ok().flatten();
            match text.ok_or("texts that are neither empty nor too long").and_then(form) {
                Ok(text) => self.push(text),
                Err(expected) => fault = Some(format!("a list of {expected}")),
            }
        }
        fault.map_or(Ok(()), Err)
    }

    fn to_json(&self) -> Value {
        self.as_slice().into()
    }
}

/// null means the built-in list.
impl Setting for Option<Vec<String>> {
    const KIND: Kind = Kind::ListOrBuiltIn;
    type Rule = Form;

    fn set(&mut self, form: &Form, given: &Value) -> Result<(), String> {
        let mut list = Vec::new();
        *self = if given.is_null() {
            None
        } else {
            list.set(form, given)?;
            Some(list)
        };
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.as_deref().into()
    }
}

/// null leaves it; a list of days, kept in the order of the week, each once.
impl Setting for Vec<Weekday> {
    const KIND: Kind = Kind::List;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        let Some(entries) = entries_of(given)? else { return Ok(()) };
        let mut days = Vec::new();
        for entry in entries {
            let day = entry.as_str().and_then(Weekday::parse);
            days.push(day.ok_or_else(|| format!("a list of {}", Weekday::choices()))?);
        }
        days.sort_unstable();
        days.dedup();
        *self = days;
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.iter().map(|day| day.word()).collect()
    }
}

/// null leaves it; an object whose values are texts.
impl Setting for BTreeMap<String, String> {
    const KIND: Kind = Kind::Map;
    type Rule = Form;

    fn set(&mut self, form: &Form, given: &Value) -> Result<(), String> {
        const EXPECTED: &str = "an object whose values are texts, neither empty nor too long";
        let members = match given {
            Value::Null => return Ok(()),
            Value::Object(members) if members.len() <= ENTRIES_MAX => members,
            Value::Object(_) => return Err(format!("an object of at most {ENTRIES_MAX} members")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(EXPECTED.into());
            }
        };
        let mut taken = Self::new();
        for (name, value) in members {
            let text = text_or_cleared(value).ok().flatten().ok_or(EXPECTED)?;
            let name = Some(name.trim()).filter(|name| !name.is_empty() && !is_long(name)).ok_or(EXPECTED)?;
            taken.insert(name.to_owned(), form(text).map_err(|_| EXPECTED)?);
        }
        *self = taken;
        Ok(())
    }

    fn to_json(&self) -> Value {
        self.iter()
            .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// null leaves it; any object.
impl Setting for Map<String, Value> {
    const KIND: Kind = Kind::Object;
    type Rule = ();

    fn set(&mut self, (): &(), given: &Value) -> Result<(), String> {
        match given {
            Value::Null => Ok(()),
            Value::Object(members) if given.to_string().len() <= FREE_OBJECT_BYTES_MAX => {
                self.clone_from(members);
                Ok(())
            }
            Value::Object(_) => Err(format!("an object of at most {FREE_OBJECT_BYTES_MAX} bytes")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err("an object".into()),
        }
    }

    fn to_json(&self) -> Value {
        self.clone().into()
    }
}

fn is_long(text: &str) -> bool {
    text.chars().nth(TEXT_CHARS_MAX).is_some()
}

fn text_or_cleared(given: &Value) -> Result<Option<&str>, String> {
    match given {
        Value::Null => Ok(None),
        Value::String(text) if !is_long(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Value::String(_) => Err(format!("a text of at most {TEXT_CHARS_MAX} characters")),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err("a text".into()),
    }
}

fn entries_of(given: &Value) -> Result<Option<&[Value]>, String> {
    match given {
        Value::Null => Ok(None),
        Value::Array(entries) if entries.len() <= ENTRIES_MAX => Ok(Some(entries)),
        Value::Array(_) => Err(format!("a list of at most {ENTRIES_MAX} entries")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err("a list of texts".into())
        }
    }
}
