//! The room alone, by hand: what a friend gets, and what everybody else does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::answer::{Brought, Reaction};
use super::*;
use crate::proto::io::{Interface, Transmit};
use crate::proto::lan::{Net, Nonces};
use crate::types::HostKey;
use crate::wire::datagram::Locate;
use crate::wire::frame::{HEADER, MAX_SOCIAL, header};

const GAME: GameTag = GameTag(*b"gametag!");
const UNIX_MS: u64 = 1_700_000_000_000;
const UNIX_S: u64 = UNIX_MS / 1_000;

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

fn account(seed: u8) -> AccountId {
    identity(seed).account()
}

fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1_000)
}

/// A room with a user, on `10.0.0.<host>/24` and loopback.
struct Side {
    social: Social,
    net: Net,
    nonces: Nonces,
    dice: Dice,
    out: VecDeque<Transmit>,
    tuning: Arc<Tuning>,
    game: GameTag,
}

impl Side {
    fn new(host: u8, user: u8) -> Self {
        let tuning = Arc::new(Tuning::default());
        let mut net = Net::new(29_417);
        let interface = |index, address: IpAddr, loopback| Interface {
            index,
            name: format!("if{index}"),
            address,
            prefix: if loopback { 8 } else { 24 },
            broadcast: (!loopback).then(|| [10, 0, 0, 255].into()),
            loopback,
            point_to_point: false,
            wireless: false,
            port: 4_000,
            deaf: None,
        };
        net.set(&[interface(1, [127, 0, 0, 1].into(), true), interface(2, [10, 0, 0, host].into(), false)]);
        let mut social = Social::new(GAME, Arc::clone(&tuning), [host; 32], UNIX_MS, Vec::new());
        social.sign_in(&LocalUser { identity: identity(user), name: "u".into(), external: None });
        let (nonces, dice, out) = (Nonces::default(), Dice::new([host; 32]), VecDeque::new());
        Self { social, net, nonces, dice, out, tuning, game: GAME }
    }

    fn with<R>(&mut self, now: Moment, act: impl FnOnce(&mut Social, &mut Cx<'_>) -> R) -> R {
        let Self { social, net, nonces, dice, out, tuning, game } = self;
        act(social, &mut Cx { now, net, nonces, dice, out, tuning, game: *game, beacons: true })
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.social.poll_action()).collect()
    }

    fn dials(&mut self) -> Vec<(LinkId, SocketAddr)> {
        let dial = |action| if let Action::Dial { link, to, .. } = action { Some((link, to)) } else { None };
        self.actions().into_iter().filter_map(dial).collect()
    }

    fn hears(&mut self, now: Moment, bytes: &[u8]) -> Option<Asked> {
        self.hears_as(now, &arrival(2, "10.0.0.1:4000", bytes))
    }

    fn hears_as(&mut self, now: Moment, arrival: &Arrival) -> Option<Asked> {
        let accounts: Vec<AccountId> = self.social.users.keys().copied().collect();
        self.with(now, |social, cx| social.handle_locate(cx, arrival, &accounts))
    }

    fn events(&mut self) -> Vec<SocialEvent> {
        std::iter::from_fn(|| self.social.poll_event()).collect()
    }
}

fn arrival(interface: u32, from: &str, bytes: &[u8]) -> Arrival {
    let local = IpAddr::from([0, 0, 0, 0]);
    Arrival { interface, local, from: from.parse().unwrap(), shared: true, bytes: bytes.to_vec() }
}

fn locate(purpose: LocatePurpose) -> Locate {
    Locate {
        asker: account(1),
        listener: identity(77).public().into(),
        reply_to: "10.0.0.1:5000".parse().unwrap(),
        at: UNIX_S,
        purpose,
    }
}

fn sealed(locate: &Locate, salt: u8) -> Vec<u8> {
    locate.encode(GAME, &identity(1), account(2), [salt; 16]).unwrap()
}

fn row() -> Reaction {
    Reaction::Rows(Vec::new())
}

