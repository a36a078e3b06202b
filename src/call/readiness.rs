//! Whether a call could be made now, part by part: the answer to `GET /readyz`.

use serde_json::{Map, Value, json};

/// Each part's fault in a sentence that says what to do; `None` where it works. Never a secret, never a number:
/// who asks needs no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The line that `telephony_backend` selects.
    pub telephony: Option<String>,
    /// Whom callers talk to.
    pub agent: Option<String>,
    /// Whether commands are still taken.
    pub api: Option<String>,
    /// Whether the last change could be stored.
    pub storage: Option<String>,
}

impl Readiness {
    /// Every part by its name.
    fn parts(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("telephony", self.telephony.as_deref()),
            ("agent", self.agent.as_deref()),
            ("api", self.api.as_deref()),
            ("storage", self.storage.as_deref()),
        ]
    }

    /// All faults in one sentence; `None` when a call could be made.
    pub fn fault(&self) -> Option<String> {
        let faults = self.parts().into_iter().filter_map(|(part, fault)| Some(format!("{part}: {}", fault?)));
        let faults: Vec<String> = faults.collect();
        (!faults.is_empty()).then(|| format!("not ready: {}", faults.join("; ")))
    }

    /// `ready`, and `checks`: for each part `ok`, and where it is not, `detail`.
    pub fn members(&self) -> Map<String, Value> {
        let checks = self.parts().into_iter().map(|(part, fault)| {
            let check = match fault {
                None => json!({ "ok": true }),
                Some(fault) => json!({ "ok": false, "detail": fault }),
            };
            (part.to_owned(), check)
        });
        let checks: Map<String, Value> = checks.collect();
        Map::from_iter([("ready".into(), self.fault().is_none().into()), ("checks".into(), checks.into())])
    }
}
