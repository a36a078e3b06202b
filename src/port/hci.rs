//! Where a Broadcom or Cypress chip sends the audio of voice links: to its PCM pins, as those of most Raspberry Pis do
//! by default, or to this machine. Vendor commands over a raw HCI socket; only the privileged helper uses it.
//!
//! ```text
//!  Read Local Version ─▶ Broadcom or Cypress? ─▶ Read SCO PCM Int Param ─▶ routed here? ─▶ Write … ─▶ read again
//! ```

#![expect(unsafe_code, reason = "to promise that sockaddr_hci is plain bytes")]

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::port::kernel_socket::{self, AF_BLUETOOTH, RawAddress, set_option};

const BTPROTO_HCI: i32 = 1;
const SOL_HCI: i32 = 0;
const HCI_FILTER: i32 = 2;
const HCI_CHANNEL_RAW: u16 = 0;
const COMMAND_PACKET: u8 = 0x01;
const EVENT_PACKET: u8 = 0x04;
const COMMAND_COMPLETE: u8 = 0x0e;
/// Informational parameters, 0x001.
const READ_LOCAL_VERSION: u16 = 0x1001;
/// Vendor, 0x01c: `Write_SCO_PCM_Int_Param`.
const WRITE_ROUTING: u16 = 0xfc1c;
/// Vendor, 0x01d: `Read_SCO_PCM_Int_Param`.
const READ_ROUTING: u16 = 0xfc1d;
/// Company identifiers of the Bluetooth SIG: Broadcom, Cypress.
const MANUFACTURERS: [u16; 2] = [0x000f, 0x0131];
/// Transport, 512 kHz, short frames, master of frame and clock.
const TO_THIS_MACHINE: [u8; 5] = [1, 2, 0, 1, 1];
/// A controller answers within two seconds, or the kernel resets it.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Events of others that are passed over before the answer.
const OTHER_EVENTS_MAX: usize = 64;

/// What was found or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The chip is another maker's (the company identifier): it knows no such routing.
    OtherMaker(u16),
    /// Voice links came here already.
    WasHere,
    /// They went to the PCM pins; now they come here.
    MovedHere,
}

/// Why it is not known or not done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What the system said: no such adapter, not up, no right.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The chip refused a command (`Core Vol 1 Part F`).
    #[error("the chip refused command {command:#06x} with status {status:#04x}")]
    Refused {
        /// Opcode.
        command: u16,
        /// Error code.
        status: u8,
    },
    /// It did not answer.
    #[error("the chip did not answer command {0:#06x}")]
    Silent(u16),
    /// It took the command and did not do it.
    #[error("the chip still sends voice to its PCM pins")]
    Unchanged,
}

/// `struct sockaddr_hci`.
#[derive(Clone, Copy)]
#[repr(C)]
struct SockAddrHci {
    family: libc::sa_family_t,
    device: u16,
    channel: u16,
}

// SAFETY: three times 2 bytes without padding, of integers.
unsafe impl RawAddress for SockAddrHci {
    const FAMILY: i32 = AF_BLUETOOTH;
}

/// Opens the raw socket of adapter `hciN`; takes `CAP_NET_RAW`.
pub fn open(adapter: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(AF_BLUETOOTH), Type::RAW, Some(Protocol::from(BTPROTO_HCI)))?;
    let family = AF_BLUETOOTH as libc::sa_family_t;
    socket.bind(&kernel_socket::address(SockAddrHci {
        family,
        device: adapter,
        channel: HCI_CHANNEL_RAW,
    }))?;
    // struct hci_filter: packet types, two words of events, an opcode (0: any), padding.
    let mut filter = [0; 16];
    filter[..4].copy_from_slice(&(1u32 << EVENT_PACKET).to_ne_bytes());
    filter[4..8].copy_from_slice(&(1u32 << COMMAND_COMPLETE).to_ne_bytes());
    set_option(&socket, SOL_HCI, HCI_FILTER, &filter)?;
    Ok(socket)
}

