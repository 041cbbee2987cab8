//! What has to leave a `tracestate` when sampling is not the caller's decision any more.

/// Takes `th` out of OpenTelemetry's entry: the threshold that the span was sampled by
/// (<https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th>). A
/// backend counts a span as many times as it says. Everything else stays as it came.
pub(super) fn forget_threshold(trace_state: &mut Option<Box<str>>) {
    let Some(before) = trace_state.as_deref().filter(|it| it.contains("th:")) else {
        return;
    };
    let mut members = Vec::new();
    for member in before.split(',') {
        let Some(list) = member.trim().strip_prefix("ot=") else {
            members.push(member.to_owned());
            continue;
        };
        let kept: Vec<_> = list.split(';').filter(|it| !it.starts_with("th:")).collect();
        if !kept.is_empty() {
            members.push(format!("ot={}", kept.join(";")));
        }
    }
    *trace_state = (!members.is_empty()).then(|| members.join(",").into());
}

#[cfg(test)]
mod tests {
    fn without(text: &str) -> Option<String> {
        let mut state = Some(text.into());
        super::forget_threshold(&mut state);
        state.map(String::from)
    }

    /// The specification's examples.
    #[test]
    fn the_threshold_goes_and_the_rest_stays() {
        assert_eq!(without("ot=th:0"), None);
        assert_eq!(without("ot=th:c;rv:d29d6a7215ced0").as_deref(), Some("ot=rv:d29d6a7215ced0"));
        assert_eq!(
            without("congo=t61rcWkgMzE, ot=p:8;th:fd70a4;r:62,rojo=1").as_deref(),
            Some("congo=t61rcWkgMzE,ot=p:8;r:62,rojo=1")
        );
        // Nobody else's.
        for other in ["congo=th:0", "ot=rv:th", "ot@t=th:0", "rojo=00f067aa0ba902b7"] {
            assert_eq!(without(other).as_deref(), Some(other));
        }
    }
}
