//! `callscoot pending`: context that waits for a call to come.

use serde_json::Value;

use super::desk::{Output, client};
use super::pairs::Given;
use super::table::{self, Cell, plain};
use super::text::clean;
use super::view::{View, show, text};
use crate::app::fault::Fault;
use crate::port::rest_local::segment;

/// List them, add one, or delete one.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    change: Option<Change>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Those that wait (what `pending` alone does).
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Let context wait for the next call with this number; without one, for the next call.
    Add {
        /// The other party's number.
        number: Option<String>,
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        output: Output,
    },
    /// Take one back.
    Delete {
        /// Its id, as `pending` lists it.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        output: Output,
    },
}

const PATH: &str = "/v1/pending-call-requests";

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = client()?;
    match &options.change {
        None => show(&client.get(PATH)?, options.output.json, render),
        Some(Change::List { output }) => show(&client.get(PATH)?, output.json, render),
        Some(Change::Add { number, given, output }) => {
            let body = client.post(PATH, &given.body(number.as_deref()))?;
            show(&body, output.json, |body, _| {
                let request = &body["request"];
                let whom = Some(text(&request["target_number"])).filter(|number| !number.is_empty());
                let whom =
                    whom.map_or_else(|| "the next call".into(), |number| format!("a call with {number}"));
                format!("waits for {whom}: {}", text(&request["request_id"]))
            })
        }
        Some(Change::Delete { id, output }) => {
            let body = client.delete(&format!("{PATH}/{}", segment(id)))?;
            show(&body, output.json, |body, _| format!("deleted {}", text(&body["request_id"])))
        }
    }
}

fn render(body: &Value, view: &View) -> String {
    let requests = body["pending_call_requests"].as_array().map(Vec::as_slice).unwrap_or_default();
    if requests.is_empty() {
        return "nothing waits; `callscoot pending add NUMBER --var NAME=VALUE` changes that\n".into();
    }
    let rows: Vec<Vec<Cell>> = requests
        .iter()
        .map(|request| {
            let expires = request["expires_at"].as_f64().map(|at| view.moment((at * 1000.0) as i64));
            let number = Some(text(&request["target_number"])).filter(|number| !number.is_empty());
            let variables = request["dynamic_variables"].as_object().into_iter().flatten();
            let names: Vec<String> = variables.map(|(name, _)| clean(name)).collect();
            vec![
                plain(number.unwrap_or_else(|| "any".into())),
                plain(expires.unwrap_or_default()),
                plain(text(&request["request_id"])),
                plain(names.join(" ")),
            ]
        })
        .collect();
    table::render(view, &["NUMBER", "EXPIRES", "ID", "VARIABLES"], &[0, 3], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_is_a_table() {
        let expires = 1_795_337_467.0 + 250.0;
        let body = json!({"pending_call_requests": [
            {"request_id": "0f8e", "target_number": null, "expires_at": expires,
             "dynamic_variables": {"name": 1, "b\u{1b}": 2}},
            {"request_id": "77aa", "target_number": "+4930", "expires_at": expires, "dynamic_variables": {}},
        ]});
        assert_eq!(
            render(&body, &View::plain(60)),
            "\
NUMBER  EXPIRES   ID    VARIABLES
any     in 4 min  0f8e  b� name
+4930   in 4 min  77aa
"
        );
    }
}
