//! `/metrics` as a scraper reads it: every line of the `OpenMetrics` text follows its rules, and names follow Prometheus' conventions.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Service, T0, agent, report};

/// A family: its type, and the names, labels and values of its samples.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

fn is_name(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|b| b.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The labels of `a="x",b="y"`; escapes in values do not occur here.
fn labels(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for pair in text.split("\",").filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        let value = value.trim_end_matches('"').to_owned();
        assert!(is_name(name) && !value.contains('\\'), "{text}");
        assert!(found.insert(name.to_owned(), value).is_none(), "{text}");
    }
    found
}

/// The whole text (`OpenMetrics` 1.0, "ABNF" and "Overall Structure").
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut series = BTreeSet::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut parts = comment.splitn(3, ' ');
            let (what, name) = (parts.next().unwrap(), parts.next().unwrap());
            let rest = parts.next().unwrap_or_default();
            assert!(is_name(name), "{line}");
            if name != current {
                assert!(!families.contains_key(name), "{name} comes in two pieces");
                name.clone_into(&mut current);
            }
            let family = families.entry(name.to_owned()).or_default();
            let slot = match what {
                "TYPE" => &mut family.kind,
                "HELP" => &mut family.help,
                _ => panic!("{line}"),
            };
            assert!(slot.is_empty() && !rest.is_empty(), "{line}");
            rest.clone_into(slot);
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(series.insert(name.to_owned()), "{name} is there twice");
        let (name, labelled) = match name.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').unwrap())),
            None => (name, BTreeMap::new()),
        };
        assert!(is_name(name) && name.starts_with(&current), "{line}");
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        let family = families.get_mut(&current).unwrap();
        family.samples.push((name.to_owned(), labelled, value));
    }
    families
}

fn check(name: &str, family: &Family) {
    let suffixes: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_sum", "_count"],
        "info" => &["_info"],
        other => panic!("{name}: {other}"),
    };
    assert!(name.starts_with("goodstanding_"), "{name}");
    // Base units, and the suffix of a counter only where there is one (prometheus.io/docs/practices/naming).
    for wrong in [
        "_ms",
        "_milliseconds",
        "_minutes",
        "_kb",
        "_mib",
        "_total",
        "_count",
    ] {
        assert!(!name.ends_with(wrong), "{name}");
    }
    if family.kind == "histogram" {
        assert!(
            name.ends_with("_seconds") || name.ends_with("_reports"),
            "{name}: in what unit?"
        );
    }
    assert!(!family.help.is_empty(), "{name}");
    let mut cumulative: BTreeMap<BTreeMap<String, String>, (f64, bool)> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let suffix = sample.strip_prefix(name).unwrap();
        assert!(suffixes.contains(&suffix), "{sample} of a {}", family.kind);
        if suffix != "_bucket" {
            continue;
        }
        let mut labels = labels.clone();
        let le = labels.remove("le").unwrap();
        let (most, ended) = cumulative.entry(labels).or_insert((0.0, false));
        assert!(*value >= *most && !*ended, "{sample} {le}");
        (*most, *ended) = (*value, le == "+Inf");
    }
    assert!(
        cumulative.values().all(|(_, ended)| *ended),
        "{name}: no le=\"+Inf\""
    );
}

async fn scraped(service: &Service) -> BTreeMap<String, Family> {
    let response = service.get("/metrics").await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    parse(&response.text().await.unwrap())
}

/// The value of a family that has one sample.
fn one(families: &BTreeMap<String, Family>, name: &str) -> f64 {
    let family = &families[name];
    assert_eq!(family.samples.len(), 1, "{family:?}");
    family.samples[0].2
}

#[tokio::test]
async fn every_line_follows_the_rules_and_every_name_the_conventions() {
    let service = Service::start(T0).await;
    for n in 0..3 {
        let jws = report(&agent(n), &agent(9), &format!("t-{n}"), T0 - 60);
        service.submit(jws).await;
    }
    service.submit("nonsense").await;
    service.get("/v1/nowhere").await;
    service.app.log.publish().await.unwrap();
    let families = scraped(&service).await;
    for (name, family) in &families {
        check(name, family);
    }
    let build = &families["goodstanding_build"];
    assert_eq!(build.kind, "info");
    assert_eq!(build.samples[0].0, "goodstanding_build_info");
    assert_eq!(build.samples[0].1["version"], env!("CARGO_PKG_VERSION"));
    assert!(families["goodstanding_http_requests"].samples.len() > 2);
    service.stop().await;
}

#[tokio::test]
async fn sizes_lags_and_ages_are_those_of_the_log() {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let before = scraped(&service).await;
    assert!((one(&before, "goodstanding_epoch_age_seconds") + 1.0).abs() < 0.001);
    let size = one(&before, "goodstanding_log_size_entries");
    assert!((one(&before, "goodstanding_published_size_entries") - size).abs() < 0.5);
    assert!(one(&before, "goodstanding_published_lag_entries").abs() < 0.5);
    assert!(one(&before, "goodstanding_witnessed_lag_entries").abs() < 0.5);
    let jws = report(&agent(1), &agent(2), "t-1", T0 - 60);
    service.submit(jws).await;
    service.set_seeds(&[1]).await;
    goodstanding::epoch::run(&service.app, None).await.unwrap();
    service.clock.set_ms((T0 + 90) * 1000);
    let after = scraped(&service).await;
    let age = one(&after, "goodstanding_epoch_age_seconds");
    assert!((age - 90.0).abs() < 1.0, "{age}");
    service.stop().await;
}
