use std::time::Duration;

use super::message::Companion;
use super::*;
use crate::types::{
    AccountId, AccountRow, Attribute, Attributes, External, GameState, HostKey, Identity, InviteId, InviteRequest,
    InviteState, JoinPolicy, Left, LinkState, Member, MemberStatus, MemberTimeouts, MemberUpdate, Migration, Phase,
    PublicFacts, Reason, Refusal, Reservation, ReservationChange, ReservationId, Revision, Role, SessionId, SessionKey,
    SessionSnapshot, Value, Visibility,
};
use crate::wire::{WireError, codec, fuzz, golden};

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

fn account(seed: u8) -> AccountId {
    identity(seed).account()
}

fn host_key() -> HostKey {
    identity(1).public().into()
}

fn key() -> SessionKey {
    SessionKey { id: SessionId::from_name("arena-7"), founder: host_key() }
}

fn revision(number: u64) -> Revision {
    Revision { term: 1, number }
}

fn member(number: u16, seed: u8) -> Member {
    let mut attributes = Attributes::new();
    attributes.set_with("team", "red", Visibility::Members).unwrap();
    Member {
        role: Some("tank".into()),
        account: account(seed),
        name: "Ada".into(),
        external: Some(External::new("eos", *b"0002").unwrap()),
        number,
        status: MemberStatus::Active,
        link: LinkState::Away,
        ready: true,
        is_host: number == 0,
        attributes,
        joined_revision: 300,
    }
}

fn snapshot() -> SessionSnapshot {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    attributes.set_with("secret", 7, Visibility::Host).unwrap();
    SessionSnapshot {
        roles: vec![Role::new("tank").target(1).max(2)],
        turn: vec![account(11)],
        timeouts: MemberTimeouts::new(),
        ready_gate: true,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        migration: Migration::Quorum,
        allow_sanctioned: true,
        key: key(),
        revision: revision(70_000),
        host: Some(account(10)),
        host_key: host_key(),
        name: "Ada's room".into(),
        schema: "ffa".into(),
        version: 1,
        max_members: 8,
        reserved_slots: 1,
        policy: JoinPolicy::FriendsOnly,
        phase: Phase::InProgress,
        listed: true,
        closed: false,
        locked: true,
        join_in_progress: true,
        password: false,
        dedicated: false,
        keywords: vec!["fun".into()],
        attributes,
        ports: vec![("game".into(), 7_777)],
        members: vec![member(0, 10), member(1, 11)],
    }
}

fn join() -> Join {
    Join {
        session: key(),
        incarnation: 1_700_000_000_000,
        nonce: [4; 16],
        peer_incarnation: 5,
        version: 1,
        name: "Bo".into(),
        external: Some(External::new("eos", *b"0003").unwrap()),
        attributes: member(0, 10).attributes,
        ticket: b"ticket".to_vec(),
        password_proof: Some([6; 32]),
        knock: Some([9; 64]),
        invite: Some([10; 16]),
        role: Some("healer".into()),
        status: MemberStatus::Active,
        party: vec![Companion {
            account: account(4),
            name: "Cem".into(),
            external: None,
            attributes: Attributes::new(),
            nonce: [11; 16],
            role: None,
            proof: Some([12; 64]),
        }],
    }
}

fn bare_join() -> Join {
    Join {
        external: None,
        attributes: Attributes::new(),
        ticket: Vec::new(),
        knock: None,
        invite: None,
        role: None,
        party: Vec::new(),
        password_proof: None,
        ..join()
    }
}

fn accept() -> Accept {
    Accept {
        number: 1,
        token: [7; 32],
        grant: Grant::sign(&identity(1), key(), revision(70_000), account(11), 5),
        host: Some(Proof::sign(&identity(10), &[8; 32], host_key(), key().id)),
        password_proof: Some([9; 32]),
        host_silence: 2_500,
        grace: 30_000,
        snapshot: snapshot(),
    }
}

