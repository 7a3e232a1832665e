//! What must hold (S: always, L: once it is calm), each with the number by which a failure names it: between any two
//! steps, when users are told something, and once the network has been whole for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::app::Seat;
use super::brain::Brain;
use super::reigns::Reigns;
use super::run::Run;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, RequestId, SeatId};
use crate::proto::limits;
use crate::proto::machine::Machine;
use crate::types::{AccountId, Error, JoinPolicy, MemberStatus, Revision, SessionKey, SessionSnapshot};
use crate::wire::frame::{Reign, view_digest};

/// Datagrams that one node may send in a second; and for each session it hosts, each query and each account it asks for.
const BUDGET: u64 = 200;
const BUDGET_PER_WISH: u64 = 40;
/// The longest time between two questions of a browser, a tenth more, and a moment for the answers.
const QUESTION: Duration = Duration::from_secs(38);
/// Two hosts that have not met in a minute tell each other of themselves every half minute; then the grace of those that were
/// under the other one begins.
const REUNION: Duration = Duration::from_secs(100);
/// A node with more sessions than this may be beyond what finders list of one address, once some were replaced.
const CROWD: usize = limits::ENTRIES_PER_SOURCE / 2;
/// So many wakes in a row that ask for one more at once are a loop.
const SPINS: u32 = 20;

/// Where a session was founded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) node: usize,
    pub(super) incarnation: u64,
    /// Its id was used again: what two runs of it say is not compared.
    pub(super) again: bool,
}

/// What the run knows and no single process does.
#[derive(Default)]
pub(super) struct Lore {
    pub(super) sessions: BTreeMap<SessionKey, Origin>,
    /// What a state looks like to a member, by branch.
    digests: BTreeMap<(SessionKey, (u16, u64), Revision), [u8; 8]>,
    /// The last state of each view that was looked at.
    seen: BTreeMap<(usize, SessionKey, Option<AccountId>), (Reign, Revision)>,
    /// Of sessions that move from host to host.
    pub(super) reigns: Reigns,
    /// Invited there, or a seat was asked for them.
    pub(super) welcome: BTreeSet<(SessionKey, AccountId)>,
    /// Said the password there, or wherever an address led.
    pub(super) initiated: BTreeSet<(Option<SessionKey>, AccountId)>,
    /// A joiner wanted a seat for them there, or wherever an address led.
    pub(super) brought: BTreeSet<(Option<SessionKey>, AccountId)>,
    /// Was its host once: nobody asked it for a word.
    ruled: BTreeSet<(SessionKey, AccountId)>,
    /// How often somebody asked for a seat there.
    pub(super) asked: BTreeMap<(SessionKey, AccountId), u32>,
    /// Had a seat there in a process that is gone: it may be held for them.
    pub(super) seated: BTreeSet<(SessionKey, AccountId)>,
    /// Somebody's friends.
    pub(super) friends: BTreeSet<AccountId>,
    pub(super) foes: BTreeSet<AccountId>,
    /// Leader and companions of each join of several.
    pub(super) parties: Vec<(AccountId, Vec<AccountId>)>,
    /// Until then an entry may be lost by an honest fault.
    pub(super) rough_until: Moment,
    /// Every reign in which each session was hosted.
    hosted: BTreeSet<(SessionKey, Reign)>,
    /// Which process has lost which entry.
    lost: BTreeSet<(usize, SessionKey)>,
    looks: u32,
}

