//! libsbc, BlueZ's library of the SBC codec (LGPL 2.1, linked dynamically): the few calls that mSBC needs.
//!
//! The only unsafe code of the codecs. No crate has an mSBC encoder.

use std::ffi::{c_int, c_ulong, c_void};

/// Samples are in the machine's own order (`SBC_LE`, `SBC_BE`).
const ENDIAN: u8 = if cfg!(target_endian = "big") { 1 } else { 0 };

/// `sbc_t` of `sbc/sbc.h`.
#[repr(C)]
#[derive(Debug)]
struct Sbc {
    flags: c_ulong,
    frequency: u8,
    blocks: u8,
    subbands: u8,
    mode: u8,
    allocation: u8,
    bitpool: u8,
    endian: u8,
    private: *mut c_void,
    private_base: *mut c_void,
}

#[expect(unsafe_code, reason = "the declarations are those of sbc/sbc.h")]
#[link(name = "sbc")]
unsafe extern "C" {
    fn sbc_init_msbc(sbc: *mut Sbc, flags: c_ulong) -> c_int;
    fn sbc_finish(sbc: *mut Sbc);
    fn sbc_encode(
        sbc: *mut Sbc,
        input: *const c_void,
        input_bytes: usize,
        output: *mut c_void,
        output_bytes: usize,
        written: *mut isize,
    ) -> isize;
    fn sbc_decode(
        sbc: *mut Sbc,
        input: *const c_void,
        input_bytes: usize,
        output: *mut c_void,
        output_bytes: usize,
        written: *mut usize,
    ) -> isize;
}

/// One direction of one mSBC stream.
#[derive(Debug)]
pub(super) struct Stream(Sbc);

#[expect(unsafe_code, reason = "the library's state is memory of its own, tied to no thread")]
// SAFETY: `private` and `private_base` point to one allocation that only this stream uses; the library has no other
// state that changes.
unsafe impl Send for Stream {}

impl Stream {
    /// Allocates; `None` when there is no memory.
    #[expect(unsafe_code, reason = "a call of the library")]
    pub(super) fn new() -> Option<Self> {
        let null = std::ptr::null_mut();
        let mut sbc = Sbc {
            flags: 0,
            frequency: 0,
            blocks: 0,
            subbands: 0,
            mode: 0,
            allocation: 0,
            bitpool: 0,
            endian: 0,
            private: null,
            private_base: null,
        };
        // SAFETY: `sbc` is a valid sbc_t, which the library fills; an error leaves nothing behind.
        let result = unsafe { sbc_init_msbc(&raw mut sbc, 0) };
        sbc.endian = ENDIAN;
        (result == 0).then_some(Self(sbc))
    }

    /// Encodes one frame; how many octets of `frame` were written.
    #[expect(unsafe_code, reason = "a call of the library")]
    pub(super) fn encode(&mut self, samples: &[i16], frame: &mut [u8]) -> Option<usize> {
        let mut written = 0;
        // SAFETY: the state was initialised; both buffers are valid for the lengths that are given with them, and the
        // library keeps neither.
        let result = unsafe {
            sbc_encode(
                &raw mut self.0,
                samples.as_ptr().cast(),
                size_of_val(samples),
                frame.as_mut_ptr().cast(),
                frame.len(),
                &raw mut written,
            )
        };
        usize::try_from(written).ok().filter(|_| result > 0)
    }

    /// Decodes one frame; how many of `samples` were written. `None` when it is none.
    #[expect(unsafe_code, reason = "a call of the library")]
    pub(super) fn decode(&mut self, frame: &[u8], samples: &mut [i16]) -> Option<usize> {
        let mut written = 0;
        // SAFETY: as for `encode`; whatever octets land in `samples` are valid i16.
        let result = unsafe {
            sbc_decode(
                &raw mut self.0,
                frame.as_ptr().cast(),
                frame.len(),
                samples.as_mut_ptr().cast(),
                size_of_val(samples),
                &raw mut written,
            )
        };
        (result > 0).then_some(written / size_of::<i16>())
    }
}

impl Drop for Stream {
    #[expect(unsafe_code, reason = "a call of the library")]
    fn drop(&mut self) {
        // SAFETY: the state was initialised and is not used again.
        unsafe { sbc_finish(&raw mut self.0) };
    }
}
