//! What is said to the phone's shell, and how it complains.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base::Number;
use crate::base::text::bounded;

/// The calls, as the telephony service knows them.
pub const REGISTRY: &str = "dumpsys telephony.registry";
/// The calls, as the telephone program knows them.
pub const TELECOM: &str = "dumpsys telecom";
/// `KEYCODE_CALL`: takes the call that comes in. In a call it would hold it, without one it opens the dialler.
pub const ANSWER: &str = "input keyevent 5";
/// `KEYCODE_ENDCALL`: refuses or ends. Without a call it switches the screen off.
pub const END: &str = "input keyevent 6";

/// Bytes of a complaint that are kept.
const COMPLAINT_BYTES_MAX: usize = 200;

/// Calls a number. What is not a letter or a digit is percent-encoded, as Android's own `Uri.fromParts` does: nothing
/// that a shell could take for its own gets through, and a `#` does not begin a fragment.
pub fn dial(number: &Number) -> String {
    let number = utf8_percent_encode(number.as_str(), NON_ALPHANUMERIC);
    format!("am start -a android.intent.action.CALL -d tel:{number}")
}

/// The line with which the phone says that it did not do it.
pub fn complaint(output: &str) -> Option<String> {
    let starts = [
        "Error",
        "error:",
        "Exception",
        "java.lang.",
        "Security exception",
        "Permission Denial",
        "/system/bin/sh:",
        "sh:",
        "cmd:",
        "Can't find service",
        "Killed",
    ];
    let complains = |line: &&str| starts.iter().any(|start| line.starts_with(start));
    output.lines().map(str::trim).find(complains).map(|line| bounded(line, COMPLAINT_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_dialled_as_android_writes_it() {
        let text = |number| dial(&Number::parse(number).unwrap());
        assert_eq!(text("+49 30 123"), "am start -a android.intent.action.CALL -d tel:%2B4930123");
        assert_eq!(text("0301"), "am start -a android.intent.action.CALL -d tel:0301");
    }

    proptest! {
        /// A number from a file is not validated, so not even that is relied upon.
        #[test]
        fn no_byte_that_a_shell_could_take_for_its_own_gets_through(text in ".*") {
            let number: Number = serde_json::from_value(json!(text)).unwrap();
            let said = dial(&number);
            let argument = said.strip_prefix("am start -a android.intent.action.CALL -d tel:").unwrap();
            prop_assert!(argument.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'), "{said}");
            let decoded = percent_encoding::percent_decode_str(argument).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text);
        }
    }

    #[test]
    fn a_phone_that_did_not_do_it_says_so() {
        for output in [
            "",
            "Starting: Intent { act=android.intent.action.CALL dat=tel:xxxxxxxxxx }\n",
            "Starting: Intent { }\nWarning: Activity not started, its current task has been brought to the front\n",
        ] {
            assert_eq!(complaint(output), None, "{output}");
        }
        for output in [
            "Starting: Intent { }\nError: Activity not started, unable to resolve Intent { }\r\n",
            "\njava.lang.SecurityException: Permission Denial: starting Intent\n",
            "/system/bin/sh: input: not found",
        ] {
            assert!(complaint(output).is_some(), "{output}");
        }
        assert_eq!(complaint(&format!("Error: {}", "x".repeat(999))).unwrap().len(), 200);
    }
}
