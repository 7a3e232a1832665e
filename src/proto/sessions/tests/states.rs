//! Member states: each timeout at its exact moment, one microsecond before it nothing (protocol.md, "Member states").

use super::*;
use crate::types::{LinkState, Member, MemberStatus, MemberTimeouts};

const MICRO: Duration = Duration::from_micros(1);

fn never() -> MemberTimeouts {
    MemberTimeouts::new().reserved(None).ready(None).inactive(None).empty(None)
}

fn as_status(status: MemberStatus) -> JoinCommand {
    JoinCommand { status, ..Net::join_command(None) }
}

/// Joins and goes on exactly to the moment at which the host commits it.
fn join_as(net: &mut Net, host: (usize, SeatId, SessionKey), node: usize, status: MemberStatus) -> RequestId {
    let to = net.resolved(host.2);
    let request = net.ask_join_with(node, as_status(status), to);
    let account = net.account(node);
    while net.view(host.0, host.1).member(account).is_none() {
        net.run(MS);
    }
    request
}

fn member(net: &Net, host: (usize, SeatId, SessionKey), node: usize) -> Option<&Member> {
    net.view(host.0, host.1).member(net.account(node))
}

fn status(net: &Net, host: (usize, SeatId, SessionKey), node: usize) -> Option<MemberStatus> {
    member(net, host, node).map(|member| member.status)
}

fn set_status(net: &mut Net, node: usize, seat: SeatId, status: MemberStatus) -> RequestId {
    net.command(node, |request| Command::SetStatus { request, seat, status })
}

/// A host with these timeouts, and the node of a member.
fn hosted(net: &mut Net, timeouts: MemberTimeouts) -> ((usize, SeatId, SessionKey), usize) {
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, room(4).timeouts(timeouts));
    ((a, seat, key), b)
}

#[test]
fn a_reserved_seat_is_free_at_its_exact_moment() {
    let mut net = Net::new(1);
    let (host, b) = hosted(&mut net, never().reserved(Some(7 * SECOND)));
    let request = join_as(&mut net, host, b, MemberStatus::Reserved);
    net.run(7 * SECOND - MICRO);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Reserved));
    net.run(MICRO);
    assert_eq!(status(&net, host, b), None);
    let last = net.seat(host.0, host.1).events.last().cloned();
    assert!(matches!(last, Some(SessionEvent::MemberLeft { why: Left::Expired, .. })), "{last:?}");
    net.settle();
    let seat = net.seat_of(b, request);
    assert_eq!(net.seat(b, seat).left, Some(Left::Expired));
}

#[test]
fn registering_ends_the_wait_and_a_second_time_is_a_success() {
    let mut net = Net::new(2);
    let (host, b) = hosted(&mut net, never().reserved(Some(7 * SECOND)));
    let request = join_as(&mut net, host, b, MemberStatus::Reserved);
    net.run(6 * SECOND);
    let seat = net.seat_of(b, request);
    let first = net.command(b, |request| Command::Register { request, seat });
    net.settle();
    let revision = net.view(host.0, host.1).revision;
    let again = net.command(b, |request| Command::Register { request, seat });
    let here = net.command(host.0, |request| Command::Register { request, seat: host.1 });
    net.run(30 * SECOND);
    for (node, request) in [(b, first), (b, again), (host.0, here)] {
        assert!(matches!(net.answer(node, request), Ok(Answer::Revision(at)) if at == revision));
    }
    assert_eq!(status(&net, host, b), Some(MemberStatus::Active));
}

#[test]
fn ready_becomes_inactive_and_inactive_goes_each_at_its_exact_moment() {
    let mut net = Net::new(3);
    let timeouts = never().ready(Some(180 * SECOND)).inactive(Some(20 * SECOND));
    let (host, b) = hosted(&mut net, timeouts);
    join_as(&mut net, host, b, MemberStatus::Ready);
    net.run(180 * SECOND - MICRO);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Ready));
    net.run(MICRO);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Inactive));
    net.run(20 * SECOND - MICRO);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Inactive));
    net.run(MICRO);
    assert_eq!(status(&net, host, b), None);
}