#[test]
fn what_is_right_is_asked_once() {
    let mut bob = Side::new(2, 2);
    let bytes = sealed(&locate(LocatePurpose::Presence), 1);
    let asked = bob.hears(at(0), &bytes).unwrap();
    assert_eq!((asked.user, asked.asker, asked.purpose), (account(2), account(1), LocatePurpose::Presence));
    assert!(bob.hears(at(60), &bytes).is_none(), "its copies are not");
    bob.social.react(at(60), asked, row());
    let [(_, to)] = bob.dials()[..] else { panic!("no dial") };
    assert_eq!(to, "10.0.0.1:5000".parse().unwrap());
}

#[test]
fn everything_else_is_silence() {
    let mut bob = Side::new(2, 2);
    let good = locate(LocatePurpose::Presence);
    // For another account, another game, by another signer.
    assert!(bob.hears(at(0), &good.encode(GAME, &identity(1), account(3), [1; 16]).unwrap()).is_none());
    let foreign = good.encode(GameTag(*b"another!"), &identity(1), account(2), [1; 16]).unwrap();
    assert!(bob.hears(at(0), &foreign).is_none());
    let mut relabelled = foreign;
    relabelled[8..16].copy_from_slice(&GAME.0);
    assert!(bob.hears(at(0), &relabelled).is_none());
    assert!(bob.hears(at(0), &good.encode(GAME, &identity(9), account(2), [2; 16]).unwrap()).is_none(), "forged");
    // Clocks.
    for (seconds, heard) in [(600, true), (601, false)] {
        for at_s in [UNIX_S - seconds, UNIX_S + seconds] {
            let salt = (seconds % 251) as u8 ^ (at_s % 13) as u8;
            let bytes = sealed(&Locate { at: at_s, ..good.clone() }, salt);
            assert_eq!(bob.hears(at(0), &bytes).is_some(), heard, "{seconds}");
        }
    }
    // Return addresses: off the link, this machine's own loopback, a broadcast, no port.
    let bad = ["10.0.1.1:5000", "8.8.8.8:53", "127.0.0.1:22", "10.0.0.255:5000", "10.0.0.1:0", "[fd00::1]:5000"];
    for (salt, address) in bad.into_iter().enumerate() {
        let bytes = sealed(&Locate { reply_to: address.parse().unwrap(), ..good.clone() }, 100 + salt as u8);
        assert!(bob.hears(at(0), &bytes).is_none(), "{address}");
    }
    // From beyond the link, or not to the shared port.
    let bytes = sealed(&good, 200);
    assert!(bob.hears_as(at(0), &arrival(2, "8.8.8.8:4000", &bytes)).is_none());
    assert!(bob.hears_as(at(0), &Arrival { shared: false, ..arrival(2, "10.0.0.1:4000", &bytes) }).is_none());
    // Nobody takes part.
    assert!(
        bob.with(at(0), |social, cx| social.handle_locate(cx, &arrival(2, "10.0.0.1:4000", &bytes), &[])).is_none()
    );
    assert!(bob.hears(at(0), &bytes).is_some(), "nothing of this was remembered");
    assert!(bob.actions().is_empty() && bob.out.is_empty());
}

#[test]
fn a_recording_is_not_answered_again_even_where_salts_were_forgotten() {
    let mut bob = Side::new(2, 2);
    let first = sealed(&locate(LocatePurpose::Presence), 1);
    let asked = bob.hears(at(0), &first).unwrap();
    bob.social.react(at(0), asked.clone(), row());
    assert_eq!(bob.dials().len(), 1);
    // Its copy was forgotten by the short memory; the long one still has it.
    bob.social.answers = {
        let mut answers = std::mem::replace(&mut bob.social.answers, Answers::new());
        answers.forget_copies();
        answers
    };
    let again = bob.hears(at(100_000), &first).unwrap();
    bob.social.react(at(100_000), again.clone(), row());
    assert!(bob.dials().is_empty());
    // Many later questions push it out; then its time is refused.
    for number in 0..u32::try_from(limits::LOCATES_SEEN).unwrap() + 1 {
        let mut other = asked.clone();
        other.forge_salt(number, UNIX_S + 60);
        bob.social.react(at(100_000), other, row());
    }
    let _ = bob.dials();
    bob.social.react(at(500_000), again, row());
    assert!(bob.dials().is_empty());
}

