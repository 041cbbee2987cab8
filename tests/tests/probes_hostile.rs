//! Probes land in the executables that were read, of processes that are traced, and nowhere else; and
//! reading an executable costs little, whatever is in it.
//!
//! All executables are made up here: few instructions, and what Go's linker would have left.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sensor_tests::both_engines;
use sensor_tests::made::{self, BASE, CODE, FUNCTIONS, Made, PROLOGUE};
use sensor_tests::process::{Held, fresh_directory};
use sensor_tests::sensor::{Engine, Sensor};

both_engines!(
    a_process_that_runs_another_program_between_two_attachments,
    the_file_that_runs_and_not_the_one_that_has_its_name,
    only_in_processes_that_are_traced,
    executables_that_ask_too_much,
);

const PATIENCE: Duration = Duration::from_secs(60);

/// The kernel's breakpoint.
const INT3: u8 = 0xcc;

/// Where executables have their first probed function, within their code: on a page of its own.
const FIRST: u64 = 0x1000;

/// Where they have all others: in a victim's code, the second byte of an instruction.
const LATER: u64 = 0x2001;

/// Data of the code.
const DATA: u64 = 0x800;

/// A directory of executables.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        Self(fresh_directory("probes").unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, made: &Made) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, made.bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running program: killed when dropped.
struct Running(Child);