fn delta() -> Delta {
    let update = MemberUpdate::new().name("Bo II").ready(false).set("team", "blue").remove("hat");
    let attribute = |value: Option<Value>| {
        Change::Setting(SettingChange::Attribute {
            name: "map".into(),
            value: value.map(|value| Attribute { value, visibility: Visibility::Public }),
        })
    };
    Delta {
        revision: revision(70_001),
        cause: Some(Cause { account: account(11), number: 3 }),
        changes: vec![
            Change::MemberLeft { account: account(11), why: Left::Kicked(Reason::new(7, "AFK")) },
            Change::MemberLeft { account: account(11), why: Left::Expired },
            Change::MemberJoined(member(2, 12)),
            Change::MemberAway(account(12)),
            Change::MemberBack(account(12)),
            Change::MemberUpdated { account: account(12), update, status: Some(MemberStatus::Ready) },
            Change::Setting(SettingChange::Name("n".into())),
            Change::Setting(SettingChange::Schema("s".into())),
            Change::Setting(SettingChange::MaxMembers(1_000)),
            Change::Setting(SettingChange::ReservedSlots(2)),
            Change::Setting(SettingChange::Policy(JoinPolicy::InviteOnly)),
            Change::Setting(SettingChange::Listed(false)),
            Change::Setting(SettingChange::Closed(true)),
            Change::Setting(SettingChange::Locked(false)),
            Change::Setting(SettingChange::JoinInProgress(false)),
            Change::Setting(SettingChange::Keywords(vec!["a".into(), "b".into()])),
            Change::Setting(SettingChange::Ports(vec![("game".into(), 1)])),
            attribute(Some(Value::List(vec!["x".into()]))),
            attribute(None),
            Change::Phase(Phase::Ended),
        ],
        digest: Some([1; 8]),
    }
}

/// Turns, roles and claimed seats.
fn delta_of_places() -> Delta {
    Delta {
        cause: None,
        changes: vec![
            Change::Turn(vec![account(12), account(11)]),
            Change::Role { account: account(12), role: Some("healer".into()) },
            Change::Role { account: account(11), role: None },
            Change::MemberClaimed(member(1, 12)),
            Change::Setting(SettingChange::Roles(vec![Role::new("tank").max(2)])),
            Change::Setting(SettingChange::Timeouts(MemberTimeouts::new())),
            Change::Setting(SettingChange::ReadyGate(true)),
        ],
        digest: None,
        ..delta()
    }
}

/// Requests for states, roles and reservations, and their answer.
const SECOND: Reign = Reign { term: 2, ..Reign::FOUNDER };

/// Host 1 with the seat key of seed 20; the machines of 21 and 22 vote, the first would host under the key of 31.
fn order() -> Order {
    let voter = |seat: u8, host: Option<u8>| Voter {
        seat: identity(seat).public(),
        host: host.map(|seed| identity(seed).public().into()),
    };
    let order = Order {
        session: key(),
        host_key: host_key(),
        incarnation: 1_700_000_000_000,
        reign: Reign::FOUNDER,
        cfg: 3,
        policy: Migration::Quorum,
        host_silence: 2_500,
        voters: vec![voter(20, None), voter(21, Some(31)), voter(22, None)],
        signature: [0; 64],
    };
    order.sign(&identity(1))
}

fn ballot() -> Ballot {
    Ballot {
        session: key(),
        incarnation: 1_700_000_000_000,
        reign: SECOND,
        candidate: identity(21).public(),
        host: identity(31).public().into(),
    }
}

fn takeover() -> Takeover {
    let votes = [21_u8, 22].iter().zip(1..).map(|(&seat, at)| (at, ballot().sign(&identity(seat)))).collect();
    Takeover { order: order(), reign: SECOND, candidate: 1, votes }
}

fn vote() -> Vote {
    let voter = identity(22);
    Vote { ballot: ballot(), voter: voter.public(), signature: ballot().sign(&voter), order: order() }
}

fn way() -> Way {
    Way {
        session: key(),
        incarnation: 1_700_000_000_000,
        host_key: identity(31).public().into(),
        addresses: vec!["10.0.0.3:40004".parse().unwrap()],
        lineage: vec![takeover()],
    }
}

fn keeper() -> Keeper {
    let seat = KeptSeat {
        account: account(11),
        nonce: [4; 16],
        peer_incarnation: 5,
        tokens: vec![[7; 32]],
        confirmed: true,
        proved: false,
        held: false,
        applied: (3, 7),
    };
    Keeper {
        revision: revision(70_001),
        settings: revision(69_999),
        salt: 9,
        id_derived: true,
        admission: false,
        password_key: Some([6; 32]),
        attributes: snapshot().attributes,
        bans: vec![account(12)],
        leavers: vec![account(4)],
        seats: vec![seat],
    }
}