pub(super) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Lore {
    /// After each step, at whom it touched.
    pub(super) fn look(&mut self, node: usize, process: usize, brain: &mut Brain) -> Result<(), String> {
        self.looks += 1;
        let now = brain.now;
        no_timer_starves(brain)?;
        let sessions = brain.engine.sessions();
        let mut changed = false;
        let mut keys = Vec::new();
        for host in sessions.hosted().filter(|host| host.open) {
            self.register(host.key, node, host.incarnation);
            // Whoever was host has what opens it.
            self.initiated.insert((Some(host.key), host.user));
            self.ruled.insert((host.key, host.user));
            self.reigns.host(process, &host)?;
            self.hosted.insert((host.key, host.reign));
            keys.extend(host.voter);
            let state = (host.reign, host.state.revision);
            if self.seen.insert((process, host.key, None), state) != Some(state) {
                changed = true;
                no_more_members_than_seats(host.state.members.len(), host.state.max_members)?;
                nobody_banned(host.bans, host.state.members.iter().map(|member| member.account))?;
                if let Some(shown) = sessions.shown(host.key) {
                    self.same_revision_same_view(&shown, host.reign)?;
                }
            }
        }
        for seat in sessions.seats() {
            self.reigns.member(process, &seat)?;
            keys.extend(seat.voter.as_ref().map(|voter| voter.key));
            let view = (process, seat.key, Some(seat.account));
            let state = (seat.reign, seat.state.revision);
            if self.seen.insert(view, state) != Some(state) {
                self.same_revision_same_view(seat.state, seat.reign)?;
            }
        }
        self.reigns.present(process, keys);
        // The costly ones where something changed, and now and then.
        // A process that was stopped has deadlines behind it until its wake comes.
        let behind = brain.engine.poll_timeout().is_some_and(|at| at < now);
        let sessions = brain.engine.sessions();
        if !behind && (changed || self.looks % 16 == 0) {
            // S6, S10, S24 and more, inside the host.
            sessions.check(now);
        }
        if self.looks % 64 == 0 {
            state_is_bounded(brain)?;
        }
        Ok(())
    }

    fn register(&mut self, key: SessionKey, node: usize, incarnation: u64) {
        let new = Origin { node, incarnation, again: false };
        let own = self.sessions.entry(key).or_insert(new);
        if own.incarnation != incarnation {
            *own = Origin { again: true, ..new };
        }
    }

    /// S7: whoever has the same rights sees the same at one revision of a branch.
    fn same_revision_same_view(&mut self, state: &SessionSnapshot, reign: Reign) -> Result<(), String> {
        let (key, at) = (state.key, state.revision);
        // One that follows another host already and has no state of it yet.
        let between = at.term != reign.term;
        if between || self.sessions.get(&key).is_none_or(|origin| origin.again) {
            return Ok(());
        }
        let digest = view_digest(state);
        let other = *self.digests.entry((key, (reign.forks, reign.branch), at)).or_insert(digest);
        check(other == digest, || format!("S7: two views of {key:?} differ at {at}"))
    }
}

/// S6.
fn no_more_members_than_seats(members: usize, max: u16) -> Result<(), String> {
    check(members <= usize::from(max), || format!("S6: {members} members of {max}"))
}

/// S12: who is banned has no seat.
fn nobody_banned(bans: &BTreeSet<AccountId>, mut members: impl Iterator<Item = AccountId>) -> Result<(), String> {
    check(!members.any(|account| bans.contains(&account)), || "S12: a banned account has a seat".to_owned())
}

/// S22.
fn state_is_bounded(brain: &Brain) -> Result<(), String> {
    let over = brain.engine.sizes().into_iter().find(|(_, size, cap)| size > cap);
    check(over.is_none(), || format!("S22: over its cap: {over:?}"))
}

/// A timer that is due is done by the wake that came for it.
fn no_timer_starves(brain: &Brain) -> Result<(), String> {
    check(brain.spins < SPINS, || "timers: one is due and nothing does it".to_owned())
}

// ------------------------------------------------------------------------------------------- when users are told