/// Makes the chip send voice links here, if it is one that can send them elsewhere.
pub fn route_here(mut socket: Socket) -> Result<Routing, Fault> {
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    let version = ask(&mut socket, READ_LOCAL_VERSION, &[])?;
    let manufacturer = match version.get(4..6) {
        Some(bytes) => u16::from_le_bytes([bytes[0], bytes[1]]),
        None => return Err(Fault::Silent(READ_LOCAL_VERSION)),
    };
    if !MANUFACTURERS.contains(&manufacturer) {
        return Ok(Routing::OtherMaker(manufacturer));
    }
    let is_here = |answer: Vec<u8>| answer.first() == TO_THIS_MACHINE.first();
    if is_here(ask(&mut socket, READ_ROUTING, &[])?) {
        return Ok(Routing::WasHere);
    }
    ask(&mut socket, WRITE_ROUTING, &TO_THIS_MACHINE)?;
    if is_here(ask(&mut socket, READ_ROUTING, &[])?) { Ok(Routing::MovedHere) } else { Err(Fault::Unchanged) }
}

/// One command, and the parameters of its `Command Complete` behind the status.
fn ask(socket: &mut Socket, command: u16, parameters: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut packet = vec![COMMAND_PACKET];
    packet.extend(command.to_le_bytes());
    packet.push(parameters.len() as u8);
    packet.extend(parameters);
    socket.write_all(&packet)?;
    for _ in 0..OTHER_EVENTS_MAX {
        let mut event = [0; 260];
        let len = match socket.read(&mut event) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Fault::Silent(command)),
            read => read?,
        };
        // Packet type, event code, length, commands allowed, opcode, status, parameters.
        if let Some([EVENT_PACKET, COMMAND_COMPLETE, _, _, low, high, status, answer @ ..]) = event.get(..len)
            && u16::from_le_bytes([*low, *high]) == command
        {
            return match status {
                0 => Ok(answer.to_vec()),
                status => Err(Fault::Refused { command, status: *status }),
            };
        }
    }
    Err(Fault::Silent(command))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A chip that answers these in turn: the command that it must get, and what it says.
    fn chip(turns: Vec<(Vec<u8>, Vec<u8>)>) -> (Socket, thread::JoinHandle<()>) {
        let (ours, mut chip) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let playing = thread::Builder::new().spawn(move || {
            for (command, answer) in turns {
                let mut packet = [0; 64];
                let len = chip.read(&mut packet).unwrap();
                assert_eq!(packet[..len], command, "the bytes on the wire");
                chip.write_all(&[4, 0x0e, 4, 1, 0x03, 0x0c, 0]).unwrap();
                chip.write_all(&answer).unwrap();
            }
        });
        (ours, playing.unwrap())
    }

    fn version(manufacturer: u8) -> (Vec<u8>, Vec<u8>) {
        (
            vec![1, 0x01, 0x10, 0],
            vec![4, 0x0e, 12, 1, 0x01, 0x10, 0, 9, 0x2c, 0x11, 9, manufacturer, 0, 0x6b, 0x61],
        )
    }

    fn routing(to: u8) -> (Vec<u8>, Vec<u8>) {
        (vec![1, 0x1d, 0xfc, 0], vec![4, 0x0e, 9, 1, 0x1d, 0xfc, 0, to, 2, 0, 1, 1])
    }

    fn write(status: u8) -> (Vec<u8>, Vec<u8>) {
        (vec![1, 0x1c, 0xfc, 5, 1, 2, 0, 1, 1], vec![4, 0x0e, 4, 1, 0x1c, 0xfc, status])
    }

    #[test]
    fn a_broadcom_chip_is_told_to_send_voice_here_and_asked_whether_it_does_h2() {
        let (socket, chip) = chip(vec![version(0x0f), routing(0), write(0), routing(1)]);
        assert_eq!(route_here(socket).unwrap(), Routing::MovedHere);
        chip.join().unwrap();
    }

    #[test]
    fn a_chip_that_does_it_already_or_is_another_makers_is_left_alone_h2() {
        let (socket, broadcom) = chip(vec![version(0x0f), routing(1)]);
        assert_eq!(route_here(socket).unwrap(), Routing::WasHere);
        broadcom.join().unwrap();
        let (socket, realtek) = chip(vec![version(0x5d)]);
        assert_eq!(route_here(socket).unwrap(), Routing::OtherMaker(0x5d));
        realtek.join().unwrap();
    }

    #[test]
    fn refusals_and_lies_of_the_chip_are_told_h2() {
        let (socket, refusing) = chip(vec![version(0x0f), routing(0), write(0x0c)]);
        let fault = route_here(socket).unwrap_err().to_string();
        assert_eq!(fault, "the chip refused command 0xfc1c with status 0x0c");
        refusing.join().unwrap();
        let (socket, lying) = chip(vec![version(0x0f), routing(0), write(0), routing(0)]);
        assert!(matches!(route_here(socket), Err(Fault::Unchanged)));
        lying.join().unwrap();
    }
}
