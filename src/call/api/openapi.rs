//! The description of this API for programs: OpenAPI 3.1, one file, served as it is.

/// The document. What it says is held against the routes, the configuration, the words of the code and real answers.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// The document for the tests of whatever it describes.
#[cfg(test)]
pub(crate) mod document {
    use serde_json::Value;

    /// All of it.
    pub(crate) fn whole() -> Value {
        serde_json::from_str(super::DOCUMENT).unwrap()
    }

    /// One of `components/schemas`.
    pub(crate) fn schema(name: &str) -> Value {
        let schema = whole()["components"]["schemas"][name].take();
        assert!(schema.is_object(), "{name} is not described");
        schema
    }

    /// The words of one that is a closed list, sorted.
    pub(crate) fn words(name: &str) -> Vec<String> {
        let mut words: Vec<String> = serde_json::from_value(schema(name)["enum"].take()).unwrap();
        words.sort();
        words
    }

    /// Fails unless the schema lists exactly these words.
    #[track_caller]
    pub(crate) fn lists(name: &str, known: impl IntoIterator<Item = impl Into<String>>) {
        let mut known: Vec<String> = known.into_iter().map(Into::into).collect();
        known.sort();
        assert_eq!(words(name), known, "{name}");
    }

    /// Fails unless the schema describes each member of this object with its type, and all of them are there.
    #[track_caller]
    pub(crate) fn describes(name: &str, object: &Value) {
        let schema = schema(name);
        let mut required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        required.sort();
        let (described, members) = (&schema["properties"], object.as_object().unwrap());
        assert!(members.keys().eq(described.as_object().unwrap().keys()), "{name}: {schema} {object}");
        assert!(members.keys().eq(&required), "{name}: {required:?}");
        for (member, value) in members {
            let word = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let kind = &described[member]["type"];
            let is_so =
                kind == word || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == word));
            // One without a type is described elsewhere.
            assert!(kind.is_null() || is_so, "{name}: {member} is {value}, not {kind}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Map, Value, json};

    use super::document::{lists, whole};
    use crate::call::api::endpoint::ENDPOINTS;
    use crate::call::api::reason;
    use crate::call::config::Backend;

    const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
    /// What limits, access and media type may answer to anything.
    const ALWAYS: [&str; 12] =
        ["400", "403", "408", "413", "415", "417", "421", "431", "500", "501", "503", "505"];

    fn object(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    /// Path, method and description of everything that can be asked.
    fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
        let mut found = Vec::new();
        for (path, item) in object(&document["paths"]) {
            for (method, operation) in object(item) {
                assert!(METHODS.contains(&method.as_str()), "{path} has the unknown member {method}");
                found.push((path.as_str(), method.as_str(), operation));
            }
        }
        found
    }

    #[test]
    fn every_path_and_method_is_described_and_nothing_else() {
        let document = whole();
        let mut described: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (path, method, _) in operations(&document) {
            described.entry(path).or_default().insert(method.to_ascii_uppercase());
        }
        let served: BTreeMap<&str, BTreeSet<String>> = ENDPOINTS
            .iter()
            .map(|endpoint| (endpoint.path, endpoint.methods.split(", ").map(str::to_owned).collect()))
            .collect();
        assert_eq!(served.len(), ENDPOINTS.len(), "a path is served twice");
        assert_eq!(described, served);
    }

    #[test]
    fn every_operation_names_itself_its_statuses_and_the_ids_in_its_path() {
        let document = whole();
        let mut names = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let text = |member: &str| operation[member].as_str().unwrap_or_default().to_owned();
            assert!(names.insert(text("operationId")) && !text("operationId").is_empty(), "{method} {path}");
            assert!(!text("summary").is_empty() && operation["tags"][0].is_string(), "{method} {path}");
            let responses = object(&operation["responses"]);
            let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path == path).unwrap();
            assert_eq!(operation["security"] == json!([]), endpoint.is_open(), "{method} {path}");
            assert_eq!(responses.contains_key("401"), !endpoint.is_open(), "{method} {path}");
            for status in ALWAYS.into_iter().chain(["405"]) {
                assert!(responses.contains_key(status), "{method} {path}: {status}");
            }
            for status in responses.keys() {
                assert_ne!(reason(status.parse().unwrap()), "Unknown", "{method} {path}: {status}");
            }
            let ids: Vec<Value> = operation["parameters"].as_array().cloned().unwrap_or_default();
            let ids = ids.iter().map(|parameter| resolved(&document, parameter));
            let ids: Vec<String> = ids
                .filter(|id| id["in"] == "path")
                .map(|id| format!("{{{}}}", id["name"].as_str().unwrap()))
                .collect();
            let braces: Vec<&str> = path.split('/').filter(|segment| segment.starts_with('{')).collect();
            assert_eq!(ids, braces, "{method} {path}");
            if method == "head" {
                let get = object(&document["paths"][path]["get"]["responses"]);
                assert_eq!(responses.keys().collect::<Vec<_>>(), get.keys().collect::<Vec<_>>(), "{path}");
            }
        }
    }

    fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(path) => {
                document.pointer(path.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{path}"))
            }
            None => value,
        }
    }

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_component_is_used_and_every_reference_leads_somewhere() {
        let document = whole();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let mut there = BTreeSet::new();
        for (kind, components) in object(&document["components"]) {
            if kind != "securitySchemes" {
                there.extend(object(components).keys().map(|name| format!("#/components/{kind}/{name}")));
            }
        }
        assert_eq!(used, there);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_backends_are_those_of_the_code() {
        lists("Backend", [Backend::Sip, Backend::Hfp, Backend::Adb].map(Backend::as_str));
    }
}
