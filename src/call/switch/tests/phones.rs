//! Calls on phones.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, config, number, to};
use crate::base::{CallId, Number, Pii};
use crate::call::command::{Answer, Command, RefusalKind, Reply, SessionRef, Target};
use crate::call::conversation::{AgentCommand, AgentEnd, AgentEvent};
use crate::call::events::call_event;
use crate::call::leg::{LegCommand, LegEnd, LegEvent, RejectWhy, RemoteParty};
use crate::call::phones::{
    Mover, Phone, PhoneCommand, PhoneEnd, PhoneEvent, PhoneLink, PhoneName, Phones, Place,
};
use crate::call::switch::Input;
use crate::hfp::host::Address;

pub(super) const PIXEL: Address = Address::new([0x00, 0x1A, 0x7D, 0xDA, 0x71, 0x13]);
const NOKIA: Address = Address::new([0x00, 0x02, 0xEE, 0x00, 0x00, 0x01]);

pub(super) fn named(address: Address) -> PhoneName {
    PhoneName { address, name: Pii(format!("phone {address}")) }
}

pub(super) fn phone(address: Address) -> Phone {
    Phone {
        name: named(address),
        paired: true,
        trusted: true,
        link: PhoneLink::Ready,
        said: None,
        voice: None,
        cvsd_only: false,
        calls: 0,
        adb_serial: None,
        last_error: None,
    }
}

pub(super) fn connected() -> Phones {
    Phones { phones: vec![phone(PIXEL)], selected: Some(PIXEL), ..Phones::default() }
}

pub(super) fn on_phones(members: Value) -> World {
    let mut all = json!({ "telephony_backend": "hfp", "sip_server": null });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let mut world = World::new(all);
    tell(&mut world, PhoneEvent::Phones(Box::new(connected())));
    world
}

pub(super) fn tell(world: &mut World, event: PhoneEvent) {
    world.input(Input::Phone(event));
}

fn rings(world: &mut World, from: Option<&str>) -> CallId {
    let call = world.ids.mint();
    let number = from.map(|from| Number::parse(from).unwrap());
    let remote = RemoteParty { number, ..RemoteParty::default() };
    tell(world, PhoneEvent::Incoming { call, phone: named(PIXEL), remote });
    call
}

fn caller(world: &mut World, call: CallId, number: &str) {
    let remote = RemoteParty { number: Number::parse(number).ok(), ..RemoteParty::default() };
    tell(world, PhoneEvent::Caller { call, remote });
}

fn dials(world: &mut World, number: &str) -> CallId {
    world.ask(Command::Dial(Box::new(to(number)))).unwrap().unwrap();
    match world.phones.last() {
        Some(PhoneCommand::Dial { call, .. }) => *call,
        other => panic!("{other:?}"),
    }
}

/// Dialled, and answered.
fn talks(world: &mut World) -> CallId {
    let call = dials(world, "5551001");
    tell(world, PhoneEvent::Active { call });
    call
}

fn moved(world: &mut World, call: CallId, at: Place, by: Mover) {
    tell(world, PhoneEvent::Audio { call, at, by });
}

fn ended(world: &mut World, call: CallId, end: PhoneEnd, detail: &str) {
    tell(world, PhoneEvent::Ended { call, end, detail: detail.into() });
}

fn hand_over(world: &mut World, to: Place) -> Reply {
    world.ask(Command::HandOver(SessionRef::Current, to)).unwrap()
}

fn noted(world: &World, name: &str) -> Vec<Value> {
    let named = world.events.iter().filter(|event| event.name == name && event.json.contains("\"type\""));
    named.map(|event| serde_json::from_str(&event.json).unwrap()).collect()
}

