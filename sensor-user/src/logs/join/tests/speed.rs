//! How fast it is: `cargo test --release -p sensor-user --lib join::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

/// Lines a second of one kind, each a write by itself, from so many threads.
fn measure(name: &str, line: &str, threads: u32, per_write: usize) {
    const WRITES: u32 = 1_000_000;
    let bytes = line.repeat(per_write);
    let mut desk = Desk::new();
    let (mut records, mut lines) = (0_u64, 0_u64);
    let begun = Instant::now();
    for n in 0..WRITES {
        desk.now += 1_000;
        let written = desk.written(n % threads, bytes.as_bytes());
        desk.joiner.write(&written, 0, &mut |it| {
            records += 1;
            lines += u64::from(it.lines);
            std::hint::black_box(it);
        });
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{name}: {:.2} million lines/s, {records} records", lines as f64 / took / 1e6);
}

#[test]
#[ignore = "a measurement"]
fn lines_a_second() {
    let plain = "2026-01-02 03:04:05,678 INFO shop: order 7 is paid by card\n";
    let json = "{\"level\":\"info\",\"ts\":1767323045.678,\"msg\":\"order paid\",\"order\":7}\n";
    measure("logger's lines, one thread", plain, 1, 1);
    measure("logger's lines, 64 threads", plain, 64, 1);
    measure("logger's lines, flushed by 50", plain, 1, 50);
    measure("JSON, one thread", json, 1, 1);
    measure("JSON, 64 threads", json, 64, 1);
    measure("plain lines, 4000 threads", "one\n", 4000, 1);
    measure("in pieces, 64 threads", "one", 64, 1);
}