#[test]
fn a_change_of_state_cancels_the_former_ones_deadline() {
    let mut net = Net::new(4);
    let (host, b) = hosted(&mut net, never().ready(Some(10 * SECOND)).inactive(Some(10 * SECOND)));
    let request = join_as(&mut net, host, b, MemberStatus::Ready);
    net.run(9 * SECOND);
    let seat = net.seat_of(b, request);
    set_status(&mut net, b, seat, MemberStatus::Inactive);
    net.run(9 * SECOND);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Inactive));
    set_status(&mut net, b, seat, MemberStatus::Active);
    net.run(60 * SECOND);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Active));
    let back = set_status(&mut net, b, seat, MemberStatus::Reserved);
    let error = net.answer(b, back).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
}

#[test]
fn no_time_at_all_is_at_once_and_none_is_never() {
    let mut net = Net::new(5);
    let zero = Some(Duration::ZERO);
    let (host, b) = hosted(&mut net, MemberTimeouts::new().reserved(zero).ready(zero).inactive(zero));
    let to = net.resolved(host.2);
    net.ask_join_with(b, as_status(MemberStatus::Ready), to);
    net.settle();
    let names = names(&net.seat(host.0, host.1).events);
    assert_eq!(names[names.len() - 3..], ["member joined", "member updated", "member left"]);

    let (host, b) = hosted(&mut net, never());
    for status_now in [MemberStatus::Reserved, MemberStatus::Ready, MemberStatus::Inactive] {
        let node = if status_now == MemberStatus::Reserved { b } else { net.node() };
        join_as(&mut net, host, node, status_now);
        net.run(Duration::from_secs(4_000));
        assert_eq!(status(&net, host, node), Some(status_now));
    }
}

#[test]
fn other_timeouts_count_from_their_change_on() {
    let mut net = Net::new(6);
    let (host, b) = hosted(&mut net, never().inactive(Some(10 * SECOND)));
    join_as(&mut net, host, b, MemberStatus::Inactive);
    net.run(9 * SECOND);
    net.update(host.0, host.1, SettingsUpdate::new().timeouts(never().inactive(Some(30 * SECOND))), None);
    net.run(30 * SECOND - MICRO);
    assert_eq!(status(&net, host, b), Some(MemberStatus::Inactive));
    net.run(MICRO);
    assert_eq!(status(&net, host, b), None);
}

#[test]
fn an_away_reserved_seat_keeps_its_deadline_and_gets_no_grace() {
    let mut net = Net::new(7);
    let (host, b) = hosted(&mut net, never().reserved(Some(10 * SECOND)));
    join_as(&mut net, host, b, MemberStatus::Reserved);
    net.run(4 * SECOND);
    net.nodes[b].alive = false;
    net.cut_links(b);
    net.run(6 * SECOND - MICRO);
    assert_eq!(member(&net, host, b).map(|member| member.link), Some(LinkState::Away));
    net.run(MICRO);
    assert_eq!(status(&net, host, b), None);
}

#[test]
fn a_process_that_slept_puts_no_promise_off() {
    let mut net = Net::new(8);
    let (host, b) = hosted(&mut net, never().inactive(Some(10 * SECOND)));
    join_as(&mut net, host, b, MemberStatus::Inactive);
    net.run(2 * SECOND);
    // Nothing runs for 20 s; then the member's link is excused, its state is over.
    net.now = net.now + 20 * SECOND;
    let now = net.now;
    net.nodes[host.0].sessions.handle_timeout(now);
    net.drain();
    assert_eq!(status(&net, host, b), None);
}

#[test]
fn a_deadline_comes_before_a_word_of_the_same_moment() {
    let mut net = Net::new(9);
    let (host, b) = hosted(&mut net, never().reserved(Some(10 * SECOND)));
    let request = join_as(&mut net, host, b, MemberStatus::Reserved);
    net.run(10 * SECOND - MS);
    let seat = net.seat_of(b, request);
    // On its way for 1 ms, it arrives at the very moment at which the seat is free.
    let register = net.command(b, |request| Command::Register { request, seat });
    net.settle();
    assert_eq!(status(&net, host, b), None);
    assert_eq!(net.answer(b, register).unwrap_err().kind(), ErrorKind::Ended);
}

