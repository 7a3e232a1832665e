//! Random lives of a session with states, roles, reservations, parties, invites and grants: what must hold at a host holds
//! after each step, and all views come to agree.

use super::random::check_events;
use super::*;
use crate::types::{
    HostKey, InviteRequest, LinkState, MemberTimeouts, ReservationChange, ReservationId, ReserveRequest, Role,
};
use crate::wire::frame::{Frame, HEADER, MergeAsk, frames, header};

/// One revision's events come in the documented order, and no revision says nothing.
fn check_order(watched: &Watched, every: bool) {
    let rank = |event: &SessionEvent| match event {
        SessionEvent::MemberLeft { .. } => 0,
        SessionEvent::MemberJoined { .. } => 1,
        SessionEvent::MemberAway { .. } | SessionEvent::MemberBack { .. } => 2,
        SessionEvent::MemberUpdated { .. } => 3,
        SessionEvent::SettingsChanged { .. } => 4,
        SessionEvent::TurnChanged { .. } => 5,
        _ => 6,
    };
    let mut last = None;
    for event in &watched.events {
        let Some(revision) = event.revision() else { continue };
        let this = (revision.number, rank(event));
        assert!(last.is_none_or(|last| last <= this), "{} after another of its revision", name_of(event));
        if every {
            let before = last.map_or(1, |(number, _)| number);
            assert!(this.0 <= before + 1, "revision {} says nothing", before + 1);
        }
        last = Some(this);
    }
}

/// A stranger's session asks for seats; nobody hears the answer.
fn ask_seats(net: &mut Net, node: usize, session: SessionKey, number: u64, accounts: Vec<AccountId>) {
    let (link, now, local) = (LinkId(1_000_000 + number), net.now, net.address(session));
    let own = Identity::from_seed([40; 32]).unwrap().public();
    let from = SessionKey { id: crate::types::SessionId::from_bytes([0xff; 16]), founder: HostKey::from(own) };
    let remote = SocketAddr::from(([10, 9, 9, 9], 9));
    let ask = MergeAsk { session, from, taken: 1, accounts };
    let mut events = vec![
        LinkEvent::Incoming { link, session, remote },
        LinkEvent::HelloBegun { link },
        LinkEvent::Open { link, peer: own, binding: [0; 32], local, remote, fallback: false },
    ];
    events.extend(frames(&Frame::MergeAsk(Box::new(ask))).into_iter().map(|bytes| {
        let (_, kind, more) = header(*bytes.first_chunk().unwrap());
        LinkEvent::Frame { link, kind, more, payload: bytes[HEADER..].to_vec() }
    }));
    for event in events {
        net.nodes[node].sessions.handle_link(now, event);
    }
    net.drain();
}

fn pick<T: Copy>(rng: &mut ChaCha12Rng, from: &[T]) -> T {
    from[usize::try_from(rng.next_u32()).unwrap() % from.len()]
}

