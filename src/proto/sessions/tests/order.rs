//! The order that is promised to the app, and what a commit tells whom.

use super::*;
use crate::types::{SettingsChange, Value, Visibility};

#[test]
fn a_seat_opens_then_its_request_is_answered_then_events_come() {
    let mut net = Net::new(1);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    assert_eq!(net.nodes[a].transcript, ["opened 1", "done 1", "seat 1 joined", "seat 1 member joined"]);
    let seat = net.join(b, key);
    let expected = ["opened 1", "done 1", "seat 1 joined", "seat 1 present", "seat 1 member joined"];
    assert_eq!(net.nodes[b].transcript, expected);
    assert_eq!(names(&net.take_events(a, host)), ["joined", "member joined", "member joined"]);
    let opened = &net.seat(b, seat).opened;
    assert_eq!(opened.host_addresses, [net.nodes[a].ip]);
    assert_eq!(opened.control_port, net.address(key).port());
    assert!(!opened.is_host && net.seat(a, host).opened.is_host);
}

#[test]
fn everybody_sees_the_same_changes_in_the_same_revisions() {
    let mut net = Net::new(2);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let (second, third) = (net.join(b, key), net.join(c, key));
    net.take_events(a, host);
    net.take_events(b, second);
    net.take_events(c, third);
    net.update(a, host, SettingsUpdate::new().set("map", "nuke").max_members(6), None);
    net.command(a, |request| Command::SetPhase { request, seat: host, phase: Phase::InProgress });
    net.update_me(b, second, MemberUpdate::new().ready(true).set("team", "red"));
    net.settle();
    let seen = net.take_events(a, host);
    assert_eq!(names(&seen), ["settings", "phase", "member updated"]);
    assert_eq!(seen, net.take_events(b, second));
    assert_eq!(seen, net.take_events(c, third));
    let SessionEvent::SettingsChanged { changes, .. } = &seen[0] else { unreachable!() };
    assert!(changes.contains(&SettingsChange::MaxMembers(4, 6)));
    assert_eq!(net.view(a, host), net.view(b, second));
    assert_eq!(net.view(c, third), net.view(b, second));
    assert_eq!(net.nodes[a].adverts[&key].facts.max_members, 6);
}

#[test]
fn a_request_is_answered_before_the_event_it_caused() {
    let mut net = Net::new(3);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    for (node, seat) in [(a, host), (b, seat)] {
        net.nodes[node].transcript.clear();
        let update = net.update_me(node, seat, MemberUpdate::new().ready(true));
        net.settle();
        let say = net.say(node, seat, "hello");
        net.settle();
        let expected = [
            format!("done {}", update.0),
            format!("seat {} member updated", seat.0),
            format!("done {}", say.0),
            format!("seat {} message", seat.0),
        ];
        let own: Vec<_> = net.nodes[node].transcript.iter().filter(|line| expected.contains(line)).cloned().collect();
        assert_eq!(own, expected);
        let Ok(Answer::Revision(revision)) = net.answer(node, update) else { panic!("no revision") };
        assert!(net.view(node, seat).revision >= revision);
    }
}

#[test]
fn hidden_attributes_stay_hidden_and_revisions_have_no_holes() {
    let mut net = Net::new(4);
    let (a, b) = (net.node(), net.node());
    let settings = room(4).attr_with("seed", 7_i64, Visibility::Host).attr_with("plan", "x", Visibility::Members);
    let (host, key) = net.host(a, settings);
    let seat = net.join(b, key);
    net.take_events(b, seat);
    assert!(net.view(b, seat).attributes.get("seed").is_none());
    assert!(net.nodes[a].adverts[&key].facts.attributes.get("plan").is_none());
    net.update(a, host, SettingsUpdate::new().set_with("seed", 8_i64, Visibility::Host), None);
    net.settle();
    assert_eq!(net.take_events(b, seat), []);
    assert_eq!(net.view(b, seat).revision, net.view(a, host).revision);
    // What becomes the host's alone is gone for the others, and its new value never travels.
    net.update(a, host, SettingsUpdate::new().set_with("plan", "y", Visibility::Host), None);
    net.settle();
    let events = net.take_events(b, seat);
    let SessionEvent::SettingsChanged { changes, .. } = &events[0] else { panic!("{events:?}") };
    let SettingsChange::Attribute(change) = &changes[0] else { panic!("{changes:?}") };
    assert_eq!((change.old.clone(), change.new.clone()), (Some(Value::from("x")), None));
    assert_eq!(net.view(a, host).attributes.get("plan"), Some(&Value::from("y")));
}

#[test]
fn update_if_holds_against_settings_only_and_never_against_the_future() {
    let mut net = Net::new(5);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let before = net.view(a, host).revision;
    net.join(b, key);
    let fine = net.update(a, host, SettingsUpdate::new().set("map", "dust"), Some(before));
    assert!(net.answer(a, fine).is_ok(), "a join in between is no settings commit");
    let stale = net.update(a, host, SettingsUpdate::new().set("map", "nuke"), Some(before));
    let error = net.answer(a, stale).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(error.current().unwrap().attributes.get("map"), Some(&Value::from("dust")));
    let future = Revision { number: 1_000, ..before };
    let never = net.update(a, host, SettingsUpdate::new().set("map", "nuke"), Some(future));
    assert_eq!(net.answer(a, never).unwrap_err().kind(), ErrorKind::Stale);
}

#[test]
fn an_update_over_the_advert_is_refused_by_the_byte_and_one_without_effect_makes_no_revision() {
    let mut net = Net::new(6);
    let a = net.node();
    let (host, _) = net.host(a, room(4));
    let before = net.view(a, host).revision;
    let large = net.update(a, host, SettingsUpdate::new().set("a", "x".repeat(1_000)), None);
    let error = net.answer(a, large).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("bytes over"), "{error}");
    let nothing = net.update(a, host, SettingsUpdate::new().max_members(4), None);
    assert!(matches!(net.answer(a, nothing), Ok(Answer::Revision(revision)) if revision == before));
    let members = net.update(a, host, SettingsUpdate::new().max_members(0), None);
    assert!(net.answer(a, members).is_err());
    assert_eq!(net.view(a, host).revision, before);
}