#[test]
fn a_flood_of_one_asker_is_four_dials_and_of_all_thirty_two() {
    let mut bob = Side::new(2, 2);
    let listener = |n: u8| -> HostKey { identity(n).public().into() };
    for number in 0..50 {
        let bytes = sealed(&Locate { listener: listener(number), ..locate(LocatePurpose::Presence) }, number);
        if let Some(asked) = bob.hears(at(0), &bytes) {
            bob.social.react(at(0), asked, row());
        }
    }
    assert_eq!(bob.dials().len(), 4);
    for number in 50..200 {
        let mut question = locate(LocatePurpose::Presence);
        (question.asker, question.listener) = (account(number), listener(number));
        let bytes = question.encode(GAME, &identity(number), account(2), [number; 16]).unwrap();
        // Beyond the budget of signatures nothing is even checked.
        if let Some(asked) = bob.hears(at(1_000), &bytes) {
            bob.social.react(at(1_000), asked, row());
        }
    }
    assert_eq!(bob.dials().len(), limits::LOCATE_DIALS - 4);
}

/// Ada asks, Bob reacts as told, and what each says goes to the other.
fn meet(ada: &mut Side, bob: &mut Side, reaction: Reaction, as_whom: u8) {
    let listen = |action: &Action| matches!(action, Action::Listen { .. });
    let Some(Action::Listen { session, key, .. }) = ada.actions().into_iter().find(listen) else {
        panic!("no listener")
    };
    ada.with(at(0), |social, cx| social.handle_listening(cx, session, Ok(5_000)));
    let sent: Vec<Transmit> = ada.out.drain(..).collect();
    assert!(sent.iter().all(|transmit| transmit.bytes.len() == 203));
    let asked = sent
        .iter()
        .filter(|t| t.to.ip() != IpAddr::from([127, 255, 255, 255]))
        .find_map(|transmit| bob.hears(at(1), &transmit.bytes));
    bob.social.react(at(1), asked.expect("it was heard"), reaction);
    let [(link, to)] = bob.dials()[..] else { panic!("one dial") };
    assert_eq!(to, "10.0.0.1:5000".parse().unwrap());
    let (theirs, remote) = (LinkId(3), "10.0.0.2:6000".parse().unwrap());
    let open =
        |link, peer, remote| LinkEvent::Open { link, peer, binding: [1; 32], local: to, remote, fallback: false };
    ada.social.handle_link(at(2), LinkEvent::Incoming { link: theirs, session, remote });
    ada.social.handle_link(at(2), LinkEvent::HelloBegun { link: theirs });
    bob.social.handle_link(at(2), open(link, key.public(), to));
    ada.social.handle_link(at(2), open(theirs, identity(as_whom).public(), remote));
    for _ in 0..4 {
        pass(ada, bob, link);
        pass(bob, ada, theirs);
    }
}

/// What one side has said becomes what the other hears.
fn pass(from: &mut Side, to: &mut Side, link: LinkId) {
    for action in from.actions() {
        let Action::Send { bytes, .. } = action else { continue };
        let (length, kind, more) = header(*bytes.first_chunk().unwrap());
        assert!(length <= MAX_SOCIAL);
        let frame = LinkEvent::Frame { link, kind, more, payload: bytes[HEADER..].to_vec() };
        if to.social.owns(&frame) {
            to.social.handle_link(at(3), frame);
        }
    }
}

fn invite() -> Invite {
    let host_key: HostKey = identity(50).public().into();
    Invite {
        id: InviteId::from_bytes([4; 16]),
        session: SessionKey { id: SessionId::from_name("room"), founder: host_key },
        host_key,
        incarnation: 9,
        name: "room".into(),
        inviter: account(1),
        inviter_name: "Ada".into(),
        invitee: account(2),
        addresses: vec!["10.0.0.1:7000".parse().unwrap()],
        expires_in: Duration::from_secs(60),
        hold: true,
    }
}

fn told(state: InviteState) -> SocialEvent {
    SocialEvent::Invite { inviter: account(1), session: invite().session, invite: invite().id, state }
}

