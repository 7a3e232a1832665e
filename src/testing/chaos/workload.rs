//! What players do: an operation of the schedule becomes a command, chosen among what is possible at that moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::run::{Live, Run};
use super::schedule::{Op, Profile};
use crate::proto::io::{Command, JoinCommand, JoinTarget, MatchCommand, SeatId};
use crate::types::{
    AccountId, Attributes, HostRequest, InviteRequest, InvitesFrom, JoinAsk, JoinPolicy, MemberStatus, MemberTimeouts,
    MemberUpdate, Migration, Phase, Reason, ReservationChange, ReserveRequest, Role, RoomCode, SessionId, SessionKey,
    SessionQuery, SessionSettings, SettingsUpdate, Verdict, Visibility,
};

/// The one password of all sessions that have one.
const PASSWORD: &str = "xyzzy";

/// Choices of one step: a stream of its own, so that one step more or less changes no other.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len());
        from.get(at)
    }
}

/// A seat that can be used now.
#[derive(Clone, Copy)]
struct Held {
    seat: SeatId,
    key: SessionKey,
    user: AccountId,
}

fn held(live: &Live, host: Option<bool>) -> Vec<Held> {
    let fits = |is_host: bool| host.is_none_or(|host| host == is_host);
    let seats = live.app.seats.iter().filter(|(_, seat)| seat.left.is_none() && fits(seat.is_host));
    seats.map(|(&seat, own)| Held { seat, key: own.key(), user: own.opened.user }).collect()
}

impl Run {
    pub(super) fn ask(&mut self, node: usize, op: Op, mut dice: Dice) {
        if !self.is_up(node) {
            return;
        }
        let dice = &mut dice;
        match op {
            Op::Burst => self.burst(node, dice),
            Op::Close => {
                self.queue(node, "close", |request| Command::Close { request });
            }
            _ => self.one(node, op, dice),
        }
    }

    fn queue(&mut self, node: usize, what: &'static str, command: impl FnOnce(crate::proto::io::RequestId) -> Command) {
        let now = self.world.now();
        let Some(live) = self.nodes[node].live.as_mut() else { return };
        let request = live.app.ask(now, what);
        let command = command(request);
        live.process.brain().commands.push_back(command);
    }

    fn tell(&mut self, node: usize, command: Command) {
        if let Some(live) = self.nodes[node].live.as_ref() {
            live.process.brain().commands.push_back(command);
        }
    }

    fn number(&mut self) -> i64 {
        self.counter += 1;
        self.counter
    }

    fn anybody(&self, dice: &mut Dice) -> AccountId {
        let node = dice.below(self.nodes.len());
        self.nodes[node].account(dice)
    }