fn successions() -> Vec<(&'static str, Frame)> {
    let successor = |seed: u8, seat: u8, addresses: &[&str]| Successor {
        account: account(seed),
        seat: identity(seat).public(),
        addresses: addresses.iter().map(|to| to.parse().unwrap()).collect(),
    };
    let succession = Succession {
        order: order(),
        successors: vec![successor(10, 20, &[]), successor(11, 21, &["10.0.0.3:40004"]), successor(12, 22, &[])],
        lineage: Vec::new(),
    };
    let stand = Stand {
        seat: identity(21).public(),
        host: Some(identity(31).public().into()),
        port: 40_004,
        addresses: vec!["10.0.0.3:40004".parse().unwrap()],
    };
    let follow = Follow {
        session: key(),
        incarnation: 1_700_000_000_000,
        reign: Reign::FOUNDER,
        cfg: 3,
        promised: 0,
        seat: identity(22).public(),
        have: revision(70_001),
        kept: Some(revision(70_000)),
        state: 2,
    };
    let state = GameState { version: 2, data: b"round 3".as_slice().into() };
    let pulled = Pulled { snapshot: snapshot(), keeper: Some(keeper()), state: Some(state.clone()) };
    vec![
        ("stand", Frame::Stand(Box::new(stand))),
        ("order-ack", Frame::OrderAck(OrderAck { reign: Reign::FOUNDER, cfg: 3, promised: 0 })),
        ("lineage-ask", Frame::LineageAsk { session: key() }),
        ("succession", Frame::Succession(Box::new(succession))),
        ("keep", Frame::Keep(Box::new(keeper()))),
        ("game-state", Frame::GameState(state)),
        ("follow", Frame::Follow(Box::new(follow))),
        ("parked", Frame::Parked),
        ("host-alive", Frame::HostAlive),
        ("vote-ask", Frame::VoteAsk(Box::new(VoteAsk { ballot: ballot(), have: revision(70_001) }))),
        ("vote", Frame::Vote(Box::new(vote()))),
        ("no-vote", Frame::NoVote { promised: 2, have: revision(70_002) }),
        ("pull", Frame::Pull),
        ("pulled", Frame::Pulled(Box::new(pulled))),
        ("won", Frame::Won { lineage: vec![takeover()] }),
        ("claim", Frame::Claim(Box::new(way()))),
        ("prepare", Frame::Prepare { revision: revision(70_001) }),
        ("prepared", Frame::Prepared { revision: revision(70_001) }),
        ("abdicate", Frame::Abdicate(Box::new(Abdicate { have: revision(70_001), votes: vec![vote()] }))),
        ("lineage", Frame::Lineage { lineage: vec![takeover()] }),
    ]
}

fn places() -> Vec<(&'static str, Frame)> {
    let (id, accounts) = (ReservationId::from_bytes([13; 16]), vec![account(11), account(12)]);
    let request = |body| Frame::Request { number: 4, body };
    let reservation =
        Reservation { id, version: 2, accounts: accounts.clone(), expires_in: Some(Duration::from_secs(30)) };
    let change = |change| request(Request::ChangeReservation { id, expected: None, change });
    let extend = ReservationChange::Extend(accounts.clone());
    vec![
        ("request-status", request(Request::SetStatus(MemberStatus::Inactive))),
        ("request-role", request(Request::SetRole(Some("tank".into())))),
        ("request-reserve", request(Request::Reserve { accounts, role: Some("tank".into()), ttl: Some(60_000) })),
        ("request-extend", request(Request::ChangeReservation { id, expected: Some(1), change: extend })),
        ("request-shrink", change(ReservationChange::Shrink(vec![account(11)]))),
        ("request-renew", change(ReservationChange::Renew)),
        ("request-cancel", change(ReservationChange::Cancel)),
        ("done-reserved", Frame::Done { number: 4, result: DoneResult::Reserved(revision(70_003), reservation) }),
        ("delta-places", Frame::Delta(delta_of_places())),
    ]
}

fn merge_ask() -> MergeAsk {
    let from = SessionKey { id: SessionId::from_name("worse"), founder: identity(2).public().into() };
    MergeAsk { session: key(), from, taken: 2, accounts: vec![account(11), account(10)] }
}

fn there() -> Move {
    let addresses = vec!["192.168.0.7:40000".parse().unwrap(), "[fd00::7]:40000".parse().unwrap()];
    Move { session: key(), host_key: host_key(), addresses }
}