#[test]
fn an_invite_goes_over_the_link_and_its_inviter_is_told() {
    let (mut ada, mut bob) = (Side::new(1, 1), Side::new(2, 2));
    ada.social.deliver(at(0), &invite());
    assert!(ada.social.holds_sockets());
    meet(&mut ada, &mut bob, Reaction::Invite { stranger: false }, 2);
    assert_eq!(ada.events(), [told(InviteState::Delivered)]);
    assert_eq!(bob.social.invite(account(2), invite().id), Some(&invite()));
    // It lingers for the invitee's other machine, then nothing is left.
    let end = ada.social.poll_timeout().unwrap();
    ada.with(end, |social, cx| social.handle_timeout(cx));
    assert!(!ada.social.holds_sockets());
    assert!(ada.actions().iter().any(|action| matches!(action, Action::Unlisten { .. })));
    assert_eq!(ada.events(), []);
}

#[test]
fn whoever_dials_and_is_not_the_invitee_gets_no_word() {
    let (mut ada, mut bob) = (Side::new(1, 1), Side::new(2, 2));
    ada.social.deliver(at(0), &invite());
    meet(&mut ada, &mut bob, Reaction::Invite { stranger: false }, 3);
    assert_eq!(ada.events(), []);
    assert_eq!(bob.social.invite(account(2), invite().id), None);
    ada.with(at(2_999), |social, cx| social.handle_timeout(cx));
    assert_eq!(ada.events(), []);
    ada.with(at(3_000), |social, cx| social.handle_timeout(cx));
    assert_eq!(ada.events(), [told(InviteState::Unreachable)]);
}

#[test]
fn a_pointer_that_is_not_the_askers_own_for_this_user_is_not_taken() {
    let take = |change: fn(&mut Deliver)| {
        let mut bob = Side::new(2, 2);
        let invite = invite();
        let pointer = Pointer {
            game: GAME.0,
            session: invite.session,
            incarnation: 9,
            host_key: invite.host_key,
            invite: invite.id,
            inviter: account(1),
            invitee: account(2),
            flags: 0,
            lifetime: 60,
            signature: [0; 64],
        };
        let pointer = pointer.signed(&identity(1));
        let mut deliver = Deliver { pointer, name: "room".into(), inviter_name: "A".into(), addresses: Vec::new() };
        change(&mut deliver);
        let (user, asker, remote) = (account(2), account(1), "10.0.0.1:5000".parse().unwrap());
        let brought = Brought { user, asker, stranger: false, deliver: Box::new(deliver), remote };
        bob.social.take_delivered(at(0), brought).is_some()
    };
    assert!(take(|_| {}));
    assert!(!take(|deliver| deliver.pointer.game = *b"another!"));
    assert!(!take(|deliver| deliver.pointer.lifetime = 61), "not what was signed");
    assert!(!take(|deliver| {
        deliver.pointer.lifetime = 0;
        deliver.pointer = deliver.pointer.clone().signed(&identity(1));
    }));
    assert!(!take(|deliver| {
        deliver.pointer.invitee = account(3);
        deliver.pointer = deliver.pointer.clone().signed(&identity(1));
    }));
    assert!(!take(|deliver| {
        // A friend of a friend's pointer, passed on.
        deliver.pointer.inviter = account(3);
        deliver.pointer = deliver.pointer.clone().signed(&identity(3));
    }));
}

#[test]
fn rows_come_as_they_were_given_and_only_of_the_account_that_was_asked_for() {
    let (mut ada, mut bob) = (Side::new(1, 1), Side::new(2, 2));
    let ask = ada.social.ask_rows(account(1), account(2), at(1_000)).unwrap();
    let rows = vec![rows_of(2), rows_of(3)];
    meet(&mut ada, &mut bob, Reaction::Rows(rows), 2);
    assert_eq!(ada.events(), [SocialEvent::Rows { ask, account: account(2), rows: vec![rows_of(2)] }]);
}

fn rows_of(member: u8) -> AccountRow {
    let invite = invite();
    AccountRow {
        key: invite.session,
        host_key: invite.host_key,
        incarnation: 9,
        term: 1,
        facts: crate::types::PublicFacts {
            matchmaking: false,
            mobile: false,
            name: "room".into(),
            version: 0,
            revision: 3,
            members: 1,
            max_members: 4,
            open_slots: 3,
            reserved_slots: 0,
            policy: crate::types::JoinPolicy::Public,
            phase: crate::types::Phase::Lobby,
            password: false,
            closed: false,
            locked: false,
            join_in_progress: true,
            dedicated: false,
            allow_sanctioned: true,
            anti_cheat: false,
            keywords: vec!["a".into()],
            attributes: crate::types::Attributes::new(),
            ports: vec![("game".into(), 7_777)],
        },
        listed: true,
        shown: false,
        addresses: vec!["10.0.0.2:7000".parse().unwrap()],
        member: account(member),
        status: crate::types::MemberStatus::Active,
        my_turn: false,
        started: 9,
    }
}

