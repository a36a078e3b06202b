//! The server side of RFC 6455, as little of it as a test needs: each half of the socket works alone, so that a
//! message is time-stamped when it arrives and not when someone got round to it.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Largest frame that a client may send.
const FRAME_BYTES_MAX: u64 = 16 << 20;

/// What a client sent.
#[derive(Debug)]
pub enum Frame {
    /// A whole text message.
    Text(String),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A close with its code (1005 when there was none).
    Close(u16),
}

/// Reads the next frame; frames of no interest are passed over.
pub fn read(socket: &mut TcpStream) -> io::Result<Frame> {
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head)?;
        let (last, kind) = (head[0] & 0x80 != 0, head[0] & 0x0f);
        assert!(last && head[1] & 0x80 != 0, "a client's frame is whole and masked: {head:02x?}");
        let length = match head[1] & 0x7f {
            126 => {
                let mut long = [0; 2];
                socket.read_exact(&mut long)?;
                u64::from(u16::from_be_bytes(long))
            }
            127 => {
                let mut long = [0; 8];
                socket.read_exact(&mut long)?;
                u64::from_be_bytes(long)
            }
            short => u64::from(short),
        };
        assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        let mut mask = [0; 4];
        socket.read_exact(&mut mask)?;
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload)?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        match kind {
            1 => return Ok(Frame::Text(String::from_utf8(payload).unwrap())),
            8 => {
                let code = payload.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code));
                return Ok(Frame::Close(code));
            }
            9 => return Ok(Frame::Ping(payload)),
            _ => {}
        }
    }
}

/// Writes a text message in one piece.
pub fn write_text(socket: &mut TcpStream, text: &str) -> io::Result<()> {
    write(socket, 1, text.as_bytes())
}

/// Writes a pong.
pub fn write_pong(socket: &mut TcpStream, payload: &[u8]) -> io::Result<()> {
    write(socket, 10, payload)
}

/// Writes a close.
pub fn write_close(socket: &mut TcpStream, code: u16) -> io::Result<()> {
    write(socket, 8, &code.to_be_bytes())
}

fn write(socket: &mut TcpStream, kind: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        short @ 0..126 => frame.push(short as u8),
        middle @ 126..65_536 => {
            frame.push(126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    socket.write_all(&frame)
}
