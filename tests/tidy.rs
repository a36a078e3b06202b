//! Tidy: the rules of the house that no compiler checks. Floors, walls around libraries, module pages, sizes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file past this many lines wants a cut.
const LINES_MAX: usize = 500;
const LINE_WIDTH_MAX: usize = 120;

/// Each module and its floor; a file may name its own module and those of lower floors.
const FLOORS: [(&str, u8); 14] = [
    ("base", 0),
    ("sip", 1),
    ("sdp", 1),
    ("rtp", 1),
    ("codec", 1),
    ("dsp", 1),
    ("hfp", 1),
    ("adb", 1),
    ("agent", 1),
    ("call", 2),
    ("sys", 3),
    ("port", 4),
    ("run", 5),
    ("app", 6),
];

/// Libraries that only one place may name, so that each can be replaced in an afternoon.
const WALLS: [(&str, &str); 15] = [
    ("tiny_http", "src/port/http/"),
    ("httparse", "src/port/http/"),
    ("rsip", "src/sip/msg"),
    ("digest_auth", "src/sip/digest.rs"),
    ("sdp_types", "src/sdp/"),
    ("rtp_types", "src/rtp/"),
    ("rtcp_types", "src/rtp/"),
    ("rusqlite", "src/port/store/"),
    ("tungstenite", "src/port/websocket"),
    ("ureq", "src/port/rest"),
    ("rubato", "src/dsp/"),
    ("hound", "src/port/wav.rs"),
    ("dbus", "src/port/bluez"),
    ("prometheus", "src/base/metrics/"),
    ("libsbc", "src/codec/"),
];

/// Below floor 3 nobody asks the system for anything.
const PURE_BANNED: [&str; 8] = [
    "std::net::UdpSocket",
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "rustix::",
    "socket2::",
    "getrandom",
    "std::env",
];

fn rust_files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no Rust file below {below}");
    found
}

fn floor_of(path: &Path) -> Option<(&'static str, u8)> {
    let module = path.components().nth(1)?.as_os_str().to_str()?;
    FLOORS.into_iter().find(|(name, _)| *name == module)
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The code of a line: without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

#[test]
fn a_file_names_only_its_own_module_and_lower_floors() {
    let mut faults = Vec::new();
    for path in rust_files("src") {
        let Some((own, floor)) = floor_of(&path) else { continue };
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            // A core's own tests may use the clock and the waits of the house, nothing more.
            for (other, other_floor) in FLOORS {
                if other != own && other_floor >= floor && code(line).contains(&format!("crate::{other}::")) {
                    faults.push(format!("{}:{}: {own} uses {other}", path.display(), number + 1));
                }
            }
        }
    }
    report(faults);
}

#[test]
fn each_library_stands_behind_its_wall() {
    let mut faults = Vec::new();
    for path in rust_files("src") {
        let text = fs::read_to_string(&path).unwrap();
        for (library, place) in WALLS {
            let named = text.lines().any(|line| {
                let line = code(line);
                line.contains(&format!("{library}::")) || line.contains(&format!("use {library}"))
            });
            if named && !path.to_str().unwrap().starts_with(place) {
                faults.push(format!("{}: names {library}, which belongs to {place}", path.display()));
            }
        }
    }
    report(faults);
}

#[test]
fn the_cores_ask_the_system_for_nothing() {
    let mut faults = Vec::new();
    for path in rust_files("src") {
        if floor_of(&path).is_none_or(|(_, floor)| floor >= 3) {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if line.contains("#[cfg(test)]") {
                break;
            }
            for banned in PURE_BANNED {
                if code(line).contains(banned) {
                    faults.push(format!("{}:{}: {banned} below floor 3", path.display(), number + 1));
                }
            }
        }
    }
    report(faults);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short_enough_to_read() {
    let mut faults = Vec::new();
    for path in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = fs::read_to_string(&path).unwrap();
        let page = text.lines().next().unwrap_or("");
        if !page.starts_with("//!") && !page.starts_with("#![doc") {
            faults.push(format!("{}: the first line does not say what the file is for", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            faults.push(format!(
                "{}: {} lines; past {LINES_MAX} it wants a cut",
                path.display(),
                text.lines().count()
            ));
        }
        for (number, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t']) {
                faults.push(format!("{}:{}: space at the end of the line", path.display(), number + 1));
            }
            if line.chars().count() > LINE_WIDTH_MAX {
                faults.push(format!("{}:{}: over {LINE_WIDTH_MAX} columns", path.display(), number + 1));
            }
        }
    }
    report(faults);
}

#[test]
fn a_door_holds_no_logic() {
    let mut faults = Vec::new();
    for path in rust_files("src") {
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                if code(line).contains("fn ") || code(line).contains("impl ") {
                    faults.push(format!("{}:{}: logic in a door", path.display(), number + 1));
                }
            }
        }
    }
    report(faults);
}

#[test]
fn no_async_runtime_is_in_the_dependency_tree() {
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(names.contains(&"\"callscoot\""), "this is not our Cargo.lock");
    let runtimes = ["tokio", "async-std", "smol", "async-executor", "futures-executor"];
    let found = runtimes.into_iter().filter(|name| names.contains(&format!("\"{name}\"").as_str()));
    report(found.map(|name| format!("Cargo.lock: {name}; threads are the only way to wait here")).collect());
}
