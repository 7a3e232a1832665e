//! Where users are, on the virtual LAN: presence for friends and silence for everybody else, invites on their way.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Fault, Nic, Traffic, VirtualLan};
use lansession::{
    AccountId, ErrorKind, Events, Found, HostRequest, Identity, InviteId, InviteRequest, InviteState, InvitesFrom,
    JoinPolicy, JoinRequest, Profile, Refusal, Session, SessionEvent, SessionQuery, SessionSettings, UiTarget, User,
    UserEvent,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn room(name: &str) -> SessionSettings {
    SessionSettings::new(name).max_members(8)
}

fn host(user: &User, settings: SessionSettings) -> Session {
    let local_name = format!("session {}", user.sessions().len());
    user.host(HostRequest::from(settings).local_name(local_name)).wait(2 * SECOND).unwrap()
}

fn of(account: AccountId) -> SessionQuery {
    SessionQuery::new().accounts([account])
}

fn find(user: &User, query: SessionQuery) -> Vec<Found> {
    user.find(query).wait(3 * SECOND).unwrap()
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(Found::name).collect()
}

fn states(events: &mut Events<SessionEvent>) -> Vec<InviteState> {
    std::iter::from_fn(|| events.try_next())
        .filter_map(|event| if let SessionEvent::InviteUpdated { state, .. } = event { Some(state) } else { None })
        .collect()
}

fn drain(events: &mut Events<UserEvent>) -> Vec<UserEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn nobody(seed: u8) -> AccountId {
    Identity::from_seed([seed; 32]).unwrap().account()
}

/// Invites, and gives the id.
fn invite(session: &Session, whom: impl Into<InviteRequest>) -> InviteId {
    session.invite(whom).wait(SECOND).unwrap()[0]
}

#[test]
fn a_friend_sees_the_presence_session_and_joins_through_it() {
    let net = VirtualLan::new(1);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    let game = host(&ada, room("game"));
    let other = host(&ada, room("other"));
    ada.set_friends([bob.id()]).unwrap();
    // Off by default.
    assert!(ada.presence().is_none() && !game.is_presence());
    assert!(find(&bob, of(ada.id())).is_empty());

    ada.set_presence(Some(&game)).unwrap();
    assert!(game.is_presence() && !other.is_presence());
    assert_eq!(ada.presence().unwrap().id(), game.id());
    let before = net.now();
    let found = find(&bob, of(ada.id()));
    assert!(net.now() - before < ms(100), "it took {:?}", net.now() - before);
    assert_eq!(names(&found), ["game"]);
    assert_eq!(found[0].matched().unwrap().account, ada.id());
    let seat = bob.join(&found[0]).wait(2 * SECOND).unwrap();
    assert_eq!(seat.id(), game.id());

    // One at a time.
    ada.set_presence(Some(&other)).unwrap();
    assert!(other.is_presence() && !game.is_presence());
    assert_eq!(names(&find(&bob, of(ada.id()))), ["other"]);
    // It ends with the session.
    other.destroy().wait(SECOND).unwrap();
    assert!(ada.presence().is_none() && !other.is_presence());
    assert!(find(&bob, of(ada.id())).is_empty());
    assert_eq!(ada.set_presence(Some(&other)).unwrap_err().kind(), ErrorKind::Ended);
    assert_eq!(ada.set_presence(Some(&seat)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    // Cleared.
    ada.set_presence(Some(&game)).unwrap();
    ada.set_presence(None).unwrap();
    assert!(find(&bob, of(ada.id())).is_empty());
}

#[test]
fn a_member_is_found_where_it_plays_and_a_hidden_session_that_it_shows_too() {
    let net = VirtualLan::new(2);
    let (ada, bob, cid) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"), user(&net, "cid", "Cid"));
    let game = host(&ada, room("game"));
    let seat = bob.join(game.link()).wait(2 * SECOND).unwrap();
    bob.set_friends([cid.id()]).unwrap();
    bob.set_presence(Some(&seat)).unwrap();
    let found = find(&cid, of(bob.id()));
    assert_eq!(names(&found), ["game"]);
    let joined = cid.join(&found[0]).wait(2 * SECOND).unwrap();
    assert_eq!(joined.id(), game.id());

    let hidden = host(&bob, room("hidden").listed(false));
    assert_eq!(names(&find(&cid, of(bob.id()))), ["game"], "what is not shown is not told");
    bob.set_presence(Some(&hidden)).unwrap();
    let found = find(&cid, of(bob.id()));
    assert_eq!(names(&found), ["hidden"]);
    assert_eq!(found[0].visibility(), lansession::SessionVisibility::Private);
}

#[test]
fn a_friend_in_the_same_process_finds_a_hidden_session_that_is_shown_too() {
    let net = VirtualLan::new(4);
    let lan = net.lan("one", GAME).start().unwrap();
    let [ada, bob, cid] = ["Ada", "Bob", "Cid"].map(|name| lan.sign_in(name).unwrap());
    let hidden = host(&ada, room("hidden").listed(false));
    ada.set_friends([bob.id()]).unwrap();
    assert!(find(&bob, of(ada.id())).is_empty());
    ada.set_presence(Some(&hidden)).unwrap();
    assert_eq!(names(&find(&bob, of(ada.id()))), ["hidden"]);
    assert!(find(&cid, of(ada.id())).is_empty(), "no friend of hers");
}

#[test]
fn a_session_can_be_the_presence_session_from_its_first_moment() {
    let net = VirtualLan::new(3);
    let (ada, bob, cid) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"), user(&net, "cid", "Cid"));
    ada.set_friends([cid.id()]).unwrap();
    bob.set_friends([cid.id()]).unwrap();
    let game = ada.host(HostRequest::from(room("game")).presence(true)).wait(2 * SECOND).unwrap();
    assert!(game.is_presence());
    let seat = bob.join(JoinRequest::from(game.link()).presence(true)).wait(2 * SECOND).unwrap();
    assert!(seat.is_presence());
    for friend in [&ada, &bob] {
        assert_eq!(names(&find(&cid, of(friend.id()))), ["game"]);
    }
    let other = ada.host(HostRequest::from(room("other")).local_name("other")).wait(2 * SECOND).unwrap();
    assert!(!other.is_presence() && game.is_presence());
}

/// What one query costs on the wire, and how long it takes; `present` has the account that is asked for on the LAN.
fn query_of_a_stranger(present: bool) -> (Traffic, Duration, usize, Vec<String>) {
    let net = VirtualLan::new(3);
    let friend = nobody(9);
    let ada = net.lan("ada", GAME).start().unwrap();
    let identity = |seed| Identity::from_seed([seed; 32]).unwrap();
    let ada = ada.sign_in(Profile::new("Ada").identity(identity(if present { 1 } else { 2 }))).unwrap();
    let game = host(&ada, room("game"));
    ada.set_friends([friend]).unwrap();
    ada.set_presence(Some(&game)).unwrap();
    ada.receive_invites(InvitesFrom::Friends).unwrap();
    let stranger = user(&net, "eve", "Eve");
    net.advance(5 * SECOND);
    let before = net.now();
    let found = find(&stranger, of(nobody(1)));
    let took = net.now() - before;
    net.advance(5 * SECOND);
    // Who sent what to whom when; the bytes are sealed under another key, so they differ.
    let lines = net.transcript().lines().filter(|line| line.contains("dials")).map(str::to_owned).collect();
    (net.traffic(), took, found.len(), lines)
}

#[test]
fn a_strangers_query_looks_the_same_as_for_an_account_that_does_not_exist() {
    let (present, absent) = (query_of_a_stranger(true), query_of_a_stranger(false));
    assert_eq!(present.2, 0);
    assert_eq!(present.1, absent.1, "the same time");
    assert_eq!(present.3, Vec::<String>::new(), "nobody dials");
    assert_eq!(present.0, absent.0, "the same packets");
    assert_eq!(present, absent);
}

#[test]
fn nothing_set_is_no_socket_and_no_packet() {
    let net = VirtualLan::new(4);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    ada.set_friends([bob.id()]).unwrap();
    net.advance(5 * SECOND);
    assert_eq!(net.traffic().datagrams, 0);
    ada.receive_invites(InvitesFrom::Friends).unwrap();
    net.advance(5 * SECOND);
    assert_eq!(net.traffic().datagrams, 0, "who waits says nothing");
    ada.receive_invites(InvitesFrom::Nobody).unwrap();
    net.advance(SECOND);
    assert!(find(&bob, of(ada.id())).is_empty());
    assert_eq!(net.traffic().frames, 0);
}

#[test]
fn ones_own_sessions_on_another_machine_are_found_private_ones_too() {
    let net = VirtualLan::new(5);
    let identity = Identity::from_seed([7; 32]).unwrap();
    let sign_in =
        |node| net.lan(node, GAME).start().unwrap().sign_in(Profile::new("Ada").identity(identity.clone())).unwrap();
    let (desk, couch) = (sign_in("desk"), sign_in("couch"));
    let _open = host(&desk, room("open"));
    let _hidden = host(&desk, room("hidden").listed(false));
    assert_eq!(names(&find(&couch, of(couch.id()))), ["open"]);
    let all = find(&couch, of(couch.id()).private(true));
    let mut all = names(&all);
    all.sort_unstable();
    assert_eq!(all, ["hidden", "open"]);
    // Another account that asks for them is told nothing.
    let eve = user(&net, "eve", "Eve");
    assert!(find(&eve, of(couch.id())).is_empty());
}

#[test]
fn an_invite_is_delivered_at_once_accepted_and_told() {
    let net = VirtualLan::new(6);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    bob.set_friends([ada.id()]).unwrap();
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let game = host(&ada, room("game").policy(JoinPolicy::InviteOnly));
    net.advance(SECOND);
    let (mut at_ada, mut at_bob) = (game.events(), bob.events());
    let _ = states(&mut at_ada);
    let before = net.now();
    let id = invite(&game, bob.id());
    net.run_until(SECOND, || !bob.invites().is_empty()).unwrap();
    assert!(net.now() - before < ms(100), "it took {:?}", net.now() - before);
    net.advance(ms(100));
    assert_eq!(states(&mut at_ada), [InviteState::Delivered]);
    let [UserEvent::InviteReceived(held)] = &drain(&mut at_bob)[..] else { panic!("one event") };
    assert_eq!((held.id, held.inviter, &*held.inviter_name, &*held.name), (id, ada.id(), "Ada", "game"));
    assert_eq!((held.invitee, held.session), (bob.id(), game.key()));
    assert_eq!(bob.invites(), std::slice::from_ref(held));
    assert_eq!(bob.invite(id).as_ref(), Some(held));

    bob.accept(id).unwrap();
    let asked = at_bob.wait(SECOND);
    let Some(UserEvent::UiJoinRequested { target, .. }) = asked else { panic!("{asked:?}") };
    assert!(matches!(&target, UiTarget::Invite(invite) if invite.id == id));
    let seat = bob.join(target).wait(2 * SECOND).unwrap();
    assert_eq!(seat.id(), game.id());
    net.advance(ms(100));
    assert_eq!(states(&mut at_ada), [InviteState::Accepted]);
    let ended = drain(&mut at_bob);
    assert!(
        matches!(&ended[..], [UserEvent::InviteEnded { id: which, state: InviteState::Accepted, .. }] if *which == id),
        "{ended:?}"
    );
    assert!(bob.invites().is_empty());
    assert_eq!(bob.accept(id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_invite_of_a_member_is_delivered_by_its_own_machine_and_rejected() {
    let net = VirtualLan::new(7);
    let (ada, bob, cid) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"), user(&net, "cid", "Cid"));
    let game = host(&ada, room("game"));
    let seat = bob.join(game.link()).wait(2 * SECOND).unwrap();
    cid.set_friends([bob.id()]).unwrap();
    cid.receive_invites(InvitesFrom::Friends).unwrap();
    net.advance(SECOND);
    let (mut at_bob, mut at_cid) = (seat.events(), cid.events());
    let id = invite(&seat, cid.id());
    net.run_until(SECOND, || cid.invite(id).is_some()).unwrap();
    net.advance(ms(100));
    assert_eq!(states(&mut at_bob), [InviteState::Delivered]);
    cid.reject(id).wait(2 * SECOND).unwrap();
    net.advance(ms(100));
    assert_eq!(states(&mut at_bob), [InviteState::Rejected]);
    let events = drain(&mut at_cid);
    assert!(matches!(&events[1..], [UserEvent::InviteEnded { state: InviteState::Rejected, .. }]), "{events:?}");
    assert!(cid.invites().is_empty());
    assert_eq!(cid.reject(id).wait(SECOND).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_absent_invitee_is_unreachable_within_the_deadline_and_so_is_one_that_takes_none() {
    let net = VirtualLan::new(8);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    // Ada is no friend of Bob's.
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let game = host(&ada, room("game"));
    net.advance(SECOND);
    for whom in [nobody(9), bob.id()] {
        let mut events = game.events();
        invite(&game, whom);
        net.advance(ms(2_900));
        assert_eq!(states(&mut events), []);
        net.advance(ms(200));
        assert_eq!(states(&mut events), [InviteState::Unreachable]);
    }
    assert!(bob.invites().is_empty());
    // Anyone may, if the user says so; a member of a session one is in may anyway.
    bob.receive_invites(InvitesFrom::Anyone).unwrap();
    let id = invite(&game, bob.id());
    net.run_until(SECOND, || bob.invite(id).is_some()).unwrap();
}

#[test]
fn co_members_may_invite() {
    let net = VirtualLan::new(9);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let lobby = host(&ada, room("lobby"));
    let _seat = bob.join(lobby.link()).wait(2 * SECOND).unwrap();
    let game = host(&ada, room("game").policy(JoinPolicy::InviteOnly));
    let id = invite(&game, bob.id());
    net.run_until(SECOND, || bob.invite(id).is_some()).unwrap();
}

#[test]
fn a_user_of_the_same_process_and_one_of_the_same_machine_are_reached() {
    let net = VirtualLan::new(10);
    let lan = net.lan("pc", GAME).start().unwrap();
    let (ada, ann) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Ann").unwrap());
    let bob = user(&net, "pc", "Bob");
    for user in [&ann, &bob] {
        user.set_friends([ada.id()]).unwrap();
        user.receive_invites(InvitesFrom::Friends).unwrap();
    }
    let game = host(&ada, room("game"));
    net.advance(2 * SECOND);
    let mut events = game.events();
    let before = net.traffic().datagrams;
    let ids = game.invite([ann.id()]).wait(SECOND).unwrap();
    net.run_until(SECOND, || ann.invite(ids[0]).is_some()).unwrap();
    assert_eq!(net.traffic().datagrams, before, "within a process nothing is sent");
    let id = invite(&game, bob.id());
    net.run_until(SECOND, || bob.invite(id).is_some()).unwrap();
    net.advance(ms(10));
    assert_eq!(states(&mut events), [InviteState::Delivered; 2]);
}

#[test]
fn an_inbox_is_bounded_and_expires() {
    let net = VirtualLan::new(11);
    let bob = user(&net, "bob", "Bob");
    bob.receive_invites(InvitesFrom::Anyone).unwrap();
    let mut games = Vec::new();
    for number in 0..6 {
        let ada = user(&net, &format!("ada {number}"), "Ada");
        games.push(host(&ada, room("game")));
    }
    net.advance(SECOND);
    let mut events = bob.events();
    let ids: Vec<InviteId> = games
        .iter()
        .map(|game| {
            let id = invite(game, InviteRequest::from(bob.id()).ttl(20 * SECOND));
            net.run_until(SECOND, || bob.invite(id).is_some()).unwrap();
            id
        })
        .collect();
    // Strangers have four places.
    assert_eq!(bob.invites().iter().map(|invite| invite.id).collect::<Vec<_>>(), ids[2..]);
    let ended = |events: &mut Events<UserEvent>, wanted: InviteState| {
        drain(events)
            .iter()
            .filter(|event| matches!(event, UserEvent::InviteEnded { state, .. } if *state == wanted))
            .count()
    };
    assert_eq!(ended(&mut events, InviteState::Revoked), 2);
    net.advance(21 * SECOND);
    assert!(bob.invites().is_empty());
    assert_eq!(ended(&mut events, InviteState::Expired), 4);
}

#[test]
fn one_sender_has_six_invites_a_minute() {
    let net = VirtualLan::new(12);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    bob.set_friends([ada.id()]).unwrap();
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let games: Vec<Session> = (0..9).map(|_| host(&ada, room("game"))).collect();
    net.advance(SECOND);
    for game in &games {
        invite(game, bob.id());
        net.advance(ms(1_000));
    }
    net.advance(4 * SECOND);
    assert_eq!(bob.invites().len(), 6);
}

#[test]
fn invites_and_presence_stand_a_lossy_network() {
    for seed in 20..30 {
        let net = VirtualLan::new(seed);
        let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
        bob.set_friends([ada.id()]).unwrap();
        bob.receive_invites(InvitesFrom::Friends).unwrap();
        let game = host(&ada, room("game"));
        net.advance(SECOND);
        let _bad = net.fault(Fault::loss(0.2));
        let id = invite(&game, bob.id());
        net.run_until(3 * SECOND, || bob.invite(id).is_some()).unwrap();
    }
}

#[test]
fn what_is_taken_back_is_not_delivered_any_more() {
    let net = VirtualLan::new(15);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    let game = host(&ada, room("game"));
    let seat = bob.join(game.link()).wait(2 * SECOND).unwrap();
    let cid = user(&net, "cid", "Cid");
    net.advance(SECOND);
    for session in [&game, &seat] {
        cid.receive_invites(InvitesFrom::Nobody).unwrap();
        let mut events = session.events();
        let _ = states(&mut events);
        let id = invite(session, cid.id());
        net.advance(ms(200));
        session.revoke(id).wait(SECOND).unwrap();
        net.advance(ms(100));
        // From now on the invitee could be found.
        cid.receive_invites(InvitesFrom::Anyone).unwrap();
        net.advance(4 * SECOND);
        assert!(cid.invites().is_empty());
        assert_eq!(states(&mut events), [InviteState::Revoked]);
    }
}

#[test]
fn an_inbox_forgets_what_was_taken_back_at_once_here_and_when_it_joins_elsewhere() {
    let net = VirtualLan::new(16);
    let lan = net.lan("pc", GAME).start().unwrap();
    let (ada, ann) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Ann").unwrap());
    let bob = user(&net, "bob", "Bob");
    let game = host(&ada, room("game").policy(JoinPolicy::InviteOnly));
    for user in [&ann, &bob] {
        user.receive_invites(InvitesFrom::Anyone).unwrap();
    }
    net.advance(SECOND);
    let ids = game.invite([ann.id(), bob.id()]).wait(SECOND).unwrap();
    net.run_until(SECOND, || bob.invite(ids[1]).is_some() && ann.invite(ids[0]).is_some()).unwrap();
    let (mut at_ann, mut at_bob) = (ann.events(), bob.events());
    for id in &ids {
        game.revoke(*id).wait(SECOND).unwrap();
    }
    net.advance(ms(10));
    assert!(ann.invites().is_empty());
    let over = |event: &UserEvent| matches!(event, UserEvent::InviteEnded { state: InviteState::Revoked, .. });
    assert!(drain(&mut at_ann).iter().any(over));
    // Nobody tells another machine; the host does when it comes.
    let held = bob.invite(ids[1]).unwrap();
    let refused = bob.join(&held).wait(2 * SECOND).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::NotInvited));
    assert!(bob.invites().is_empty());
    net.advance(ms(10));
    assert!(drain(&mut at_bob).iter().any(over));
}

#[test]
fn friends_in_a_vpn_find_and_invite_each_other_where_both_name_the_other() {
    let net = VirtualLan::new(17);
    for (node, address) in [("ada", "10.8.0.1/24"), ("bob", "10.8.0.2/24")] {
        let home = Nic::new("eth0", node).address(if node == "ada" { "192.168.1.5/24" } else { "192.168.7.5/24" });
        let tunnel = Nic::new("tun0", "vpn").address(address).point_to_point(true);
        net.set_interfaces(node, [home, tunnel]).unwrap();
    }
    let lan = |node, target: &str| net.lan(node, GAME).targets([target.parse().unwrap()]).start().unwrap();
    let ada = lan("ada", "10.8.0.2:0").sign_in("Ada").unwrap();
    let bob = lan("bob", "10.8.0.1:0").sign_in("Bob").unwrap();
    let game = host(&ada, room("game"));
    ada.set_friends([bob.id()]).unwrap();
    bob.set_friends([ada.id()]).unwrap();
    ada.set_presence(Some(&game)).unwrap();
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let found = find(&bob, of(ada.id()));
    assert_eq!(names(&found), ["game"]);
    let id = invite(&game, bob.id());
    net.run_until(SECOND, || bob.invite(id).is_some()).unwrap();
    let seat = bob.join(bob.invite(id).unwrap()).wait(2 * SECOND).unwrap();
    assert_eq!(seat.id(), game.id());
}
