//! All of a join: whom, and with what.

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::io::{JoinCommand, JoinTarget};
use crate::proto::limits;
use crate::types::{
    AccountId, Attributes, Error, Found, Invite, JoinLink, MemberStatus, Password, Result, Role, RoomCode, SessionId,
    SessionSettings, UiTarget, Value, Visibility,
};

/// Which session to join, and what to show at its door. Made from an entry of a list, an id, a room code, a link, an
/// invite or an address; nothing is sent before [`User::join`](crate::User::join), which also checks the values.
///
/// ```
/// use lansession::{JoinRequest, RoomCode};
/// let code: RoomCode = "K7Q-F2M".parse()?;
/// let request = JoinRequest::from(code).local_name("party").password("swordfish").attr("team", "red");
/// assert!(!format!("{request:?}").contains("swordfish"));
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "FJoinSession")]
pub struct JoinRequest {
    target: JoinTarget,
    local_name: String,
    password: Option<Password>,
    ticket: Vec<u8>,
    attributes: Attributes,
    timeout: Duration,
    role: Option<String>,
    status: MemberStatus,
    reserve_for: Vec<AccountId>,
    presence: bool,
    can_host: bool,
    problem: Option<Error>,
}

impl JoinRequest {
    fn new(target: JoinTarget) -> Self {
        Self {
            target,
            local_name: "game".into(),
            password: None,
            ticket: Vec::new(),
            attributes: Attributes::new(),
            timeout: Duration::from_secs(5),
            role: None,
            status: MemberStatus::Active,
            reserve_for: Vec::new(),
            presence: false,
            can_host: true,
            problem: None,
        }
    }

    /// The name by which this process knows the session, `game` by default; a user's second session needs another.
    #[must_use]
    #[doc(alias = "SessionName")]
    pub fn local_name(mut self, name: impl Into<String>) -> Self {
        self.local_name = name.into();
        self
    }

    /// The session's password. It is not sent; that one knows it is proved.
    #[must_use]
    pub fn password(mut self, password: impl Into<Password>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Bytes for the host's own check of joiners, at most 1,024: an entitlement, a login of the embedding service.
    #[must_use]
    pub fn ticket(mut self, ticket: impl Into<Vec<u8>>) -> Self {
        self.ticket = ticket.into();
        self
    }

    /// An attribute of one's own seat, which members see.
    #[must_use]
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Err(error) = self.attributes.set_with(name, value, Visibility::Members) {
            self.problem.get_or_insert(error);
        }
        self
    }

    /// How long the whole join may take: 5 s by default, 100 ms to 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The role or team that the new seat gets; `RoleFull` where it has no room, `Refused` naming the session's roles where
    /// there is none of that name.
    ///
    /// ```
    /// use lansession::{JoinRequest, MemberStatus, SessionId};
    /// let request = JoinRequest::from(SessionId::from_name("arena-7")).role("healer").status(MemberStatus::Ready);
    /// assert!(format!("{request:?}").contains("healer"));
    /// ```
    #[must_use]
    pub fn role(mut self, name: impl Into<String>) -> Self {
        self.role = Some(name.into());
        self
    }

    /// Makes it the user's presence session once the seat is there: friends may find the user here and come too. Off by
    /// default; [`User::set_presence`](crate::User::set_presence) does the same later.
    #[must_use]
    #[doc(alias = "bPresenceEnabled")]
    pub fn presence(mut self, on: bool) -> Self {
        self.presence = on;
        self
    }

    pub(super) fn shows_presence(&self) -> bool {
        self.presence
    }

    /// The state of the new seat; `Active` unless said.
    #[must_use]
    pub fn status(mut self, status: MemberStatus) -> Self {
        self.status = status;
        self
    }

    /// Takes the seat as reserved: it counts as taken, and is free again after
    /// [`MemberTimeouts::reserved`](crate::MemberTimeouts) unless [`Session::register`](crate::Session::register) makes it
    /// active before.
    #[must_use]
    pub fn reserved(self, reserved: bool) -> Self {
        self.status(if reserved { MemberStatus::Reserved } else { MemberStatus::Active })
    }

    /// A party: with one's own seat, in the same revision, a seat is reserved for each of these accounts, at most 15. All or
    /// none. Each claims its seat by a join of its own;
    /// [`Session::reservation`](crate::Session::reservation) names what holds them.
    #[must_use]
    #[doc(alias = "party beacon")]
    pub fn reserve_for(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.reserve_for.extend(accounts);
        self
    }

