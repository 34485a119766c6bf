//! Bytes asked for before they are needed.

/// Bytes of a cache line.
pub(crate) const CACHE_LINE: usize = 64;

/// Has the second cache fetch `values`, without waiting for them: a core keeps some two dozen lines on the way into its first
/// cache, which is too few to receive all that memory gives. Does nothing where there is no instruction for it.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(values)).step_by(CACHE_LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86-64; a prefetch changes nothing and faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().cast::<i8>().wrapping_add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}