struct Life {
    net: Net,
    host: (usize, SeatId, SessionKey),
    players: Vec<usize>,
    /// Every account that may have a seat: those of the players, and three that never come.
    accounts: Vec<AccountId>,
    reservations: Vec<ReservationId>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed);
        net.jitter = 4_000;
        let a = net.node();
        let timeouts = MemberTimeouts::new().reserved(Some(3 * SECOND)).ready(Some(4 * SECOND));
        let settings = room(6)
            .reserved_slots(u16::try_from(seed % 3).unwrap())
            .role(Role::new("red").max(2))
            .role(Role::new("blue").max(1))
            .timeouts(timeouts);
        let mut what = HostRequest::new(settings).dedicated(seed % 4 == 3);
        what.matchmaking = seed % 2 == 0;
        let (seat, key) = net.host(a, what);
        let players: Vec<_> = (0..4).map(|_| net.node()).collect();
        for &player in &players {
            net.user(player, "second");
        }
        let mut accounts: Vec<_> = players.iter().flat_map(|&player| net.nodes[player].users.clone()).collect();
        accounts.extend((1..4).map(|seed| Identity::from_seed([seed; 32]).unwrap().account()));
        Self { net, host: (a, seat, key), players, accounts, reservations: Vec::new() }
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.net.rng.next_u32()).unwrap() % below
    }

    fn some_accounts(&mut self, up_to: usize) -> Vec<AccountId> {
        let count = 1 + self.draw(up_to);
        let drawn: BTreeSet<_> = (0..count).map(|_| pick(&mut self.net.rng, &self.accounts)).collect();
        drawn.into_iter().collect()
    }

    fn some_role(&mut self) -> Option<String> {
        [None, Some("red"), Some("blue"), Some("none")][self.draw(4)].map(str::to_owned)
    }

    fn some_status(&mut self) -> MemberStatus {
        use MemberStatus::{Active, Inactive, Ready, Reserved};
        [Active, Ready, Inactive, Reserved][self.draw(4)]
    }

    fn some_time(&mut self) -> Option<Duration> {
        [None, Some(Duration::ZERO), Some(SECOND), Some(3 * SECOND)][self.draw(4)]
    }

    /// A seat of somebody: the host's or any player's.
    fn some_seat(&mut self) -> (usize, SeatId) {
        let node = pick(&mut self.net.rng, &self.players);
        let open = self.net.nodes[node].seats.iter().filter(|(_, watched)| watched.left.is_none());
        let open: Vec<_> = open.map(|(&seat, _)| seat).collect();
        if open.is_empty() || self.draw(4) == 0 {
            return (self.host.0, self.host.1);
        }
        (node, pick(&mut self.net.rng, &open))
    }

    fn step(&mut self, number: u64) {
        let (a, host, key) = self.host;
        let (node, seat) = self.some_seat();
        let member = node != a;
        match self.draw(24) {
            0..=4 => self.join(),
            5 => {
                let status = self.some_status();
                self.net.command(node, |request| Command::SetStatus { request, seat, status });
            }
            6 => {
                let role = self.some_role();
                self.net.command(node, |request| Command::SetRole { request, seat, account: None, role });
            }
            7 => {
                let (account, role) = (self.some_accounts(1)[0], self.some_role());
                let what = |request| Command::SetRole { request, seat: host, account: Some(account), role };
                self.net.command(a, what);
            }
            8 => {
                self.net.command(node, |request| Command::Register { request, seat });
            }
            9 | 10 => {
                let ttl = self.some_time().filter(|ttl| !ttl.is_zero());
                let what = ReserveRequest { accounts: self.some_accounts(3), role: self.some_role(), ttl };
                self.net.command(node, |request| Command::Reserve { request, seat, what: Box::new(what) });
            }
            11 | 12 => self.change_reservation(node, seat),
            13 => {
                let invitees = self.some_accounts(1);
                let what = Box::new(InviteRequest::from(invitees).ttl(5 * SECOND).hold(true));
                self.net.command(node, |request| Command::Invite { request, seat, what });
            }
            14 if member => {
                self.net.leave(node, seat);
            }
            15 => {
                let (account, ban) = (self.some_accounts(1)[0], self.draw(4) == 0);
                self.net.kick(a, host, account, ban);
                self.net.command(a, |request| Command::Unban { request, seat: host, account });
            }
            16 if member => self.net.cut_links(node),
            17 if member => {
                self.net.dark.insert(node);
            }
            18 => self.net.dark.clear(),
            19 => {
                let accounts = self.some_accounts(3);
                ask_seats(&mut self.net, a, key, number, accounts);
            }
            20 => {
                let turn = self.some_accounts(4);
                self.net.command(a, |request| Command::SetTurn { request, seat: host, accounts: turn });
            }
            21 => {
                let timeouts = MemberTimeouts::new().reserved(self.some_time()).ready(self.some_time());
                let timeouts = timeouts.inactive(self.some_time());
                self.net.update(a, host, SettingsUpdate::new().timeouts(timeouts), None);
            }
            22 => {
                let locked = self.draw(3) == 0;
                self.net.update(a, host, SettingsUpdate::new().locked(locked), None);
            }
            _ => {
                if let Some(request) = self.net.nodes[node].next_request.checked_sub(1) {
                    let now = self.net.now;
                    let open = !self.net.nodes[node].done.contains_key(&RequestId(request));
                    if open && member {
                        self.net.nodes[node].sessions.cancel(now, RequestId(request));
                        self.net.drain();
                    }
                }
            }
        }
    }

    fn join(&mut self) {
        let node = pick(&mut self.net.rng, &self.players);
        let second = self.net.nodes[node].users[1];
        let party = if self.draw(3) == 0 { vec![second] } else { Vec::new() };
        let mut reserve_for = if self.draw(3) == 0 { self.some_accounts(2) } else { Vec::new() };
        reserve_for.retain(|account| !self.net.nodes[node].users.contains(account));
        let (status, role) = (self.some_status(), self.some_role());
        let what = JoinCommand { party, reserve_for, status, role, ..Net::join_command(None) };
        let to = self.net.resolved(self.host.2);
        self.net.ask_join_with(node, what, to);
    }

    fn change_reservation(&mut self, node: usize, seat: SeatId) {
        for node in &self.net.nodes {
            for answer in node.done.values() {
                if let Ok(Answer::Reservation(_, reservation)) = answer {
                    if !self.reservations.contains(&reservation.id) {
                        self.reservations.push(reservation.id);
                    }
                }
            }
        }
        if self.reservations.is_empty() {
            return;
        }
        let id = pick(&mut self.net.rng, &self.reservations);
        let change = match self.draw(4) {
            0 => ReservationChange::Extend(self.some_accounts(2)),
            1 => ReservationChange::Shrink(self.some_accounts(1)),
            2 => ReservationChange::Renew,
            _ => ReservationChange::Cancel,
        };
        let command = |request| Command::ChangeReservation { request, seat, id, expected: None, change };
        self.net.command(node, command);
    }

    /// Lets time pass in small steps, looking between them.
    fn pass(&mut self, time: Duration) {
        for _ in 0..4 {
            self.net.run(time / 4);
            let (a, _, key) = self.host;
            self.net.nodes[a].sessions.hosts[&key].check_invariants(self.net.now);
        }
    }

    fn end(&mut self) {
        let (a, host, key) = self.host;
        self.net.dark.clear();
        let timeouts = MemberTimeouts::new().reserved(Some(SECOND));
        self.net.update(a, host, SettingsUpdate::new().locked(true).timeouts(timeouts), None);
        self.pass(45 * SECOND);
        self.net.update(a, host, SettingsUpdate::new().name("last"), None);
        self.pass(3 * SECOND);
        let view = self.net.nodes[a].sessions.hosts[&key].view();
        let mut open = usize::from(!view.dedicated);
        for &player in &self.players {
            for watched in self.net.nodes[player].seats.values() {
                check_events(watched);
                check_order(watched, false);
                if watched.left.is_none() {
                    open += 1;
                    assert_eq!(*watched.snapshot, view, "player {player}");
                }
            }
            let unanswered = self.net.nodes[player].next_request - 1 - self.net.nodes[player].done.len() as u64;
            assert_eq!(unanswered, 0, "every request has its answer");
        }
        let held = view.members.iter().filter(|member| member.link == LinkState::Away).count();
        assert_eq!(view.members.len(), open + held, "as many seats as are held");
        // A reservation with a time of its own may still run.
        assert_eq!(held, 0, "every seat that nobody comes for is free");
        check_events(self.net.seat(a, host));
        check_order(self.net.seat(a, host), true);
    }
}

fn life(seed: u64) {
    let mut life = Life::new(seed);
    for number in 0..150 {
        life.step(number);
        let pause = Duration::from_micros(life.net.rng.next_u64() % 600_000);
        life.pass(pause);
    }
    life.end();
}

#[test]
fn seats_are_counted_right_whatever_happens() {
    for seed in 0..60 {
        let result = std::panic::catch_unwind(|| life(seed));
        if result.is_err() {
            panic!("seed {seed}");
        }
    }
}
