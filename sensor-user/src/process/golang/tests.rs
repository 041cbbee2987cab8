mod hostile;
#[expect(
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "the end-to-end tests have it too"
)]
mod made;

use super::*;

fn section(version: &str, modules: &str) -> Vec<u8> {
    made::build_info(version, modules).bytes
}

fn look(data: &[u8], probes: bool) -> Result<Option<Program>, ElfError> {
    program(&Elf::parse(&data)?, probes)
}

/// As `go version -m` shows them, a tab between the fields.
const MODULES: &str = "path\tsensor/workloads/grpc/server\nmod\tsensor/workloads/grpc\t(devel)\t\n\
    dep\tgolang.org/x/net\tv0.57.0\th1:abc=\n\
    dep\tgoogle.golang.org/grpc\tv1.84.0\th1:def=\n\
    dep\texample.org/forked\tv1.0.0\n=>\t./fork\t(devel)\t\n\
    build\t-ldflags=\"-s -w\"\n";

#[test]
fn versions_of_go_and_of_its_modules() {
    let section = section("go1.26.8", MODULES);
    let info = BuildInfo::parse(&section).unwrap();
    assert_eq!(info.version, "go1.26.8");
    assert_eq!(info.module("google.golang.org/grpc"), Some("v1.84.0"));
    assert_eq!(info.module("golang.org/x/net"), Some("v0.57.0"));
    assert_eq!(info.module("example.org/forked"), None, "replaced");
    assert_eq!(info.module("sensor/workloads/grpc"), None, "the program itself");
    assert_eq!(info.module("google.golang.org"), None);
}

#[test]
fn a_section_that_is_cut_or_another_is_none() {
    let whole = section("go1.26.8", "");
    for len in 0..41 {
        assert_eq!(BuildInfo::parse(&whole[..len]), None, "{len}");
    }
    assert_eq!(BuildInfo::parse(&whole[..41]).unwrap().version, "go1.26.8");
    // Until Go 1.17 there were pointers to the texts.
    let mut old = whole.clone();
    old[15] = 0;
    assert_eq!(BuildInfo::parse(&old), None);
    let mut endless = whole;
    endless[32..].fill(0xff);
    assert_eq!(BuildInfo::parse(&endless), None);
}

/// From the debug information of programs that each release built.
#[test]
fn goroutines_of_each_release() {
    let of = |version| layout::of_go(version).map(|go| (go.goid, go.parent_goid));
    for (version, layout) in [
        ("go1.18.10", (152, 0)),
        ("go1.20.14", (152, 0)),
        ("go1.21.0", (152, 272)),
        ("go1.22.12", (152, 272)),
        ("go1.23.0", (160, 280)),
        ("go1.24.13", (160, 280)),
        ("go1.25.5", (152, 272)),
        ("go1.26.0", (152, 280)),
        ("go1.27.0", (152, 280)),
        ("go1.22.9 (Red Hat 1.22.9-2.el9_5)", (152, 272)),
        ("go1.24.4 X:boringcrypto", (160, 280)),
        ("go1.21.5-custom", (152, 272)),
        ("go1.21", (152, 272)),
    ] {
        assert_eq!(of(version), Some(layout), "{version}");
    }
    for unknown in [
        "go1.17.13",
        "go1.28.0",
        "go1.27rc1",
        "go1.26beta2",
        "devel go1.27-abcdef",
        "go1.",
        "go2.1",
    ] {
        assert_eq!(of(unknown), None, "{unknown}");
    }
}

/// Where there is Go there is a program that is written in it.
#[test]
fn go_itself_and_this_test() {
    if let Ok(go) = std::fs::read("/usr/local/go/bin/go") {
        let found = look(&go, true).unwrap().unwrap();
        let said = std::fs::read_to_string("/usr/local/go/VERSION").unwrap();
        assert_eq!(Some(found.version.as_str()), said.lines().next());
    }
    let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(look(&this, true).unwrap(), None);
}

/// Cut or damaged, an executable is an error or no program in Go; nothing else comes of it.
#[test]
fn damaged_executables() {
    let Ok(mut data) = std::fs::read("/usr/local/go/bin/go") else { return };
    for len in (0..8192).step_by(37) {
        let _ = look(&data[..len], true);
    }
    let sections = usize::try_from(u64::from_le_bytes(data[40..48].try_into().unwrap())).unwrap();
    for at in (16..512).chain(sections..(sections + 2048).min(data.len())) {
        let before = data[at];
        for value in [0, 1, 0x7f, 0xff] {
            data[at] = value;
            let _ = look(&data, false);
        }
        data[at] = before;
    }
}

