use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;

use super::*;

#[test]
fn every_legal_form_is_read() {
    let text = "# HELP a Some \\n text\n# TYPE a counter\n# any comment\n\n\
        a 1\na{} 2\na{b=\"c\"} 3.5e-3\na{b=\"c\",} +Inf\n  a { b = \"q\\\"\\\\\\n}{,\" , d=\"é\" }\t-4 1700000000000\n\
        a:b_C9 NaN\r\n";
    let samples = parse(text).unwrap();
    assert_eq!(samples.len(), 6);
    assert_eq!(samples[1], Sample { name: "a", labels: vec![], value: 2.0 });
    assert_eq!((samples[2].label("b"), samples[2].value), (Some("c"), 0.0035));
    assert_eq!(samples[3].value, f64::INFINITY);
    assert_eq!((samples[4].label("b"), samples[4].label("d")), (Some("q\"\\\n}{,"), Some("é")));
    assert_eq!(samples[4].value, -4.0);
    assert!(samples[5].value.is_nan() && samples[5].name == "a:b_C9");
}

#[test]
fn one_bad_line_refuses_the_text_and_is_named() {
    let bad = [
        "a",
        "1a 1",
        "a b",
        "a{ 1",
        "a{b} 1",
        "a{b=c} 1",
        "a{b=\"c} 1",
        "a{b=\"\\x\"} 1",
        "a{b=\"c\" d=\"e\"} 1",
        "a{,} 1",
        "a{1=\"c\"} 1",
        "a 1 x",
        "a 1 2 3",
        "a infinity",
        "a 1f",
        "é 1",
        "a{b=\"c\\",
        "<html>",
        "a{}",
        "a 0x10",
        "a nan",
    ];
    for line in bad {
        let text = format!("good 1\n{line}\n");
        assert_eq!(parse(&text).map_err(|error| error.line), Err(2), "{line}");
    }
}

#[test]
fn what_the_exporter_writes_of_histograms_is_read() {
    let samples = parse(include_str!("../../tests/golden/exposition.txt")).unwrap();
    let buckets: Vec<_> = samples.iter().filter(|s| s.name == "http_request_duration_seconds_bucket").collect();
    assert!(buckets.iter().any(|bucket| bucket.label("le") == Some("+Inf")));
    assert!(samples.iter().any(|s| s.name == "http_requests_total" && s.label("status") == Some("5xx")));
}

proptest! {
    #[test]
    fn what_the_exporter_writes_is_what_is_read(
        // Without backslashes: the exporter takes some of them for escapes and loses them.
        series in proptest::collection::btree_map(("[a-z_]{1,8}", "[^\\\\]{0,12}"), 0..u64::from(u32::MAX), 1..12),
    ) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metadata = Metadata::new("test", Level::INFO, None);
        for ((label, value), count) in &series {
            let labels = vec![Label::new(format!("l{label}"), value.clone())];
            let key = Key::from_parts(KeyName::from("requests_total"), labels);
            recorder.register_counter(&key, &metadata).absolute(*count);
        }
        let text = recorder.handle().render();
        let samples = parse(&text).unwrap();
        prop_assert_eq!(samples.len(), series.len());
        for ((label, value), count) in &series {
            let label = format!("l{label}");
            let found = samples.iter().find(|sample| sample.label(&label) == Some(value.as_str()));
            prop_assert_eq!(found.map(|sample| sample.value), Some(*count as f64), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|[a{}=\"\\\\,\n 0-9.#]{0,60}") {
        let _ = parse(&text);
    }
}