fn status(world: &mut World) -> Value {
    match world.ask(Command::Status) {
        Some(Ok(Answer::Status(status))) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_dialled_on_the_phone_and_told_as_any_other_but_for_the_words_of_sip() {
    let mut world = on_phones(json!({}));
    match world.ask(Command::Dial(Box::new(to("5551001")))) {
        Some(Ok(Answer::Dialing { backend: "hfp", uri: None, .. })) => {}
        other => panic!("{other:?}"),
    }
    let [PhoneCommand::Dial { call, number: dialled }] = &world.phones[..] else { panic!() };
    let call = *call;
    assert_eq!((dialled, world.plans.len()), (&number("5551001"), 1));
    assert!(world.legs.is_empty(), "SIP has nothing to do with it");
    tell(&mut world, PhoneEvent::Progress { call, phone: named(PIXEL), alerting: true });
    assert_eq!(world.current().unwrap()["phase"], "alerting");
    assert!(world.agent_commands.is_empty());
    tell(&mut world, PhoneEvent::Active { call });
    assert_eq!(world.agent_commands, [AgentCommand::Activate]);
    let current = world.current().unwrap();
    assert_eq!(
        (&current["state"], &current["telephony_backend"], &current["target_mac"], &current["target_name"]),
        (&json!("offhook"), &json!("hfp"), &json!("00:1A:7D:DA:71:13"), &json!("phone 00:1A:7D:DA:71:13"))
    );
    ended(&mut world, call, PhoneEnd::Leg(LegEnd::RemoteHangup), "");
    assert_eq!(world.only_meta()["end_reason"], "remote_hangup");
    let states: Vec<Value> =
        noted(&world, call_event::CALL_STATE_CHANGED).iter().map(|e| e["state"].clone()).collect();
    assert_eq!(states, ["ringing", "offhook", "idle"]);
    assert!(noted(&world, call_event::SIP_CALL_STATE_CHANGED).is_empty());
    assert_eq!(world.stream().last(), Some(&"call_ended"));
}

#[test]
fn the_phone_that_really_dials_is_the_one_that_is_recorded() {
    let mut world = on_phones(json!({}));
    let call = dials(&mut world, "5551001");
    tell(&mut world, PhoneEvent::Progress { call, phone: named(NOKIA), alerting: false });
    assert_eq!(world.current().unwrap()["target_mac"], "00:02:EE:00:00:01");
}

#[test]
fn without_a_phone_nothing_is_dialled_and_the_sentence_says_why() {
    let mut world = World::new(json!({ "telephony_backend": "auto", "sip_server": null }));
    let refusal = world.refused(Command::Dial(Box::new(to("5551001"))));
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    assert_eq!(refusal.message, "Bluetooth has not answered yet; for SIP set sip_server and sip_username");
    let none = Phones { no_selection: Some("connect Ada's phone".into()), ..Phones::default() };
    tell(&mut world, PhoneEvent::Phones(Box::new(none)));
    let missing = status(&mut world)["missing"].clone();
    assert_eq!(missing, json!(["connect Ada's phone; for SIP set sip_server and sip_username"]));
    let Some(Ok(Answer::Readiness(readiness))) = world.ask(Command::Readiness) else { panic!() };
    let sentence = readiness.telephony.unwrap();
    assert!(!sentence.contains("Ada"), "who asks needs no token: {sentence}");
    tell(&mut world, PhoneEvent::Phones(Box::new(connected())));
    assert_eq!(status(&mut world)["services"]["callscoot-daemon"], true);
    dials(&mut world, "5551001");
    let busy = Phones {
        selected: None,
        no_selection: Some("the phone is busy".into()),
        phones: vec![Phone { calls: 1, ..phone(PIXEL) }],
        ..Phones::default()
    };
    tell(&mut world, PhoneEvent::Phones(Box::new(busy)));
    assert_eq!(status(&mut world)["services"]["callscoot-daemon"], true, "a phone that talks works");
}

#[test]
fn a_sip_uri_is_no_number_for_a_phone() {
    let mut world = on_phones(json!({}));
    let mut wanted = to("1");
    wanted.target = Some(Target::Uri(Pii("sip:alice@example.com".into())));
    let refusal = world.refused(Command::Dial(Box::new(wanted)));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(world.phones.is_empty() && world.metas.is_empty());
}

#[test]
fn a_call_that_policy_allows_is_taken_and_the_agent_waits_for_active() {
    let mut world = on_phones(json!({ "auto_answer": true }));
    let call = rings(&mut world, Some("5551001"));
    assert_eq!(world.plans.len(), 1, "the agent gets ready while it rings");
    assert!(world.phones.is_empty());
    world.pass(Duration::from_millis(2100));
    assert_eq!(world.phones, [PhoneCommand::Answer { call }]);
    assert_eq!(world.agent_commands, [AgentCommand::Activate]);
    assert_eq!(world.current().unwrap()["telephony_backend"], "hfp");
}

#[test]
fn a_number_that_comes_late_is_the_sessions_and_decides_again() {
    let blocked =
        json!({ "auto_answer": true, "call_policy_mode": "allowlist", "allowed_callers": ["5551001"] });
    let mut world = on_phones(blocked);
    let call = rings(&mut world, None);
    let before = world.current().unwrap();
    assert_eq!((&before["incoming_number"], &before["policy_action"]), (&json!(null), &json!("ignore")));
    caller(&mut world, call, "5551001");
    let after = world.current().unwrap();
    assert_eq!((&after["incoming_number"], &after["policy_action"]), (&json!("5551001"), &json!("answer")));
    assert_eq!(before["id"], after["id"]);
    caller(&mut world, call, "5551002");
    assert_eq!(world.current().unwrap()["incoming_number"], "5551001", "a caller does not change");
    world.pass(Duration::from_secs(3));
    assert_eq!(world.phones, [PhoneCommand::Answer { call }]);
    assert_eq!(world.plans[0].dynamic_variables["caller_id"], "5551001");
    ended(&mut world, call, PhoneEnd::Leg(LegEnd::RemoteHangup), "");
    let last: Value = serde_json::from_str(&world.events.last().unwrap().json).unwrap();
    assert_eq!((&last["event_type"], &last["caller_id"]), (&json!("call_ended"), &json!("5551001")));
}

#[test]
fn a_late_number_that_is_blocked_is_not_answered_after_all() {
    let mut world = on_phones(
        json!({ "auto_answer": true, "call_policy_mode": "blocklist", "blocked_callers": ["5551001"] }),
    );
    let call = rings(&mut world, None);
    assert_eq!(world.current().unwrap()["policy_action"], "answer");
    assert!(world.plans.is_empty(), "the agent must not be told that nobody is known");
    caller(&mut world, call, "5551001");
    world.pass(Duration::from_secs(30));
    assert!(world.phones.is_empty(), "{:?}", world.phones);
    assert_eq!(world.current().unwrap()["policy_reason"], "blocklist_match");
}

#[test]
fn a_withheld_number_is_answered_in_time() {
    let mut world = on_phones(json!({ "auto_answer": true }));
    let call = rings(&mut world, None);
    world.pass(Duration::from_millis(2100));
    assert_eq!(world.phones, [PhoneCommand::Answer { call }]);
    assert_eq!(world.plans[0].dynamic_variables["caller_id"], "unknown");
    caller(&mut world, call, "5551001");
    assert!(matches!(world.agent_commands.last(), Some(AgentCommand::ContextualUpdate { .. })));
}

#[test]
fn what_is_wrong_here_never_refuses_a_call_of_the_phones_owner() {
    let mut world = on_phones(json!({ "ring_timeout_sec": 20 }));
    rings(&mut world, Some("5551001"));
    world.pass(Duration::from_secs(21));
    assert_eq!((&world.phones[..], &world.only_meta()["end_reason"]), (&[][..], &json!("no_answer")));

    let mut world = on_phones(json!({ "auto_answer": true }));
    talks(&mut world);
    world.phones.clear();
    rings(&mut world, Some("5551002"));
    assert!(world.phones.is_empty(), "no line is free, but the owner may take it");
    assert!(world.metas.values().any(|meta| meta["end_reason"] == "busy"));

    let mut world = on_phones(
        json!({ "auto_answer": true, "call_policy_mode": "allowlist", "auto_reject_blocked": true }),
    );
    let call = rings(&mut world, Some("5551002"));
    assert_eq!(world.phones, [PhoneCommand::Reject { call, why: RejectWhy::Declined }], "asked for");
}

#[test]
fn the_owner_who_answers_himself_and_the_phone_that_goes_away_are_reasons() {
    let mut world = on_phones(json!({}));
    let call = rings(&mut world, Some("5551001"));
    ended(&mut world, call, PhoneEnd::OwnerAnswered, "");
    let meta = world.only_meta();
    assert_eq!(
        (&meta["end_reason"], &meta["end_detail"]),
        (&json!("transferred"), &json!("answered on the handset"))
    );

    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    ended(&mut world, call, PhoneEnd::PhoneLost, "link lost");
    assert_eq!(world.only_meta()["end_reason"], "phone_lost");
    assert_eq!(world.only_meta()["end_detail"], "link lost");
    assert!(world.agent_commands.contains(&AgentCommand::Close));
}

#[test]
fn while_the_owner_speaks_the_agent_is_held_and_then_told_that_the_call_is_back() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    world.agent_commands.clear();
    assert!(matches!(
        hand_over(&mut world, Place::Handset),
        Ok(Answer::HandingOver { backend: "hfp", to: Place::Handset, .. })
    ));
    assert_eq!(world.phones.last(), Some(&PhoneCommand::HandOver { call, to: Place::Handset }));
    assert!(matches!(world.agent_commands[..], [AgentCommand::Hold, AgentCommand::ContextualUpdate { .. }]));
    assert_eq!(world.current().unwrap()["audio_at"], "handset");
    moved(&mut world, call, Place::Agent, Mover::Phone);
    assert!(matches!(
        world.agent_commands[2..],
        [AgentCommand::Resume, AgentCommand::ContextualUpdate { .. }]
    ));
    let told: Vec<Value> = noted(&world, call_event::AUDIO_MOVED);
    assert_eq!((&told[0]["to"], &told[0]["by"]), (&json!("handset"), &json!("us")));
    assert_eq!((&told[1]["to"], &told[1]["by"]), (&json!("agent"), &json!("phone")));
    assert!(noted(&world, call_event::AUDIO_LOST).is_empty());
    assert_eq!(world.stream().iter().filter(|name| **name == "audio_moved").count(), 2);
}

#[test]
fn audio_that_the_phone_takes_is_told_as_lost_too() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    moved(&mut world, call, Place::Handset, Mover::Phone);
    moved(&mut world, call, Place::Handset, Mover::Phone);
    assert_eq!(noted(&world, call_event::AUDIO_LOST).len(), 1);
    assert_eq!(world.metric("callscoot_phone_audio_losses_total"), 1);
    assert_eq!(noted(&world, call_event::AUDIO_LOST)[0]["where"], "phone");
    tell(&mut world, PhoneEvent::NotMoved { call, sentence: "the phone refuses".into() });
    assert_eq!(noted(&world, call_event::AUDIO_NOT_MOVED)[0]["error"], "the phone refuses");
}

