//! Who has the hands-free profile when it is not ours. BlueZ does not say; programs that are known to take it, and that
//! are connected to the bus now, are named.

use std::collections::BTreeSet;
use std::fs;

/// Beginnings of bus names, and the programs behind them.
const NAMES: [(&str, &str); 4] = [
    ("org.ofono", "oFono"),
    ("org.bluealsa", "BlueALSA"),
    ("org.hsphfpd", "hsphfpd"),
    ("org.pipewire", "PipeWire"),
];
/// Names of processes, and the programs behind them.
const PROCESSES: [(&str, &str); 8] = [
    ("wireplumber", "WirePlumber (PipeWire)"),
    ("pipewire", "PipeWire"),
    ("pulseaudio", "PulseAudio"),
    ("ofonod", "oFono"),
    ("bluealsa", "BlueALSA"),
    ("bluealsad", "BlueALSA"),
    ("hsphfpd", "hsphfpd"),
    ("callscoot", "another callscoot"),
];
/// Clients of the bus whose processes are looked at.
const CLIENTS_MAX: usize = 128;

/// A search that is under way.
pub(super) struct Search {
    /// What the host said.
    pub(super) sentence: String,
    /// Answers that are still to come.
    pub(super) open: usize,
    found: BTreeSet<&'static str>,
}

impl Search {
    pub(super) fn new(sentence: String) -> Self {
        Self { sentence, open: 0, found: BTreeSet::new() }
    }

    /// The names on the bus; answers with the clients whose processes are to be asked for.
    pub(super) fn names(&mut self, names: Vec<String>) -> Vec<String> {
        for (start, program) in NAMES {
            let is_it = |name: &String| {
                name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if names.iter().any(is_it) {
                self.found.insert(program);
            }
        }
        if !self.found.is_empty() {
            return Vec::new();
        }
        names.into_iter().filter(|name| name.starts_with(':')).take(CLIENTS_MAX).collect()
    }

    /// A client of the bus is this process.
    pub(super) fn process(&mut self, id: u32) {
        if id == std::process::id() {
            return;
        }
        let Ok(name) = fs::read_to_string(format!("/proc/{id}/comm")) else { return };
        self.program(name.trim_end());
    }

    fn program(&mut self, name: &str) {
        let known = PROCESSES.iter().find(|(process, _)| *process == name);
        self.found.extend(known.map(|(_, program)| *program));
    }

    /// What was found: every program that could be it.
    pub(super) fn by(&self) -> Option<String> {
        let all: Vec<&str> = self.found.iter().copied().collect();
        (!all.is_empty()).then(|| all.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_on_the_bus_is_enough() {
        let mut search = Search::new(String::new());
        let names = ["org.ofono", "org.bluealsa.hci0", ":1.5", "org.ofonox"].map(str::to_owned);
        assert_eq!(search.names(names.to_vec()), Vec::<String>::new());
        assert_eq!(search.by().as_deref(), Some("BlueALSA or oFono"));
    }

    #[test]
    fn otherwise_the_clients_processes_are_looked_at() {
        let mut search = Search::new(String::new());
        let names = ["org.freedesktop.DBus", "org.ofonox", ":1.5", ":1.6"].map(str::to_owned);
        assert_eq!(search.names(names.to_vec()), [":1.5", ":1.6"]);
        search.process(std::process::id());
        search.process(0);
        search.program("bash");
        assert_eq!(search.by(), None);
        search.program("wireplumber");
        assert_eq!(search.by().as_deref(), Some("WirePlumber (PipeWire)"));
    }
}
