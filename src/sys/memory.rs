//! Memory: how many heaps the allocator keeps.

/// Heaps for all threads together. glibc makes up to eight for each core and keeps in every one what was once its
/// most; a crowd of clients, a thread each, would leave many half empty.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: libc::c_int = 2;

/// Makes the threads that are started from now on share their heaps. Elsewhere than with glibc there is nothing to do.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "no safe wrapper of mallopt exists"))]
pub fn share_heaps() {
    // SAFETY: mallopt takes two numbers, and knows this parameter; nothing else is touched.
    #[cfg(target_env = "gnu")]
    let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX) };
    #[cfg(target_env = "gnu")]
    if taken == 0 {
        log::debug!("the allocator keeps as many heaps as it likes");
    }
}