impl Run {
    /// S12: no stranger under any policy. S13: a party comes whole.
    pub(super) fn check_seated(&self, node: usize, key: SessionKey, accounts: &[AccountId]) -> Result<(), String> {
        let Some(live) = self.nodes[node].live.as_ref() else { return Ok(()) };
        let own = |seat: &&Seat| seat.is_host && seat.left.is_none() && seat.key() == key;
        let Some(seat) = live.app.seats.values().find(own) else {
            return Ok(());
        };
        let state = &seat.snapshot;
        // Its creator asks nobody.
        let creator = state.members.iter().find(|member| member.is_host).map(|member| member.account);
        let asked = |account: AccountId| Some(account) != creator && !self.lore.ruled.contains(&(key, account));
        for &account in accounts.iter().filter(|&&account| asked(account)) {
            // Whom an admitted leader brings along is not asked again.
            let brought = |(leader, others): &(AccountId, Vec<AccountId>)| {
                state.member(*leader).is_some() && others.contains(&account)
            };
            let brought = self.lore.parties.iter().any(brought)
                || [Some(key), None].iter().any(|&to| self.lore.brought.contains(&(to, account)));
            // What a hostile member reserves is not asked either: any member may bring others along.
            let held = state.member(account).is_some_and(|member| member.status == MemberStatus::Reserved);
            let held = held && state.members.iter().any(|member| self.lore.foes.contains(&member.account));
            let welcome = self.lore.welcome.contains(&(key, account)) || state.matchmaking || brought || held;
            let fits = match state.policy {
                JoinPolicy::Public => true,
                JoinPolicy::FriendsOnly => welcome || self.lore.friends.contains(&account),
                JoinPolicy::InviteOnly => welcome,
            };
            check(fits, || format!("S12: {account:?} is seated against {:?}", state.policy))?;
            let knows = welcome || [Some(key), None].iter().any(|&to| self.lore.initiated.contains(&(to, account)));
            check(!state.password || knows, || {
                format!("S12: {account:?} is seated without the password at {creator:?}")
            })?;
        }
        let joined = |account: &AccountId| state.member(*account).is_some_and(|m| m.status != MemberStatus::Reserved);
        let brought = |account: &AccountId| {
            let by =
                |(leader, others): &(AccountId, Vec<AccountId>)| accounts.contains(leader) && others.contains(account);
            self.lore.parties.iter().any(by)
        };
        for leader in accounts.iter().filter(|account| joined(account) && !brought(account)) {
            let theirs = self.lore.parties.iter().filter(|(own, _)| own == leader);
            let came: Vec<_> = theirs.filter(|(_, all)| all.iter().any(|other| accounts.contains(other))).collect();
            // The same leader may have asked for several: one of them is what came.
            let whole = came.iter().any(|(_, all)| all.iter().all(|&other| state.member(other).is_some()));
            check(came.is_empty() || whole, || format!("S13: {leader:?} came with a part of {came:?}"))?;
        }
        Ok(())
    }

    /// S13, at the party's own end: the answer names seats of one revision.
    pub(super) fn check_done(
        &self,
        node: usize,
        _request: RequestId,
        result: &Result<Answer, Error>,
    ) -> Result<(), String> {
        let (Some(live), Ok(Answer::Seats(seats))) = (self.nodes[node].live.as_ref(), result) else { return Ok(()) };
        let joined: BTreeSet<_> = seats
            .iter()
            .map(|seat| {
                let seat = live.app.seats.get(seat)?;
                seat.opened.snapshot.member(seat.opened.user).map(|member| member.joined_revision)
            })
            .collect();
        // Whoever had a seat there before, reserved or its own, has been a member for longer.
        let before = |seat: &SeatId| {
            let Some(own) = live.app.seats.get(seat) else { return false };
            let (key, user) = (own.key(), own.opened.user);
            let same = |(other, of): (&SeatId, &Seat)| other != seat && of.key() == key && of.opened.user == user;
            let wanted = [Some(key), None].iter().any(|&to| self.lore.brought.contains(&(to, user)));
            let often = self.lore.asked.get(&(key, user)).is_some_and(|times| *times > 1);
            let known = often || self.lore.seated.contains(&(key, user)) || self.lore.welcome.contains(&(key, user));
            wanted || known || live.app.seats.iter().any(same)
        };
        // Where the leader's link is lost before it has read its answer, its companions may be seated again without it.
        let rough = self.world.now() < self.lore.rough_until;
        let reserved = rough || seats.iter().any(before);
        check(reserved || joined.len() == 1 && !joined.contains(&None), || {
            format!("S13: a party came in pieces: {joined:?}")
        })
    }

    /// Whether a session is hosted and advertised now, by one of few.
    fn is_listed(&self, key: SessionKey) -> (bool, bool) {
        let (mut listed, mut few) = (false, true);
        for live in self.nodes.iter().filter_map(|node| node.live.as_ref()) {
            let brain = live.process.brain();
            let sessions = brain.engine.sessions();
            if sessions.hosted().any(|host| host.key == key && host.state.listed) {
                listed = true;
                // More than 32 sessions of one address are listed by nobody.
                few &= sessions.hosted().count() <= CROWD;
            }
        }
        (listed, few)
    }

