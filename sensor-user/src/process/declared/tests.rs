use super::*;

fn observed() -> Vec<Attribute> {
    vec![
        Attribute::new("service.name", "app"),
        Attribute::new("process.pid", 42),
        Attribute::new("container.id", "c1"),
        Attribute::new("os.type", "linux"),
    ]
}

/// What becomes of the resource by that `OTEL_RESOURCE_ATTRIBUTES`: what is added or changed, and what is
/// refused.
fn declared(attributes: &str, trust: Trust) -> (Vec<String>, Vec<String>) {
    let env = format!("OTEL_RESOURCE_ATTRIBUTES={attributes}\0");
    let mut all = observed();
    let refused = Declared::read(env.as_bytes(), false).add_to(&mut all, trust);
    let text = |it: &Attribute| match &it.value {
        Value::Str(text) => format!("{}={text}", it.key),
        other => format!("{}={other:?}", it.key),
    };
    let known: Vec<_> = observed().iter().map(text).collect();
    (all.iter().map(text).filter(|it| !known.contains(it)).collect(), refused)
}

const HOSTILE: &str = "k8s.namespace.name=prod,k8s.pod.uid=u,container.id=other,host.name=h,host.type=t,\
                       os.type=o,process.pid=1,sensor.x=y,sensor.identity=observed,telemetry.sdk.name=z,\
                       service.name=payments,deployment.environment.name=prod";

#[test]
fn a_process_names_itself_and_not_where_it_runs() {
    let (changed, refused) = declared(HOSTILE, Trust::Service);
    let own =
        ["service.name=payments", "deployment.environment.name=prod", "sensor.identity=declared"];
    assert_eq!(changed, own);
    let foreign = [
        "k8s.namespace.name",
        "k8s.pod.uid",
        "container.id",
        "host.name",
        "host.type",
        "os.type",
        "process.pid",
        "sensor.x",
        "sensor.identity",
        "telemetry.sdk.name",
    ];
    assert_eq!(refused, foreign);
}

#[test]
fn nothing_is_believed() {
    let (changed, refused) = declared(HOSTILE, Trust::Off);
    assert_eq!((changed.len(), refused.len()), (0, 12));
    let mut all = observed();
    let named = Declared::read(b"OTEL_SERVICE_NAME=payments\0", false);
    assert_eq!(named.add_to(&mut all, Trust::Off), ["service.name"]);
    assert_eq!(all, observed());
}

#[test]
fn all_is_believed_but_against_what_is_observed() {
    let (changed, refused) = declared(HOSTILE, Trust::All);
    let believed = [
        "service.name=payments",
        "k8s.namespace.name=prod",
        "k8s.pod.uid=u",
        "host.name=h",
        "host.type=t",
        "deployment.environment.name=prod",
        "sensor.identity=declared",
    ];
    assert_eq!(changed, believed);
    let foreign = [
        "container.id",
        "os.type",
        "process.pid",
        "sensor.x",
        "sensor.identity",
        "telemetry.sdk.name",
    ];
    assert_eq!(refused, foreign);
}

/// Backends make the same label of all of these.
#[test]
fn another_spelling_is_the_same_attribute() {
    for key in
        ["k8s_namespace_name", "K8S.namespace.name", "_k8s.namespace-name", "k8s", "Sensor-x"]
    {
        let refused = declared(&format!("{key}=prod"), Trust::Service);
        assert_eq!(refused, (vec![], vec![key.to_owned()]));
    }
    for key in ["container_id", "Container.ID", "service_name"] {
        assert_eq!(declared(&format!("{key}=x"), Trust::All).1, [key]);
    }
    // Only the first word counts.
    for key in ["k8ss.x", "my.k8s.namespace", "hosting", "operator", "service.namespace"] {
        assert_eq!(declared(&format!("{key}=x"), Trust::Service).1, [""; 0], "{key}");
    }
}

/// What Kubernetes's downward API puts there is the truth, as far as it is observed.
#[test]
fn who_says_what_is_so_is_not_refused() {
    let honest = "container.id=c1,process.pid=42,os.type=linux";
    for trust in [Trust::Off, Trust::Service, Trust::All] {
        assert_eq!(declared(honest, trust), (vec![], vec![]));
    }
}

#[test]
fn one_variable_does_not_spoil_the_other() {
    let env = b"OTEL_RESOURCE_ATTRIBUTES=broken\0OTEL_SERVICE_NAME= shop \0";
    let declared = Declared::read(env, false);
    assert!(declared.malformed);
    assert_eq!(declared.attributes, [("service.name".to_owned(), "shop".to_owned())]);
}
