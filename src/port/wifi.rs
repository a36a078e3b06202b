//! Where in the air a Wi-Fi interface is, by the one question of the wireless extensions (linux/wireless.h) that any
//! user may ask.
//!
//! nl80211 would tell it too, at the price of netlink for a single number.

#![expect(unsafe_code, reason = "SIOCGIWFREQ is in no crate")]

use std::ffi::c_void;
use std::io;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};

/// `SIOCGIWFREQ`: the channel or frequency.
const SIOCGIWFREQ: Opcode = 0x8B05;
/// `IFNAMSIZ`, with the zero at the end.
const NAME_LEN: usize = 16;
/// Below it a value without exponent is a number of a channel (linux/wireless.h: 0-1000).
const CHANNEL_MAX: i32 = 1000;
/// Channels of the 2.4 GHz band.
const LOW_CHANNELS: std::ops::RangeInclusive<i32> = 1..=14;

/// What Wi-Fi may be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// 2.4 GHz, where Bluetooth is.
    Low,
    /// 5 or 6 GHz.
    High,
}

/// `struct iwreq` with `struct iw_freq` in its union of 16 bytes.
#[repr(C)]
struct Request {
    name: [u8; NAME_LEN],
    mantissa: i32,
    exponent: i16,
    index: u8,
    flags: u8,
    rest: [u8; 8],
}

// SAFETY: the kernel reads the name, writes the union of so many bytes, and keeps nothing.
unsafe impl Ioctl for Request {
    type Output = (i32, i16);
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        SIOCGIWFREQ
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, answer: *mut c_void) -> rustix::io::Result<(i32, i16)> {
        // SAFETY: it is what `as_ptr` gave.
        let answer = unsafe { &*answer.cast::<Self>() };
        Ok((answer.mantissa, answer.exponent))
    }
}

/// The band of an interface that is connected, or why it is not known: it is no Wi-Fi, or its driver does not say.
pub fn band(interface: &str) -> io::Result<Band> {
    let mut name = [0; NAME_LEN];
    if interface.len() >= NAME_LEN {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let request = Request { name, mantissa: 0, exponent: 0, index: 0, flags: 0, rest: [0; 8] };
    // SAFETY: the request is laid out as this operation expects it.
    let (mantissa, exponent) = unsafe { ioctl(&any, request) }?;
    band_of(mantissa, exponent).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A frequency is `mantissa * 10^exponent` Hz; drivers choose the exponent.
fn band_of(mantissa: i32, exponent: i16) -> Option<Band> {
    if exponent == 0 && (1..CHANNEL_MAX).contains(&mantissa) {
        return Some(if LOW_CHANNELS.contains(&mantissa) { Band::Low } else { Band::High });
    }
    let gigahertz = f64::from(mantissa) * 10f64.powi(i32::from(exponent)) / 1e9;
    match gigahertz {
        2.4..2.5 => Some(Band::Low),
        4.9..7.2 => Some(Band::High),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_is_read_in_every_form_that_a_driver_may_give_it() {
        assert_eq!(size_of::<Request>(), 32, "struct iwreq");
        for (mantissa, exponent, band) in [
            (2437, 6, Some(Band::Low)),
            (243_700_000, 1, Some(Band::Low)),
            (5180, 6, Some(Band::High)),
            (518_000_000, 1, Some(Band::High)),
            (5955, 6, Some(Band::High)),
            (11, 0, Some(Band::Low)),
            (36, 0, Some(Band::High)),
            (60_480, 6, None),
            (0, 0, None),
            (-1, i16::MAX, None),
            (i32::MAX, i16::MIN, None),
        ] {
            assert_eq!(band_of(mantissa, exponent), band, "{mantissa}e{exponent}");
        }
    }

    #[test]
    fn an_interface_that_is_no_wifi_has_no_band() {
        assert!(band("lo").is_err() && band("a-name-that-is-far-too-long").is_err());
    }
}
