//! The public corpus of header blocks (see `tests/data/hpack/README.md`).

use std::path::Path;

use serde_json::Value;

use super::{Decoder, Pair, Told, all, hex, pair, pairs};

struct Story {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    /// SETTINGS_HEADER_TABLE_SIZE from here on.
    setting: Option<u32>,
    block: Vec<u8>,
    fields: Vec<Pair>,
}

fn stories() -> Vec<Story> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hpack/stories.jsonl.zst");
    let packed = std::fs::read(&path).unwrap();
    let lines = String::from_utf8(zstd::bulk::decompress(&packed, 16 << 20).unwrap()).unwrap();
    lines.lines().map(|line| story(&serde_json::from_str(line).unwrap())).collect()
}

fn story(json: &Value) -> Story {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let field = |field: &Value| pair(&text(&field[0]), &text(&field[1]));
    let case = |case: &Value| Case {
        setting: case["header_table_size"].as_u64().map(|size| size.try_into().unwrap()),
        block: hex(&text(&case["wire"])),
        fields: case["headers"].as_array().unwrap().iter().map(field).collect(),
    };
    Story {
        name: format!("{} {}", text(&json["encoder"]), json["story"]),
        cases: json["cases"].as_array().unwrap().iter().map(case).collect(),
    }
}

#[test]
fn all_stories() {
    let stories = stories();
    assert_eq!(stories.len(), 127);
    for Story { name, cases } in stories {
        let mut decoder = Decoder::new_complete();
        for (at, case) in cases.iter().enumerate() {
            if let Some(setting) = case.setting {
                decoder.set_max_size(setting);
            }
            assert_eq!(pairs(&mut decoder, &case.block), case.fields, "{name}, block {at}");
            assert!(decoder.is_complete(), "{name}, block {at}");
        }
    }
}

/// From every block on, and after every lost block: nothing is wrong, and less and less is unknown.
#[test]
fn stories_joined() {
    let (mut fields, mut known) = (0, 0);
    for Story { name, cases } in stories() {
        // Each start costs a pass over what follows, so only so much of the long ones.
        let cases = &cases[..cases.len().min(25)];
        for first in 1..cases.len() {
            let mut decoder = Decoder::joining();
            for (at, case) in cases.iter().enumerate().skip(first) {
                let (told, end) = all(&mut decoder, &case.block);
                assert!(end.is_ok(), "{name}, block {at} from {first}: {end:?}");
                assert_eq!(told.len(), case.fields.len());
                for (Told { name: field, value, .. }, (right, content)) in
                    told.iter().zip(&case.fields)
                {
                    let whole = field.is_some() && value.is_some();
                    (fields, known) = (fields + 1, known + u64::from(whole));
                    assert!(field.as_ref().is_none_or(|field| field == right), "{name} {at}");
                    assert!(value.as_ref().is_none_or(|value| value == content), "{name} {at}");
                }
            }
        }
    }
    // Most of what there is comes again, and is known then.
    assert!(known * 10 > fields * 7, "{known} of {fields}");
}