#[test]
fn handing_over_needs_an_active_call_on_a_phone_that_is_elsewhere() {
    let mut world = on_phones(json!({}));
    let conflict = |reply: Reply| {
        let refusal = reply.unwrap_err();
        assert!(matches!(refusal.kind, RefusalKind::Conflict(_)), "{refusal:?}");
        refusal.message
    };
    assert_eq!(conflict(hand_over(&mut world, Place::Handset)), "no active call");
    let call = dials(&mut world, "5551001");
    assert_eq!(conflict(hand_over(&mut world, Place::Handset)), "the call is not active");
    tell(&mut world, PhoneEvent::Active { call });
    assert!(conflict(hand_over(&mut world, Place::Agent)).contains("already"));
    hand_over(&mut world, Place::Handset).unwrap();
    assert!(conflict(hand_over(&mut world, Place::Handset)).contains("already"));

    let mut world = World::new(json!({}));
    world.talking_to("5551001");
    assert!(conflict(hand_over(&mut world, Place::Handset)).contains("not on a phone"));
}

#[test]
fn at_the_handset_no_packets_are_missed_but_the_longest_duration_counts() {
    let mut world = on_phones(json!({ "max_call_duration_sec": 600 }));
    let call = talks(&mut world);
    moved(&mut world, call, Place::Handset, Mover::Us);
    world.pass(Duration::from_secs(100));
    world.input(Input::MediaSeen { call, silent_ms: 99_000 });
    moved(&mut world, call, Place::Agent, Mover::Us);
    // Measured from before: no link was open then.
    world.input(Input::MediaSeen { call, silent_ms: 100_000 });
    assert!(world.current().is_some());
    world.pass(Duration::from_secs(31));
    world.input(Input::MediaSeen { call, silent_ms: 131_000 });
    assert_eq!(world.only_meta()["end_reason"], "media_timeout");

    let mut world = on_phones(json!({ "max_call_duration_sec": 600 }));
    let call = talks(&mut world);
    moved(&mut world, call, Place::Handset, Mover::Us);
    world.pass(Duration::from_secs(601));
    assert_eq!(world.only_meta()["end_reason"], "max_duration");
    assert!(world.phones.contains(&PhoneCommand::Hangup { call }));
}

