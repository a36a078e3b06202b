//! Paths and queries: split first, decoded after, so that an encoded `/`, `&` or `=` stays inside its part.
//! A `+` stays a `+` in both: session ids hold one.

use percent_encoding::percent_decode_str;

/// The decoded segments of a path that begins with `/`; `None` when it does not, or is not UTF-8.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?.split('/').map(decoded).collect()
}

/// The first value of a parameter, decoded: `Ok(None)` when it is absent, `Err` when it is not UTF-8.
pub(super) fn parameter(query: &str, name: &str) -> Result<Option<String>, ()> {
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(key).as_deref() == Some(name) {
            return decoded(value).map(Some).ok_or(());
        }
    }
    Ok(None)
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(segments("/v1/calls").unwrap(), ["v1", "calls"]);
        assert_eq!(segments("/a%2Fb/%2e%2e/c+d%2Be").unwrap(), ["a/b", "..", "c+d+e"]);
        assert_eq!(segments("/%zz/%").unwrap(), ["%zz", "%"]);
        assert_eq!(segments("/").unwrap(), [""]);
        assert_eq!((segments("*"), segments("/%ff")), (None, None));
    }

    #[test]
    fn the_first_value_of_a_parameter_counts() {
        let query = "a=1&session%5Fid=%2B49+x%20y&a=2&empty=&bare&bad=%ff";
        assert_eq!(parameter(query, "a"), Ok(Some("1".into())));
        assert_eq!(parameter(query, "session_id"), Ok(Some("+49+x y".into())));
        assert_eq!(parameter(query, "empty"), Ok(Some(String::new())));
        assert_eq!(parameter(query, "bare"), Ok(Some(String::new())));
        assert_eq!(parameter(query, "none"), Ok(None));
        assert_eq!(parameter(query, "bad"), Err(()));
    }
}