    fn some_accounts(&self, dice: &mut Dice) -> Vec<AccountId> {
        let mut accounts: Vec<AccountId> = (0..=dice.below(3)).map(|_| self.anybody(dice)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// One of this node's seats; of a host's, of a member's, or any.
    fn seat(&self, node: usize, host: Option<bool>, dice: &mut Dice) -> Option<Held> {
        let live = self.nodes[node].live.as_ref()?;
        dice.pick(&held(live, host)).copied()
    }

    /// A member of a session as this seat sees it.
    fn member(&self, node: usize, seat: Held, dice: &mut Dice) -> Option<AccountId> {
        let live = self.nodes[node].live.as_ref()?;
        dice.pick(&live.app.seats.get(&seat.seat)?.snapshot.members).map(|member| member.account)
    }

    #[allow(clippy::too_many_lines)] // one arm for each thing that a player can do
    fn one(&mut self, node: usize, op: Op, dice: &mut Dice) {
        let account = self.nodes[node].account(dice);
        match op {
            Op::Host | Op::HostAgain => {
                let what = Box::new(self.host_request(node, op == Op::HostAgain, dice));
                self.queue(node, "host", |request| Command::Host { request, account, what });
            }
            Op::Browse => {
                let Some(live) = self.nodes[node].live.as_mut() else { return };
                let browser = live.app.browser();
                self.tell(node, Command::OpenBrowser { browser, query: Box::new(SessionQuery::new()) });
            }
            Op::CloseBrowser | Op::Refresh => {
                let Some(live) = self.nodes[node].live.as_mut() else { return };
                let open: Vec<_> = live.app.browsers.keys().copied().collect();
                let Some(&browser) = dice.pick(&open) else { return };
                if op == Op::CloseBrowser {
                    live.app.browsers.remove(&browser);
                    self.tell(node, Command::CloseBrowser { browser });
                } else {
                    self.tell(node, Command::Refresh { browser });
                }
            }
            Op::Find => {
                let query = Box::new(SessionQuery::new().enough(1));
                self.queue(node, "find", |request| Command::Find { request, account: Some(account), query });
            }
            Op::FindAccount => {
                let query = Box::new(SessionQuery::new().accounts([self.anybody(dice)]));
                self.queue(node, "find an account", |request| Command::Find { request, account: Some(account), query });
            }
            Op::Join => self.join(node, account, false, dice),
            Op::JoinParty => self.join(node, account, true, dice),
            Op::Matchmake => {
                let settings = SessionSettings::new("match").max_members(4);
                let mut host = HostRequest::new(settings);
                host.matchmaking = true;
                if dice.percent(35) {
                    host = host.migration(Migration::AnySurvivor);
                }
                let local_name = format!("m{}", self.number());
                host.local_name.clone_from(&local_name);
                let timeout = Some(Duration::from_secs(5));
                let query = SessionQuery::new();
                let what = Box::new(MatchCommand { query, host, local_name, early: dice.percent(50), timeout });
                self.queue(node, "matchmake", |request| Command::Matchmake { request, account, what });
            }
            Op::Cancel => {
                let Some(live) = self.nodes[node].live.as_mut() else { return };
                let can = |what: &str| matches!(what, "find" | "join" | "matchmake" | "find an account");
                let open: Vec<_> =
                    live.app.requests.iter().filter(|(_, (_, what))| can(what)).map(|(&r, _)| r).collect();
                let Some(&request) = dice.pick(&open) else { return };
                live.app.requests.remove(&request);
                live.app.cancelled.insert(request);
                self.tell(node, Command::Cancel { request });
            }
            Op::Leave => {
                let Some(Held { seat, .. }) = self.seat(node, None, dice) else { return };
                if dice.percent(20) {
                    return self.tell(node, Command::Leave { request: None, seat });
                }
                self.queue(node, "leave", |request| Command::Leave { request: Some(request), seat });
            }
            Op::Destroy => {
                let Some(Held { seat, .. }) = self.seat(node, Some(true), dice) else { return };
                self.queue(node, "destroy", |request| Command::Destroy { request, seat });
            }
            Op::Update | Op::UpdateIf => {
                let Some(own) = self.seat(node, Some(true), dice) else { return };
                let update = Box::new(self.update(dice));
                let live = self.nodes[node].live.as_ref();
                let known = live.and_then(|live| live.app.seats.get(&own.seat)).map(|seat| seat.snapshot.revision);
                let expected = known.filter(|_| op == Op::UpdateIf);
                let seat = own.seat;
                self.queue(node, "update", |request| Command::Update { request, seat, update, expected });
            }
            Op::UpdateMe => {
                let Some(Held { seat, .. }) = self.seat(node, None, dice) else { return };
                let mut update = MemberUpdate::new().set("n", self.number()).ready(dice.percent(50));
                if dice.percent(30) {
                    update = update.set("k", "x".repeat(dice.below(600)));
                }
                let update = Box::new(update);
                self.queue(node, "update me", |request| Command::UpdateMe { request, seat, update });
            }
            Op::Say => {
                let Some(Held { seat, .. }) = self.seat(node, None, dice) else { return };
                let data: Arc<[u8]> = format!("message {}", self.number()).as_bytes().into();
                self.queue(node, "say", |request| Command::Say { request, seat, data });
            }
            Op::Kick | Op::Ban => {
                let Some(own) = self.seat(node, Some(true), dice) else { return };
                let Some(account) = self.member(node, own, dice) else { return };
                let (seat, ban, reason) = (own.seat, op == Op::Ban, Reason::new(1, "go"));
                self.queue(node, "kick", |request| Command::Kick { request, seat, account, reason, ban });
            }
            Op::Unban => {
                let Some(Held { seat, .. }) = self.seat(node, Some(true), dice) else { return };
                let account = self.anybody(dice);
                self.queue(node, "unban", |request| Command::Unban { request, seat, account });
            }
            Op::Phase => {
                let Some(Held { seat, .. }) = self.seat(node, Some(true), dice) else { return };
                let phase = [Phase::Lobby, Phase::InProgress, Phase::Ended][dice.below(3)];
                self.queue(node, "phase", |request| Command::SetPhase { request, seat, phase });
            }
            Op::Status => {
                let Some(Held { seat, .. }) = self.seat(node, None, dice) else { return };
                let all = [MemberStatus::Active, MemberStatus::Ready, MemberStatus::Inactive];
                match dice.below(4) {
                    3 => self.queue(node, "register", |request| Command::Register { request, seat }),
                    at => {
                        let status = all[at];
                        self.queue(node, "status", |request| Command::SetStatus { request, seat, status });
                    }
                }
            }
            Op::Role => {
                let Some(own) = self.seat(node, None, dice) else { return };
                let role = dice.pick(&[None, Some("red"), Some("blue")]).copied().flatten().map(str::to_owned);
                let account = if dice.percent(30) { self.member(node, own, dice) } else { None };
                let seat = own.seat;
                self.queue(node, "role", |request| Command::SetRole { request, seat, account, role });
            }
            Op::Turn => {
                let Some(own) = self.seat(node, Some(true), dice) else { return };
                let accounts = self.member(node, own, dice).into_iter().collect();
                let seat = own.seat;
                self.queue(node, "turn", |request| Command::SetTurn { request, seat, accounts });
            }
            Op::Reserve => {
                let Some(own) = self.seat(node, None, dice) else { return };
                let accounts = self.some_accounts(dice);
                self.lore.welcome.extend(accounts.iter().map(|&account| (own.key, account)));
                let mut what = ReserveRequest::from(accounts);
                if dice.percent(50) {
                    what = what.ttl(Duration::from_millis(100 + u64::try_from(dice.below(4_000)).unwrap_or(0)));
                }
                let (seat, what) = (own.seat, Box::new(what));
                self.queue(node, "reserve", |request| Command::Reserve { request, seat, what });
            }
            Op::ChangeReservation => self.change_reservation(node, dice),
            Op::Invite => {
                let Some(own) = self.seat(node, None, dice) else { return };
                self.invite(node, own, dice);
            }
            Op::Revoke => {
                let Some(own) = self.seat(node, None, dice) else { return };
                let known = self.nodes.iter().filter_map(|node| node.live.as_ref());
                let known: Vec<_> = known
                    .flat_map(|live| live.app.invites.values().flat_map(|list| list.iter().map(|i| i.id)))
                    .collect();
                let Some(&invite) = dice.pick(&known) else { return };
                let seat = own.seat;
                self.queue(node, "revoke", |request| Command::Revoke { request, seat, invite });
            }
            Op::AcceptInvite | Op::RejectInvite => {
                let Some(live) = self.nodes[node].live.as_ref() else { return };
                let known: Vec<_> = live.app.invites.values().flat_map(|list| list.iter().cloned()).collect();
                let Some(invite) = dice.pick(&known).cloned() else { return };
                let account = invite.invitee;
                if op == Op::RejectInvite {
                    let invite = invite.id;
                    return self.queue(node, "reject", |request| Command::RejectInvite { request, account, invite });
                }
                let what = self.join_command(JoinTarget::Invite(Box::new(invite)), dice);
                self.queue(node, "join", |request| Command::Join { request, account, what: Box::new(what) });
            }
            Op::Friends => {
                let friends = self.some_accounts(dice);
                self.lore.friends.extend(friends.iter().copied());
                self.tell(node, Command::SetFriends { account, friends });
            }
            Op::Presence => {
                self.tell(node, Command::ReceiveInvites { account, from: InvitesFrom::Anyone });
                let session = self.seat(node, None, dice).filter(|own| own.user == account).map(|own| own.key);
                self.tell(node, Command::SetPresence { account, session });
            }
            Op::SetState => {
                let Some(Held { seat, .. }) = self.seat(node, Some(true), dice) else { return };
                let data = vec![7; dice.below(3_000)];
                self.queue(node, "set state", |request| Command::SetState { request, seat, data });
            }
            Op::HandOver => {
                let Some(own) = self.seat(node, Some(true), dice) else { return };
                let to = if dice.percent(40) { self.member(node, own, dice) } else { None };
                let seat = own.seat;
                self.queue(node, "hand over", |request| Command::HandOver { request, seat, to });
            }
            Op::CanHost => {
                let Some(Held { seat, .. }) = self.seat(node, Some(false), dice) else { return };
                let can = dice.percent(60);
                self.queue(node, "can host", |request| Command::SetCanHost { request, seat, can });
            }
            Op::Successors => {
                let Some(own) = self.seat(node, Some(true), dice) else { return };
                let accounts = self.member(node, own, dice).into_iter().collect();
                let seat = own.seat;
                self.queue(node, "successors", |request| Command::SetSuccessors { request, seat, accounts });
            }
            Op::Diagnose => self.queue(node, "diagnose", |request| Command::Diagnose { request }),
            Op::SignOut => {
                self.queue(node, "sign out", |request| Command::SignOut { request, account });
                let user = self.nodes[node].users.iter().find(|user| user.account() == account).cloned();
                if let Some(identity) = user {
                    let name = "again".to_owned();
                    let user = crate::proto::io::LocalUser { identity, name, external: None };
                    self.tell(node, Command::SignIn { user });
                }
            }
            Op::Burst | Op::Close => {}
        }
    }

    fn host_request(&mut self, node: usize, again: bool, dice: &mut Dice) -> HostRequest {
        let name = format!("room {}", self.number());
        let least = if self.schedule.profile == Profile::Migration { 4 } else { 2 };
        let max = u16::try_from(least + dice.below(5)).unwrap_or(2);
        let mut settings = SessionSettings::new(name).max_members(max).attr("map", "dust");
        settings = match dice.below(10) {
            0 => settings.policy(JoinPolicy::FriendsOnly),
            1 | 2 => settings.policy(JoinPolicy::InviteOnly),
            _ => settings,
        };
        if dice.percent(30) {
            settings = settings.role(Role::new("red").max(2)).role(Role::new("blue").max(2));
        }
        if dice.percent(30) {
            let time =
                |dice: &mut Dice| Some(Duration::from_millis(500 + u64::try_from(dice.below(4_000)).unwrap_or(0)));
            settings = settings.timeouts(MemberTimeouts::new().reserved(time(dice)).ready(time(dice)));
        }
        settings = settings.listed(!dice.percent(15));
        let mut what = HostRequest::new(settings).local_name(format!("s{}", self.counter));
        if dice.percent(15) {
            what = what.password(PASSWORD);
        }
        if dice.percent(10) {
            what = what.admission(true);
        }
        if dice.percent(10) {
            what = what.dedicated(true);
        }
        // A session that was left to others and one that begins anew under its id are two: those have one host each.
        let share = if self.schedule.profile == Profile::Migration { 95 } else { 35 };
        if !again && dice.percent(share) {
            what = what.migration(if dice.percent(60) { Migration::Quorum } else { Migration::AnySurvivor });
        }
        if again {
            // Of one machine: whoever hosts an id lists no other session of that id.
            what = what.id(SessionId::from_name(&format!("fixed {node}"))).show_account(true);
        }
        what
    }

    fn update(&mut self, dice: &mut Dice) -> SettingsUpdate {
        let number = self.number();
        let visibility = [Visibility::Public, Visibility::Members, Visibility::Host][dice.below(3)];
        let mut update = SettingsUpdate::new().set_with(format!("s{}", dice.below(3)), number, visibility);
        match dice.below(10) {
            0 => update = update.max_members(u16::try_from(1 + dice.below(7)).unwrap_or(2)),
            1 => update = update.closed(dice.percent(40)),
            2 => update = update.locked(dice.percent(40)),
            3 => update = update.listed(dice.percent(60)),
            4 => update = update.name(format!("room {number}")),
            5 => {
                let all = [JoinPolicy::Public, JoinPolicy::FriendsOnly, JoinPolicy::InviteOnly];
                update = update.policy(all[dice.below(3)]);
            }
            6 => update = update.reserved_slots(u16::try_from(dice.below(2)).unwrap_or(0)),
            _ => {}
        }
        update
    }

    /// A session that somebody hosts: listed here, or known by word of mouth.
    fn target(&self, node: usize, dice: &mut Dice) -> Option<(SessionKey, JoinTarget)> {
        let live = self.nodes[node].live.as_ref()?;
        let listed: Vec<_> = live.app.browsers.values().flat_map(|listing| listing.list.values().cloned()).collect();
        if dice.percent(50) {
            if let Some(found) = dice.pick(&listed) {
                return Some((found.key(), JoinTarget::Found(found.clone())));
            }
        }
        let keys: Vec<_> = self.lore.sessions.iter().map(|(&key, &origin)| (key, origin)).collect();
        let &(key, origin) = dice.pick(&keys)?;
        let target = match dice.below(3) {
            0 => JoinTarget::Id(key.id),
            1 => JoinTarget::Code(RoomCode::of(key)),
            _ => JoinTarget::Address(SocketAddr::from(([10, 77, 0, u8::try_from(origin.node + 1).ok()?], 29_417))),
        };
        Some((key, target))
    }

    fn join_command(&mut self, target: JoinTarget, dice: &mut Dice) -> JoinCommand {
        let status = match dice.below(10) {
            0 => MemberStatus::Reserved,
            1 => MemberStatus::Ready,
            _ => MemberStatus::Active,
        };
        JoinCommand {
            target,
            local_name: format!("j{}", self.number()),
            password: None,
            ticket: vec![1; dice.below(4)],
            attributes: Attributes::new(),
            timeout: Duration::from_secs(5),
            role: dice.percent(10).then(|| "red".to_owned()),
            status,
            party: Vec::new(),
            reserve_for: Vec::new(),
            can_host: dice.percent(85),
            patient: true,
        }
    }

    fn join(&mut self, node: usize, account: AccountId, party: bool, dice: &mut Dice) {
        let Some((key, target)) = self.target(node, dice) else { return };
        // By an address one gets to whatever is there.
        let anywhere = matches!(target, JoinTarget::Address(_) | JoinTarget::Code(_) | JoinTarget::Id(_));
        let mut what = self.join_command(target, dice);
        if party {
            if dice.percent(60) {
                what.party = self.nodes[node].accounts().filter(|&other| other != account).collect();
            } else {
                what.reserve_for = self.some_accounts(dice);
                what.reserve_for.retain(|&other| other != account);
            }
            let others: Vec<_> = what.party.iter().chain(&what.reserve_for).copied().collect();
            self.lore.parties.push((account, others));
        }
        for &account in what.party.iter().chain([&account]) {
            *self.lore.asked.entry((key, account)).or_default() += 1;
        }
        let knows = dice.percent(60);
        if knows {
            what.password = Some(PASSWORD.into());
        }
        let key = Some(key).filter(|_| !anywhere);
        if knows {
            let comes = what.party.iter().chain(&what.reserve_for).copied().chain([account]);
            self.lore.initiated.extend(comes.map(|account| (key, account)));
        }
        self.lore.brought.extend(what.reserve_for.iter().map(|&account| (key, account)));
        self.queue(node, "join", |request| Command::Join { request, account, what: Box::new(what) });
    }

    fn invite(&mut self, node: usize, own: Held, dice: &mut Dice) {
        let invitees = self.some_accounts(dice);
        self.lore.welcome.extend(invitees.iter().map(|&account| (own.key, account)));
        let mut what = InviteRequest::new(invitees).hold(dice.percent(50));
        if dice.percent(50) {
            what = what.ttl(Duration::from_millis(1_000 + u64::try_from(dice.below(4_000)).unwrap_or(0)));
        }
        let (seat, what) = (own.seat, Box::new(what));
        self.queue(node, "invite", |request| Command::Invite { request, seat, what });
    }

    fn change_reservation(&mut self, node: usize, dice: &mut Dice) {
        let Some(own) = self.seat(node, None, dice) else { return };
        let Some(live) = self.nodes[node].live.as_ref() else { return };
        let made = live.app.seats.values().filter_map(|seat| seat.opened.reservation);
        let made: Vec<_> = made.chain(live.app.reserved.iter().copied()).collect();
        let Some(&id) = dice.pick(&made) else { return };
        let accounts = self.some_accounts(dice);
        let change = match dice.below(4) {
            0 => {
                self.lore.welcome.extend(accounts.iter().map(|&account| (own.key, account)));
                ReservationChange::Extend(accounts)
            }
            1 => ReservationChange::Shrink(accounts),
            2 => ReservationChange::Renew,
            _ => ReservationChange::Cancel,
        };
        let seat = own.seat;
        let command = |request| Command::ChangeReservation { request, seat, id, expected: None, change };
        self.queue(node, "change a reservation", command);
    }

    /// Many of one thing, so that its cap is reached.
    fn burst(&mut self, node: usize, dice: &mut Dice) {
        let kind = dice.below(7);
        let many = 20 + dice.below(60);
        let account = self.nodes[node].account(dice);
        let own = self.seat(node, None, dice);
        // More than 32 sessions of one address are not listed by anybody.
        let live = self.nodes[node].live.as_ref();
        let hosts = live.is_some_and(|live| held(live, Some(true)).len() < 4);
        let many = if kind == 5 { many.min(24) } else { many };
        for _ in 0..many {
            match (kind, own) {
                (0, _) => {
                    let query = Box::new(SessionQuery::new());
                    self.queue(node, "find", |request| Command::Find { request, account: Some(account), query });
                }
                (1, Some(own)) => {
                    let update = Box::new(MemberUpdate::new().set("n", self.number()));
                    let seat = own.seat;
                    self.queue(node, "update me", |request| Command::UpdateMe { request, seat, update });
                }
                (2, Some(own)) => {
                    let data: Arc<[u8]> = format!("message {}", self.number()).as_bytes().into();
                    let seat = own.seat;
                    self.queue(node, "say", |request| Command::Say { request, seat, data });
                }
                (3, Some(own)) => self.invite(node, own, dice),
                (4, Some(own)) => {
                    let what = Box::new(ReserveRequest::from(self.some_accounts(dice)));
                    self.lore.welcome.extend(what.accounts.iter().map(|&account| (own.key, account)));
                    let seat = own.seat;
                    self.queue(node, "reserve", |request| Command::Reserve { request, seat, what });
                }
                (5, _) if hosts => {
                    let what = Box::new(self.host_request(node, false, dice));
                    self.queue(node, "host", |request| Command::Host { request, account, what });
                }
                _ => self.join(node, account, dice.percent(20), dice),
            }
        }
    }

    /// The game's word on a joiner: yes, no, or none.
    pub(super) fn verdict(&mut self, node: usize, seat: SeatId, ask: &JoinAsk) {
        let verdict = match ask.binding[0] % 4 {
            0 => return,
            1 => Verdict::Refuse(Reason::new(2, "no")),
            _ => Verdict::Admit,
        };
        self.tell(node, Command::Answer { seat, ask: ask.id, verdict });
    }
}
