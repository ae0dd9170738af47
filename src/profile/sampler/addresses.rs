//! Keeps apart what was sampled at different addresses of the same functions.
//!
//! pprof takes two samples for the same one when `_Unwind_FindEnclosingFunction`, of libgcc, gives
//! the same beginnings for all of their addresses. The definition here comes before libgcc's where
//! that is a shared library, and gives every address back as it is. Nothing else in the program
//! calls it but the standard library's backtraces, which print what they find by the address itself.

/// Whether samples are kept apart.
pub const KEPT: bool =
    cfg!(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")));

// SAFETY: The signature is that of libgcc's function. It may be called with any address and in a
// signal, and what it returns is compared and hashed and never followed.
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_FindEnclosingFunction(
    address: *mut std::ffi::c_void,
) -> *mut std::ffi::c_void {
    address
}
