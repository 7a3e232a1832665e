//! What a join and a browser are pointed at: several sessions that fit, another query, an entry that has moved on.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Nic, VirtualLan};
use lansession::{
    BrowserEvent, Found, HostRequest, JoinRequest, Lan, Refusal, SessionId, SessionQuery, SessionSettings, attr,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn lan(net: &VirtualLan, node: &str) -> Lan {
    net.lan(node, GAME).start().unwrap()
}

/// Fails when the join takes the first of two that fit, for anybody can make a session with an id that is known.
#[test]
fn an_id_that_two_hosts_have_is_ambiguous() {
    let net = VirtualLan::new(1);
    let id = SessionId::from_name("arena");
    let rooms: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|node| {
            let what = HostRequest::new(SessionSettings::new(node)).id(id);
            lan(&net, node).sign_in("Ada").unwrap().host(what).wait(SECOND).unwrap()
        })
        .collect();
    let bob = lan(&net, "guest").sign_in("Bob").unwrap();
    let error = bob.join(id).wait(6 * SECOND).unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::Ambiguous));
    // By the entry it is told apart.
    let found = bob.find(SessionQuery::new()).wait(2 * SECOND).unwrap();
    let second = found.iter().find(|found| found.name() == "b").unwrap();
    assert_eq!(bob.join(second).wait(6 * SECOND).unwrap().snapshot().name, "b");
    drop(rooms);
}

/// Fails when a new query does not draw the list anew.
#[test]
fn a_browser_with_another_query_shows_what_fits_that() {
    let net = VirtualLan::new(2);
    let host = |node: &str, map: &str| {
        let settings = SessionSettings::new(node).attr("map", map);
        lan(&net, node).sign_in("Ada").unwrap().host(settings).wait(SECOND).unwrap()
    };
    let rooms = [host("a", "dust"), host("b", "nuke")];
    let browser = lan(&net, "guest").browse(SessionQuery::new().filter(attr("map").eq("dust"))).unwrap();
    let shown = || browser.list().iter().map(|found: &Found| found.name().to_owned()).collect::<Vec<_>>();
    net.run_until(2 * SECOND, || shown() == ["a"]).unwrap();
    let mut events = browser.events();
    browser.set_query(SessionQuery::new().filter(attr("map").eq("nuke"))).unwrap();
    net.run_until(2 * SECOND, || shown() == ["b"]).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert!(told.iter().any(|event| matches!(event, BrowserEvent::Lost(_))), "{told:?}");
    assert!(told.iter().any(|event| matches!(event, BrowserEvent::Found(found) if found.name() == "b")), "{told:?}");
    browser.set_query(SessionQuery::new().take(1)).unwrap();
    net.run_until(2 * SECOND, || browser.list().len() == 1).unwrap();
    drop(rooms);
}

/// While a list is open it knows. Fails when a join by an entry dials only the addresses that the entry had when it was taken.
#[test]
fn an_entry_whose_host_has_moved_leads_to_where_it_is() {
    let net = VirtualLan::new(3);
    let room = lan(&net, "host").sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(SECOND).unwrap();
    let guest = lan(&net, "guest");
    let bob = guest.sign_in("Bob").unwrap();
    let browser = guest.browse(SessionQuery::new()).unwrap();
    net.run_until(2 * SECOND, || browser.list().first().is_some_and(Found::is_confirmed)).unwrap();
    let found = browser.list().to_vec();
    net.set_interfaces("host", [Nic::loopback(), Nic::new("wlan0", "lan").address("10.77.0.200/24")]).unwrap();
    net.advance(5 * SECOND);
    let seat = bob.join(JoinRequest::from(&found[0]).timeout(10 * SECOND)).wait(15 * SECOND).unwrap();
    assert_eq!(seat.snapshot().key, room.snapshot().key);
}
