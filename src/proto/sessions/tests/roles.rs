//! Roles, turns, the ready gate, and the switches that are not one another.

use super::*;
use crate::types::{MemberStatus, Role};

fn raid() -> SessionSettings {
    room(6).role(Role::new("tank").target(1).max(1)).role(Role::new("healer").max(2)).role(Role::new("any"))
}

fn ask_role(net: &mut Net, node: usize, key: SessionKey, role: &str) -> RequestId {
    let to = net.resolved(key);
    let request = net.ask_join_with(node, JoinCommand { role: Some(role.into()), ..Net::join_command(None) }, to);
    net.settle();
    request
}

fn set_role(net: &mut Net, node: usize, seat: SeatId, account: Option<AccountId>, role: Option<&str>) -> RequestId {
    let role = role.map(str::to_owned);
    let request = net.command(node, |request| Command::SetRole { request, seat, account, role });
    net.settle();
    request
}

fn role_of(net: &Net, (node, seat): (usize, SeatId), of: usize) -> Option<String> {
    net.view(node, seat).member(net.account(of)).and_then(|member| member.role.clone())
}

fn refusal_of(net: &Net, node: usize, request: RequestId) -> Refusal {
    net.answer(node, request).unwrap_err().refusal().expect("a refusal").clone()
}

#[test]
fn a_roles_cap_holds_at_joins_changes_and_updates_of_the_list() {
    let mut net = Net::new(1);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, raid());
    let request = ask_role(&mut net, b, key, "tank");
    let at_b = net.seat_of(b, request);
    assert_eq!(role_of(&net, (b, at_b), b).as_deref(), Some("tank"));
    let request = ask_role(&mut net, c, key, "tank");
    assert_eq!(refusal_of(&net, c, request), Refusal::RoleFull);
    let request = ask_role(&mut net, c, key, "bard");
    let Refusal::Refused(why) = refusal_of(&net, c, request) else { panic!("not refused") };
    assert!(why.text().contains("tank, healer, any"), "{why}");
    let request = ask_role(&mut net, c, key, "healer");
    let at_c = net.seat_of(c, request);

    let request = set_role(&mut net, c, at_c, None, Some("tank"));
    assert_eq!(refusal_of(&net, c, request), Refusal::RoleFull);
    let request = set_role(&mut net, c, at_c, None, Some("bard"));
    assert!(matches!(refusal_of(&net, c, request), Refusal::Refused(_)));
    let request = set_role(&mut net, a, host, None, Some("tank"));
    assert_eq!(refusal_of(&net, a, request), Refusal::RoleFull);
    set_role(&mut net, b, at_b, None, None);
    set_role(&mut net, c, at_c, None, Some("tank"));
    assert_eq!((role_of(&net, (a, host), b), role_of(&net, (a, host), c)), (None, Some("tank".into())));
    assert!(net.take_events(b, at_b).iter().any(|event| matches!(
        event,
        SessionEvent::MemberUpdated { member, .. } if member.role.as_deref() == Some("tank")
    )));

    // Two healers, and a list that has room for one.
    let accounts = [net.account(b), net.account(c)];
    for account in accounts {
        set_role(&mut net, a, host, Some(account), Some("healer"));
    }
    let fewer = SettingsUpdate::new().roles([Role::new("healer").max(1)]);
    let request = net.update(a, host, fewer, None);
    let error = net.answer(a, request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("healer") && error.to_string().contains('2'), "{error}");
    net.update(a, host, SettingsUpdate::new().roles([Role::new("scout")]), None);
    net.settle();
    assert_eq!(role_of(&net, (b, at_b), b).as_deref(), Some("healer"), "kept until another is taken");
}

