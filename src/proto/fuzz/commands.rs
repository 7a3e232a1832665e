//! What users ask for, within the bounds that the handles check before an engine hears of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::input::Input;
use super::net::Net;
use super::node::{Node, identity};
use crate::proto::io::{Command, JoinCommand, JoinTarget, LocalUser, MatchCommand, SeatId};
use crate::types::{
    AccountId, BrowserId, Filter, HostRequest, Identity, InviteRequest, InvitesFrom, JoinLink, JoinPolicy,
    MemberStatus, MemberTimeouts, MemberUpdate, Migration, OrderBy, Password, Phase, Reason, ReservationChange,
    ReserveRequest, Role, RoomCode, SessionQuery, SessionSettings, SettingsUpdate, Verdict, Visibility,
};

const SECOND: Duration = Duration::from_secs(1);

impl Net {
    /// A session as the input wants it.
    fn room(input: &mut Input<'_>) -> HostRequest {
        let (seats, flags, more) = (input.byte(), input.byte(), input.byte());
        let policy = match flags & 3 {
            0 | 1 => JoinPolicy::Public,
            2 => JoinPolicy::FriendsOnly,
            _ => JoinPolicy::InviteOnly,
        };
        let mut settings = SessionSettings::new("room")
            .max_members(u16::from(seats % 5) + 2)
            .reserved_slots(u16::from(seats >> 7))
            .policy(policy)
            .role(Role::new("red").max(2))
            .attr("map", "dust");
        if seats & 0x40 != 0 {
            let timeouts = MemberTimeouts::new().reserved(Some(3 * SECOND)).ready(Some(4 * SECOND));
            settings = settings.timeouts(timeouts.inactive(Some(5 * SECOND))).ready_gate(true);
        }
        let mut what = HostRequest::new(settings)
            .admission(flags & 8 != 0)
            .dedicated(flags & 16 != 0)
            .show_account(flags & 32 != 0)
            .presence(more & 1 != 0)
            .migration(match more >> 6 {
                0 | 1 => Migration::Disabled,
                2 => Migration::Quorum,
                _ => Migration::AnySurvivor,
            });
        if flags & 4 != 0 {
            what = what.password("swordfish");
        }
        what.matchmaking = more & 2 != 0;
        what
    }

    pub(super) fn host(&mut self, at: usize, input: &mut Input<'_>) {
        let what = Self::room(input);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let Some(account) = node.users.first().map(Identity::account) else { return };
        let request = node.watch.request();
        self.with(at, |engine, now| {
            engine.handle_command(now, Command::Host { request, account, what: Box::new(what) });
        });
    }

    /// Joins the first session there is.
    pub(super) fn join_first(&mut self, at: usize) {
        let Some(link) = self.link(0) else { return };
        let what = JoinCommand::of(JoinTarget::Link(link));
        self.join(at, 0, what);
    }

    fn join(&mut self, at: usize, user: usize, what: JoinCommand) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let users = node.users.len().max(1);
        let Some(account) = node.users.get(user % users).map(Identity::account) else { return };
        let request = node.watch.request();
        let what = Box::new(what);
        self.with(at, |engine, now| engine.handle_command(now, Command::Join { request, account, what }));
    }

    /// How to join one of the sessions that are listened for.
    fn link(&self, number: usize) -> Option<JoinLink> {
        let count = self.listeners.len().max(1);
        let (&to, &(_, key, host)) = self.listeners.iter().nth(number % count)?;
        JoinLink::new("com.example.boxes", key, host.into(), [to]).ok()
    }

    pub(super) fn command(&mut self, at: usize, input: &mut Input<'_>) {
        let verb = input.byte() % 40;
        let Some(node) = self.nodes.get_mut(at).filter(|node| !node.stopped) else { return };
        match verb {
            0 | 1 => return self.host(at, input),
            2..=6 => return self.some_join(at, input),
            _ => {}
        }
        let Some(command) = general(node, verb, input).or_else(|| of_seat(node, verb, input)) else { return };
        self.with(at, |engine, now| engine.handle_command(now, command));
        self.run(Duration::ZERO);
    }

    fn some_join(&mut self, at: usize, input: &mut Input<'_>) {
        let (kind, which) = (input.byte(), input.below(8));
        let link = self.link(which);
        let Some(node) = self.nodes.get(at) else { return };
        let target = match kind % 6 {
            0 | 1 => link.map(JoinTarget::Link),
            2 => link.map(|link| JoinTarget::Id(link.key.id)),
            3 => link.map(|link| JoinTarget::Code(RoomCode::of(link.key))),
            4 => {
                let count = node.watch.found.len().max(1);
                node.watch.found.get(which % count).cloned().map(JoinTarget::Found)
            }
            _ => {
                let invites = node.watch.inbox.values().flat_map(|list| list.iter());
                invites.last().cloned().map(|invite| JoinTarget::Invite(Box::new(invite)))
            }
        };
        let address = || JoinTarget::Address(SocketAddr::new(super::node::ip(which % 4), 40_000));
        let mut what = JoinCommand::of(target.unwrap_or_else(address));
        let flags = input.byte();
        if flags & 1 != 0 {
            what.password = Some(Password::from(if flags & 2 != 0 { "swordfish" } else { "guess" }));
        }
        if flags & 4 != 0 {
            what.role = Some("red".into());
        }
        if flags & 8 != 0 {
            what.status = MemberStatus::Ready;
        }
        if flags & 16 != 0 {
            what.party = node.users.get(1).map(Identity::account).into_iter().collect();
        }
        if flags & 32 != 0 {
            what.reserve_for = vec![identity(input.byte() | 8).account()];
        }
        what.patient = flags & 64 == 0;
        let user = if what.party.is_empty() { usize::from(flags >> 7) } else { 0 };
        self.join(at, user, what);
    }

    /// Everything is closed, whatever became of it.
    pub(super) fn close_all(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(at).filter(|node| !node.stopped) else { continue };
            let request = node.watch.request();
            self.with(at, |engine, now| engine.handle_command(now, Command::Close { request }));
        }
    }
}

