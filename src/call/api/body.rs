//! Bodies: an object of JSON whose known members have the right types. Null means absent, other members are
//! ignored, and a wrong type is refused by its name.

use serde_json::{Map, Value};

use super::request::Request;
use super::response::Response;
use crate::base::integer::whole;
use crate::base::{Number, Pii};
use crate::call::command::{CallRequest, PhoneAsk, Target};
use crate::call::conversation::Overrides;
use crate::call::phones::Place;

/// Seconds that a request lives when nothing is said.
const TTL_SEC_DEFAULT: u32 = 300;
/// Seconds that a request may live.
const TTL_SEC_MAX: u32 = 86_400;
/// Seconds that a pairing window may be open.
const TIMEOUT_SEC_MAX: u32 = 86_400;
/// Levels of lists and objects in a body. What is stored lies a few levels deeper in a session, and must still be read
/// after a crash by a parser that stops at 128.
const NESTING_MAX: usize = 64;
/// Bytes of a `sip:` URI as a target.
const TARGET_URI_BYTES_MAX: usize = 256;

/// The members of a body; each is taken once.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// JSON, its media type checked before, its size by the gate.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, Response> {
        if request.body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(request.body) {
            Ok(body) if !is_within(&body, NESTING_MAX) => {
                Err(Response::problem(400, &format!("the body is nested deeper than {NESTING_MAX} levels")))
            }
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Err(Response::problem(400, "the body must be a JSON object"))
            }
            Err(_) => Err(Response::problem(400, "invalid json")),
        }
    }

    /// All members, as sent: for the configuration, where null has a meaning.
    pub(super) fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// The members in one form, whatever their order and spacing were.
    pub(super) fn canonical(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }

    /// `text` of a message for the agent; blank is as good as none.
    pub(super) fn into_text(mut self) -> Result<String, Response> {
        let text = self.string("text")?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| Response::problem(400, "text is required"))
    }

    /// `to` of `POST …/handover`.
    pub(super) fn into_place(mut self) -> Result<Place, Response> {
        match self.string("to")?.as_deref() {
            Some("handset") => Ok(Place::Handset),
            Some("agent") => Ok(Place::Agent),
            Some(_) | None => Err(wrong("to", "handset or agent")),
        }
    }

    /// `timeout_sec` of a pairing window, if it is said.
    pub(super) fn into_timeout(mut self) -> Result<Option<u32>, Response> {
        let seconds = self.seconds("timeout_sec", TIMEOUT_SEC_MAX)?;
        Ok(Some(seconds).filter(|seconds| *seconds > 0))
    }

    /// The answer to a phone that pairs.
    pub(super) fn into_pairing_answer(mut self) -> Result<PhoneAsk, Response> {
        let accept = self.boolean("accept")?.ok_or_else(|| wrong("accept", "true or false"))?;
        let address = self.string("address")?.map(|text| text.parse());
        let phone =
            address.transpose().map_err(|_| wrong("address", "a Bluetooth address (AA:BB:CC:DD:EE:FF)"))?;
        let six = |text: &String| text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_digit());
        let number = match self.string("passkey")? {
            Some(text) if !six(&text) => return Err(wrong("passkey", "six digits")),
            text => text.and_then(|text| text.parse().ok()),
        };
        Ok(PhoneAsk::AnswerPairing { accept, phone, number })
    }

    /// The body of `POST /v1/outbound-calls`.
    pub(super) fn into_outbound(mut self) -> Result<CallRequest, Response> {
        let echo = self.boolean("echo")?.unwrap_or(false);
        let request = self.into_pending()?;
        if request.target.is_none() {
            return Err(Response::problem(400, "number is required"));
        }
        Ok(CallRequest { echo, ..request })
    }

    /// The body of `POST /v1/pending-call-requests`.
    pub(super) fn into_pending(mut self) -> Result<CallRequest, Response> {
        let (number, target_number) = (self.digits("number")?, self.digits("target_number")?);
        Ok(CallRequest {
            target: number.or(target_number).map(|text| target(&text)).transpose()?,
            dynamic_variables: self.object("dynamic_variables")?.unwrap_or_default(),
            metadata: self.object("metadata")?.unwrap_or_default(),
            ttl_sec: match self.seconds("ttl_sec", TTL_SEC_MAX)? {
                0 => TTL_SEC_DEFAULT,
                seconds => seconds,
            },
            agent_id: self.string("agent_id")?.filter(|id| !id.is_empty()),
            overrides: self.overrides()?,
            echo: false,
            keyed: None,
        })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, Response> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Response> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>, Response> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(yes)) => Ok(Some(yes)),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    /// A text, or an integer as its digits.
    fn digits(&mut self, name: &str) -> Result<Option<String>, Response> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => match whole(&number) {
                Some(digits) => Ok(Some(digits.to_string())),
                None => Err(wrong(name, "a string, or an integer that is its digits, at most 2^53 - 1")),
            },
            Some(_) => Err(wrong(name, "a string, or an integer that is its digits")),
        }
    }

    /// Whole seconds; 0 when nothing is said.
    fn seconds(&mut self, name: &str, most: u32) -> Result<u32, Response> {
        let seconds = match self.take(name) {
            None => Some(0),
            Some(Value::Number(number)) => whole(&number),
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        let seconds =
            seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds <= most);
        seconds.ok_or_else(|| wrong(name, &format!("a whole number of seconds, at most {most}")))
    }

    fn overrides(&mut self) -> Result<Overrides, Response> {
        let mut given = Self(self.object("overrides")?.unwrap_or_default());
        let mut take =
            |name: &str| given.string(name).map_err(|_| wrong(&format!("overrides.{name}"), "a string"));
        Ok(Overrides {
            first_message: take("first_message")?,
            language: take("language")?,
            prompt: take("prompt")?,
            voice_id: take("voice_id")?,
        })
    }
}

