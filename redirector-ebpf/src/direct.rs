//! Direct access to the bytes between `data` and `data_end`, as both hooks offer it.
//!
//! The bounds are read from the context each time: helpers move them, and the verifier wants to see the check.

use redirector_ebpf::packet::{Even, OutOfBounds, Wire};

/// A context with directly accessible bytes.
pub(crate) trait Direct {
    fn data(&self) -> usize;
    fn data_end(&self) -> usize;

    /// A pointer to `T` at `offset`, if it is within reach.
    #[inline(always)]
    fn at<T: Wire>(&self, offset: usize) -> Result<*mut Even<T>, OutOfBounds> {
        let start = self.data() + offset;
        if start + size_of::<T>() > self.data_end() { Err(OutOfBounds) } else { Ok(start as *mut Even<T>) }
    }

    #[inline(always)]
    fn get<T: Wire>(&self, offset: usize) -> Result<T, OutOfBounds> {
        // SAFETY: within bounds, and any bytes are a `T`.
        self.at(offset).map(|pointer: *mut Even<T>| unsafe { (*pointer).0 })
    }

    #[inline(always)]
    fn put<T: Wire>(&mut self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        // SAFETY: within bounds.
        self.at(offset).map(|pointer| unsafe { *pointer = Even(value) })
    }
}