impl Running {
    fn start(path: &Path) -> Self {
        Self(Command::new(path).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A page of a file, mapped as programs map their code: a breakpoint in the file is seen there.
struct Page {
    at: *mut std::ffi::c_void,
}

impl Page {
    const LEN: usize = 4096;

    fn new(file: &File, offset: u64) -> Self {
        let offset = offset / Self::LEN as u64 * Self::LEN as u64;
        // SAFETY: a new mapping, which nobody writes to but the kernel.
        let at = unsafe {
            mmap(std::ptr::null_mut(), Self::LEN, ProtFlags::READ, MapFlags::PRIVATE, file, offset)
        };
        Self { at: at.unwrap() }
    }

    fn byte(&self, offset: u64) -> u8 {
        let within = usize::try_from(offset).unwrap() % Self::LEN;
        // SAFETY: within the page, which is mapped as long as this lives.
        unsafe { self.at.cast::<u8>().add(within).read_volatile() }
    }

    fn wait_until(&self, what: &str, offset: u64, is: impl Fn(u8) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(self.byte(offset)) {
            assert!(Instant::now() < deadline, "{what}: {:#x}", self.byte(offset));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made.
        let _ = unsafe { munmap(self.at, Self::LEN) };
    }
}

/// Says what came of it, with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the test harness captures it")]
fn figures(said: std::fmt::Arguments<'_>) {
    println!("{said}");
}

fn address(within_code: u64) -> [u8; 4] {
    u32::try_from(BASE + CODE + within_code).unwrap().to_le_bytes()
}

/// Instructions of x86-64.
#[derive(Default)]
struct Assembler(Vec<u8>);

impl Assembler {
    fn code(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn with(self, opcode: &[u8], operand: [u8; 4]) -> Self {
        self.code(opcode).code(&operand)
    }

    /// write(1, byte, 1)
    fn write(self, byte: u64) -> Self {
        self.with(&[0xbe], address(byte)).write_it()
    }

    /// The same of the byte that RSI points to: 17 bytes of code.
    fn write_it(self) -> Self {
        self.with(&[0xb8], [1, 0, 0, 0])
            .with(&[0xbf], [1, 0, 0, 0])
            .with(&[0xba], [1, 0, 0, 0])
            .code(&[0x0f, 0x05])
    }

    /// execve(path, [path], NULL); exit_group(1)
    fn execute(self) -> Self {
        self.with(&[0xbf], address(DATA + 64))
            .with(&[0xbe], address(DATA + 16))
            .code(&[0x31, 0xd2])
            .with(&[0xb8], [59, 0, 0, 0])
            .code(&[0x0f, 0x05])
            .with(&[0xbf], [1, 0, 0, 0])
            .with(&[0xb8], [231, 0, 0, 0])
            .code(&[0x0f, 0x05])
    }

    /// The whole of the code: its data, the path of the program that comes next, and what is at the
    /// places of functions.
    fn finish(self, next: &Path, data: &[u8], first: &[u8], later: (u64, &[u8])) -> Vec<u8> {
        let mut code = self.0;
        assert!(code.len() as u64 <= DATA);
        let mut put = |at: u64, bytes: &[u8]| {
            let at = usize::try_from(at).unwrap();
            if code.len() < at + bytes.len() {
                code.resize(at + bytes.len(), 0);
            }
            code[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(DATA, data);
        put(DATA + 16, &(BASE + CODE + DATA + 64).to_le_bytes());
        let path = [next.to_str().unwrap().as_bytes(), b"\0"].concat();
        put(DATA + 64, &path);
        put(FIRST, first);
        put(later.0, later.1);
        put(0x3000, &[]);
        code
    }
}

/// Functions as an attacker has them: all but the first are where a victim's instruction is in the way.
fn functions() -> Vec<(&'static str, u64)> {
    let places = [FIRST, LATER, LATER, LATER, LATER, FIRST, FIRST, FIRST];
    FUNCTIONS.into_iter().zip(places).collect()
}

/// When an attacker runs the other program.
#[derive(Clone, Copy, Debug)]
enum When {
    /// As soon as its first function has a breakpoint. It says `t` if none comes.
    Probed,
    /// After up to some ten milliseconds.
    AnyTime,
}

/// It lets itself be probed, and runs `next` meanwhile.
fn attacker(when: When, next: &Path) -> Made {
    let code = Assembler::default();
    let code = match when {
        When::Probed => code
            .with(&[0x41, 0xbc], address(FIRST)) // mov r12d, FIRST
            .with(&[0x41, 0xbd], 100_000_000_u32.to_le_bytes()) // mov r13d, …
            .code(&[0x41, 0x80, 0x3c, 0x24, INT3]) // cmp byte [r12], INT3
            .code(&[0x74, 0x1d]) // je over the next 29 bytes
            .code(&[0xf3, 0x90]) // pause
            .code(&[0x41, 0xff, 0xcd]) // dec r13d
            .code(&[0x75, 0xf2]) // jnz to the comparison
            .write(DATA),
        When::AnyTime => code
            .code(&[0x0f, 0x31]) // rdtsc
            .with(&[0x25], 0x3_ffff_u32.to_le_bytes()) // and eax, …
            .code(&[0xff, 0xc0]) // inc eax
            .code(&[0xf3, 0x90]) // pause
            .code(&[0xff, 0xc8]) // dec eax
            .code(&[0x75, 0xfa]), // jnz to the pause
    };
    let code = code.execute().finish(next, b"t", &PROLOGUE, (LATER, &PROLOGUE));
    Made::go(code, &functions())
}

/// Not written in Go. It says `1` if a breakpoint is at its first place, `2` if its function at the other
/// place returns anything but what it is to return, else `.`; and runs `next`.
fn victim(next: &Path) -> Made {
    let code = Assembler::default()
        .with(&[0x41, 0xbe], [12, 0, 0, 0]) // mov r14d, 12
        .with(&[0xb8], address(LATER - 1)) // mov eax, function
        .code(&[0xff, 0xd0]) // call rax
        .code(&[0x85, 0xc0]) // test eax, eax
        .code(&[0x75, 0x2b]) // jnz to `2`
        .code(&[0x80, 0x3c, 0x25]) // cmp byte [FIRST], 0
        .code(&address(FIRST))
        .code(&[0])
        .code(&[0x75, 0x1a]) // jne to `1`
        .with(&[0xbf], address(DATA + 32)) // nanosleep(400 µs, NULL)
        .code(&[0x31, 0xf6])
        .with(&[0xb8], [35, 0, 0, 0])
        .code(&[0x0f, 0x05])
        .code(&[0x41, 0xff, 0xce]) // dec r14d
        .code(&[0x75, 0xd8]) // jnz to the call
        .with(&[0xbe], address(DATA)) // `.`
        .code(&[0xeb, 0x0c])
        .with(&[0xbe], address(DATA + 1)) // `1`
        .code(&[0xeb, 0x05])
        .with(&[0xbe], address(DATA + 2)) // `2`
        .write_it()
        .execute();
    // mov eax, 0; ret
    let function = [0xb8, 0, 0, 0, 0, 0xc3];
    let mut code = code.finish(next, b".12", &[0; 6], (LATER - 1, &function));
    let at = usize::try_from(DATA + 40).unwrap();
    code[at..at + 8].copy_from_slice(&400_000_u64.to_le_bytes());
    Made::new(code, vec![])
}

/// A process that is probed, and runs another program meanwhile: a thousand times with both engines.
///
/// It is a ring of attackers and victims that run each other, so that few are still probed from the round
/// before.
fn a_process_that_runs_another_program_between_two_attachments(engine: Engine) {
    /// Of each ring.
    const ROUNDS: usize = 250;
    /// Attackers in a ring.
    const RING: usize = 12;
    /// Each mapping has to get its breakpoint: that takes a millisecond.
    const MAPPED: usize = 1000;
    /// For attaching and detaching the kernel waits for all cores, which take as long as they take.
    const LONG: Duration = Duration::from_secs(240);
    /// Probes that are attached at least, five at a time. A round in which the file is still probed from
    /// the round before tries nothing, and how many these are depends on how fast the kernel detaches.
    const TRIED: u64 = 50;
    let files = Files::new();
    let mut pages = Vec::new();
    let mut rings = Vec::new();
    for when in [When::Probed, When::AnyTime] {
        let name = |kind, index| format!("{kind}-{when:?}-{}", index % RING);
        for index in 0..RING {
            let [attack, victim_path, next] =
                [name("attack", index), name("victim", index), name("attack", index + 1)];
            files.write(&victim_path, &victim(&files.path(&next)));
            let path = files.write(&attack, &attacker(when, &files.path(&victim_path)));
            let file = File::open(path).unwrap();
            pages.extend((0..MAPPED).map(|_| Page::new(&file, CODE + FIRST)));
        }
        rings.push(Held::new(&Command::new(files.path(&name("attack", 0)))).unwrap());
    }
    let pids: Vec<_> = rings.iter().map(Held::pid).collect();
    let sensor = Sensor::on(engine, &pids);
    let deadline = Instant::now() + LONG;
    let mut counts = Vec::new();
    for mut ring in rings {
        ring.release().unwrap();
        let said = loop {
            let said = ring.stdout();
            if said.len() >= ROUNDS {
                break said;
            }
            assert!(Instant::now() < deadline, "{said}:\n{}", sensor.stderr());
            std::thread::sleep(Duration::from_millis(20));
        };
        counts.push([".", "1", "2", "t"].map(|byte| said.matches(byte).count()));
    }
    let probes = sensor.stop().counter("golang.probes");
    figures(format_args!("untouched, first, later, not probed: {counts:?}; {probes} probes"));
    for [_, first, later, _] in &counts {
        assert_eq!([first, later], [&0, &0], "{counts:?}");
    }
    // Else nothing was tried.
    assert!(counts[0][3] < ROUNDS / 10, "{counts:?}");
    assert!(probes >= TRIED, "{probes}");
}

/// It does nothing, and has functions that are probed.
fn sleeper() -> Made {
    let code = sleep().finish(Path::new("/"), &[], &PROLOGUE, (LATER, &PROLOGUE));
    Made::go(code, &functions())
}

/// pause(), for ever.
fn sleep() -> Assembler {
    Assembler::default().code(&[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7])
}

/// The kernel finds the file by the sensor's descriptor: also where its name is gone, or another file's.
fn the_file_that_runs_and_not_the_one_that_has_its_name(engine: Engine) {
    let files = Files::new();
    let at = CODE + FIRST;
    let mut running = Vec::new();
    let mut probed = Vec::new();
    let mut untouched = Vec::new();
    for (name, replaced) in [("replaced", true), ("deleted", false)] {
        let path = files.write(name, &sleeper());
        let other = files.write("other", &sleeper());
        probed.push(Page::new(&File::open(&path).unwrap(), at));
        untouched.push(Page::new(&File::open(&other).unwrap(), at));
        running.push(Running::start(&path));
        if replaced { fs::rename(other, path) } else { fs::remove_file(path) }.unwrap();
    }
    let pids: Vec<_> = running.iter().map(|it| it.0.id()).collect();
    let sensor = Sensor::on(engine, &pids);
    for page in &probed {
        page.wait_until("not probed", at, |byte| byte == INT3);
    }
    // What no process runs any more is left alone.
    drop(running);
    for page in &probed {
        page.wait_until("still probed", at, |byte| byte == PROLOGUE[0]);
    }
    for page in untouched {
        assert_eq!(page.byte(at), PROLOGUE[0]);
    }
    let report = sensor.stop();
    // The first function, and the four at the other place.
    assert_eq!(report.counter("golang.probes"), 10);
    assert_eq!(report.counter("golang.probes_failed"), 0);
}

/// Whatever way they are chosen, processes that are not are left alone.
fn only_in_processes_that_are_traced(engine: Engine) {
    let files = Files::new();
    let at = CODE + FIRST;
    let name = format!("chosen{}", std::process::id() % 10000);
    let [chosen, other] = [name.as_str(), "other"].map(|name| {
        let path = files.write(name, &sleeper());
        (Page::new(&File::open(&path).unwrap(), at), path)
    });
    for by_name in [false, true] {
        let running = [&chosen, &other].map(|(_, path)| Running::start(path));
        let pid = running[0].0.id().to_string();
        let selection = if by_name { ["--comm", &name] } else { ["--pid", &pid] };
        let sensor = Sensor::start(engine, &[&selection[..], &["--logs", "off"]].concat());
        // Another one that begins when everything is attached is not looked at either.
        let later = [&other, &chosen].map(|(_, path)| Running::start(path));
        chosen.0.wait_until("not probed", at, |byte| byte == INT3);
        assert_eq!(other.0.byte(at), PROLOGUE[0], "{selection:?}");
        let looked_at = sensor.stop().counter("golang.processes");
        let expected: &[u64] = if by_name { &[1, 2] } else { &[1] };
        assert!(expected.contains(&looked_at), "{selection:?}: {looked_at}");
        chosen.0.wait_until("still probed", at, |byte| byte == PROLOGUE[0]);
        drop((running, later));
    }
}

/// Files with claims of terabytes: each is given up soon, and the next one looked at.
fn executables_that_ask_too_much(engine: Engine) {
    let files = Files::new();
    let mut held = Vec::new();
    let hostile = made::hostile();
    for (name, made) in &hostile {
        let code = sleep().finish(Path::new("/"), &[], &[], (LATER, &[]));
        let made = Made { code, ..made.clone() };
        let path = files.write(name, &made);
        File::options().write(true).open(&path).unwrap().set_len(made.file_len()).unwrap();
        held.push(Held::new(&Command::new(path)).unwrap());
    }
    let last = files.write("last", &sleeper());
    let page = Page::new(&File::open(&last).unwrap(), CODE + FIRST);
    held.push(Held::new(&Command::new(last)).unwrap());
    let pids: Vec<_> = held.iter().map(Held::pid).collect();
    let sensor = Sensor::on(engine, &pids);
    let before = Cost::of(sensor.pid());
    let begun = Instant::now();
    for held in &mut held {
        held.release().unwrap();
        let exe = format!("/proc/{}/exe", held.pid());
        while !fs::read_link(&exe).unwrap().starts_with(&files.0) {
            assert!(begun.elapsed() < PATIENCE, "{exe} does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // The last one is looked at when all others have been: they are the same user's.
    page.wait_until("not probed", CODE + FIRST, |byte| byte == INT3);
    let took = begun.elapsed();
    let after = Cost::of(sensor.pid());
    let report = sensor.stop();
    let grown = after.memory - before.memory;
    let each = (after.looker - before.looker) / hostile.len() as u64;
    figures(format_args!("{took:?}, {grown} KiB more, {} ms each", each / 1_000_000));
    assert!(grown < 32 << 10, "{grown} KiB");
    assert!(each < 200_000_000, "{each} ns");
    // All but those that ask for much, and get it.
    assert_eq!(report.counter("golang.executables_refused"), hostile.len() as u64 - 3);
    assert_eq!(report.counter("golang.processes"), 4);
}

/// What a sensor has used.
struct Cost {
    /// At most, in KiB.
    memory: u64,
    /// Of a core, by the thread that looks at executables, in nanoseconds.
    looker: u64,
}

impl Cost {
    fn of(pid: u32) -> Self {
        let number = |text: &str| text.split_whitespace().next().unwrap().parse::<u64>().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let is_looker = |task: &PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm == "golang\n")
        };
        let looker = tasks.map(|task| task.path()).filter(is_looker);
        let looker = looker.map(|it| number(&fs::read_to_string(it.join("schedstat")).unwrap()));
        Self { memory: number(memory), looker: looker.sum() }
    }
}
