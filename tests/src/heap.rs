//! Heap that the sensor's user space keeps per open connection: counted, not seen in resident memory,
//! where freed memory of the start hides what comes later.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use sensor::capture::{self, Pace, Progress};
use sensor::metrics::{Counter, Metrics};
use sensor::trace::{Limits, Pipeline};
use serde_json::{Value, json};

/// Bytes asked for and not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count. For a program that wants [`measure`], as its
/// `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call goes to `System` with the arguments it came with; the count is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are `System`'s conditions.
        let pointer = unsafe { System.alloc(layout) };
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
    drop(source);
    let before = LIVE.load(Ordering::Relaxed);
    drop(pipeline);
    let bytes = before.saturating_sub(LIVE.load(Ordering::Relaxed));
    Ok(json!({ "connections": metrics.get(Counter::Connections), "bytes": bytes }))
}
