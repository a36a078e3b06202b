//! Whole calls between two user agents in all weathers. Every call must end once at each side, whatever is lost.

use super::network::{Network, Weather};
use crate::sip::{Command, Event};

const FAIR: Weather = Weather { lost: 0, repeated: 0, delay_ms: 20 };
const STORM: Weather = Weather { lost: 20, repeated: 10, delay_ms: 900 };

/// Whoever is called takes the call.
fn take(end: usize, event: &Event) -> Vec<Command> {
    let (1, Event::Incoming { call, .. }) = (end, event) else { return Vec::new() };
    vec![Command::Ring { call: *call }, Command::Accept { call: *call, body: b"answer".into() }]
}

fn endings(network: &Network, end: usize) -> usize {
    network.told(end).iter().filter(|told| told.starts_with("ended")).count()
}

#[test]
fn a_call_in_fair_weather() {
    let mut network = Network::new(1, FAIR);
    let call = network.call();
    network.run(10_000, take);
    network.command(0, Command::Hangup { call });
    network.run(100_000, take);
    assert_eq!(network.told(0), ["progress 180", "accepted answer", "ended LocalBye"]);
    assert_eq!(network.told(1), ["incoming offer", "ended RemoteBye"]);
}

#[test]
fn calls_are_set_up_and_hung_up_through_loss_repetition_and_reordering() {
    let mut accepted = 0;
    for seed in 0..300 {
        let mut network = Network::new(seed, STORM);
        let call = network.call();
        network.run(40_000, take);
        let up = network.told(0).iter().any(|told| told == "accepted answer");
        accepted += u32::from(up);
        network.command(
            usize::from(seed % 2 == 1),
            Command::Hangup { call: if seed % 2 == 1 { crate::base::CallId(1) } else { call } },
        );
        network.run(400_000, take);
        assert_eq!(
            (endings(&network, 0), endings(&network, 1)),
            (1, 1),
            "seed {seed}: {:?}",
            network.told(0)
        );
        let incoming = network.told(1).iter().filter(|told| told.starts_with("incoming")).count();
        assert_eq!(incoming, 1, "seed {seed}");
        for end in &network.ends {
            assert_eq!(end.live_calls(), 0, "seed {seed}");
        }
    }
    assert!(accepted >= 295, "only {accepted} of 300 calls came up");
}

#[test]
fn giving_up_at_any_moment_leaves_nobody_in_a_call() {
    for seed in 0..300 {
        let mut network = Network::new(seed, STORM);
        let call = network.call();
        network.run(seed * 10, take);
        network.command(0, Command::Hangup { call });
        network.run(400_000, take);
        assert_eq!(endings(&network, 0), 1, "seed {seed}");
        let incoming = network.told(1).iter().filter(|told| told.starts_with("incoming")).count();
        assert_eq!(endings(&network, 1), incoming, "seed {seed}: {:?}", network.told(1));
        assert_eq!((network.ends[0].live_calls(), network.ends[1].live_calls()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_network_that_dies_in_mid_call_ends_the_call_when_someone_hangs_up() {
    let mut network = Network::new(1, FAIR);
    let call = network.call();
    network.run(10_000, take);
    let mut dead = Network::new(2, Weather { lost: 100, ..FAIR });
    std::mem::swap(&mut dead.ends, &mut network.ends);
    dead.command(0, Command::Hangup { call });
    dead.run(100_000, take);
    assert_eq!(dead.told(0), ["ended LocalBye"]);
}