#[test]
fn whoever_scans_the_port_is_closed_and_costs_no_place() {
    let mut ada = Side::new(1, 1);
    ada.social.deliver(at(0), &invite());
    let session = ada.social.asks.values().next().unwrap().key;
    let _ = ada.actions();
    let remote = "10.0.0.9:1".parse().unwrap();
    for link in 0..100 {
        ada.social.handle_link(at(0), LinkEvent::Incoming { link: LinkId(2 * link + 1), session, remote });
    }
    let closed = ada.actions().iter().filter(|action| matches!(action, Action::Close { .. })).count();
    assert_eq!(closed, 100 - limits::ASK_GUESTS);
    ada.with(at(1_000), |social, cx| social.handle_timeout(cx));
    let closed = ada.actions().iter().filter(|action| matches!(action, Action::Close { .. })).count();
    assert_eq!(closed, limits::ASK_GUESTS, "the silent ones are closed after a second");
}

#[test]
fn locates_repeat_at_their_times_and_each_address_has_a_salt_of_its_own() {
    let mut ada = Side::new(1, 1);
    ada.social.deliver(at(0), &invite());
    let session = ada.social.asks.values().next().unwrap().key;
    ada.with(at(10), |social, cx| social.handle_listening(cx, session, Ok(5_000)));
    let mut times = Vec::new();
    let mut datagrams = std::collections::BTreeSet::new();
    loop {
        let sent = ada.out.drain(..).map(|transmit| transmit.bytes).collect::<Vec<_>>();
        if !sent.is_empty() {
            times.push(ada.social.poll_timeout());
            datagrams.extend(sent);
        }
        match ada.social.poll_timeout() {
            Some(next) => ada.with(next, |social, cx| social.handle_timeout(cx)),
            None => break,
        }
    }
    let next = [70, 140, 320, 710, 1_510, 3_000].map(|millis| Some(at(millis)));
    assert_eq!(times, next);
    assert_eq!(datagrams.len(), 2, "one for loopback, one for the other address, the same each time");
    assert_eq!(ada.events(), [told(InviteState::Unreachable)]);
}

#[test]
fn signing_out_ends_asks_dials_and_the_inbox() {
    let (mut ada, mut bob) = (Side::new(1, 1), Side::new(2, 2));
    ada.social.deliver(at(0), &invite());
    ada.social.sign_out(at(0), account(1));
    assert!(ada.actions().iter().any(|action| matches!(action, Action::Unlisten { .. })));
    let asked = bob.hears(at(0), &sealed(&locate(LocatePurpose::Invite), 1)).unwrap();
    bob.social.react(at(0), asked, Reaction::Invite { stranger: false });
    assert!(bob.social.take(at(0), invite(), false));
    bob.social.sign_out(at(0), account(2));
    assert!(bob.actions().iter().any(|action| matches!(action, Action::Close { .. })));
    assert!(bob.social.poll_timeout().is_none());
    let last = std::iter::from_fn(|| bob.social.poll_output()).last();
    assert!(matches!(last, Some(Output::Invites { list, .. }) if list.is_empty()));
}

#[test]
fn a_question_that_came_too_often_is_heard_again_by_its_next_copy() {
    let mut bob = Side::new(2, 2);
    let question =
        |n: u8| sealed(&Locate { listener: identity(n).public().into(), ..locate(LocatePurpose::Presence) }, n);
    for number in 0..5 {
        let asked = bob.hears(at(0), &question(number)).unwrap();
        bob.social.react(at(0), asked, row());
    }
    assert_eq!(bob.dials().len(), 4);
    // `locate_at` sends the same bytes again; by then there is a token.
    let asked = bob.hears(at(1_500), &question(4)).expect("nothing was done about it yet");
    bob.social.react(at(1_500), asked, row());
    assert_eq!(bob.dials().len(), 1);
    assert!(bob.hears(at(1_500), &question(4)).is_none());
}

