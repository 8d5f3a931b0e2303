//! Durations: what is taken, what is refused, and what the refusal suggests.

use super::*;

#[test]
fn durations_that_knative_takes_are_taken() {
    for (written, millis) in [
        ("PT0.2S", 200),
        ("PT0,2S", 200),
        ("PT0.25S", 250),
        ("PT1S", 1_000),
        ("PT30S", 30_000),
        ("PT5M", 300_000),
        ("PT1H", 3_600_000),
        ("PT1H30M", 5_400_000),
        ("PT1.5H", 5_400_000),
        ("P1D", 86_400_000),
        ("P1DT12H", 129_600_000),
        ("P2W", 1_209_600_000),
        ("P1M", 2_629_746_000),
        ("P1Y", 31_556_952_000),
        ("P1Y2M3W4DT5H6M7.8S", 38_994_811_800),
        ("PT0S", 0),
        ("P0D", 0),
        ("-PT0S", 0),
        ("+PT1S", 1_000),
        ("PT007S", 7_000),
    ] {
        assert_eq!(
            parse(written),
            Ok(Duration::from_millis(millis)),
            "{written}"
        );
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    for written in [
        "", "P", "PT", "T1S", "1", "10", "1S", "PT1", "P1S", "PT1D", "PT1S1M", "PT1M1M", "pt1s",
        "PT1s", "PT.5S", "PT1.S", "PT1.5M1S", "P1.5DT1H", "PT 1S", " PT1S", "PT1S ", "PT-1S",
        "PTS", "P1DT", "--PT1S", "PT1e3S", "PT１S", "five", "30s", "0.2", "PT1.2.3S", "PT1HS",
    ] {
        let refused = parse(written);
        assert!(
            matches!(refused, Err(DurationError::Malformed { .. })),
            "{written}: {refused:?}"
        );
    }
}

#[test]
fn a_negative_or_endless_duration_is_refused_by_name() {
    assert!(matches!(
        parse("-PT1S"),
        Err(DurationError::Negative { .. })
    ));
    for written in [
        "P101Y",
        "PT99999999999999999999999999H",
        "P18446744073709551615Y",
    ] {
        assert!(
            matches!(parse(written), Err(DurationError::TooLong { .. })),
            "{written}"
        );
    }
    assert_eq!(parse("P100Y").expect("100 years").as_secs(), 3_155_695_200);
}

#[test]
fn a_duration_in_another_form_gets_its_iso_form_as_hint() {
    for (written, hint) in [
        ("30s", "write it as PT30S"),
        ("200ms", "write it as PT0.2S"),
        ("5m", "write it as PT5M"),
        ("7d", "write it as P7D"),
        (
            "soon",
            "write an ISO 8601 duration such as PT0.2S, PT30S, PT5M or P1D",
        ),
    ] {
        assert_eq!(parse(written).expect_err(written).hint(), hint, "{written}");
    }
}

#[test]
fn short_durations_are_read_for_volleys_own_settings() {
    assert_eq!(parse_short("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse_short("7d"), Some(Duration::from_secs(604_800)));
    assert_eq!(parse_short("1.5h"), Some(Duration::from_secs(5_400)));
    for refused in [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "5w",
        "99999999999999999999d",
        "1..5s",
    ] {
        assert_eq!(parse_short(refused), None, "{refused}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(written in "\\PC{0,40}") {
        let _outcome = parse(&written);
        let _outcome = parse_short(&written);
    }

    #[test]
    fn seconds_with_a_fraction_are_exact(seconds in 0_u64..1_000_000, nanos in 0_u32..1_000_000_000) {
        let written = format!("PT{seconds}.{nanos:09}S");
        proptest::prop_assert_eq!(parse(&written), Ok(Duration::new(seconds, nanos)));
    }
}
