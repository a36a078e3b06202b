//! Port numbers for programs that want to be told one, free of races: a block of numbers is leased by a file lock
//! that every test process respects, outside the range from which the kernel hands out numbers by itself.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;

const FIRST: u16 = 20_000;
/// Two less than the lowest number that Linux gives to sockets that do not ask for one.
const LAST: u16 = 32_766;
/// Numbers in one lease: two signalling ports, control, and an even range for media.
pub const LEASE_PORTS: u16 = 20;

/// A block of `LEASE_PORTS` numbers, nobody else's until dropped.
#[derive(Debug)]
pub struct Lease {
    first: u16,
    _lock: File,
}

impl Lease {
    /// A free block. Fails the test when there is none.
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join("callscoot-test-ports");
        fs::create_dir_all(&folder).unwrap();
        let blocks = (LAST - FIRST) / LEASE_PORTS;
        // Each test process begins somewhere else, so that a number just given back is not taken at once.
        let start = (process::id() % u32::from(blocks)) as u16;
        for step in 0..blocks {
            let first = FIRST + (start + step) % blocks * LEASE_PORTS;
            let lock = File::create(folder.join(first.to_string())).unwrap();
            match lock.try_lock() {
                Ok(()) if (first..first + LEASE_PORTS).all(is_free) => return Self { first, _lock: lock },
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => panic!("cannot lock a port lease: {error}"),
            }
        }
        panic!("all {blocks} blocks of ports are in use");
    }

    /// The number at `offset` in the block; the first one is even.
    pub fn at(&self, offset: u16) -> u16 {
        assert!(offset < LEASE_PORTS, "the lease has {LEASE_PORTS} ports");
        self.first + offset
    }

    /// The last number of the block.
    pub fn last(&self) -> u16 {
        self.first + LEASE_PORTS - 1
    }
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
