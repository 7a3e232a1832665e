//! All of a matchmaking: what to look for, what to make where there is none, when to be content.

use std::time::Duration;

use super::join::check_local_name;
use crate::proto::io::MatchCommand;
use crate::types::{Error, HostRequest, JoinPolicy, Result, SessionQuery, SessionSettings};

/// What [`User::matchmake`](crate::User::matchmake) looks for, and the session it makes where there is none.
///
/// The session to make should itself fit the query, or others who ask the same will not find it.
///
/// ```
/// use lansession::{Matchmaking, SessionQuery, SessionSettings, attr};
/// use std::time::Duration;
/// let query = SessionQuery::new().filter(attr("mode").eq("duel"));
/// let room = SessionSettings::new("duel").max_members(2).attr("mode", "duel");
/// let matchmaking = Matchmaking::new(query, room).local_name("match").timeout(Duration::from_secs(30));
/// # let _ = matchmaking;
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "FStartMatchmaking")]
pub struct Matchmaking {
    query: SessionQuery,
    host: HostRequest,
    local_name: String,
    early: bool,
    timeout: Option<Duration>,
}

impl Matchmaking {
    /// Joins the best of these, or makes this session. Of the query its filter, order, id, code and addresses count. Of
    /// sessions that matchmaking may still move, the one with the most members is best; among others the query's order
    /// decides, where it has one.
    #[must_use]
    pub fn new(query: impl Into<SessionQuery>, host: impl Into<HostRequest>) -> Self {
        let host = host.into();
        Self { query: query.into(), local_name: host.local_name.clone(), host, early: false, timeout: None }
    }

    /// The name by which this process knows the session; that of the host request unless it is said here.
    #[must_use]
    #[doc(alias = "SessionName")]
    pub fn local_name(mut self, name: impl Into<String>) -> Self {
        self.local_name = name.into();
        self
    }

    /// Content with the first company: the session is settled as soon as it has two members, and others may still come to
    /// it. Off by default. As few sessions as possible is then not promised.
    #[must_use]
    pub fn early(mut self, early: bool) -> Self {
        self.early = early;
        self
    }

    /// Content with what there is after this, at least 100 ms and at most an hour: the session that it is in, or one of its
    /// own where nobody else is. None by default: it waits for company.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(super) fn into_command(self, beacon_port: u16) -> Result<MatchCommand> {
        let Self { query, host, local_name, early, timeout } = self;
        check_local_name(&local_name)?;
        query.check()?;
        query.check_rights(None)?;
        if query.take == 0 {
            return Err(Error::invalid("take is 0: nothing would ever be found"));
        }
        if !query.accounts.is_empty() {
            return Err(Error::invalid("matchmaking looks for sessions, not for accounts"));
        }
        host.check()?;
        let SessionSettings { policy, closed, locked, .. } = host.settings;
        let unfit = [
            (policy != JoinPolicy::Public || !host.settings.is_listed(), "not public and listed"),
            (closed || locked, "closed or locked"),
            (host.password.is_some(), "behind a password"),
            (host.dedicated, "without a seat for its host"),
            (host.admission, "with an admission that nobody can answer yet"),
        ];
        if let Some((_, why)) = unfit.into_iter().find(|(unfit, _)| *unfit) {
            return Err(Error::invalid(format!("matchmaking cannot make a session {why}: nobody could join it")));
        }
        if timeout.is_some_and(|t| t < Duration::from_millis(100) || t > Duration::from_secs(3_600)) {
            return Err(Error::invalid("the timeout of matchmaking must be 100 ms to one hour"));
        }
        Ok(MatchCommand { query: query.asked_at(beacon_port), host, local_name, early, timeout })
    }
}

impl<Q: Into<SessionQuery>, H: Into<HostRequest>> From<(Q, H)> for Matchmaking {
    fn from((query, host): (Q, H)) -> Self {
        Self::new(query, host)
    }
}
