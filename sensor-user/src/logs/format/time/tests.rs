use super::*;

fn clock(observed: &str, host_offset: i32) -> Clock {
    Clock { observed_unix_ns: unix_ns(observed), host_offset }
}

/// By another implementation.
fn unix_ns(text: &str) -> u64 {
    let time = humantime::parse_rfc3339(text).unwrap();
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn with_a_zone_or_as_a_number() {
    let far = clock("2001-01-01T00:00:00Z", 0);
    let at = Some(unix_ns("2026-11-21T13:28:04.562Z"));
    let whole = Some(unix_ns("2026-11-21T13:28:04Z"));
    for (written, time) in [
        ("2026-11-21T13:28:04.562Z", at),
        ("2026-11-21T14:28:04.562+01:00", at),
        ("2026-11-21T08:58:04.562-0430", at),
        ("2026-11-21 13:28:04,562+00", at),
        ("2026-11-21 13:28:04.562 UTC", at),
        ("2026/11/21 13:28:04.562 +0000", at),
        ("21/Nov/2026:13:28:04 +0000", whole),
        ("Sat, 21 Nov 2026 13:28:04 GMT", whole),
        ("1795267684", whole),
        ("1795267684.562", at),
        ("1795267684562", at),
        ("1795267684562000", at),
        ("1795267684562000000", at),
        ("1.795267684562e+09", at),
        ("1.795267684562E9", at),
        ("2028-02-29T00:00:00Z", Some(unix_ns("2028-02-29T00:00:00Z"))),
        ("1970-01-01T00:00:00.000000001Z", Some(1)),
        ("2026-11-21T13:28:04.123456789Z", Some(unix_ns("2026-11-21T13:28:04.123456789Z"))),
        // ISO 8601 in its basic form, and without seconds.
        ("20261121T132804Z", whole),
        ("20261121T132804.562Z", at),
        ("20261121T142804.562+0100", at),
        ("2026-11-21T13:28Z", Some(unix_ns("2026-11-21T13:28:00Z"))),
        ("2026-11-21T14:28+01:00", Some(unix_ns("2026-11-21T13:28:00Z"))),
        // Go's time.Time.String, with and without its monotonic clock.
        ("2026-11-21 13:28:04.562 +0000 UTC", at),
        ("2026-11-21 14:28:04.562 +0100 CET m=+0.001", at),
        // java.time.ZonedDateTime.toString, java.util.Date.toString, date(1).
        ("2026-11-21T13:28:04.562Z[UTC]", at),
        ("2026-11-21T14:28:04.562+01:00[Europe/Berlin]", at),
        ("Sat Nov 21 13:28:04 UTC 2026", whole),
        // JavaScript's Date.toString.
        ("Sat Nov 21 2026 13:28:04 GMT+0000 (Coordinated Universal Time)", whole),
        ("Sat Nov 21 2026 14:28:04 GMT+0100 (Central European Standard Time)", whole),
        ("2026-11-21 01:28:04 PM UTC", whole),
        ("2026-11-21 13:28:04 Z", whole),
        // Numbers in an unknown order are not a date, whatever the zone.
        ("11/10/2026 13:28:04 UTC", None),
        ("20261121", None),
        ("20261321T132804Z", None),
        ("2026-11-21T13:28", None),
        ("2026-11-21 1:28:04Z", Some(unix_ns("2026-11-21T01:28:04Z"))),
        ("2026-11-21 13:28:04 PM UTC", None),
        ("2026-11-21T13:28:04Z[not a zone]", None),
        ("Sat Nov 21 13:28:04 CET 2026", None),
        // Not near, and no zone.
        ("2026-11-21T13:28:04.562", None),
        ("13:28:04", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-11-21T24:00:00Z", None),
        ("2026-11-21T13:28:04.562Zx", None),
        ("2026-11-21", None),
        ("12", None),
        ("-1795267684", None),
        ("0.023", None),
        ("1e99", None),
        ("noon", None),
        ("", None),
    ] {
        assert_eq!(text(written, far), time, "{written}");
    }
}

#[test]
fn without_a_zone_it_is_one_that_is_near() {
    let at = Some(unix_ns("2026-11-21T13:28:04.562Z"));
    let (utc, ahead) = (clock("2026-11-21T13:28:05Z", 0), clock("2026-11-21T13:28:05Z", 3600));
    for (written, in_utc, in_ahead) in [
        ("2026-11-21 13:28:04,562", at, at),
        ("2026-11-21 14:28:04,562", None, at),
        ("2026-11-21 15:28:04,562", None, None),
        ("2026-11-20 13:28:04,562", None, None),
        ("13:28:04.562", at, at),
        ("14:28:04.562", None, at),
        ("Nov 21 13:28:04.562", at, at),
        ("Sat Nov 21 13:28:04.562 2026", at, at),
        ("Sat Nov 21 13:28:04.562 2025", None, None),
        ("2026-11-21 13:34:04,562", None, None),
        ("21-11-2026 13:28:04.562", at, at),
        ("26/11/21 13:28:04.562", at, at),
        ("11/21/2026, 1:28:04.562 PM", at, at),
        ("21.11.2026 13:28:04.562", at, at),
        ("21.10.2026 13:28:04.562", None, None),
        ("Nov 21, 2026 1:28:04.562 PM", at, at),
        ("2026-11-21 14:28:04.562 CET", at, at),
        ("2026-11-21 18:58:04.562 IST", at, at),
        ("2026-11-21 14:28:04.562 CEST", None, at),
    ] {
        assert_eq!((text(written, utc), text(written, ahead)), (in_utc, in_ahead), "{written}");
    }
}

#[test]
fn days_and_years_are_the_nearest() {
    let new_year = clock("2027-01-01T00:00:01Z", 0);
    let eve = Some(unix_ns("2026-12-31T23:59:59.5Z"));
    assert_eq!(text("23:59:59.5", new_year), eve);
    assert_eq!(text("Dec 31 23:59:59.5", new_year), eve);
    let (written, length) = klog(b"1231 23:59:59.500000   1 x.go").unwrap();
    assert_eq!((new_year.resolve(&written), length), (eve, 20));
    let eve = clock("2026-12-31T23:59:59Z", 0);
    assert_eq!(text("00:00:01", eve), Some(unix_ns("2027-01-01T00:00:01Z")));
    assert_eq!(text("Jan  1 00:00:01", eve), Some(unix_ns("2027-01-01T00:00:01Z")));
    // In the host's zone it is the next day already.
    let kolkata = clock("2026-12-31T18:31:00Z", 19_800);
    assert_eq!(text("00:00:59", kolkata), Some(unix_ns("2026-12-31T18:30:59Z")));
    assert_eq!(text("Jan 1 00:00:59", kolkata), Some(unix_ns("2026-12-31T18:30:59Z")));
}

#[test]
fn dates_and_days_are_each_other() {
    for day in (-800_000..800_000).step_by(7) {
        let (year, month, of_month) = civil::date(day);
        assert_eq!(civil::days(year, month, of_month), Some(day));
    }
    assert_eq!(civil::date(0), (1970, 1, 1));
    assert_eq!(civil::days(2000, 2, 29), Some(11_016));
    assert_eq!(civil::days(1900, 2, 29), None);
}