/// The table of the runtime says of functions what the table of symbols says.
#[test]
fn functions_are_where_their_symbols_are() {
    let Ok(go) = std::fs::read("/usr/local/go/bin/go") else { return };
    let data = go.as_slice();
    let elf = Elf::parse(&data).unwrap();
    let sections = elf.sections().unwrap();
    let names = [name::ROUND_TRIP, "main.main", "no.such", name::TCP_CLOSE];
    let find = |names: &[&str]| functions::find(&elf, &sections, names, 1).unwrap();
    for (name, found) in names.iter().zip(find(&names)) {
        let symbol = elf.symbol(&sections, name).unwrap();
        assert_eq!(found.map(|it| it.address), symbol, "{name}");
    }
    // An address is not one that the table of names only begins with.
    assert_eq!(find(&["net/http.(*persistConn).round"]), [None]);
    // Without a function to be probed, nothing is looked at.
    assert_eq!(find(&["no.such", name::TCP_CLOSE]), [None, None]);
}

#[test]
fn versions_of_modules() {
    let grpc =
        |version| layout::of_grpc(version).map(|(client, server)| (client.conn, server.conn));
    assert_eq!(grpc("v1.84.0"), Some((128, 16)));
    assert_eq!(grpc("v1.58.3"), Some((128, 32)));
    for unknown in
        ["v1.59.0", "v1.57.0", "v1.85.0", "v2.60.0", "v1.84.0-dev", "v1.84", "1.84.0", ""]
    {
        assert_eq!(grpc(unknown), None, "{unknown}");
    }
    assert!(layout::of_x_net("v0.57.0").is_some() && layout::of_x_net("v0.99.0").is_none());
}

/// Bytes of Go's assembler (`go tool objdump` of kubectl and of Go's own tools).
#[test]
fn beginnings_of_functions() {
    let code = made::PROLOGUE.to_vec();
    let begins = |bytes: &[u8]| {
        let code = [bytes, &[0x90; 32]].concat();
        let functions = made::FUNCTIONS.map(|name| (name, 0));
        let probes = look(&made::Made::go(code, &functions).bytes(), true).unwrap().unwrap().probes;
        probes.first().map(|probe| probe.site.bytes.len())
    };
    assert_eq!(begins(&code), Some(6));
    for (bytes, len) in [
        (&[0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86, 0x21, 1, 0, 0][..], Some(10)),
        (
            &[0x4c, 0x8d, 0x64, 0x24, 0xd8, 0x4d, 0x3b, 0x66, 0x10, 0x0f, 0x86, 0x10, 3, 0, 0],
            Some(15),
        ),
        (
            &[
                0x4c, 0x8d, 0xa4, 0x24, 0x48, 0xfe, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10, 0x0f, 0x86,
                0x24, 0xc, 0, 0,
            ],
            Some(18),
        ),
        (
            &[0x4c, 0x8d, 0xa4, 0x24, 0x48, 0xfe, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x24],
            Some(14),
        ),
        // CMPQ alone, or of another register; LEAQ alone; a jump.
        (&[0x49, 0x3b, 0x66, 0x10, 0x90], None),
        (&[0x4d, 0x3b, 0x66, 0x10, 0x76, 0], None),
        (&[0x4c, 0x8d, 0x64, 0x24, 0xd8, 0x90], None),
        (&[0xe9, 0, 0, 0, 0], None),
    ] {
        assert_eq!(begins(bytes), len, "{bytes:x?}");
    }
}

#[test]
fn functions_of_a_made_up_program() {
    let functions: Vec<_> =
        made::FUNCTIONS.iter().enumerate().map(|(at, name)| (*name, 8 * at as u64)).collect();
    let code = [made::PROLOGUE.as_slice(), &[0x90; 2]].concat().repeat(8);
    let found = look(&made::Made::go(code.clone(), &functions).bytes(), true).unwrap().unwrap();
    let sites: Vec<_> = found.probes.iter().map(|probe| probe.site.clone()).collect();
    let expected: Vec<_> = (0..5)
        .map(|at| Site { file_offset: made::CODE + 8 * at, bytes: made::PROLOGUE.to_vec() })
        .collect();
    assert_eq!(sites, expected);
    let layout = found.layout.unwrap();
    assert_eq!(layout.conn_close, [5, 6].map(|at| made::BASE + made::CODE + 8 * at));
    // A function outside the code: then the table is not believed at all.
    let outside = [&functions[1..], &[(made::FUNCTIONS[0], 4096)]].concat();
    let found = look(&made::Made::go(code, &outside).bytes(), true).unwrap().unwrap();
    assert_eq!(found.probes, []);
}
