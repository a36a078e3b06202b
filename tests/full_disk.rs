//! No room for another byte while a call is on: what cannot be kept is refused with a reason and a time to come again,
//! the call goes on, what was acknowledged stays, and all is as before when there is room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "mounting a small file system")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Resource;
use serde_json::{Value, json};
use support::agent::Agent;
use support::measurements;
use support::peer::Peer;
use support::service::{Service, line_to};
use support::wait::until;

/// A service that survives the signal that comes with a write beyond the limit: the write itself fails then.
const UNDER: [&str; 2] = ["env", "--ignore-signal=XFSZ"];

/// A call, a disk that takes nothing more, and what is told to whom; then `make_room`.
fn fill_and_recover(
    service: &mut Service,
    (peer, agent): (&Peer, &Agent),
    fill: impl FnOnce(&mut Service),
    make_room: impl FnOnce(&mut Service),
) {
    let id = service.call("5550100");
    let mut conversation = agent.conversation();
    service.phase(&id, "active");
    let mut stream = service.api.events(&id);
    let lead = |number: u64| json!({"number": "5550111", "metadata": {"lead": number}});
    let (status, kept) = service.api.post("/v1/pending-call-requests", &lead(1));
    assert_eq!(status, 202);
    assert_eq!(service.api.patch("/v1/config", &json!({"latency_msec": 71})).0, 200);
    let config = fs::read_to_string(service.config()).unwrap();

    fill(service);
    for (method, path, body) in [
        ("POST", "/v1/pending-call-requests", lead(2)),
        ("PATCH", "/v1/config", json!({"latency_msec": 72})),
        (
            "DELETE",
            &format!("/v1/pending-call-requests/{}", kept["request"]["request_id"].as_str().unwrap()),
            Value::Null,
        ),
        ("POST", "/v1/pending-call-requests", lead(3)),
    ] {
        let answer = service.api.try_request(method, path, &[], &body).unwrap();
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(service.api.get("/v1/config").1["config"]["latency_msec"], 71);
    assert_eq!(service.api.get("/v1/pending-call-requests").1["pending_call_requests"][0], kept["request"]);
    conversation.understood("Said while there was no room.");
    let heard = peer.heard().len();
    until("the call to go on", || (peer.heard().len() > heard + 25).then_some(()));
    assert_eq!(service.api.get("/v1/current-call").1["current_call"]["id"], id.as_str());

    make_room(service);
    let said = stream.wait_for("transcript_final");
    assert_eq!(said.json["payload"]["text"], "Said while there was no room.");
    until("room to be found again", || {
        let answer = service.api.try_request("POST", "/v1/pending-call-requests", &[], &lead(4)).unwrap();
        (answer.status == 202).then_some(())
    });
    assert_eq!(service.api.patch("/v1/config", &json!({"latency_msec": 73})).0, 200);
    assert_ne!(fs::read_to_string(service.config()).unwrap(), config);
    service.process().kill();
    service.run();
    let pending = service.api.get("/v1/pending-call-requests").1["pending_call_requests"].clone();
    let leads: Vec<&Value> =
        pending.as_array().unwrap().iter().map(|request| &request["metadata"]["lead"]).collect();
    assert_eq!(leads, [&json!(1), &json!(4)], "what was refused is not there, what was acknowledged is");
    assert_eq!(service.api.get("/v1/config").1["config"]["latency_msec"], 73);
    let session = service.session(&id);
    assert_eq!(session["transcript"].as_array().unwrap().len(), 1, "{session}");
}

#[test]
fn a_disk_that_takes_no_byte_refuses_what_is_new_and_loses_nothing() {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let mut service = Service::start_under(&UNDER, &line_to(peer.sip_port()), Some(&agent), &[]);
    // No file may be written beyond its first byte: a full disk for whoever has no other at hand.
    let limit = |bytes| {
        move |service: &mut Service| {
            service.process().limit(Resource::Fsize, bytes);
        }
    };
    fill_and_recover(&mut service, (&peer, &agent), limit(Some(0)), limit(None));
}

/// A file system in memory, gone with the test.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success(), "mounting a file system takes root's rights");
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "takes root's rights to mount a file system: make long"]
fn a_real_file_system_without_room_refuses_what_is_new_and_loses_nothing() {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let mut service = Service::start(&line_to(peer.sip_port()), Some(&agent));
    service.process().terminate();
    let config = service.config();
    let saved = fs::read(&config).unwrap();
    let small = (Small::mount(&service.state("")), Small::mount(config.parent().unwrap()));
    fs::write(&config, saved).unwrap();
    service.run();
    let ballast = [service.state("ballast"), config.with_file_name("ballast")];
    let fill = |_: &mut Service| {
        for path in &ballast {
            // As much as goes in, and then the last bytes.
            let mut file = fs::File::create(path).unwrap();
            for size in [1 << 16, 1] {
                while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
            }
        }
    };
    fill_and_recover(&mut service, (&peer, &agent), fill, |_| {
        for path in &ballast {
            fs::remove_file(path).unwrap();
        }
    });
    drop(service);
    drop(small);
    measurements::record(
        "full-disk",
        "a full tmpfs of 8 MB under state and configuration: 503 with Retry-After for all that \
         writes, the call went on, nothing acknowledged was lost, and writing went on when there was room",
    );
}