fn failed(code: u16, text: &str) -> DoneResult {
    DoneResult::Failed { code, text: text.into(), retry_after_ms: 250 }
}

fn vouch_ask() -> VouchAsk {
    let (account, knock) = (account(12), knock(&identity(12), key(), host_key(), 1_700_000_000_000, 5));
    let (incarnation, peer_incarnation) = (1_700_000_000_000, 5);
    VouchAsk { ask: 300, account, session: key(), incarnation, peer_incarnation, knock }
}

fn deliver() -> Deliver {
    let pointer = Pointer {
        game: *b"gametag!",
        session: key(),
        incarnation: 1_700_000_000_000,
        host_key: host_key(),
        invite: InviteId::from_bytes([10; 16]),
        inviter: account(10),
        invitee: account(11),
        flags: Pointer::hold_flag(true),
        lifetime: 300,
        signature: [0; 64],
    };
    let addresses = ["192.168.0.7:40000", "[fd00::7]:40000"].map(|text| text.parse().unwrap()).to_vec();
    let (name, inviter_name) = ("Ada's room".into(), "Ada".into());
    Deliver { pointer: pointer.signed(&identity(10)), name, inviter_name, addresses }
}

fn account_row() -> AccountRow {
    AccountRow {
        key: key(),
        host_key: host_key(),
        incarnation: 1_700_000_000_000,
        term: 1,
        facts: PublicFacts::of(&snapshot()),
        listed: true,
        shown: true,
        addresses: vec!["192.168.0.7:40000".parse().unwrap()],
        member: account(11),
        status: MemberStatus::Active,
        my_turn: true,
        started: 1_700_000_000_000,
    }
}

#[test]
fn a_pointer_counts_as_it_was_signed_and_bounds_are_kept() {
    let pointer = deliver().pointer;
    assert!(pointer.verify() && pointer.hold());
    assert!(!Pointer { lifetime: 301, ..pointer.clone() }.verify());
    assert!(!Pointer { flags: 0, ..pointer.clone() }.verify());
    assert!(!Pointer { inviter: account(12), ..pointer }.verify());
    let rows = |count| {
        let (kind, payload) = Frame::Rows(vec![account_row(); count]).encode();
        Frame::decode(kind, &payload)
    };
    assert!(rows(MAX_ROWS).is_ok());
    assert_eq!(rows(MAX_ROWS + 1), Err(WireError::Bound));
    let to = |address: &str| {
        let (kind, payload) =
            Frame::Deliver(Box::new(Deliver { addresses: vec![address.parse().unwrap()], ..deliver() })).encode();
        Frame::decode(kind, &payload)
    };
    assert!(to("10.0.0.1:1").is_ok());
    for nowhere in ["10.0.0.1:0", "0.0.0.0:1", "224.0.0.1:1", "[ff02::1]:1"] {
        assert_eq!(to(nowhere), Err(WireError::Value), "{nowhere}");
    }
}

/// Every golden frame with its name.
fn all() -> Vec<(&'static str, Frame)> {
    let mut all = first();
    all.extend(places());
    all.extend(successions());
    all
}

