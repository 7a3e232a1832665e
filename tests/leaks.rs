//! What a `Lan` leaves behind: nothing. Alone in its process, because it counts the process's threads and descriptors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(feature = "net", target_os = "linux"))]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lansession::{Lan, LanBuilder, Preset, SessionQuery, SessionSettings};

const WAIT: Duration = Duration::from_secs(10);
/// One test at a time: both count.
static ALONE: Mutex<()> = Mutex::new(());

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

fn builder() -> LanBuilder {
    Lan::builder("com.example.leaks").preset(Preset::Loopback)
}

/// Hosts, finds and joins on loopback, and ends in one of four ways.
fn whole(n: u32) {
    let host = builder().start().unwrap();
    let guest = builder().beacon_port(host.beacon_port()).start().unwrap();
    let ada = host.sign_in("Ada").unwrap();
    let room = ada.host(SessionSettings::new("room")).wait(WAIT).unwrap();
    let bob = guest.sign_in("Bob").unwrap();
    let query = SessionQuery::new().enough(1).timeout(WAIT);
    let found = bob.find(query).wait(WAIT).unwrap();
    let seat = bob.join(&found[0]).wait(WAIT).unwrap();
    let browser = guest.browse(SessionQuery::new()).unwrap();
    match n % 4 {
        // In order, waited for.
        0 => {
            seat.leave().wait(WAIT).unwrap();
            guest.close().wait(WAIT).unwrap();
            host.close().wait(WAIT).unwrap();
        }
        // The host first, in the middle of everything.
        1 => drop((room, ada, host)),
        // With requests under way.
        2 => {
            let (find, join) = (bob.find(SessionQuery::new()), bob.join(&found[0]));
            drop((guest, bob, seat, browser, find, join));
        }
        // Whatever order the scope's end has.
        _ => {}
    }
}

/// A start and a stop: nothing between them, a browser, a session that is hosted or about to be, a frame loop, a close.
fn part(n: u32) {
    match n % 6 {
        0 => drop(builder().start().unwrap()),
        1 => builder().start().unwrap().close().wait(WAIT).unwrap(),
        2 => {
            let lan = builder().start().unwrap();
            let _browser = lan.browse(SessionQuery::new()).unwrap();
        }
        3 => {
            let mut frames = builder().start_frames().unwrap();
            let _opening = frames.lan().sign_in("Ada").unwrap().host(SessionSettings::new("room"));
            drop(frames.update());
        }
        4 => {
            let ada = builder().start().unwrap().sign_in("Ada").unwrap();
            let _room = ada.host(SessionSettings::new("room")).wait(WAIT).unwrap();
        }
        _ => {
            let lan = builder().start().unwrap();
            let _find = lan.find(SessionQuery::new());
            lan.close().detach();
        }
    }
}

/// Waits until what is counted is there again; the last threads of a cycle may still be at their end.
fn settle(tasks: usize, fds: Option<usize>) {
    let until = Instant::now() + WAIT;
    while count("task") > tasks || fds.is_some_and(|fds| count("fd") > fds) {
        assert!(Instant::now() < until, "{} threads and {} descriptors left", count("task"), count("fd"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// So many cycles; of what each leaves to end by itself, at most `most` threads beside each other.
fn cycles(cycles: u32, most: usize, cycle: impl Fn(u32)) {
    let _alone = ALONE.lock().unwrap();
    let tasks = count("task");
    // What the process opens once and keeps.
    whole(0);
    settle(tasks, None);
    let fds = count("fd");
    for n in 1..=cycles {
        cycle(n);
        // A drop waits for nobody; a game that opens and closes so often lets them end, too.
        settle(tasks + most, None);
    }
    settle(tasks, Some(fds));
}

#[test]
fn pain_24_two_hundred_lans_leave_no_thread_and_no_descriptor_behind() {
    cycles(200, 40, |n| if n % 2 == 0 { whole(n / 2) } else { part(n / 2) });
}

#[test]
#[ignore = "half a minute in release: run by .ci/run"]
fn pain_24_ten_thousand_lans_leave_no_thread_and_no_descriptor_behind() {
    cycles(10_000, 40, |n| if n % 10 == 0 { whole(n / 10) } else { part(n) });
}
