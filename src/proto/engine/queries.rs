//! Queries of the discovery: who asked for each, and what ends them.

use super::Engine;
use crate::proto::clock::Moment;
use crate::proto::discovery::{Mode, QueryId};
use crate::proto::io::{Answer, RequestId};
use crate::proto::limits;
use crate::types::{AccountId, BrowserId, Error, ErrorKind, Refusal, SessionKey, SessionQuery};

/// For whom a query of the discovery runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Find(RequestId),
    Browser(BrowserId),
    Join(RequestId),
    Matchmake(RequestId),
    /// Members that lost their host and dial it: it may have another address now.
    Seek(SessionKey),
}

/// Why none can be opened.
pub(super) fn too_many_queries() -> String {
    format!("{} finds and browsers are open, which is the most", limits::QUERIES)
}

impl Engine {
    pub(super) fn open(&mut self, now: Moment, asker: Asker, query: SessionQuery, mode: Mode) -> Option<QueryId> {
        if self.queries() >= limits::QUERIES {
            return None;
        }
        let id = QueryId(self.next_query);
        self.next_query += 1;
        self.askers.insert(id, asker);
        self.discovery.open(now, id, query, mode);
        Some(id)
    }

    /// Finds and browsers that are open.
    pub(super) fn queries(&self) -> usize {
        self.askers.len() + self.account_finds.len()
    }

    pub(super) fn query_of(&self, asker: Asker) -> Option<QueryId> {
        self.askers.iter().find(|(_, a)| **a == asker).map(|(id, _)| *id)
    }

    pub(super) fn close_query(&mut self, now: Moment, asker: Asker) {
        if let Some(id) = self.query_of(asker) {
            self.askers.remove(&id);
            self.discovery.close(now, id);
        }
    }

    /// A host is looked for while a member of ours seeks it.
    pub(super) fn end_seeks(&mut self, now: Moment) {
        let over = |asker: &&Asker| matches!(asker, Asker::Seek(key) if !self.sessions.is_seeking(*key));
        for asker in self.askers.values().filter(over).copied().collect::<Vec<_>>() {
            self.close_query(now, asker);
        }
    }

    pub(super) fn find(&mut self, now: Moment, request: RequestId, asker: Option<AccountId>, query: SessionQuery) {
        if query.take == 0 {
            self.done(request, Ok(Answer::Found(Vec::new())));
        } else if !query.accounts.is_empty() {
            self.find_accounts(now, request, asker, query);
        } else if self.open(now, Asker::Find(request), query, Mode::Find).is_none() {
            self.done(request, Err(Error::new(ErrorKind::TooManyRequests, too_many_queries())));
        }
    }

    pub(super) fn cancel(&mut self, now: Moment, request: RequestId) {
        if self.cancel_matchmaking(now, request) {
            return;
        }
        self.close_query(now, Asker::Find(request));
        self.account_finds.remove(&request);
        self.end_asks_of(request);
        if self.joins.remove(&request).is_some() {
            self.close_query(now, Asker::Join(request));
            self.done(request, Err(Error::refused(Refusal::Cancelled)));
        } else {
            self.sessions.cancel(now, request);
        }
    }
}
