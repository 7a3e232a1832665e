//! A session that can outlive its host, as finders and joiners see it while nobody has taken it over.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Nic, VirtualLan};
use lansession::{
    Browser, BrowserEvent, Found, HostRequest, JoinRequest, Migration, Refusal, Session, SessionQuery, SessionSettings,
    User,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn host(net: &VirtualLan, node: &str, migration: Migration) -> Session {
    let request = HostRequest::new(SessionSettings::new(node).max_members(8)).migration(migration);
    user(net, node, node).host(request).wait(2 * SECOND).unwrap()
}

fn browsing(net: &VirtualLan, sessions: usize) -> Browser {
    let browser = user(net, "finder", "Fay").browse(SessionQuery::new()).unwrap();
    let confirmed = || browser.list().iter().filter(|found| found.is_confirmed()).count() == sessions;
    net.run_until(2 * SECOND, confirmed).unwrap();
    browser
}

/// The crashed host's members say so: where the session ends with its host it is gone at once, where it does not it is held.
/// Fails when members send no notice, when finders do not heed it, or when `given_up` holds what ends with its host.
#[test]
fn members_say_at_once_that_their_host_died() {
    for (seed, migration) in [(1, Migration::Disabled), (2, Migration::Quorum), (3, Migration::AnySurvivor)] {
        let net = VirtualLan::new(seed);
        let session = host(&net, "host", migration);
        let members: Vec<Session> = ["bob", "cy", "dot", "eve"]
            .map(|name| {
                // Nobody goes on, so the entry is held for nothing.
                let request = JoinRequest::from(session.link()).can_host(false);
                user(&net, name, name).join(request).wait(6 * SECOND).unwrap()
            })
            .into();
        let browser = browsing(&net, 1);
        let mut events = browser.events();
        net.crash("host");
        if migration == Migration::Disabled {
            net.run_until(ms(3_000), || browser.list().is_empty()).unwrap();
        } else {
            net.run_until(ms(3_000), || browser.list().iter().any(Found::is_migrating)).unwrap();
            let lost = std::iter::from_fn(|| events.try_next()).any(|event| matches!(event, BrowserEvent::Lost(_)));
            assert!(!lost);
        }
        drop(members);
    }
}

/// Fails when the hold has no end.
#[test]
fn an_entry_that_nobody_takes_over_is_lost_in_the_end() {
    let net = VirtualLan::new(4);
    let _session = host(&net, "host", Migration::Quorum);
    let browser = browsing(&net, 1);
    net.crash("host");
    net.run_until(8 * SECOND, || browser.list().iter().any(Found::is_migrating)).unwrap();
    net.run_until(8 * SECOND, || browser.list().is_empty()).unwrap();
}

/// Fails when a join gives up with the host although another one may come.
#[test]
fn a_join_of_a_session_whose_host_is_gone_lasts_until_its_own_deadline() {
    let net = VirtualLan::new(5);
    let (_one, _two) = (host(&net, "lasting", Migration::Quorum), host(&net, "ending", Migration::Disabled));
    let browser = browsing(&net, 2);
    let entry = |name: &str| browser.list().iter().find(|found| found.name() == name).unwrap().clone();
    let (lasting, ending) = (entry("lasting"), entry("ending"));
    net.crash("lasting");
    net.crash("ending");
    let bob = user(&net, "bob", "Bob");
    let before = net.now();
    let refused = bob.join(JoinRequest::from(&lasting).timeout(4 * SECOND)).wait(10 * SECOND).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::TimedOut));
    assert!(net.now() - before >= 4 * SECOND);
    let refused = bob.join(JoinRequest::from(&ending).timeout(20 * SECOND)).wait(30 * SECOND).unwrap_err();
    assert!(matches!(refused.refusal(), Some(Refusal::HostUnreachable { .. } | Refusal::NotFound)), "{refused:?}");
}

/// What a player found may be old when they choose it. Fails when a join asks nobody after none of its addresses answered.
#[test]
fn a_join_by_an_old_entry_goes_where_the_host_is_now() {
    let net = VirtualLan::new(6);
    let session = host(&net, "host", Migration::Disabled);
    let fay = user(&net, "finder", "Fay");
    let found = fay.find(SessionQuery::new().enough(1)).wait(2 * SECOND).unwrap().remove(0);
    net.set_interfaces("host", [Nic::new("eth0", "lan").address("10.77.9.9/16")]).unwrap();
    net.advance(SECOND);
    let seat = fay.join(JoinRequest::from(&found).timeout(10 * SECOND)).wait(12 * SECOND).unwrap();
    assert_eq!(seat.id(), session.id());
}

/// The same where another machine hosts it now, and the first one is gone with all that it knew. Fails when such a join waits
/// for nobody else.
#[test]
fn a_join_by_an_old_entry_goes_to_the_next_host() {
    let net = VirtualLan::new(7);
    let session = host(&net, "host", Migration::Quorum);
    let fay = user(&net, "finder", "Fay");
    let members: Vec<Session> =
        ["bob", "cy", "dot"].map(|name| user(&net, name, name).join(session.link()).wait(6 * SECOND).unwrap()).into();
    net.advance(2 * SECOND);
    let found = fay.find(SessionQuery::new().enough(1)).wait(2 * SECOND).unwrap().remove(0);
    net.crash("host");
    net.run_until(20 * SECOND, || members.iter().any(Session::is_host)).unwrap();
    net.advance(20 * SECOND);
    let seat = fay.join(JoinRequest::from(&found).timeout(10 * SECOND)).wait(12 * SECOND).unwrap();
    assert_eq!(seat.id(), session.id());
    assert!(
        members
            .iter()
            .any(|member| member.is_host() && member.snapshot().members.len() == seat.snapshot().members.len())
    );
}
