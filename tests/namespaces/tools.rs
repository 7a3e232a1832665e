//! Line 7 (pain 19): standard tools list a session, and it lives beside `avahi-daemon`.

use super::avahi::Avahi;
use super::inside::in_namespaces;
use super::lan::Lan;
use super::timing::{SECOND, pause};

const SERVICE: &str = "_lansession._tcp";

/// `avahi-browse` lists exactly the one session, on its port, with its TXT.
fn listed(avahi: &Avahi<'_>, port: &str) {
    let lines = avahi.browse(SERVICE);
    assert!(!lines.is_empty(), "avahi-browse lists nothing; its daemon wrote: {}", avahi.log());
    let mut names: Vec<&str> = lines.iter().map(|line| line[3].as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), 1, "one instance: {lines:?}");
    for line in &lines {
        assert_eq!((line[4].as_str(), line[8].as_str()), (SERVICE, port), "{line:?}");
        assert!(line[9].starts_with('"') && line[9].contains('='), "TXT with keys and values: {line:?}");
    }
    assert!(lines.iter().any(|line| line[7] == "10.50.0.1"), "with its address: {lines:?}");
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_7_avahi_browse_in_another_namespace_lists_the_session_with_its_txt() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(2);
        let avahi = Avahi::start(&lan.nodes[1]);
        let host = lan.nodes[0].host("arena", &["--control-port", "40123"]);
        pause(3_000);
        listed(&avahi, "40123");
        host.line("quit");
        assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
        pause(2_000);
        assert!(avahi.browse(SERVICE).is_empty(), "after the goodbye it is gone");
    });
}

/// With avahi-daemon on both machines, before or after the host's start.
fn beside(before: bool) {
    let lan = Lan::new(2);
    let early = before.then(|| (Avahi::start(&lan.nodes[0]), Avahi::start(&lan.nodes[1])));
    let host = lan.nodes[0].host("arena", &["--no-beacon", "--control-port", "40123"]);
    let (here, there) = early.unwrap_or_else(|| (Avahi::start(&lan.nodes[0]), Avahi::start(&lan.nodes[1])));
    pause(3_000);
    listed(&here, "40123");
    listed(&there, "40123");
    // Ours works beside theirs, on either side.
    let find = lan.nodes[1].client("find", &["--enough", "1", "--no-beacon", "--timeout", "6s"]);
    let found = find.expect("found", 8 * SECOND);
    assert_eq!((found.name(), found.sources().contains(&"mdns")), ("arena", true), "{}", found.json);
    host.line("quit");
    assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
    for log in [here.log(), there.log()] {
        assert!(!log.to_lowercase().contains("conflict"), "no conflict: {log}");
    }
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_7_pain_19_both_work_beside_an_avahi_daemon_that_was_there_before() {
    in_namespaces(90 * SECOND, || beside(true));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_7_pain_19_both_work_beside_an_avahi_daemon_that_comes_later() {
    in_namespaces(90 * SECOND, || beside(false));
}
