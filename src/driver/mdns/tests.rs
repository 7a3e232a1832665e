//! The adapter against real daemons, in a network namespace of its own: `mdns-sd` joins its group on every interface
//! before it can be told not to.

use std::future::poll_fn;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::driver::tests::session;

const WAIT: Duration = Duration::from_secs(10);

/// Runs this test again inside a fresh namespace where loopback is all there is; whether this is that run.
fn inside(name: &str) -> bool {
    const FLAG: &str = "LANSESSION_MDNS_NAMESPACE";
    if std::env::var_os(FLAG).is_some() {
        return true;
    }
    let possible = Command::new("unshare").args(["-Urn", "--", "ip", "link", "set", "lo", "up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("{name}: skipped, no network namespace here");
        return false;
    }
    let exe = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["-Urn", "--", "sh", "-c", "ip link set lo up && exec \"$0\" --exact \"$1\" --test-threads 1"])
        .arg(exe)
        .arg(format!("driver::mdns::tests::{name}"))
        .env(FLAG, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed inside its namespace");
    false
}

fn adapter(config: &Config) -> Mdns {
    Mdns::new(config)
}

fn loopback() -> Config {
    Config { loopback_only: true, mdns_port: 15_353, ..Config::default() }
}

/// The same wire, another daemon.
fn by_name() -> Config {
    Config { interfaces: vec!["lo".into()], mdns_port: 15_353, ..Config::default() }
}

fn register(n: u8, value: &str) -> MdnsAction {
    MdnsAction::Register { session: session(n), port: 7_000 + u16::from(n), txt: vec![("id".into(), value.into())] }
}

async fn next<R>(mdns: &mut Mdns, mut pick: impl FnMut(&MdnsEvent) -> Option<R>) -> R {
    let wait = async {
        loop {
            let event = poll_fn(|cx| mdns.poll(cx)).await;
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    };
    timeout(WAIT, wait).await.expect("what the test waits for did not come")
}

async fn resolved(mdns: &mut Mdns, value: &str) -> (String, Vec<std::net::SocketAddr>) {
    next(mdns, |event| match event {
        MdnsEvent::Resolved { instance, addresses, txt } if txt.iter().any(|(_, v)| v == value) => {
            Some((instance.clone(), addresses.clone()))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_registration_is_seen_back_by_its_owner_and_found_by_others() {
    if !inside("a_registration_is_seen_back_by_its_owner_and_found_by_others") {
        return;
    }
    let (mut host, mut finder) = (adapter(&loopback()), adapter(&by_name()));
    finder.act(MdnsAction::Browse);
    host.act(register(1, "first"));
    next(&mut host, |event| (*event == MdnsEvent::Registered { session: session(1) }).then_some(())).await;
    let (instance, addresses) = resolved(&mut finder, "first").await;
    assert!(addresses.contains(&([127, 0, 0, 1], 7_001).into()), "{addresses:?}");

    // A change keeps the name.
    host.act(register(1, "second"));
    assert_eq!(resolved(&mut finder, "second").await.0, instance);

    host.act(MdnsAction::Unregister { session: session(1) });
    next(&mut finder, |event| (*event == MdnsEvent::Removed { instance: instance.clone() }).then_some(())).await;
}

#[tokio::test]
async fn drivers_of_one_process_share_a_daemon_and_do_not_hear_themselves() {
    if !inside("drivers_of_one_process_share_a_daemon_and_do_not_hear_themselves") {
        return;
    }
    let (mut host, mut first, mut later) = (adapter(&loopback()), adapter(&loopback()), adapter(&loopback()));
    host.act(MdnsAction::Browse);
    first.act(MdnsAction::Browse);
    host.act(register(1, "shared"));
    assert!(Arc::ptr_eq(&host.attached.as_ref().unwrap().0, &first.attached.as_ref().unwrap().0));
    resolved(&mut first, "shared").await;
    // Who browses later hears what is known, and ends nobody's browse.
    later.act(MdnsAction::Browse);
    resolved(&mut later, "shared").await;
    first.act(register(2, "other"));
    resolved(&mut later, "other").await;
    // The host heard of the other session and never of its own.
    let mut own = false;
    next(&mut host, |event| match event {
        MdnsEvent::Resolved { txt, .. } => {
            own |= txt.iter().any(|(_, value)| value == "shared");
            txt.iter().any(|(_, value)| value == "other").then_some(())
        }
        _ => None,
    })
    .await;
    assert!(!own);
}

#[tokio::test]
async fn the_thread_ends_with_the_last_driver_after_its_goodbyes() {
    if !inside("the_thread_ends_with_the_last_driver_after_its_goodbyes") {
        return;
    }
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let mut finder = adapter(&by_name());
    finder.act(MdnsAction::Browse);
    let mut host = adapter(&loopback());
    let before = threads();
    host.act(register(1, "short"));
    let (instance, _) = resolved(&mut finder, "short").await;
    assert!(threads() > before);
    let begun = std::time::Instant::now();
    drop(host);
    assert!(begun.elapsed() < Duration::from_millis(100));
    next(&mut finder, |event| (*event == MdnsEvent::Removed { instance: instance.clone() }).then_some(())).await;
    finder.act(MdnsAction::StopBrowse);
    assert!(finder.attached.is_none());
    drop(finder);
    let gone = async {
        while threads() >= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT, gone).await.unwrap();
}

#[tokio::test]
async fn switched_off_it_opens_nothing() {
    let mut mdns = adapter(&Config { mdns: false, ..loopback() });
    mdns.act(MdnsAction::Browse);
    mdns.act(register(1, "x"));
    assert!(mdns.attached.is_none());
}
