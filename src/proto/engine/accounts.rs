//! Finds by account: rows gathered per account, from this process and from others, until all have answered or it is time.
//!
//! What an account may be asked for was decided before (`SessionQuery::check_rights`); what a row may do in a list is
//! decided here. An account that does not answer and one that does not exist look the same: the find ends at its deadline.

use std::collections::BTreeMap;

use super::Engine;
use super::queries::too_many_queries;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, RequestId};
use crate::proto::limits;
use crate::types::{AccountId, AccountRow, Error, ErrorKind, Found, SessionKey, SessionQuery, compare};

/// One find by account on its way.
#[derive(Debug)]
pub(super) struct AccountFind {
    query: SessionQuery,
    /// The game's version here.
    version: u32,
    /// In the order of the request.
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    account: AccountId,
    /// Several machines may tell of one session.
    rows: BTreeMap<SessionKey, AccountRow>,
    answered: bool,
    /// Waited for until then.
    until: Moment,
}

impl AccountFind {
    pub(super) fn new(now: Moment, version: u32, query: SessionQuery) -> Self {
        let until = now + query.timeout;
        let group = |&account| Group { account, rows: BTreeMap::new(), answered: false, until };
        let groups = query.accounts.iter().map(group).collect();
        Self { query, version, groups }
    }

    /// An answer for one account; none for what was not asked or is another's. Of two words on one session the newer one
    /// counts.
    pub(super) fn rows(&mut self, account: AccountId, rows: Vec<AccountRow>) {
        let Some(group) = self.groups.iter_mut().find(|group| group.account == account) else { return };
        group.answered = true;
        let age = |row: &AccountRow| (row.incarnation, row.term, row.facts.revision);
        for row in rows.into_iter().filter(|row| row.member == account) {
            let full = group.rows.len() >= usize::from(SessionQuery::MAX_TAKE);
            match group.rows.get(&row.key) {
                Some(known) if age(known) >= age(&row) => {}
                None if full => {}
                _ => drop(group.rows.insert(row.key, row)),
            }
        }
    }

    /// Accounts that nobody has answered for.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = AccountId> {
        self.groups.iter().filter(|group| !group.answered).map(|group| group.account)
    }

    /// When it is over at the latest.
    pub(super) fn deadline(&self) -> Moment {
        let waiting = self.groups.iter().filter(|group| !group.answered);
        waiting.map(|group| group.until).max().unwrap_or(Moment::ZERO)
    }

    /// This account is not waited for as long as the others.
    fn hurry(&mut self, account: AccountId, until: Moment) {
        for group in self.groups.iter_mut().filter(|group| group.account == account) {
            group.until = group.until.min(until);
        }
    }

    /// Nothing more is to come, or what is there is enough.
    fn is_over(&self, now: Moment) -> bool {
        let enough = || self.query.enough_count().is_some_and(|count| self.fitting().len() >= count.into());
        self.deadline() <= now || enough()
    }

    /// So many of them as were asked for.
    fn list(&self) -> Vec<Found> {
        let mut list = self.fitting();
        list.truncate(usize::from(self.query.take));
        list
    }

    /// The rows that fit: by account as asked, then in the query's order, then by session id.
    fn fitting(&self) -> Vec<Found> {
        let widened = self.query.clone().private(true);
        let mut all = Vec::new();
        for group in &self.groups {
            let found = group.rows.values().map(|row| (row.shown, Found::of_row(row.clone(), self.version)));
            let keeps = |(shown, found)| {
                // What a player shows to friends needs no right to be seen by them.
                let query = if shown { &widened } else { &self.query };
                query.keeps(&found).then_some(found)
            };
            let mut fitting: Vec<Found> = found.filter_map(keeps).collect();
            fitting.sort_by(|a, b| compare(&self.query.order, a.data(), b.data()));
            all.extend(fitting);
        }
        all
    }
}

