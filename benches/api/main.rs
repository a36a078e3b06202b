//! `make bench`: the local API in figures. Requests a second and their latencies over ten thousand stored sessions;
//! event streams, from the bus to the clients' sockets; and what a crowd of clients does to the clock of a call.
//! Each beside a control in the same run. Tables for people; nothing here passes or fails by a figure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot be taken ends the program")]
#![allow(unreachable_pub, dead_code, reason = "nothing is reached from outside a program")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock")]

#[path = "../../tests/http/fixture.rs"]
mod fixture;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../shared/table.rs"]
mod table;

mod load;
mod requests;
mod streams;

use std::time::Duration;

fn main() {
    // `cargo test --benches` asks for a list of tests; there are none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    println!("api: measuring for about two minutes; other work on this machine shows in every figure");
    let (mut rows, (load, priority)) = ([requests::rows(), streams::rows()].concat(), load::rows());
    rows.extend(load);
    let text = format!("{}\n\n{priority}", table::text(&rows));
    println!("\n{text}");
    if std::env::var_os("CALLSCOOT_RECORD").is_some() {
        support::measurements::record("api", &text);
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