    /// A later host ended it, and a former one or a survivor alone goes on: whoever heard of the end lists it no more
    /// (protocol.md: *ended* refuses what does not supersede the reign that ended), whoever did not may. An end in a reign
    /// that nobody had excuses nothing, nor one in the living reign, or that this supersedes.
    fn has_ended(&self, key: SessionKey) -> bool {
        let live = || self.nodes.iter().filter_map(|node| node.live.as_ref());
        let told: Vec<Reign> = live().filter_map(|one| one.process.brain().engine.ended(&key)).collect();
        let had = |reign: &&Reign| self.lore.hosted.contains(&(key, **reign));
        let refuses = |reign: Reign| told.iter().filter(had).any(|ended| reign != *ended && !reign.supersedes(*ended));
        live().any(|one| {
            let brain = one.process.brain();
            brain.engine.sessions().hosted().any(|host| host.key == key && refuses(host.reign))
        })
    }

    /// S19, L5: an entry ends with its session, and by nothing that others say.
    pub(super) fn check_lost(&mut self, finder: usize, key: SessionKey) -> Result<(), String> {
        let (true, Some(live)) = (self.lore.sessions.contains_key(&key), self.nodes[finder].live.as_ref()) else {
            return Ok(());
        };
        let calm = self.world.now() >= self.lore.rough_until;
        let (listed, few) = self.is_listed(key);
        let few = few && !self.has_ended(key);
        self.lore.lost.insert((live.id, key));
        check(!(calm && few && listed), || format!("S19: n{finder} lost {key:?}, whose host lives and is reachable"))
    }

    /// S19: what is over and was lost here comes back by no recording.
    pub(super) fn check_found(&self, finder: usize, key: SessionKey) -> Result<(), String> {
        let (true, Some(live)) = (self.lore.sessions.contains_key(&key), self.nodes[finder].live.as_ref()) else {
            return Ok(());
        };
        let calm = self.world.now() >= self.lore.rough_until;
        let again = calm && self.lore.lost.contains(&(live.id, key)) && !self.is_listed(key).0;
        check(!again, || format!("S19: n{finder} lists {key:?} again, which is over"))
    }