impl Engine {
    /// Finds by account: those of this process answer here, the others are asked for on the LAN and waited for. A user that
    /// has no session here may be in one on another machine.
    pub(super) fn find_accounts(
        &mut self,
        now: Moment,
        request: RequestId,
        asker: Option<AccountId>,
        query: SessionQuery,
    ) {
        if self.queries() >= limits::QUERIES {
            return self.done(request, Err(Error::new(ErrorKind::TooManyRequests, too_many_queries())));
        }
        let mut find = AccountFind::new(now, self.config.version, query);
        let own: Vec<AccountId> = find.unanswered().filter(|account| self.sessions.is_own(*account)).collect();
        for account in own {
            // Its friends here see what it shows, as those on other machines do.
            let friend = asker.is_some_and(|asker| self.sessions.is_friend(account, asker));
            let rows = if friend { self.rows_for_friends(account) } else { self.sessions.rows(account) };
            if rows.is_empty() && asker == Some(account) {
                find.hurry(account, now + self.config.tuning.own_elsewhere);
            } else {
                find.rows(account, rows);
            }
        }
        let elsewhere: Vec<AccountId> = find.unanswered().collect();
        match asker {
            Some(asker) if !find.is_over(now) => {
                for account in elsewhere {
                    self.ask_for(request, asker, account, find.deadline());
                }
            }
            Some(_) => {}
            // Nobody is asked in nobody's name, so there is nothing to wait for.
            None => elsewhere.into_iter().for_each(|account| find.rows(account, Vec::new())),
        }
        self.account_finds.insert(request, find);
        self.account_finds_due(now);
    }

    /// Another process has answered for an account.
    pub(super) fn account_rows(&mut self, now: Moment, request: RequestId, account: AccountId, rows: Vec<AccountRow>) {
        if let Some(find) = self.account_finds.get_mut(&request) {
            find.rows(account, rows);
            self.account_finds_due(now);
        }
    }

