//! The campaign application runs whole campaigns, and is killed in the midst of them, and so is the service: no lead
//! is called twice, no result is lost, the file is never half.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "the file is watched while the campaign runs")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::process::Process;
use support::sims::{Line, NUMBER, python};
use support::wait::{until, until_is};
use tempfile::TempDir;

const HANGS_UP_SOON: [&str; 2] = ["--hang-up-ms", "600"];

/// A file of leads.
struct Leads {
    path: PathBuf,
    count: usize,
    _folder: TempDir,
}

impl Leads {
    fn new(count: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("leads.csv");
        let mut rows = vec!["lead_id,number,contact_name,company_name".to_owned()];
        rows.extend((1..=count).map(|at| format!("lead-{at},{NUMBER},Efe,\"Acme, Inc.\"")));
        fs::write(&path, rows.join("\n") + "\n").unwrap();
        Self { path, count, _folder: folder }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn campaign(&self, line: &Line, more: &[&str]) -> Process {
        let mut app = line.python("examples/lead_campaign_app.py");
        app.arg(&self.path).args(["--pause-sec", "0"]).args(more);
        Process::start("the campaign", &app)
    }

    /// The rows as Python's own reader understands them, keyed by column.
    fn rows(&self) -> Vec<Value> {
        let mut read = python();
        let program =
            "import csv, json, sys; print(json.dumps(list(csv.DictReader(open(sys.argv[1], newline='')))))";
        let output = read.args(["-c", program]).arg(&self.path).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn column(&self, name: &str) -> Vec<String> {
        self.rows().iter().map(|row| row[name].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Reads the file again and again until told to stop: it is whole each time.
    fn watch(&self) -> (Arc<AtomicBool>, JoinHandle<usize>) {
        let over = Arc::new(AtomicBool::new(false));
        let (path, lines) = (self.path.clone(), self.count + 1);
        let watch = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut versions = BTreeSet::new();
            while !watch.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.starts_with("lead_id,number,") && text.ends_with('\n'), "half a file: {text}");
                assert_eq!(text.lines().count(), lines, "half a file: {text}");
                versions.insert(text);
                thread::park_timeout(Duration::from_millis(1));
            }
            versions.len()
        });
        (over, thread)
    }

    /// Puts the file back to the moment before the service's answer to the latest call was written down.
    fn forget_session(&self, line: &Line) {
        let calls = line.service.api.get("/v1/calls?limit=1").1;
        let id = calls["calls"][0]["id"].as_str().unwrap();
        // Five columns follow that are empty while the call lasts.
        let earlier = self.path.with_extension("earlier");
        fs::write(&earlier, self.text().replace(&format!("{id},,,,,"), ",,,,,")).unwrap();
        fs::rename(earlier, &self.path).unwrap();
    }