#[test]
fn a_call_that_the_phone_holds_is_held_and_misses_no_packets() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    tell(&mut world, PhoneEvent::Held { call, held: true });
    assert_eq!(world.current().unwrap()["phase"], "held");
    world.pass(Duration::from_secs(60));
    world.input(Input::MediaSeen { call, silent_ms: 60_000 });
    tell(&mut world, PhoneEvent::Held { call, held: false });
    assert_eq!(world.current().unwrap()["phase"], "active");
}

#[test]
fn an_agent_that_ends_its_conversation_does_not_end_the_owners() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    moved(&mut world, call, Place::Handset, Mover::Phone);
    world.agent(call, AgentEvent::Ended(AgentEnd::Finished));
    assert!(world.current().is_some(), "the owner still speaks");
    assert!(hand_over(&mut world, Place::Agent).unwrap_err().message.contains("has ended"));
    moved(&mut world, call, Place::Agent, Mover::Phone);
    assert_eq!(world.only_meta()["end_reason"], "agent_hangup");
    assert!(world.phones.contains(&PhoneCommand::Hangup { call }));
}

#[test]
fn a_stop_waits_for_both_carriers_and_leaves_the_owners_call_alone() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    moved(&mut world, call, Place::Handset, Mover::Us);
    world.phones.clear();
    world.deaf_legs = true;
    world.input(Input::Stop);
    assert_eq!(world.phones, [PhoneCommand::Close], "the call goes on without us");
    assert!(matches!(world.legs.last(), Some(LegCommand::Close)));
    assert_eq!(world.only_meta()["end_reason"], "transferred");
    assert!(!world.stopped, "the phones have not closed");
    tell(&mut world, PhoneEvent::Closed);
    assert!(world.stopped);
}

