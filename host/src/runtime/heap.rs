//! What a compiler leaves behind: memory that it freed, and that the C library keeps for whoever allocates next.

/// Gives memory that nobody uses back to the kernel. After a Python component, glibc holds 250 MB of it, which no item may
/// take and which the container's limit counts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(super) fn give_back() {
    // SAFETY: malloc_trim(3) has this signature, takes no pointers, and may be called by any thread at any time.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

/// Other C libraries give it back by themselves, or not at all.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}
