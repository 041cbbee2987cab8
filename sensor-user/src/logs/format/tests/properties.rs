//! Whatever comes, something is told of it, and nothing that is not in it.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::*;

/// An object's fields, in order, each as it is written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        json.deserialize_map(InOrder)
    }
}

impl Fields {
    fn with(&self, at: usize, value: Option<&str>) -> String {
        let mut text = String::from("{");
        for (index, (key, json)) in self.0.iter().enumerate() {
            let json = if index == at { value } else { Some(json.get()) };
            let Some(json) = json else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            text += &format!("{}:{json}", Json::from(key.as_str()));
        }
        text + "}"
    }
}

/// Objects of all samples, those of the whole stage too.
fn objects() -> Vec<Fields> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/logs/tests/data");
    let files =
        fs::read_dir(dir).unwrap().map(|it| fs::read_to_string(it.unwrap().path()).unwrap());
    let cases = files.collect::<Vec<_>>();
    let cases = cases.iter().flat_map(|file| file.lines()).flat_map(|case| {
        let case: Json = serde_json::from_str(case).unwrap();
        let writes = case["input"].as_array().unwrap().clone();
        writes.into_iter().map(|it| it.as_str().unwrap().trim().to_owned())
    });
    let objects: Vec<Fields> =
        lines().into_iter().chain(cases).filter_map(|it| serde_json::from_str(&it).ok()).collect();
    assert!(objects.len() > 200, "{}", objects.len());
    objects
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[ -~é]{0,24}".prop_map(Json::from),
        prop::sample::select(PIECES).prop_map(Json::from),
        prop::sample::select(&["ERROR", "30", "", "2026-11-21T13:28:04Z", "0x", "-1"][..])
            .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|it| Json::from(it.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What a field has to do with, by its name; and an object or a list may have anything in it.
fn touches(key: &str, json: &str, of: &[&str]) -> bool {
    let plain = format!("{:?}", key::role(key).role);
    of.iter().any(|role| plain.starts_with(role)) || json.starts_with(['{', '['])
}

/// The record without one field, and with another value in its place: all that the others say
/// stays.
fn keeps_the_rest(fields: &Fields, at: usize, value: &str) -> Result<(), TestCaseError> {
    let observed = unix_ns("2026-11-21T13:28:05Z");
    let (key, old) = &fields.0[at];
    let read = |text: &str| Formats::default().read(text.as_bytes(), observed);
    let (line, rest) = (fields.with(at, Some(value)), fields.with(at, None));
    let (before, without, found) =
        (read(&fields.with(at, Some(old.get()))), read(&rest), read(&line));
    prop_assert_eq!(found.breach, None, "{}", line);
    // Neither the value that was there nor the new one has a part in these.
    let free = |of: &[&str]| !touches(key, old.get(), of) && !touches(key, value, of);
    if free(&["Message", "Event"]) {
        prop_assert_eq!(&found.message, &before.message, "{}", line);
    }
    if free(&["Level"]) {
        prop_assert_eq!(found.severity, before.severity, "{}", line);
        prop_assert_eq!(&found.severity_text, &before.severity_text, "{}", line);
    }
    if free(&["Time", "Instant"]) {
        prop_assert_eq!(found.time_unix_ns, before.time_unix_ns, "{}", line);
    }
    if free(&["Id"]) {
        prop_assert_eq!(&found.ids, &before.ids, "{}", line);
    }
    // What the others say by themselves is there in any case.
    // Serilog's compact format: no level is information, and an unreadable one is not.
    let implied = key == "@l";
    let leveled = found.severity.is_some() || without.severity.is_none() || implied;
    prop_assert!(leveled, "{}", line);
    prop_assert!(found.time_unix_ns.is_some() || without.time_unix_ns.is_none(), "{}", line);
    prop_assert!(found.ids.trace_id.is_some() || without.ids.trace_id.is_none(), "{}", line);
    let cut = |key: &str| key == CUT_FIELDS || key == CUT_VALUES;
    for attribute in &without.attributes {
        let own = attribute.key == *key || attribute.key.starts_with(&format!("{key}."));
        let place = touches(&attribute.key, "", &["File", "Line"]);
        let same = found.attributes.iter().any(|it| it == attribute);
        prop_assert!(same || own || place || cut(&attribute.key), "{}: {}", attribute.key, line);
    }
    Ok(())
}

#[test]
fn a_field_does_not_condemn_the_others() {
    let objects = objects();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4));
    for fields in &objects {
        for (at, (key, _)) in fields.0.iter().enumerate() {
            if matches!(key.as_str(), "msg" | "message") {
                continue;
            }
            let tried =
                runner.run(&any_json(), |value| keeps_the_rest(fields, at, &value.to_string()));
            tried.unwrap_or_else(|failed| panic!("{failed}"));
        }
    }
}

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