    /// That each lead has one session, and each session its result in the file.
    fn are_all_called_once(&self, line: &Line) {
        let (status, reply) = line.service.api.get("/v1/calls?limit=1000");
        assert_eq!(status, 200);
        let calls = reply["calls"].as_array().unwrap();
        let of_call = |call: &Value| {
            let metadata = &call["client_request"]["metadata"];
            json!([metadata["lead"], call["id"], call["end_reason"], metadata["call_key"]]).to_string()
        };
        let of_row = |row: &Value| {
            json!([row["lead_id"], row["call_session_id"], row["call_end_reason"], row["call_key"]])
                .to_string()
        };
        let rows = self.rows();
        let expected: BTreeSet<String> = calls.iter().map(of_call).collect();
        assert_eq!(rows.iter().map(of_row).collect::<BTreeSet<_>>(), expected, "{}", self.text());
        assert_eq!((calls.len(), rows.len()), (self.count, self.count), "{calls:?}");
        for row in &rows {
            assert_eq!((&row["call_status"], &row["call_attempt"]), (&json!("called"), &json!("1")), "{row}");
            assert_eq!(row["company_name"], "Acme, Inc.", "{row}");
            assert!(row["call_ended_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{row}");
        }
        // The phone saw no more calls than that either.
        assert!(line.calls() <= self.count, "{} calls", line.calls());
    }
}

#[test]
fn killed_at_any_moment_with_the_service_or_without_no_lead_is_called_twice_and_no_result_is_lost() {
    let mut line = Line::start(&HANGS_UP_SOON, json!({}), None);
    let leads = Leads::new(9);
    let (over, watched) = leads.watch();
    // Just when it has written down whom it is about to call.
    for _ in 0..3 {
        let before = leads.text();
        let mut campaign = leads.campaign(&line, &[]);
        campaign.until("a row that it works on", || (leads.text() != before).then_some(()));
        campaign.kill();
    }
    // While the telephone rings or is answered.
    for _ in 0..3 {
        let before = line.calls();
        let mut campaign = leads.campaign(&line, &[]);
        campaign.until("a call", || (line.calls() > before).then_some(()));
        campaign.kill();
        leads.forget_session(&line);
    }
    // The service in the midst of a call; the campaign waits for it and goes on.
    let before = line.calls();
    let mut campaign = leads.campaign(&line, &[]);
    campaign.until("a call", || (line.calls() > before).then_some(()));
    line.service.process().kill();
    line.service.run();
    campaign.until("the next call", || (line.calls() > before + 1).then_some(()));
    // Both at once.
    line.service.process().kill();
    campaign.kill();
    line.service.run();
    let mut campaign = leads.campaign(&line, &[]);
    assert!(campaign.ended().success());
    over.store(true, Ordering::Relaxed);
    assert!(watched.join().unwrap() > leads.count, "each row was written at least once");
    leads.are_all_called_once(&line);
    let reasons = leads.column("call_end_reason");
    assert!(reasons.contains(&"recovered_after_crash".into()), "{reasons:?}");
    assert!(reasons.contains(&"remote_hangup".into()), "{reasons:?}");

    // All done: nothing more happens. To call one more is to empty its status.
    let text = leads.text();
    assert!(leads.campaign(&line, &[]).ended().success());
    assert_eq!(leads.text(), text);
    fs::write(&leads.path, text.replacen(",called,1,", ",,1,", 1)).unwrap();
    assert!(leads.campaign(&line, &[]).ended().success());
    let mut attempts = leads.column("call_attempt");
    attempts.sort();
    assert_eq!(attempts[7..], ["1", "2"]);
}

#[test]
fn what_stands_in_the_way_is_waited_for_or_said() {
    let line = Line::start(&[], json!({"outbound_calls_per_hour_max": 2}), None);
    let leads = Leads::new(3);
    let plain = leads.text();

    // A dry run tells and does nothing.
    let mut dry = leads.campaign(&line, &["--dry-run"]);
    assert!(dry.ended().success());
    until_is("its lines", || dry.out(), |out| out.len() == 3 && out[1].starts_with("lead-2: +15550100 {"));
    assert_eq!((leads.text(), line.calls()), (plain, 0));

    // The line is taken by somebody else: the campaign waits for the end of that call.
    let other = line.service.call(NUMBER);
    let mut campaign = leads.campaign(&line, &["--limit", "1"]);
    campaign.until("the first row", || leads.text().contains(",calling,").then_some(()));
    // A second campaign on the same file is one too many.
    assert_eq!(leads.campaign(&line, &[]).ended().code(), Some(2));
    line.service.hang_up(&other);
    let first = until("its call", || {
        let calls = line.service.api.get("/v1/calls").1["calls"].clone();
        (calls.as_array()?.len() == 2).then(|| calls[0]["id"].as_str().unwrap().to_owned())
    });
    line.service.phase(&first, "active");
    line.service.hang_up(&first);
    assert!(campaign.ended().success());
    // The budget is spent: it gives up when told so, and the row stays.
    let mut campaign = leads.campaign(&line, &["--give-up-sec", "1"]);
    assert_eq!(campaign.ended().code(), Some(75));
    assert_eq!(leads.column("call_status"), ["called", "calling", ""]);
    until_is(
        "the reason",
        || campaign.err().join("\n"),
        |err| err.contains("the budget of 2 outbound calls"),
    );
    assert_eq!(line.service.api.patch("/v1/config", &json!({"outbound_calls_per_hour_max": 0})).0, 200);

    // Told to stop, it lets the call end and writes it down.
    let mut campaign = leads.campaign(&line, &[]);
    let second = line.service.current_call()["id"].as_str().unwrap().to_owned();
    campaign.until("the session in the file", || leads.text().contains(&second).then_some(()));
    stop(&mut campaign);
    line.service.hang_up(&second);
    assert_eq!(campaign.ended().code(), Some(130));
    assert_eq!(leads.column("call_status"), ["called", "called", ""]);

    // Told twice, it leaves at once; the call goes on, and the next start collects its result.
    let mut campaign = leads.campaign(&line, &[]);
    let third = line.service.current_call()["id"].as_str().unwrap().to_owned();
    campaign.until("the session in the file", || leads.text().contains(&third).then_some(()));
    stop(&mut campaign);
    campaign.signal(Signal::INT);
    assert_eq!(campaign.ended().code(), Some(130));
    assert_eq!(leads.column("call_status")[2], "calling");
    line.service.hang_up(&third);
    assert!(leads.campaign(&line, &[]).ended().success());
    assert_eq!(leads.column("call_end_reason"), ["local_hangup"; 3]);
    assert_eq!(line.calls(), 4);
}

#[test]
fn a_number_that_is_refused_is_written_down_and_the_next_lead_is_called() {
    let line = Line::start(&HANGS_UP_SOON, json!({}), None);
    let leads = Leads::new(3);
    fs::write(&leads.path, leads.text().replacen(NUMBER, "*21#", 1).replacen(NUMBER, "112", 1)).unwrap();
    assert!(leads.campaign(&line, &[]).ended().success());
    assert_eq!(leads.column("call_status"), ["refused", "refused", "called"]);
    let why = leads.column("call_error");
    assert!(why[0].contains("number") && why[1].contains("emergency") && why[2].is_empty(), "{why:?}");
    assert_eq!(line.calls(), 1);

    // Without a line it gives up, and says so; nobody is written off.
    let leads = Leads::new(1);
    assert_eq!(line.service.api.patch("/v1/config", &json!({"sip_server": null})).0, 200);
    let mut campaign = leads.campaign(&line, &["--give-up-sec", "1"]);
    assert_eq!(campaign.ended().code(), Some(75));
    assert_eq!(leads.column("call_status"), ["calling"]);
}

fn stop(campaign: &mut Process) {
    campaign.signal(Signal::INT);
    until_is("its answer", || campaign.out().join("\n"), |out| out.contains("stopping after this call"));
}