#[test]
fn askers_from_the_future_silence_nobody_but_themselves() {
    let mut bob = Side::new(2, 2);
    // Co-members are known, too. Each asks twice a second, dated as late as counts.
    for half in 0..800_u64 {
        let now = at(half * 500);
        for asker in [20, 21, 22, 23] {
            let mut salt = [asker; 16];
            salt[..8].copy_from_slice(&half.to_be_bytes());
            let listener = Identity::from_seed([salt, salt].concat().try_into().unwrap()).unwrap();
            let question = Locate {
                asker: account(asker),
                listener: listener.public().into(),
                at: UNIX_S + half / 2 + 600,
                ..locate(LocatePurpose::Invite)
            };
            let bytes = question.encode(GAME, &identity(asker), account(2), salt).unwrap();
            if let Some(asked) = bob.hears(now, &bytes) {
                bob.social.react(now, asked, Reaction::Invite { stranger: false });
            }
        }
        for (link, _) in bob.dials() {
            bob.social.handle_link(now, LinkEvent::Closed { link, why: crate::proto::io::Closed::Refused });
        }
    }
    let bytes = sealed(&Locate { at: UNIX_S + 400, ..locate(LocatePurpose::Presence) }, 1);
    let asked = bob.hears(at(400_000), &bytes).expect("a friend's question");
    bob.social.react(at(400_000), asked, row());
    assert_eq!(bob.dials().len(), 1);
}

#[test]
fn strangers_leave_dials_to_those_that_are_known() {
    let mut bob = Side::new(2, 2);
    for number in 20..80 {
        let listener = identity(number).public().into();
        let question = Locate { asker: account(number), listener, ..locate(LocatePurpose::Invite) };
        let bytes = question.encode(GAME, &identity(number), account(2), [number; 16]).unwrap();
        if let Some(asked) = bob.hears(at(0), &bytes) {
            bob.social.react(at(0), asked, Reaction::Invite { stranger: true });
        }
    }
    let strangers = bob.dials().len();
    let asked = bob.hears(at(0), &sealed(&locate(LocatePurpose::Presence), 1)).unwrap();
    bob.social.react(at(0), asked, row());
    assert_eq!(bob.dials().len(), 1, "after {strangers} dials to strangers");
}

#[test]
fn configured_targets_are_asked_by_unicast_and_only_they_are_heard_from_beyond_the_link() {
    let (mut ada, mut bob) = (Side::new(1, 1), Side::new(2, 2));
    let peer: SocketAddr = "10.8.0.2:29417".parse().unwrap();
    let near: SocketAddr = "10.0.0.9:29417".parse().unwrap();
    ada.social.targets = vec![peer, near];
    ada.social.deliver(at(0), &invite());
    let session = ada.social.asks.values().next().unwrap().key;
    ada.with(at(0), |social, cx| social.handle_listening(cx, session, Ok(5_000)));
    let to = |ada: &Side, address| ada.out.iter().filter(|sent| sent.to == address).cloned().collect::<Vec<_>>();
    let [routed] = &to(&ada, peer)[..] else { panic!("one, with the only address that others may reach") };
    assert_eq!(routed.via, crate::proto::io::Via::Routed);
    assert!(matches!(to(&ada, near)[..], [Transmit { via: crate::proto::io::Via::Interface { index: 2, .. }, .. }]));
    // The same bytes as to all: whoever has reacted to one does not to the other.
    assert!(ada.out.iter().filter(|sent| sent.bytes == routed.bytes).count() > 1);

    // At the peer it comes from beyond the link: only from who is configured there, and back to nobody else.
    let from = arrival(2, "10.8.0.1:4000", &sealed(&locate(LocatePurpose::Presence), 1));
    assert!(bob.hears_as(at(0), &from).is_none());
    bob.social.targets = vec!["10.8.0.1:29417".parse().unwrap()];
    assert!(bob.hears_as(at(0), &from).is_none(), "to another place");
    let question = Locate { reply_to: "10.8.0.1:5000".parse().unwrap(), ..locate(LocatePurpose::Presence) };
    let from = arrival(2, "10.8.0.1:4000", &sealed(&question, 2));
    let asked = bob.hears_as(at(0), &from).unwrap();
    bob.social.react(at(0), asked, row());
    assert_eq!(bob.dials()[0].1, question.reply_to);
}