    /// No node sends more than so many datagrams in a second.
    pub(super) fn check_budget(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            let all = self.world.traffic.of(&format!("n{node}"));
            let since = all - std::mem::replace(&mut self.nodes[node].sent, all);
            let wishes = std::mem::take(&mut self.nodes[node].wishes);
            let budget = BUDGET + BUDGET_PER_WISH * wishes;
            check(since <= budget, || {
                format!("budget: n{node} sent {since} datagrams in a second for {wishes} wishes")
            })?;
        }
        Ok(())
    }

    // --------------------------------------------------------------------------------------------------- at rest

    /// The network has been whole for longer than any seat is held: everything has come to one state. Where a session had to
    /// look for its host that may take longer: two branches meet, and grace begins anew.
    pub(super) fn at_rest(&mut self) -> Result<(), String> {
        let last = self.world.now() + self.schedule.grace + REUNION;
        loop {
            let rest = self.is_at_rest();
            if rest.is_ok() || self.world.now() >= last {
                rest?;
                break;
            }
            self.rest_on()?;
        }
        // Whoever was not heard in a flood is found by the next question of a browser, and there are 32 s between two.
        // A claimant that was refused is heard again after a minute.
        let moved = self.hosts_by_session()?.values().any(|(reign, _)| *reign != Reign::FOUNDER);
        let last = self.world.now() + if moved { QUESTION + REUNION } else { QUESTION };
        loop {
            let listed = (0..self.nodes.len()).try_for_each(|node| self.lists_show_what_lives(node));
            if listed.is_ok() || self.world.now() >= last {
                return listed;
            }
            self.rest_on()?;
        }
    }

    fn is_at_rest(&self) -> Result<(), String> {
        let hosts = self.hosts_by_session()?;
        for node in 0..self.nodes.len() {
            let Some(live) = self.nodes[node].live.as_ref() else { continue };
            {
                let brain = live.process.brain();
                state_is_bounded(&brain)?;
                brain.engine.sessions().check(brain.now);
            }
            self.everything_is_answered(node)?;
            self.members_agree_with_their_host(node, &hosts)?;
            self.hosts_have_no_ghosts(node)?;
        }
        Ok(())
    }

    /// L1, L2: each session has one host, and that one knows what members see.
    fn hosts_by_session(&self) -> Result<BTreeMap<SessionKey, (Reign, SessionSnapshot)>, String> {
        let mut hosts = BTreeMap::new();
        for live in self.nodes.iter().filter_map(|node| node.live.as_ref()) {
            let brain = live.process.brain();
            let sessions = brain.engine.sessions();
            for host in sessions.hosted() {
                let Some(shown) = sessions.shown(host.key) else { continue };
                let listed = shown.listed;
                let other = hosts.insert(host.key, (host.reign, shown));
                check(other.is_none(), || {
                    let listed = if listed { "listed" } else { "hidden" };
                    format!("L2: two hosts of {:?} go on, one in {:?}, {listed}", host.key, host.reign)
                })?;
            }
        }
        Ok(hosts)
    }

    /// L7.
    fn everything_is_answered(&self, node: usize) -> Result<(), String> {
        let Some(live) = self.nodes[node].live.as_ref() else { return Ok(()) };
        let open: Vec<_> = live.app.requests.iter().collect();
        check(open.is_empty(), || format!("L7: n{node} waits for {open:?}"))
    }

    /// L2, L3: each seat is linked to a host that lives and sees what its host shows.
    fn members_agree_with_their_host(
        &self,
        node: usize,
        hosts: &BTreeMap<SessionKey, (Reign, SessionSnapshot)>,
    ) -> Result<(), String> {
        let Some(live) = self.nodes[node].live.as_ref() else { return Ok(()) };
        let brain = live.process.brain();
        for seat in brain.engine.sessions().seats() {
            let Some((reign, shown)) = hosts.get(&seat.key) else {
                return Err(format!("L2: n{node} has a seat in {:?}, which is over", seat.key));
            };
            check(seat.linked, || format!("L3: n{node} does not come back to {:?}", seat.key))?;
            check(seat.reign == *reign && seat.state == shown, || {
                format!(
                    "L2: n{node} sees {:?} at {} of {:?} and its host {} of {reign:?}",
                    seat.key, seat.state.revision, seat.reign, shown.revision
                )
            })?;
        }
        Ok(())
    }

    /// L4: each member of a host holds its seat.
    fn hosts_have_no_ghosts(&self, node: usize) -> Result<(), String> {
        let Some(live) = self.nodes[node].live.as_ref() else { return Ok(()) };
        let mut hosted = Vec::new();
        for host in live.process.brain().engine.sessions().hosted() {
            let guests = host.state.members.iter().filter(|m| !m.is_host && m.status != MemberStatus::Reserved);
            hosted.push((host.key, guests.map(|member| member.account).collect::<Vec<_>>()));
        }
        for (key, members) in hosted {
            for account in members.into_iter().filter(|account| !self.lore.foes.contains(account)) {
                let held = self.nodes.iter().filter_map(|other| other.live.as_ref()).any(|other| {
                    other.process.brain().engine.sessions().seats().any(|s| s.key == key && s.account == account)
                });
                check(held, || format!("L4: n{node} holds a seat of {key:?} for {account:?}, who has none"))?;
            }
        }
        Ok(())
    }

    /// L5: what lives is listed, and nothing else.
    fn lists_show_what_lives(&self, node: usize) -> Result<(), String> {
        let Some(live) = self.nodes[node].live.as_ref() else { return Ok(()) };
        let (mut living, mut crowd) = (BTreeMap::new(), BTreeSet::new());
        for host in self.nodes.iter().filter_map(|own| own.live.as_ref()) {
            let brain = host.process.brain();
            let listed = brain.engine.sessions().hosted().filter(|host| host.open && host.state.listed);
            let listed: Vec<_> =
                listed.map(|one| (one.key, (one.state.name.clone(), one.state.members.len()))).collect();
            // Of one address so many are listed and no more; which, is anybody's guess.
            if listed.len() > CROWD {
                crowd.extend(listed.iter().map(|(key, _)| *key));
            }
            living.extend(listed);
        }
        crowd.extend(living.keys().copied().filter(|&key| self.has_ended(key)));
        living.retain(|key, _| !crowd.contains(key));
        for listing in live.app.browsers.values() {
            let shown =
                listing.list.iter().filter(|(key, _)| self.lore.sessions.contains_key(key) && !crowd.contains(key));
            let shown: BTreeMap<_, _> =
                shown.map(|(&key, f)| (key, (f.name().to_owned(), usize::from(f.members())))).collect();
            check(shown == living, || format!("L5: n{node} lists {shown:?}, living are {living:?}"))?;
        }
        Ok(())
    }
}
