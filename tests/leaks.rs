//! What a `Lan` leaves behind: nothing. Alone in its process, because it counts the process's threads and descriptors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(feature = "net", target_os = "linux"))]

use std::time::{Duration, Instant};

use lansession::{Lan, Preset, SessionQuery, SessionSettings};

const WAIT: Duration = Duration::from_secs(10);
const CYCLES: u32 = 200;

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

/// Hosts, finds and joins on loopback, and ends in one of four ways.
fn cycle(n: u32) {
    let host = Lan::builder("com.example.leaks").preset(Preset::Loopback).start().unwrap();
    let port = host.beacon_port();
    let guest = Lan::builder("com.example.leaks").preset(Preset::Loopback).beacon_port(port).start().unwrap();
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

/// Waits until what is counted is there again; the last threads of a cycle may still be at their end.
fn settle(tasks: usize, fds: Option<usize>) {
    let until = Instant::now() + WAIT;
    while count("task") > tasks || fds.is_some_and(|fds| count("fd") > fds) {
        assert!(Instant::now() < until, "{} threads and {} descriptors left", count("task"), count("fd"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_hundred_lans_leave_no_thread_and_no_descriptor_behind() {
    let tasks = count("task");
    // What the process opens once and keeps.
    cycle(0);
    settle(tasks, None);
    let fds = count("fd");
    for n in 1..=CYCLES {
        cycle(n);
        // A drop waits for nobody; a game that opens and closes so often lets them end, too.
        if n % 20 == 0 {
            settle(tasks, None);
        }
    }
    settle(tasks, Some(fds));
}