    /// Whether this machine would go on as host where the session [outlives its host](crate::Migration); it does unless
    /// said. One that would not still takes part in the choice; it listens to nobody.
    /// [`Session::set_can_host`](crate::Session::set_can_host) does the same later.
    ///
    /// ```
    /// use lansession::{JoinRequest, SessionId};
    /// let request = JoinRequest::from(SessionId::from_name("arena-7")).can_host(false);
    /// assert!(format!("{request:?}").contains("can_host: false"));
    /// ```
    #[must_use]
    pub fn can_host(mut self, can: bool) -> Self {
        self.can_host = can;
        self
    }

    /// With the other local users of one join.
    pub(super) fn into_command(self, party: Vec<AccountId>) -> Result<JoinCommand> {
        let Self {
            target,
            local_name,
            password,
            ticket,
            attributes,
            timeout,
            role,
            status,
            reserve_for,
            presence: _,
            can_host,
            problem,
        } = self;
        if let Some(problem) = problem {
            return Err(problem);
        }
        check_local_name(&local_name)?;
        check_password(password.as_ref())?;
        if ticket.len() > limits::TICKET {
            let over = ticket.len() - limits::TICKET;
            return Err(Error::invalid(format!("the ticket is {over} bytes over its {}", limits::TICKET)));
        }
        if timeout < Duration::from_millis(100) || timeout > Duration::from_secs(60) {
            let why = format!("the timeout of a join is {} ms, it must be 100 to 60000", timeout.as_millis());
            return Err(Error::invalid(why));
        }
        if let JoinTarget::Address(address) = target {
            if address.port() == 0 || address.ip().is_unspecified() {
                return Err(Error::invalid(format!("{address} is no address to join at: it needs a host and a port")));
            }
        }
        attributes.check()?;
        if let Some(role) = &role {
            crate::types::check_name("the role's name", role, Role::MAX_NAME)?;
        }
        check_party(&party, &reserve_for)?;
        Ok(JoinCommand {
            target,
            local_name,
            password,
            ticket,
            attributes,
            timeout,
            role,
            status,
            party,
            reserve_for,
            patient: true,
            can_host,
        })
    }
}

fn check_party(party: &[AccountId], reserve_for: &[AccountId]) -> Result<()> {
    let all: Vec<_> = party.iter().chain(reserve_for).collect();
    if all.len() > limits::PARTY {
        let why = format!("{} accounts come with the join, at most {} can", all.len(), limits::PARTY);
        return Err(Error::invalid(why));
    }
    match all.iter().enumerate().find(|(at, account)| all.iter().take(*at).any(|other| other == *account)) {
        Some((_, twice)) => Err(Error::invalid(format!("account {twice:?} is in the party twice"))),
        None => Ok(()),
    }
}

pub(super) fn check_local_name(name: &str) -> Result<()> {
    crate::types::check_name("the local name", name, SessionSettings::MAX_NAME)
}

pub(super) fn check_password(password: Option<&Password>) -> Result<()> {
    match password {
        Some(password) if password.as_bytes().is_empty() => Err(Error::invalid("the password is empty")),
        _ => Ok(()),
    }
}

impl From<&Found> for JoinRequest {
    fn from(found: &Found) -> Self {
        Self::new(JoinTarget::Found(found.clone()))
    }
}

impl From<Found> for JoinRequest {
    fn from(found: Found) -> Self {
        Self::new(JoinTarget::Found(found))
    }
}

impl From<SessionId> for JoinRequest {
    fn from(id: SessionId) -> Self {
        Self::new(JoinTarget::Id(id))
    }
}

impl From<RoomCode> for JoinRequest {
    fn from(code: RoomCode) -> Self {
        Self::new(JoinTarget::Code(code))
    }
}

impl From<JoinLink> for JoinRequest {
    fn from(link: JoinLink) -> Self {
        Self::new(JoinTarget::Link(link))
    }
}

impl From<&JoinLink> for JoinRequest {
    fn from(link: &JoinLink) -> Self {
        Self::new(JoinTarget::Link(link.clone()))
    }
}

/// The host looks the invite up; this account must be the one it is for.
impl From<Invite> for JoinRequest {
    fn from(invite: Invite) -> Self {
        Self::new(JoinTarget::Invite(Box::new(invite)))
    }
}

impl From<&Invite> for JoinRequest {
    fn from(invite: &Invite) -> Self {
        invite.clone().into()
    }
}

/// What a [`UserEvent::UiJoinRequested`](crate::UserEvent) leads to.
impl From<UiTarget> for JoinRequest {
    fn from(target: UiTarget) -> Self {
        match target {
            UiTarget::Link(link) => link.into(),
            UiTarget::Invite(invite) => invite.into(),
        }
    }
}

impl From<SocketAddr> for JoinRequest {
    fn from(address: SocketAddr) -> Self {
        Self::new(JoinTarget::Address(address))
    }
}