fn first() -> Vec<(&'static str, Frame)> {
    let update = MemberUpdate::new().ready(true);
    let id = InviteId::from_bytes([10; 16]);
    let invite = InviteRequest::from([account(11), account(12)]).ttl(Duration::from_secs(60)).passes_password(true);
    let refuse = |refusal: Refusal| Frame::Refuse { sticky: refusal.is_sticky(), refusal };
    vec![
        ("join", Frame::Join(Box::new(join()))),
        ("join-bare", Frame::Join(Box::new(bare_join()))),
        ("ack", Frame::Ack),
        ("request-update", Frame::Request { number: 1, body: Request::UpdateMe(update) }),
        ("request-say", Frame::Request { number: 251, body: Request::Say(b"hello".to_vec()) }),
        ("request-register", Frame::Request { number: 3, body: Request::Register }),
        ("request-invite", Frame::Request { number: 4, body: Request::Invite(invite) }),
        ("request-revoke", Frame::Request { number: 5, body: Request::Revoke { invite: id, hold_only: true } }),
        ("leave", Frame::Leave),
        ("resync", Frame::Resync { have: revision(69_999) }),
        ("heartbeat", Frame::Heartbeat),
        ("vouch", Frame::Vouch { ask: 300, yes: true }),
        ("reject-invite", Frame::RejectInvite { invite: id }),
        ("vouch-ask", Frame::VouchAsk(Box::new(vouch_ask()))),
        ("invite-state", Frame::InviteState { invite: id, account: account(12), state: InviteState::Rejected }),
        ("merge-ask", Frame::MergeAsk(Box::new(merge_ask()))),
        ("stay", Frame::Stay),
        ("merge-busy", Frame::MergeAnswer(MergeAnswer::Busy)),
        ("merge-granted", Frame::MergeAnswer(MergeAnswer::Granted(2))),
        ("move", Frame::Move(Box::new(there()))),
        ("deliver", Frame::Deliver(Box::new(deliver()))),
        ("received", Frame::Received { invite: id }),
        ("rows", Frame::Rows(vec![account_row()])),
        ("accept", Frame::Accept(Box::new(accept()))),
        ("refuse-full", refuse(Refusal::Full)),
        ("refuse-incompatible", refuse(Refusal::Incompatible { ours: 1, theirs: 2 })),
        ("refuse-refused", refuse(Refusal::Refused(Reason::new(3, "level too low")))),
        ("refuse-busy", refuse(Refusal::TooManyRequests { after: Duration::from_millis(1_500) })),
        ("snapshot", Frame::Snapshot(Box::new(snapshot()))),
        ("delta", Frame::Delta(delta())),
        ("delta-empty", Frame::Delta(Delta { cause: None, changes: Vec::new(), digest: None, ..delta() })),
        ("done", Frame::Done { number: 1, result: DoneResult::Ok(revision(70_002)) }),
        ("done-invited", Frame::Done { number: 4, result: DoneResult::Invited(revision(70_002), vec![id]) }),
        ("done-failed", Frame::Done { number: 2, result: failed(12, "too many messages") }),
        ("message", Frame::Message { from: Some(account(11)), data: b"hello".to_vec() }),
        ("end-destroyed", Frame::End { why: Left::Destroyed }),
        ("end-banned", Frame::End { why: Left::Banned(Reason::from("cheating")) }),
        ("not-host", Frame::NotHost(Box::new(way()))),
        ("incompatible", Frame::Incompatible { major: 1, version: 7 }),
    ]
}

/// The stream's bytes of a message that is one frame.
fn stream(frame: &Frame) -> Vec<u8> {
    frames(frame).concat()
}

#[test]
fn golden_bytes_both_ways() {
    for (name, frame) in all() {
        let name = format!("frame-{name}");
        golden::check(&name, &stream(&frame));
        let bytes = golden::read(&name);
        let (length, kind, more) = header(*bytes.first_chunk().unwrap());
        assert_eq!((length, more), (bytes.len() - HEADER, false), "{name}");
        assert_eq!(Frame::decode(kind, &bytes[HEADER..]), Ok(Some(frame)), "{name}");
    }
}

#[test]
fn a_companions_proof_is_that_of_the_page() {
    let proof = Companion::prove(&identity(11), &[4; 32], key().id, host_key(), &[4; 16]);
    golden::check("companion-proof", &proof);
}

#[test]
fn no_damaged_frame_panics_and_what_is_read_is_written_the_same() {
    for (_, frame) in all() {
        let (kind, payload) = frame.encode();
        golden::sweep(&[&[kind][..], &payload].concat(), fuzz::frame);
        golden::sweep(&stream(&frame), fuzz::stream);
    }
}

#[test]
fn unknown_kinds_are_ignored_and_unknown_codes_are_shown() {
    assert_eq!(Frame::decode(200, &[1, 2, 3]), Ok(None));
    let unknown = |kind, bytes: &[u8]| Frame::decode(kind, bytes).unwrap().unwrap();
    let Frame::Refuse { refusal: Refusal::Refused(reason), sticky } = unknown(kind::REFUSE, &[199, 2, 9, 9, 0]) else {
        panic!("no refusal")
    };
    assert_eq!((reason.code(), sticky), (199, false));
    let Frame::End { why: Left::Kicked(reason) } = unknown(kind::END, &[251, 1, 0, 0]) else { panic!("no end") };
    assert_eq!(reason.code(), 256);
    // A later version's incompatible frame may say more.
    assert_eq!(
        Frame::decode(kind::INCOMPATIBLE, &[2, 0, 0, 0, 9, 1, 2, 3]),
        Ok(Some(Frame::Incompatible { major: 2, version: 9 }))
    );
}

