//! How fast it is, by the CPU time that it takes:
//! `cargo test --release -p sensor-user --lib join::tests::speed -- --ignored --nocapture`.

use super::*;

/// What this thread has used: others use the machine, too.
fn cpu_seconds() -> f64 {
    // Documentation/scheduler/sched-stats.rst: nanoseconds on a CPU come first.
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Lines a second of one kind, each a write by itself, from so many threads.
fn measure(name: &str, line: &str, threads: u32, per_write: usize) {
    const LINES: u32 = 2_000_000;
    let bytes = line.repeat(per_write);
    let mut desk = Desk::new();
    let (mut records, mut lines) = (0_u64, 0_u64);
    let begun = cpu_seconds();
    for n in 0..LINES / per_write as u32 {
        desk.now += 1_000;
        let written = desk.written(n % threads, bytes.as_bytes());
        desk.joiner.write(&written, 0, false, &mut |it| {
            records += 1;
            lines += u64::from(it.lines);
            std::hint::black_box(it);
        });
    }
    let took = cpu_seconds() - begun;
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
}
