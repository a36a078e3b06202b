//! The body of the fuzz target for requests of strangers.

use super::chunks::Body;
use super::head::{self, BODY_BYTES_MAX, Framing, HEAD_BYTES_MAX};

/// A request as it comes: taken at once or byte by byte it is the same one, it keeps the limits, and what is passed on
/// has one reading.
pub fn head(bytes: &[u8]) {
    let Ok(Some((head, length))) = head::parse(bytes) else { return };
    assert!(length <= bytes.len().min(HEAD_BYTES_MAX), "a head longer than its limit");
    let rest = bytes.get(length..).unwrap_or_default();
    let (mut at_once, mut slowly) = (Body::new(head.framing), Body::new(head.framing));
    let taken = at_once.take(rest).is_ok();
    assert_eq!(
        taken,
        rest.chunks(1).all(|byte| slowly.take(byte).is_ok()),
        "its parts decide whether it is taken"
    );
    assert!(at_once.collected().len() <= BODY_BYTES_MAX, "a body longer than its limit");
    if !taken || !at_once.is_whole() {
        return;
    }
    assert_eq!(at_once.collected(), slowly.collected());
    let passed_on = head.normalised(at_once.collected());
    let again = head::parse(&passed_on).ok().flatten();
    let read = again.map(|(again, length)| (again.framing, passed_on.get(length..).unwrap_or_default()));
    assert_eq!(read, Some((Framing::Length(at_once.collected().len()), at_once.collected())), "two readings");
}
