//! `/metrics` as Prometheus' own parser reads it (the Python package, from target/pyenv).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// One scrape.
#[derive(Clone, Debug)]
pub struct Scrape(Value);

impl Scrape {
    /// Parses the text; what the parser does not take fails the test.
    pub fn parse(text: &str) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let python = format!("{root}/target/pyenv/bin/python");
        assert!(Path::new(&python).exists(), "{python} is missing: run `make setup`");
        let mut parser = Command::new(python)
            .arg(format!("{root}/tests/parse_metrics.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "the parser does not take this:\n{text}");
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Every sample: name, labels, value.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &Value, f64)> {
        let families = self.0.as_object().unwrap().values();
        families.flat_map(|family| family["samples"].as_array().unwrap()).map(|sample| {
            (sample[0].as_str().unwrap(), &sample[1], sample[2].as_f64().unwrap_or(f64::INFINITY))
        })
    }

    /// The sum of a name's samples that have all these labels, without the prefix; nothing counts as 0.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_meant = |found: &str, own: &Value| {
            found.strip_prefix("callscoot_") == Some(name)
                && labels.iter().all(|(label, value)| own[*label].as_str() == Some(value))
        };
        self.samples().filter(|(found, own, _)| is_meant(found, own)).map(|(.., value)| value).sum()
    }
}