#[test]
fn every_refusal_and_every_ending_keeps_its_code() {
    for code in 100..=255_u16 {
        let bytes = [&codec::encode(&code)[..], &[0]].concat();
        if let Ok(refusal) = codec::decode::<Refusal>(&bytes, 9) {
            assert!(refusal.code() == code || matches!(&refusal, Refusal::Refused(r) if r.code() == u32::from(code)));
        }
        if let Ok(left) = codec::decode::<Left>(&bytes, 9) {
            assert!(left.code() == code || matches!(&left, Left::Kicked(r) if r.code() == u32::from(code)));
        }
    }
}

#[test]
fn extensions_may_follow_every_message_and_critical_ones_stop_it() {
    let (kind, mut payload) = Frame::Join(Box::new(join())).encode();
    payload.extend_from_slice(&[0, 5, 0, 2, 1, 2]);
    assert_eq!(Frame::decode(kind, &payload), Ok(Some(Frame::Join(Box::new(join())))));
    payload.extend_from_slice(&[0x80, 5, 0, 0]);
    assert_eq!(Frame::decode(kind, &payload), Err(WireError::Critical(0x8005)));
    assert_eq!(Frame::decode(kind::ACK, &[0x80, 1, 0, 0]), Err(WireError::Critical(0x8001)));
}

#[test]
fn grants_and_proofs_count_for_what_they_name() {
    let Accept { grant, host: Some(proof), .. } = accept() else { panic!("no proof") };
    assert!(grant.verify(host_key()));
    assert!(!grant.verify(identity(2).public().into()));
    assert!(!Grant { peer_incarnation: 6, ..grant.clone() }.verify(host_key()));
    assert!(!Grant { revision: revision(1), ..grant }.verify(host_key()));
    assert!(proof.verify(&[8; 32], host_key(), key().id));
    assert!(!proof.verify(&[9; 32], host_key(), key().id));
    assert!(!proof.verify(&[8; 32], identity(2).public().into(), key().id));
    assert!(!proof.verify(&[8; 32], host_key(), SessionId::from_name("other")));
    assert!(!Proof { account: account(11), ..proof }.verify(&[8; 32], host_key(), key().id));
}

#[test]
fn a_knock_counts_for_what_it_names() {
    let ask = vouch_ask();
    assert!(ask.verify(host_key()));
    assert!(!ask.verify(identity(2).public().into()));
    assert!(!VouchAsk { account: account(11), ..ask.clone() }.verify(host_key()));
    assert!(!VouchAsk { incarnation: 0, ..ask.clone() }.verify(host_key()));
    assert!(!VouchAsk { peer_incarnation: 6, ..ask.clone() }.verify(host_key()));
    let other = SessionKey { id: SessionId::from_name("other"), ..key() };
    assert!(!VouchAsk { session: other, ..ask.clone() }.verify(host_key()));
    assert!(VouchAsk { ask: 1, ..ask }.verify(host_key()), "the host numbers its questions as it likes");
}

#[test]
fn an_invite_for_more_accounts_than_fit_is_not_read_and_a_later_state_is_no_use() {
    let accounts: Vec<_> = (1..18).map(account).collect();
    let what = InviteRequest::from(accounts);
    let (kind, payload) = Frame::Request { number: 1, body: Request::Invite(what) }.encode();
    assert_eq!(Frame::decode(kind, &payload), Err(WireError::Bound));
    let frame =
        Frame::InviteState { invite: InviteId::from_bytes([1; 16]), account: account(1), state: InviteState::Accepted };
    let (kind, mut payload) = frame.encode();
    *payload.last_mut().unwrap() = 99;
    let later = Frame::decode(kind, &payload);
    assert!(matches!(later, Ok(Some(Frame::InviteState { state: InviteState::Revoked, .. }))), "{later:?}");
}

/// What an Accept holds beside its snapshot, at most.
const ACCEPT_FRAME: usize = 512;

fn snapshot_fits(snapshot: &SessionSnapshot) -> Result<(), usize> {
    match codec::encode(snapshot).len().saturating_add(ACCEPT_FRAME).saturating_sub(MAX_MESSAGE) {
        0 => Ok(()),
        over => Err(over),
    }
}

