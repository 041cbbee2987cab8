//! Whatever comes, something is told of it, and nothing that is not in it.

use proptest::prelude::*;

use super::*;

/// Lines of all samples.
fn lines() -> Vec<String> {
    let logs = samples().into_iter().map(|(_, path)| fs::read_to_string(path).unwrap());
    logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// An identifier that is told is in the text, but for the zeros before it.
fn holds(text: &str, parsed: &Parsed) -> Result<(), TestCaseError> {
    let text = text.to_lowercase();
    let has = |id: &str| {
        let short = id.strip_prefix("0000000000000000").unwrap_or(id);
        let decimal =
            u64::from_str_radix(short.get(..16).unwrap_or(short), 16).unwrap().to_string();
        // X-Ray's has a dash in it.
        text.contains(short) || text.contains(&decimal) || text.replace('-', "").contains(id)
    };
    let trace = parsed.ids.trace_id.map(|it| it.to_string());
    for id in trace.into_iter().chain(parsed.ids.span_id.map(|it| it.to_string())) {
        prop_assert!(has(&id), "{id} is not in {text}");
    }
    let keys: Vec<_> = parsed.attributes.iter().map(|it| &it.key).collect();
    for (at, key) in keys.iter().enumerate() {
        prop_assert!(!keys[..at].contains(key), "{key} twice: {text}");
    }
    for attribute in &parsed.attributes {
        prop_assert!(attribute.value != Value::Str("".into()), "{} is empty", attribute.key);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4)) {
        let mut formats = Formats::default();
        for text in texts {
            holds(&String::from_utf8_lossy(&text), &formats.read(&text, 1_795_267_684_000_000_000))?;
        }
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        let text = pieces.concat();
        holds(&text, &Formats::default().read(text.as_bytes(), 1_795_267_684_000_000_000))?;
    }

    /// Another byte in a line of a logger's.
    #[test]
    fn any_mistake(at in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let lines = lines();
        let mut text = at.get(&lines).clone().into_bytes();
        if !text.is_empty() {
            let place = place.index(text.len());
            text[place] = byte;
        }
        holds(&String::from_utf8_lossy(&text), &Formats::default().read(&text, 1_795_267_684_000_000_000))?;
    }
}

const PIECES: &[&str] = &[
    "2026-11-21T13:28:04.562Z",
    "2026/11/21 13:28:04",
    "13:28:04",
    "[21/Nov/2026:13:28:04 +0000]",
    " ",
    " ",
    "\t",
    "INFO",
    "info",
    "[",
    "]",
    "[INFO]",
    "{",
    "}",
    "\"",
    "'",
    "=",
    ":",
    ": ",
    " - ",
    " --- ",
    "|",
    "\\",
    "\n",
    "\r\n",
    "trace_id",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "00f067aa0ba902b7",
    "span_id",
    "shop.orders",
    "main.go:3",
    "at a.B.c(B.java:1)",
    "Traceback (most recent call last):",
    "panic: ",
    "\x1b[31m",
    "\x1b",
    "é",
    "{\"a\":",
    "null",
    "I1121 13:28:04.563535 1 a.go:1] ",
    "GET / HTTP/1.1",
    "200",
    "-",
    "[GIN] ",
    "ThreadId(",
    "a::b",
    ",",
    "(",
    ")",
    "1:28PM",
    "DBG",
    "in ",
    "shop,",
    "--",
    "fatal error: ",
    "thread 'x' panicked at ",
    "a=b",
];

/// What is cut off a line takes nothing with it but what it had: what is left says no other identifiers.
#[test]
fn any_beginning() {
    let observed = unix_ns("2026-11-21T13:28:05Z");
    for line in lines() {
        let whole = Formats::default().read(line.as_bytes(), observed).ids;
        // Long ones are traces of the stack.
        for end in (0..line.len().min(2000)).filter(|end| line.is_char_boundary(*end)) {
            let cut = Formats::default().read_cut(&line.as_bytes()[..end], observed);
            let same = cut.ids.trace_id.is_none_or(|id| Some(id) == whole.trace_id)
                && cut.ids.span_id.is_none_or(|id| Some(id) == whole.span_id);
            assert!(same, "{} of {line}: {:?} and not {whole:?}", &line[..end], cut.ids);
            holds(&line[..end], &cut).unwrap();
        }
    }
}

/// Nothing takes longer than it is long: hostile lines of the size that a line may have.
#[test]
fn long_lines() {
    let start = time::Instant::now();
    let pieces: [&str; 14] = [
        "[",
        "{\"a\":",
        "a=",
        "a=b ",
        "trace_id=",
        ":",
        "\"",
        "{\"a\":1,",
        "[[\"",
        "\x1b[1m",
        "\n",
        "at \n",
        "(",
        "{ ",
    ];
    for piece in pieces {
        for head in [
            "",
            "2026-11-21T13:28:04.562123Z  INFO ",
            "[2026-11-21 13:28:04] ",
            "{\"a\":\"",
            "info: ",
        ] {
            let text = format!("{head}{}", piece.repeat(65_536 / piece.len()));
            let _ = Formats::default().read(text.as_bytes(), 0);
        }
    }
    // 70 lines of 64 KiB: seconds even in a debug build of a slow machine would be something quadratic.
    assert!(start.elapsed() < time::Duration::from_secs(30), "{:?}", start.elapsed());
}
