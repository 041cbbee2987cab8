//! What a process or a line says does not pass for what was observed.

use super::*;
use crate::process::{Facts, Host, Trust, resource};

/// The labels of what a process declares, by how far it is believed.
#[test]
fn labels_are_what_was_observed() {
    let labels = |trust| {
        let facts = Facts {
            pid: 42,
            exe: Some("/srv/thief"),
            env: b"OTEL_RESOURCE_ATTRIBUTES=k8s.namespace.name=prod,host.name=h,sensor.x=y,\
                   k8s_namespace_name=prod,service.name=payments,service.namespace=shop\0",
            ..Facts::default()
        };
        let host = Host { name: Some("node-1".into()), id: None };
        let resource = Arc::new(resource(&facts, &host, trust).resource);
        event::labels(&LogRecord { severity: None, ..record_of(&resource, 1) })
    };
    assert_eq!(
        labels(Trust::Service),
        r#"{class="business", host_name="node-1", service_name="payments", service_namespace="shop"}"#
    );
    assert_eq!(
        labels(Trust::Off),
        r#"{class="business", host_name="node-1", service_name="thief"}"#
    );
    assert_eq!(
        labels(Trust::All),
        r#"{class="business", k8s_namespace_name="prod", service_name="payments", service_namespace="shop"}"#
    );
}

/// What the sensor says of a record has its names for itself.
#[test]
fn fields_that_look_like_the_sensors_own() {
    let foreign = |key: &'static str| Attribute { key: key.to_owned().into(), value: 1.into() };
    let attributes = vec![
        foreign("sensor_log_cut_bytes"),
        foreign("sensor-log.mixed"),
        Attribute::new("sensor.log.cut_bytes", 7),
    ];
    let record = LogRecord { attributes, ..record_of(&Arc::default(), 1) };
    let pairs: Vec<_> = metadata(&record, |_| false)
        .into_iter()
        .filter(|pair| pair.name.contains("sensor"))
        .map(|pair| format!("{}={}", pair.name, pair.value))
        .collect();
    let expected =
        ["field_sensor_log_cut_bytes=1", "field_sensor_log_mixed=1", "sensor_log_cut_bytes=7"];
    assert_eq!(pairs, expected);
}