fn query(input: &mut Input<'_>) -> SessionQuery {
    const FILTERS: [&str; 5] = ["", "map == \"dust\"", "@open_slots > 0", "map missing", "@phase == \"lobby\""];
    let filter = FILTERS.get(input.below(FILTERS.len())).and_then(|text| text.parse::<Filter>().ok());
    let mut query = SessionQuery::new().filter(filter.unwrap_or_else(Filter::all)).take(input.byte() % 4 + 1);
    if input.flag() {
        query = query.order_by([OrderBy::descending("@members")]);
    }
    query
}

fn account(input: &mut Input<'_>) -> AccountId {
    // Of this network, mostly; some never come.
    identity(input.byte() % 10).account()
}

/// What needs no seat.
fn general(node: &mut Node, verb: u8, input: &mut Input<'_>) -> Option<Command> {
    let own = node.users.first().map(Identity::account)?;
    Some(match verb {
        7 => {
            let request = node.watch.request();
            Command::Find { request, account: Some(own), query: Box::new(query(input)) }
        }
        8 => {
            let (query, request) = (query(input).accounts([account(input)]), node.watch.request());
            Command::Find { request, account: Some(own), query: Box::new(query) }
        }
        9 => {
            let browser = BrowserId(node.next_browser);
            node.next_browser += 1;
            node.watch.browse(browser);
            Command::OpenBrowser { browser, query: Box::new(query(input)) }
        }
        10 => {
            let browser = input.pick(&node.watch.browsers())?;
            match input.byte() % 3 {
                0 => Command::SetQuery { browser, query: Box::new(query(input)) },
                1 => Command::Refresh { browser },
                _ => {
                    node.watch.end_browse(browser);
                    Command::CloseBrowser { browser }
                }
            }
        }
        11 => {
            let open: Vec<_> = node.watch.open.iter().copied().collect();
            let request = input.pick(&open)?;
            node.watch.cancel(request);
            Command::Cancel { request }
        }
        12 => Command::SetFriends { account: own, friends: vec![account(input), account(input)] },
        13 => {
            let from = [InvitesFrom::Nobody, InvitesFrom::Friends, InvitesFrom::Anyone];
            Command::ReceiveInvites { account: own, from: input.pick(&from)? }
        }
        14 => {
            let seat = node.watch.live().first().and_then(|seat| node.watch.seats.get(seat));
            let session = seat.filter(|seat| seat.user == own).map(|seat| seat.snapshot.key);
            Command::SetPresence { account: own, session: session.filter(|_| input.flag()) }
        }
        15 => {
            let invite = node.watch.inbox.get(&own)?.first()?.id;
            if input.flag() {
                Command::AcceptInvite { account: own, invite }
            } else {
                Command::RejectInvite { request: node.watch.request(), account: own, invite }
            }
        }
        16 => {
            let what = MatchCommand {
                query: query(input),
                host: HostRequest::new(SessionSettings::new("match").max_members(4)),
                local_name: "match".into(),
                early: input.flag(),
                timeout: input.flag().then_some(3 * SECOND),
            };
            Command::Matchmake { request: node.watch.request(), account: own, what: Box::new(what) }
        }
        17 if input.byte() & 7 == 0 => Command::SignOut { request: node.watch.request(), account: own },
        17 => {
            let identity = node.users.first()?.clone();
            Command::SignIn { user: LocalUser { identity, name: "again".into(), external: None } }
        }
        18 => Command::Diagnose { request: node.watch.request() },
        19 if input.byte() & 15 == 0 => Command::Close { request: node.watch.request() },
        _ => return None,
    })
}

