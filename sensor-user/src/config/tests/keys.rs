//! Keys in endpoints.

use super::*;

#[test]
fn keys_among_the_arguments_are_noted() {
    let notes = |flags: &RunFlags| with_env(flags, &[]).unwrap().export.notes;
    let [note] = notes(&otlp_flag("http://c:1/?apikey=SECRETKEY")).try_into().unwrap();
    for part in ["--otlp-endpoint", "ps", "OTEL_EXPORTER_OTLP_ENDPOINT_FILE"] {
        assert!(note.contains(part), "{note}");
    }
    assert!(!note.contains("SECRETKEY"), "{note}");
    let loki = |endpoint: &str| {
        exporting(ExportFlags { loki_endpoint: Some(endpoint.into()), ..ExportFlags::default() })
    };
    let [note] = notes(&loki("http://l/0f9c2a77d1b84c6e")).try_into().unwrap();
    assert!(note.contains("SENSOR_LOKI_ENDPOINT_FILE"), "{note}");
    assert!(notes(&loki("http://vl/insert?_msg_field=message")).is_empty());
    // In a variable, it does not show.
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/?apikey=SECRETKEY")];
    let config = with_env(&RunFlags::default(), &vars).unwrap();
    assert!(config.export.notes.is_empty());
    // Settings are printed in whole.
    assert!(!format!("{config:?}").contains("SECRETKEY"), "{config:?}");
}