#[test]
fn a_thousand_members_fit_and_what_does_not_is_told_before() {
    let mut full = snapshot();
    let one = |number: u16| {
        let mut member = member(number, 10);
        member.name = "n".repeat(64);
        member.external = Some(External::new("provider-16bytes", [7; 64]).unwrap());
        member.attributes.set("class", "x".repeat(600)).unwrap();
        member
    };
    full.members = (0..1_000).map(one).collect();
    assert_eq!(snapshot_fits(&full), Ok(()));
    let mut accept = accept();
    accept.snapshot = full.clone();
    let frame = Frame::Accept(Box::new(accept));
    let mut assembler = Assembler::default();
    let mut whole = None;
    for part in frames(&frame) {
        let (_, kind, more) = header(*part.first_chunk().unwrap());
        whole = assembler.push(kind, more, part[HEADER..].to_vec(), MAX_MESSAGE).unwrap();
    }
    let (kind, payload) = whole.unwrap();
    assert_eq!(Frame::decode(kind, &payload), Ok(Some(frame)));

    full.members.push(one(1_000));
    let (kind, payload) = Frame::Snapshot(Box::new(full.clone())).encode();
    assert_eq!(Frame::decode(kind, &payload), Err(WireError::Bound));
    full.members.pop();
    for member in &mut full.members {
        member.attributes.set("more", "x".repeat(1_000)).unwrap();
    }
    assert!(snapshot_fits(&full).unwrap_err() > 500_000);

    let mut join = join();
    assert_eq!(join_fits(&join), Ok(()));
    for at in 0..10 {
        join.attributes.set(format!("a{at}"), "x".repeat(1_000)).unwrap();
    }
    assert!(join_fits(&join).is_err());
}

#[test]
fn the_view_digest_is_of_everything_in_it() {
    let (mut a, b) = (snapshot(), snapshot());
    assert_eq!(view_digest(&a), view_digest(&b));
    a.members[1].ready = false;
    assert_ne!(view_digest(&a), view_digest(&b));
}

#[test]
fn what_no_peer_may_send_is_refused() {
    let refused = |join: Join| Frame::decode(kind::JOIN, &Frame::Join(Box::new(join)).encode().1).unwrap_err();
    assert_eq!(refused(Join { name: String::new(), ..join() }), WireError::Value);
    assert_eq!(refused(Join { name: "a\u{202e}b".into(), ..join() }), WireError::Value);
    assert_eq!(refused(Join { name: "n".repeat(65), ..join() }), WireError::Bound);
    assert_eq!(refused(Join { ticket: vec![0; 1_025], ..join() }), WireError::Bound);
    let mut weak = [0_u8; 32];
    weak[0] = 1;
    let voter = codec::encode(&(weak, None::<[u8; 32]>, 1_u16, 0_u8));
    assert_eq!(Frame::decode(kind::STAND, &voter), Err(WireError::Value));
    let set = |name: &str, value: Value| {
        let update = MemberUpdate {
            set: vec![(name.into(), Attribute { value, visibility: Visibility::Members })],
            ..MemberUpdate::new()
        };
        let (kind, payload) = Frame::Request { number: 1, body: Request::UpdateMe(update) }.encode();
        Frame::decode(kind, &payload)
    };
    assert!(set("a", Value::Int(1)).is_ok());
    assert_eq!(set("@a", Value::Int(1)), Err(WireError::Value));
    assert_eq!(set("a", Value::Float(f64::NAN)), Err(WireError::Value));
    assert_eq!(set("a", Value::List(vec!["x".repeat(600), "y".repeat(600)])), Err(WireError::Bound));
    // Two attributes of one name, and two in the wrong order.
    for names in [*b"aa", *b"ba"] {
        let [one, two] = names;
        let bytes = [2, 1, one, 3, 1, 0, 1, two, 3, 1, 0];
        assert_eq!(codec::decode::<Attributes>(&bytes, 99), Err(WireError::Value));
    }
    let long = Frame::Done { number: 1, result: failed(1, &format!("\u{1b}{}", "é".repeat(600))) };
    let (kind, payload) = long.encode();
    let Ok(Some(Frame::Done { result: DoneResult::Failed { text, .. }, .. })) = Frame::decode(kind, &payload) else {
        panic!("a long failure text was not cut")
    };
    assert_eq!((text.len(), text.starts_with(' ')), (511, true));
}