/// What is asked of a seat; of one that has ended as well, for that may cross.
fn of_seat(node: &mut Node, verb: u8, input: &mut Input<'_>) -> Option<Command> {
    let seats: Vec<SeatId> = node.watch.seats.keys().copied().collect();
    let seat = input.pick(&seats)?;
    let (is_host, user) = node.watch.seats.get(&seat).map(|seat| (seat.is_host, seat.user))?;
    let request = node.watch.request();
    let status = [MemberStatus::Active, MemberStatus::Ready, MemberStatus::Inactive];
    let command = match verb {
        19..=22 => {
            let update = settings_update(input);
            let expected = node.watch.seats.get(&seat).map(|seat| seat.snapshot.revision).filter(|_| input.flag());
            Command::Update { request, seat, update: Box::new(update), expected }
        }
        23 | 24 => {
            let key = format!("k{}", input.byte() % 4);
            let update = match input.byte() % 4 {
                0 => MemberUpdate::new().remove(key),
                1 => MemberUpdate::new().name("new").ready(input.flag()),
                2 => MemberUpdate::new().set(key, "x".repeat(1_000)),
                _ => MemberUpdate::new().set(key, i64::from(input.byte())),
            };
            Command::UpdateMe { request, seat, update: Box::new(update) }
        }
        25 => {
            let phase = input.pick(&[Phase::Lobby, Phase::InProgress, Phase::Ended]).unwrap_or_default();
            Command::SetPhase { request, seat, phase }
        }
        26 => {
            let (account, ban) = (account(input), input.flag());
            Command::Kick { request, seat, account, reason: Reason::new(3, "afk"), ban }
        }
        27 => Command::Unban { request, seat, account: account(input) },
        28 => {
            node.watch.open.remove(&request);
            let ask = input.pick(&node.watch.asks.clone()).unwrap_or_default();
            let no = Verdict::Refuse(Reason::new(1, "no"));
            Command::Answer { seat, ask, verdict: if input.flag() { Verdict::Admit } else { no } }
        }
        29 | 30 => {
            let what = InviteRequest::new([account(input)]).ttl(u32::from(input.byte() % 30 + 1) * SECOND);
            let what = what.hold(input.flag()).passes_password(input.flag());
            Command::Invite { request, seat, what: Box::new(what) }
        }
        31 => {
            let invites = node.watch.inbox.values().flat_map(|list| list.iter()).map(|invite| invite.id);
            let invites: Vec<_> = invites.collect();
            let invite = input.pick(&invites).unwrap_or(crate::types::InviteId::from_bytes([3; 16]));
            Command::Revoke { request, seat, invite }
        }
        32 => Command::Say { request, seat, data: vec![input.byte(); 20].into() },
        33 => match input.byte() % 3 {
            0 => Command::Register { request, seat },
            _ => Command::SetStatus { request, seat, status: input.pick(&status)? },
        },
        34 => {
            let other = (is_host && input.flag()).then(|| account(input));
            let role = ["red", "none"].get(input.below(3)).map(|role| (*role).to_owned());
            Command::SetRole { request, seat, account: other, role }
        }
        35 => {
            let accounts = if input.flag() { vec![user] } else { vec![account(input)] };
            Command::SetTurn { request, seat, accounts }
        }
        36 => {
            let mut what = ReserveRequest::from(account(input));
            what.ttl = input.flag().then(|| u32::from(input.byte() % 8) * SECOND);
            Command::Reserve { request, seat, what: Box::new(what) }
        }
        37 => {
            let id = input.pick(&node.watch.reservations.clone());
            let id = id.unwrap_or(crate::types::ReservationId::from_bytes([1; 16]));
            let change = match input.byte() % 4 {
                0 => ReservationChange::Extend(vec![account(input)]),
                1 => ReservationChange::Shrink(vec![account(input)]),
                2 => ReservationChange::Renew,
                _ => ReservationChange::Cancel,
            };
            Command::ChangeReservation { request, seat, id, expected: None, change }
        }
        38 => Command::Leave { request: Some(request), seat },
        39 if input.flag() => {
            node.watch.open.remove(&request);
            Command::Leave { request: None, seat }
        }
        _ => Command::Destroy { request, seat },
    };
    Some(command)
}

fn settings_update(input: &mut Input<'_>) -> SettingsUpdate {
    let (what, value) = (input.byte() % 10, input.byte());
    let update = SettingsUpdate::new();
    match what {
        0 => update.max_members(u16::from(value % 8) + 1),
        1 => update.reserved_slots(u16::from(value % 2)),
        2 => update.listed(value & 1 == 0),
        3 => update.closed(value & 1 == 0),
        4 => update.locked(value & 1 == 0),
        5 => update.policy(match value % 3 {
            0 => JoinPolicy::Public,
            1 => JoinPolicy::FriendsOnly,
            _ => JoinPolicy::InviteOnly,
        }),
        6 => update.roles([Role::new("red").max(u16::from(value % 3) + 1), Role::new("blue")]),
        7 => update.remove("map").name("another"),
        8 => update.set("big", "x".repeat(1_000)),
        _ => {
            let visibility = match value % 3 {
                0 => Visibility::Public,
                1 => Visibility::Members,
                _ => Visibility::Host,
            };
            update.set_with(format!("s{}", value % 4), i64::from(value), visibility)
        }
    }
}
