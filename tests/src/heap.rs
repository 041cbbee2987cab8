//! What user space asks of its allocator: counted, since the memory that it keeps per open connection
//! does not show in resident memory, where freed memory of the start hides what comes later.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;
use sensor::capture::{self, Pace, Progress};
use sensor::metrics::{Counter, Metrics};
use sensor::trace::{Limits, Pipeline};
use serde_json::{Value, json};

/// Bytes asked for and not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// How often memory was asked for, a larger piece for a smaller one included.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with counts. For a program that wants what this module tells, as its
/// `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

/// How often the process asked for memory until now.
#[must_use]
pub fn allocations() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

// SAFETY: every call goes to `System` with the arguments it came with; the count is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are `System`'s conditions.
        let pointer = unsafe { System.alloc(layout) };
        CALLS.fetch_add(1, Ordering::Relaxed);
        if !pointer.is_null() {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are `System`'s conditions.
        unsafe { System.dealloc(pointer, layout) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are `System`'s conditions.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        CALLS.fetch_add(1, Ordering::Relaxed);
        if !moved.is_null() {
            LIVE.fetch_add(size, Ordering::Relaxed);
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        moved
    }
}

/// Bytes that the process has asked for and not given back.
#[must_use]
pub fn held() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Replays a recording whose connections are open at its end, and says how many there are
/// (`connections`) and what the pipeline holds then in all (`bytes`): what the heap loses when it is
/// dropped.
///
/// # Errors
/// The recording cannot be read.
pub fn measure(recording: &Path) -> Result<Value> {
    let metrics = Arc::new(Metrics::default());
    let mut source = capture::open(recording, Pace::Full, &metrics)?;
    let mut pipeline = Pipeline::new(Limits::default(), Arc::clone(&metrics));
    while source.poll(&mut |event| pipeline.handle(&event, &mut |_span| {}))? != Progress::Finished
    {
    }
    pipeline.finish(&mut |_span| {});
    drop(source);
    let before = held();
    drop(pipeline);
    let bytes = before.saturating_sub(held());
    Ok(json!({ "connections": metrics.get(Counter::Connections), "bytes": bytes }))
}