/// Whether there are at most so many levels of lists and objects.
fn is_within(value: &Value, levels: usize) -> bool {
    let below = |value| levels > 0 && is_within(value, levels - 1);
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(below),
        Value::Object(members) => levels > 0 && members.values().all(below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn wrong(name: &str, must_be: &str) -> Response {
    Response::problem(400, &format!("{name} must be {must_be}"))
}

/// A body is `application/json`; another type, or none, is let pass where no browser can be behind it (`curl -d`
/// names a form). Without a body the type does not matter.
pub(super) fn check_media_type(request: &Request<'_>) -> Result<(), Response> {
    let headers = &request.headers;
    let media_type = headers.content_type.and_then(|value| value.split(';').next()).unwrap_or("").trim();
    let from_a_browser = headers.origin.is_some() || headers.sec_fetch_site.is_some();
    if !request.body.is_empty() && from_a_browser && !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Response::problem(415, "the body must be application/json"));
    }
    Ok(())
}

fn target(text: &str) -> Result<Target, Response> {
    let scheme_end = text.char_indices().nth(4).map_or(text.len(), |(at, _)| at);
    match text.split_at(scheme_end) {
        (scheme, rest) if scheme.eq_ignore_ascii_case("sip:") => {
            if uri_is_fine(rest) && text.len() <= TARGET_URI_BYTES_MAX {
                Ok(Target::Uri(Pii(text.to_owned())))
            } else {
                Err(Response::problem(400, "number is not a sip: URI that can be called"))
            }
        }
        _ if text.is_empty() => Err(Response::problem(400, "number is required")),
        _ => Number::parse(text).map(Target::Number).map_err(|e| Response::problem(400, &e.to_string())),
    }
}

/// The characters of RFC 3261 25.1 and a host. No headers (`?`): they could put anything into the INVITE (19.1.5).
fn uri_is_fine(rest: &str) -> bool {
    let host = rest.rsplit_once('@').map_or(rest, |(_user, host)| host);
    let host_begins_well = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    host_begins_well
        && rest.matches('@').count() <= 1
        && !rest.starts_with('@')
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;/:@[]%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::api::Headers;

    #[test]
    fn a_body_is_nested_no_deeper_than_what_is_made_of_it_can_be_read_again() {
        let nested = |levels: usize| {
            let body = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
            let (headers, body) = (Headers::default(), body.as_bytes());
            let request = Request { method: "POST", target: "/", http10: false, headers, body };
            Fields::of(&request).map(|_| ()).map_err(|refused| (refused.status, refused.body))
        };
        assert_eq!((nested(2), nested(64)), (Ok(()), Ok(())));
        for levels in [65, 127] {
            let (status, body) = nested(levels).unwrap_err();
            assert_eq!((status, body.contains("nested deeper than 64 levels")), (400, true), "{body}");
        }
        let (_, parser) = nested(128).unwrap_err();
        assert!(parser.contains("invalid json"), "{parser}");
    }
}
