//! Finds by account: rows gathered per account, from this process and from others, until all have answered or it is time.
//!
//! What an account may be asked for was decided before (`SessionQuery::check_rights`); what a row may do in a list is
//! decided here. An account that does not answer and one that does not exist look the same: the find ends at its deadline.

use std::collections::BTreeMap;

use super::Engine;
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
    deadline: Moment,
    /// In the order of the request.
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    account: AccountId,
    /// Several machines may tell of one session.
    rows: BTreeMap<SessionKey, AccountRow>,
    answered: bool,
}

impl AccountFind {
    pub(super) fn new(now: Moment, version: u32, query: SessionQuery) -> Self {
        let group = |&account| Group { account, rows: BTreeMap::new(), answered: false };
        let groups = query.accounts.iter().map(group).collect();
        Self { deadline: now + query.timeout, query, version, groups }
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

    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Nothing more is to come, or what is there is enough.
    fn is_over(&self, now: Moment) -> bool {
        let enough = || self.query.enough_count().is_some_and(|count| self.list().len() >= count.into());
        self.deadline <= now || self.unanswered().next().is_none() || enough()
    }

    /// The rows that fit: by account as asked, then in the query's order, then by session id.
    fn list(&self) -> Vec<Found> {
        let mut all = Vec::new();
        for group in &self.groups {
            let found = group.rows.values().map(|row| Found::of_row(row.clone(), self.version));
            let mut fitting: Vec<Found> = found.filter(|found| self.query.keeps(found)).collect();
            fitting.sort_by(|a, b| compare(&self.query.order, a.data(), b.data()));
            all.extend(fitting);
        }
        all.truncate(usize::from(self.query.take));
        all
    }
}

impl Engine {
    /// Finds by account: those of this process answer here, the others are waited for.
    pub(super) fn find_accounts(
        &mut self,
        now: Moment,
        request: RequestId,
        _asker: Option<AccountId>,
        query: SessionQuery,
    ) {
        if self.queries() >= limits::QUERIES {
            let why = format!("{} finds and browsers are open, which is the most", limits::QUERIES);
            return self.done(request, Err(Error::new(ErrorKind::TooManyRequests, why)));
        }
        let mut find = AccountFind::new(now, self.config.version, query);
        let own: Vec<AccountId> = find.unanswered().filter(|account| self.sessions.is_own(*account)).collect();
        for account in own {
            find.rows(account, self.sessions.rows(account));
        }
        self.account_finds.insert(request, find);
        self.account_finds_due(now);
    }

    /// Another process has answered for an account.
    #[cfg_attr(not(test), allow(dead_code))]
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
                self.done(request, Ok(Answer::Found(find.list())));
            }
        }
    }
}