#[test]
fn an_empty_session_of_a_dedicated_host_ends_at_its_exact_moment() {
    let mut net = Net::new(10);
    let (a, b) = (net.node(), net.node());
    let timeouts = never().empty(Some(60 * SECOND));
    let what = HostRequest::new(room(4).timeouts(timeouts)).dedicated(true);
    let opened = net.now;
    let (seat, key) = net.host(a, what);
    let member = net.join(b, key);
    net.run(100 * SECOND);
    assert_eq!(net.seat(a, seat).left, None);
    net.leave(b, member);
    while !net.view(a, seat).members.is_empty() {
        net.run(MS);
    }
    net.run(60 * SECOND - MICRO);
    assert_eq!(net.seat(a, seat).left, None);
    assert!(net.nodes[a].adverts.contains_key(&key));
    net.run(MICRO);
    assert_eq!(net.seat(a, seat).left, Some(Left::Destroyed));
    assert!(net.nodes[a].adverts.is_empty(), "said goodbye");
    assert!(net.nodes[a].sessions.is_idle() && net.now > opened);

    // One to which nobody comes, and one whose members may not leave it empty for a moment.
    let c = net.node();
    let (seat, _) = net.host(c, HostRequest::new(room(4).timeouts(timeouts)).dedicated(true));
    net.run(61 * SECOND);
    assert_eq!(net.seat(c, seat).left, Some(Left::Destroyed));
    let (seat, key) =
        net.host(c, HostRequest::new(room(4).timeouts(never().empty(Some(Duration::ZERO)))).dedicated(true));
    net.run(61 * SECOND);
    assert_eq!(net.seat(c, seat).left, None);
    let member = net.join(b, key);
    net.leave(b, member);
    net.settle();
    assert_eq!(net.seat(c, seat).left, Some(Left::Destroyed));
}

#[test]
fn the_hosts_own_seat_becomes_inactive_and_stays() {
    let mut net = Net::new(11);
    let timeouts = never().ready(Some(5 * SECOND)).inactive(Some(5 * SECOND));
    let (host, _) = hosted(&mut net, timeouts);
    set_status(&mut net, host.0, host.1, MemberStatus::Ready);
    net.run(5 * SECOND - MICRO);
    assert_eq!(status(&net, host, host.0), Some(MemberStatus::Ready));
    net.run(MICRO);
    assert_eq!(status(&net, host, host.0), Some(MemberStatus::Inactive));
    net.run(60 * SECOND);
    assert_eq!(status(&net, host, host.0), Some(MemberStatus::Inactive));
}

#[test]
fn a_session_that_waits_for_its_first_member_may_be_changed_meanwhile() {
    let mut net = Net::new(20);
    let (a, b) = (net.node(), net.node());
    let zero = Some(Duration::ZERO);
    let (seat, key) = net.host(a, HostRequest::new(room(4).timeouts(never().empty(zero))).dedicated(true));
    net.update(a, seat, SettingsUpdate::new().name("soon"), None);
    net.update(a, seat, SettingsUpdate::new().timeouts(never().ready(Some(SECOND)).empty(zero)), None);
    net.run(61 * SECOND);
    assert_eq!(net.seat(a, seat).left, None);
    let member = net.join(b, key);
    net.leave(b, member);
    net.settle();
    assert_eq!(net.seat(a, seat).left, Some(Left::Destroyed));
}

/// Found by the simulator (mixed, seed 0x61c2c). Fails when a dedicated host's user may set the state of a seat that is
/// reserved for it: an active seat of nobody, that no time ends.
#[test]
fn a_reserved_seat_becomes_active_by_a_join_alone_even_that_of_a_dedicated_hosts_user() {
    let mut net = Net::new(31);
    let a = net.node();
    let (seat, _) = net.host(a, HostRequest::new(room(4)).dedicated(true));
    let own = net.account(a);
    let what = Box::new(crate::types::ReserveRequest::from([own]));
    let reserved = net.command(a, |request| Command::Reserve { request, seat, what });
    net.settle();
    net.answer(a, reserved).unwrap();
    let active = net.command(a, |request| Command::SetStatus { request, seat, status: MemberStatus::Active });
    net.settle();
    assert_eq!(net.answer(a, active).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(net.view(a, seat).members[0].status, MemberStatus::Reserved);
}