#[test]
fn a_stop_hangs_up_what_the_agent_talks_on() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    world.phones.clear();
    world.input(Input::Stop);
    assert_eq!(world.phones, [PhoneCommand::Hangup { call }, PhoneCommand::Close]);
    assert!(world.stopped);
    assert_eq!(world.only_meta()["end_reason"], "shutdown");
}

#[test]
fn a_stop_records_that_a_call_may_go_on_at_its_phone() {
    let mut world = on_phones(json!({}));
    let call = talks(&mut world);
    world.deaf_legs = true;
    world.input(Input::Stop);
    assert!(!world.stopped);
    ended(&mut world, call, PhoneEnd::PhoneLost, "the phone did not end it in time");
    tell(&mut world, PhoneEvent::Closed);
    assert!(world.stopped);
    let meta = world.only_meta();
    assert_eq!(meta["end_reason"], "shutdown");
    assert_eq!(meta["end_detail"], "the phone did not end it in time");
}

#[test]
fn the_phones_are_told_of_every_setting_that_changes_and_of_no_other() {
    let mut world = on_phones(json!({}));
    let patch = json!({ "log_calls": false }).as_object().unwrap().clone();
    world.ask(Command::PatchConfig(patch)).unwrap().unwrap();
    assert!(world.phones.is_empty());
    let patch = json!({
        "telephony_backend": "adb", "target_device": "00-1a-7d-da-71-13", "auto_select_device": false,
        "adb_serial": "R58M", "device_bindings": {"R58M": "00:1A:7D:DA:71:13", "bad": "x", "worse": 7},
    });
    world.ask(Command::PatchConfig(patch.as_object().unwrap().clone())).unwrap().unwrap();
    let [PhoneCommand::Configure(settings)] = &world.phones[..] else { panic!("{:?}", world.phones) };
    assert_eq!((settings.in_use, settings.by_adb, settings.auto_select), (true, true, false));
    assert_eq!((settings.target, settings.adb_serial.as_deref()), (Some(PIXEL), Some("R58M")));
    assert_eq!(settings.bindings.iter().collect::<Vec<_>>(), [(&"R58M".to_owned(), &PIXEL)]);
    assert!(!config(json!({})).phone_settings().in_use, "SIP is selected");
}

