//! The body of the fuzz target for descriptions of strangers.

use super::{LocalMedia, answer, read_answer};

/// Whatever can be answered has an answer that the offerer understands in the same way.
pub fn session(data: &[u8]) {
    let local = LocalMedia { address: ([192, 0, 2, 1], 4000).into(), session_id: 1, version: 1 };
    let read = read_answer(data);
    let answered = answer(&local, data);
    assert_eq!(read.is_ok(), answered.is_ok(), "an offer is readable exactly when it can be answered");
    if let Ok((bytes, agreed)) = answered {
        let back = read_answer(&bytes);
        assert_eq!(back.map(|back| (back.codec, back.payload_type)), Ok((agreed.codec, agreed.payload_type)));
        assert!(matches!(agreed.ptime_ms, 10 | 20 | 40 | 60));
    }
}