    /// Answers the finds by account that are over.
    pub(super) fn account_finds_due(&mut self, now: Moment) {
        let over = |(_, find): &(&RequestId, &AccountFind)| find.is_over(now);
        let due: Vec<RequestId> = self.account_finds.iter().filter(over).map(|(request, _)| *request).collect();
        for request in due {
            if let Some(find) = self.account_finds.remove(&request) {
                self.end_asks_of(request);
                self.done(request, Ok(Answer::Found(find.list())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{Attributes, HostKey, Identity, JoinPolicy, MemberStatus, Phase, PublicFacts, SessionId};

    fn account(number: u8) -> AccountId {
        Identity::from_seed([number; 32]).unwrap().account()
    }

    fn row(name: &str, member: AccountId, status: MemberStatus) -> AccountRow {
        let host_key = HostKey::from_bytes([9; 32]).unwrap();
        let facts = PublicFacts {
            matchmaking: false,
            mobile: false,
            allow_sanctioned: true,
            anti_cheat: false,
            name: name.into(),
            version: 0,
            revision: 1,
            members: 1,
            max_members: 4,
            open_slots: 3,
            reserved_slots: 0,
            policy: JoinPolicy::Public,
            phase: Phase::Lobby,
            password: false,
            closed: false,
            locked: false,
            join_in_progress: true,
            dedicated: false,
            keywords: vec!["word".into()],
            attributes: Attributes::new(),
            ports: Vec::new(),
        };
        AccountRow {
            key: SessionKey { id: SessionId::from_name(name), founder: host_key },
            host_key,
            incarnation: 1,
            term: 1,
            facts,
            listed: true,
            shown: false,
            addresses: Vec::new(),
            member,
            status,
            my_turn: status == MemberStatus::Active,
            started: 1_000,
        }
    }

    fn find(query: SessionQuery) -> AccountFind {
        AccountFind::new(Moment::ZERO, 0, query)
    }

    fn names(find: &AccountFind) -> Vec<String> {
        let mut names: Vec<_> = find.list().iter().map(|found| found.name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn reserved_and_inactive_seats_count_where_they_are_asked_for() {
        use MemberStatus::{Active, Inactive, Ready, Reserved};
        let me = account(1);
        let all = [("active", Active), ("inactive", Inactive), ("ready", Ready), ("reserved", Reserved)];
        let listed = |query: SessionQuery| {
            let mut find = find(query.accounts([me]));
            find.rows(me, all.iter().map(|(name, status)| row(name, me, *status)).collect());
            names(&find)
        };
        let plain = SessionQuery::new();
        assert_eq!(listed(plain.clone()), ["active", "ready"]);
        assert_eq!(listed(plain.clone().inactive(true)), ["active", "inactive", "ready"]);
        assert_eq!(listed(plain.clone().reservations(true)), ["active", "ready", "reserved"]);
        assert_eq!(listed(plain.reservations(true).inactive(true)).len(), 4);
    }

    #[test]
    fn a_row_says_whose_it_is_and_what_is_private() {
        let me = account(1);
        let mut find = find(SessionQuery::new().accounts([me]).private(true));
        find.rows(me, vec![AccountRow { listed: false, ..row("cave", me, MemberStatus::Active) }]);
        let found = &find.list()[0];
        let matched = found.matched().unwrap();
        assert_eq!((matched.account, matched.status, matched.my_turn), (me, MemberStatus::Active, true));
        assert_eq!(found.started_at(), Some(std::time::UNIX_EPOCH + Duration::from_secs(1)));
        assert!(found.keywords().is_empty());
    }

    #[test]
    fn answers_are_held_to_what_was_asked() {
        let (me, other) = (account(1), account(2));
        let mut find = find(SessionQuery::new().accounts([me, other]));
        find.rows(account(3), vec![row("stranger", account(3), MemberStatus::Active)]);
        find.rows(me, vec![row("forged", other, MemberStatus::Active), row("mine", me, MemberStatus::Active)]);
        assert_eq!(names(&find), ["mine"]);
        assert_eq!(find.unanswered().collect::<Vec<_>>(), [other]);
        assert!(!find.is_over(Moment::ZERO));
        // Another machine's word on the same session: the newer one counts, whichever comes first.
        let newer = AccountRow { term: 2, listed: false, ..row("mine", me, MemberStatus::Active) };
        find.rows(me, vec![newer, row("mine", me, MemberStatus::Active)]);
        assert!(names(&find).is_empty());
        let many = (0..200).map(|number| row(&format!("room {number}"), other, MemberStatus::Active)).collect();
        find.rows(other, many);
        assert_eq!(find.list().len(), usize::from(SessionQuery::MAX_TAKE));
        assert!(find.is_over(Moment::ZERO));
    }

    #[test]
    fn it_is_over_at_its_deadline_or_when_enough_fit() {
        let (me, other) = (account(1), account(2));
        let mut find = find(SessionQuery::new().accounts([me, other]).enough(1).timeout(Duration::from_millis(700)));
        assert_eq!(find.deadline(), Moment::ZERO + Duration::from_millis(700));
        assert!(!find.is_over(Moment::ZERO) && find.is_over(find.deadline()));
        find.rows(me, vec![row("inactive", me, MemberStatus::Inactive)]);
        assert!(!find.is_over(Moment::ZERO), "what does not fit is not enough");
        find.rows(me, vec![row("active", me, MemberStatus::Active)]);
        assert!(find.is_over(Moment::ZERO));
    }

    #[test]
    fn enough_counts_what_fits_and_not_what_is_taken_of_it() {
        let (me, other) = (account(1), account(2));
        let mut find = find(SessionQuery::new().accounts([me, other]).take(1).enough(2));
        find.rows(me, ["a", "b"].map(|name| row(name, me, MemberStatus::Active)).into());
        assert!(find.is_over(Moment::ZERO), "as in a find without accounts");
        assert_eq!(find.list().len(), 1);
    }
}