#[test]
fn only_the_host_gives_roles_and_turns() {
    let mut net = Net::new(2);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, raid());
    let seat = net.join(b, key);
    let (ada, bob) = (net.account(a), net.account(b));
    let request = set_role(&mut net, b, seat, Some(ada), Some("tank"));
    assert_eq!(net.answer(b, request).unwrap_err().kind(), ErrorKind::NotOwner);
    let request = net.command(b, |request| Command::SetTurn { request, seat, accounts: vec![bob] });
    assert_eq!(net.answer(b, request).unwrap_err().kind(), ErrorKind::NotOwner);
    let nobody = Identity::from_seed([77; 32]).unwrap().account();
    let request = set_role(&mut net, a, host, Some(nobody), Some("tank"));
    assert_eq!(net.answer(a, request).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_turn_list_has_members_only_and_loses_who_leaves() {
    let mut net = Net::new(3);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    let (ada, bob) = (net.account(a), net.account(b));
    let turn = |net: &mut Net, accounts: Vec<AccountId>| {
        let request = net.command(a, |request| Command::SetTurn { request, seat: host, accounts });
        net.settle();
        net.answer(a, request)
    };
    let nobody = Identity::from_seed([77; 32]).unwrap().account();
    assert_eq!(turn(&mut net, vec![nobody]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(turn(&mut net, vec![ada, ada]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(turn(&mut net, vec![bob, ada]).is_ok());
    let changed = net.take_events(b, seat).into_iter().find_map(|event| match event {
        SessionEvent::TurnChanged { old, new, .. } => Some((old, new)),
        _ => None,
    });
    assert_eq!(changed, Some((Vec::new(), vec![bob, ada])));
    let before = net.view(a, host).revision;
    assert!(matches!(turn(&mut net, vec![bob, ada]), Ok(Answer::Revision(at)) if at == before));
    net.leave(b, seat);
    net.settle();
    assert_eq!(net.view(a, host).turn, [ada]);
    let events = names(&net.seat(a, host).events);
    assert_eq!(events[events.len() - 2..], ["member left", "turn"]);
}

#[test]
fn the_gate_waits_for_who_is_active_and_there() {
    let mut net = Net::new(4);
    let (a, b, c, d) = (net.node(), net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4).ready_gate(true));
    let (at_b, at_c, at_d) = (net.join(b, key), net.join(c, key), net.join(d, key));
    let start = |net: &mut Net| {
        let request = net.command(a, |request| Command::SetPhase { request, seat: host, phase: Phase::InProgress });
        net.settle();
        net.answer(a, request)
    };
    let ready = |ready: bool| MemberUpdate::new().ready(ready);
    let error = start(&mut net).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    assert!((0..4).all(|node| error.to_string().contains(&format!("user{node} "))), "{error}");
    net.update_me(a, host, ready(true));
    net.update_me(b, at_b, ready(true));
    net.command(c, |request| Command::SetStatus { request, seat: at_c, status: MemberStatus::Inactive });
    net.settle();
    let error = start(&mut net).unwrap_err();
    assert!(error.to_string().contains("user3") && !error.to_string().contains("user2"), "{error}");
    // Who is away is not waited for.
    net.nodes[d].alive = false;
    net.cut_links(d);
    net.settle();
    assert!(start(&mut net).is_ok());
    assert_eq!((net.view(b, at_b).phase, net.seat(d, at_d).left.clone()), (Phase::InProgress, None));

    // A dedicated host has no seat to wait for.
    let e = net.node();
    let (host, _) = net.host(e, HostRequest::new(room(4).ready_gate(true)).dedicated(true));
    let request = net.command(e, |request| Command::SetPhase { request, seat: host, phase: Phase::InProgress });
    assert!(net.answer(e, request).is_ok());
}

#[test]
fn closed_locked_and_in_progress_are_three_switches() {
    let mut net = Net::new(5);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4).join_in_progress(false));
    let seat = net.join(b, key);
    let all = [
        (SettingsUpdate::new().closed(true), Phase::Lobby, Refusal::Closed),
        (SettingsUpdate::new().closed(false).locked(true), Phase::Lobby, Refusal::Locked),
        (SettingsUpdate::new().locked(false), Phase::InProgress, Refusal::InProgress),
        (SettingsUpdate::new().join_in_progress(true), Phase::Ended, Refusal::InProgress),
    ];
    for (update, phase, expected) in all {
        net.update(a, host, update, None);
        net.command(a, |request| Command::SetPhase { request, seat: host, phase });
        assert_eq!(net.refused(c, key), expected);
    }
    net.command(a, |request| Command::SetPhase { request, seat: host, phase: Phase::InProgress });
    let late = net.join(c, key);
    net.leave(c, late);
    // A locked session takes back who was in it, a closed one nobody; who is in it stays in either.
    net.update(a, host, SettingsUpdate::new().locked(true), None);
    let late = net.join(c, key);
    net.leave(c, late);
    net.update(a, host, SettingsUpdate::new().closed(true), None);
    assert_eq!(net.refused(c, key), Refusal::Closed);
    assert_eq!(net.seat(b, seat).left, None);
}
