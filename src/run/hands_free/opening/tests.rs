//! Links over a folder's sockets.

use std::path::Path;

use super::*;
use crate::base::time::any_instant;
use crate::hfp::host::{Adapter as HostAdapter, Device};
use crate::run::scarce::{hoard, in_own_process};
use crate::sys::clock::mono;
use crate::sys::wait::{on, readable, wait, writable};

const HERE: Address = Address::new([2, 0, 0, 0, 0, 1]);
const PHONE: Address = Address::new([0xa, 0, 0, 0, 0, 1]);
const OTHER: Address = Address::new([0xb, 0, 0, 0, 0, 2]);

/// An adapter that takes links and knows two phones.
fn opening(folder: &Path) -> Opening {
    let mut opening = Opening::new(Sco::Folder(folder.to_owned()));
    opening.on_host(&Event::Adapter(HostAdapter {
        name: "hci0".into(),
        address: HERE,
        alias: String::new(),
        powered: true,
        blocked: false,
        discoverable: false,
        pairable: false,
        hands_free: false,
    }));
    for address in [PHONE, OTHER] {
        opening.on_host(&Event::Device(Device {
            adapter: "hci0".into(),
            address,
            alias: String::new(),
            paired: true,
            trusted: true,
            connected: true,
            audio_gateway: true,
        }));
    }
    opening
}

/// What can be done at once: whether links wait to be accepted, and the links that are up.
fn ready(opening: &Opening) -> (bool, Vec<LinkNumber>) {
    let mut fds: Vec<_> = opening.fds().map(|(fd, interest)| on(fd, interest)).collect();
    wait(&mut fds, Some(mono())).unwrap();
    let (listeners, links) = fds.split_at(opening.listeners());
    let up = opening.links().zip(links).filter(|(_, fd)| writable(fd)).map(|(link, _)| link);
    (listeners.iter().any(readable), up.collect())
}

#[test]
fn a_stranger_gets_no_link_and_a_phone_does() {
    let folder = tempfile::tempdir().unwrap();
    let (mut opening, air, now) =
        (opening(folder.path()), Sco::Folder(folder.path().to_owned()), any_instant());
    let of_stranger = air.connect(OTHER, HERE, Codec::Cvsd).unwrap().finish().unwrap();
    let of_phone = air.connect(PHONE, HERE, Codec::Cvsd).unwrap().finish().unwrap();
    assert!(ready(&opening).0);
    opening.accept(now, |phone| phone == PHONE);
    let up = opening.finished(now, &ready(&opening).1);
    let [Opened { phone: PHONE, by_us: false, result: Ok(_), .. }] = up.as_slice() else { panic!("{up:?}") };
    let end = |link: &OwnedFd| rustix::io::read(link, &mut [0; 1]);
    assert_eq!(end(&of_stranger), Ok(0), "its link is shut");
    assert_eq!(end(&of_phone), Err(rustix::io::Errno::AGAIN));
}

#[test]
fn without_descriptors_nothing_spins_and_the_link_is_taken_later() {
    let name =
        "run::hands_free::opening::tests::without_descriptors_nothing_spins_and_the_link_is_taken_later";
    in_own_process(name, || {
        let folder = tempfile::tempdir().unwrap();
        let (mut opening, now) = (opening(folder.path()), any_instant());
        let air = Sco::Folder(folder.path().to_owned());
        let _of_phone = air.connect(PHONE, HERE, Codec::Cvsd).unwrap();
        let hoarded = hoard();
        assert!(ready(&opening).0);
        opening.accept(now, |_| true);
        assert_eq!(opening.deadline(), Some(now + ACCEPT_AGAIN_AFTER));
        let again = opening.finished(now + ACCEPT_AGAIN_AFTER / 2, &[]);
        assert!(again.is_empty() && !ready(&opening).0, "what waits does not wake");
        drop(hoarded);
        opening.finished(now + ACCEPT_AGAIN_AFTER, &[]);
        assert_eq!((opening.deadline(), ready(&opening).0), (None, true));
        opening.accept(now, |_| true);
        assert_eq!(opening.finished(now, &ready(&opening).1).len(), 1);
    });
}

#[test]
fn a_link_that_took_the_place_of_another_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut opening, air, now) =
        (opening(folder.path()), Sco::Folder(folder.path().to_owned()), any_instant());
    let _phones = [PHONE, OTHER].map(|phone| air.listen(phone).unwrap());
    opening.open(now, PHONE, Codec::Msbc).unwrap();
    let found = ready(&opening).1;
    assert_eq!(found.len(), 1);
    // What was found ready is closed, and another one opened, before anybody looks.
    opening.close(PHONE);
    opening.open(now, OTHER, Codec::Msbc).unwrap();
    assert!(opening.finished(now, &found).is_empty());
    let late = opening.finished(now + OPEN_MAX, &found);
    let [Opened { phone: OTHER, by_us: true, result: Err(_), .. }] = late.as_slice() else {
        panic!("{late:?}")
    };
}