#[test]
fn the_phone_at_a_serial_number_is_learnt_once_and_never_overrides_what_is_set() {
    let mut world =
        on_phones(json!({ "telephony_backend": "adb", "device_bindings": {"SET": "00:00:00:00:00:01"} }));
    let bound = |serial: &str| PhoneEvent::Bound { serial: serial.into(), phone: PIXEL };
    for serial in ["R58M", "SET", "R58N", "R58M"] {
        world.input(Input::Phone(bound(serial)));
    }
    let told: Vec<PhoneCommand> = std::mem::take(&mut world.phones);
    let Some(PhoneCommand::Configure(settings)) = told.last() else { panic!("{told:?}") };
    let kept = [("R58M", PIXEL), ("R58N", PIXEL), ("SET", "00:00:00:00:00:01".parse().unwrap())];
    let bindings: Vec<_> =
        settings.bindings.iter().map(|(serial, phone)| (serial.as_str(), *phone)).collect();
    assert_eq!((told.len(), bindings), (2, kept.to_vec()));
    let Ok(Some(Answer::Config(config))) = world.ask(Command::Config).transpose() else { panic!() };
    assert_eq!(config["device_bindings"]["R58N"], PIXEL.to_string());
}

#[test]
fn calls_of_both_carriers_live_side_by_side() {
    let mut world = on_phones(json!({ "max_concurrent_calls": 2 }));
    let on_phone = talks(&mut world);
    let patch = json!({ "telephony_backend": "sip", "sip_server": "192.0.2.1" });
    world.ask(Command::PatchConfig(patch.as_object().unwrap().clone())).unwrap().unwrap();
    world.input(Input::Leg(LegEvent::Status(crate::call::leg::SipStatus {
        started: true,
        ..Default::default()
    })));
    let over_sip = world.talking_to("5551002");
    let backends: Vec<&Value> = world.metas.values().map(|meta| &meta["telephony_backend"]).collect();
    assert_eq!(backends, ["hfp", "sip"]);
    // What one carrier says of the other's call means nothing.
    world.leg(LegEvent::Ended {
        call: on_phone,
        end: LegEnd::Failed,
        code: Some(500),
        detail: String::new(),
    });
    ended(&mut world, over_sip, PhoneEnd::PhoneLost, "");
    moved(&mut world, over_sip, Place::Handset, Mover::Phone);
    assert!(world.metas.values().all(|meta| meta["end_reason"].is_null()));
}
