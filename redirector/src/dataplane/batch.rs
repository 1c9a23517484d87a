//! Reading a hash map in batches: a few system calls for thousands of entries, safe against entries that come and go.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use aya::Pod;

/// `BPF_MAP_LOOKUP_BATCH` (include/uapi/linux/bpf.h).
const LOOKUP_BATCH: libc::c_int = 24;
/// Entries asked for at once; a bucket with more makes the kernel say ENOSPC, and the batch grows.
const BATCH: u32 = 4096;

/// The `batch` arm of `union bpf_attr`.
#[repr(C)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Calls `visit` with every entry of a hash map. Entries that are inserted or removed meanwhile may or may not be seen.
pub(super) fn for_each<K: Pod, V: Pod>(map: BorrowedFd<'_>, mut visit: impl FnMut(&K, &V)) -> io::Result<()> {
    let mut batch = BATCH;
    let mut keys: Vec<K> = Vec::new();
    let mut values: Vec<V> = Vec::new();
    let (mut here, mut next) = (0u32, 0u32);
    let mut first = true;
    loop {
        keys.reserve(batch as usize);
        values.reserve(batch as usize);
        let mut attr = Attr {
            in_batch: if first { 0 } else { &raw const here as u64 },
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: batch,
            map_fd: map.as_fd().as_raw_fd().unsigned_abs(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the attribute points to room for `count` keys and values, and to the two batch cursors.
        let result = unsafe { libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attr, size_of::<Attr>()) };
        let error = (result < 0).then(io::Error::last_os_error);
        match error.as_ref().and_then(io::Error::raw_os_error) {
            None | Some(libc::ENOENT) => {}
            Some(libc::ENOSPC) => {
                batch *= 2;
                continue;
            }
            Some(libc::EINTR) => continue,
            Some(code) => return Err(io::Error::from_raw_os_error(code)),
        }
        // SAFETY: the kernel has filled in `count` of each.
        unsafe {
            keys.set_len(attr.count as usize);
            values.set_len(attr.count as usize);
        }
        for (key, value) in keys.drain(..).zip(values.drain(..)) {
            visit(&key, &value);
        }
        if error.is_some() {
            return Ok(());
        }
        here = next;
        first = false;
    }
}
