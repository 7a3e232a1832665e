//! One local user's seat in one session.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::core::Kind;
use super::dump;
use super::events::Events;
use super::lan::unit;
use super::pending::{Outcome, Pending, unfit};
use super::seat::SeatClaim;
use super::user::User;
use super::watch::Watch;
use crate::proto::io::{Command, RequestId, SeatId};
use crate::proto::limits;
use crate::types::{
    AccountId, Attributes, Endpoint, Error, ErrorKind, JoinAsk, JoinLink, MemberUpdate, Phase, Profile, Reason, Result,
    Revision, RoomCode, SessionEvent, SessionId, SessionKey, SessionSettings, SessionSnapshot, SettingsUpdate, Verdict,
};

/// The most addresses in a link.
const LINK_ADDRESSES: usize = 8;

/// One local user's seat in one session, as its host or as a member. Two local users in one session hold two.
///
/// Cheap to clone; it keeps its [`User`] and its [`Lan`](crate::Lan). **The seat is left when the last handle is dropped**;
/// a host's session then ends. [`keep`](Self::keep) turns that off. A handle outlives its seat:
/// [`snapshot`](Self::snapshot) then shows the last state and requests fail with `Ended`.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use std::time::Duration;
/// # use lansession::{Lan, Preset, SessionSettings, SettingsUpdate};
/// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// # let five = Duration::from_secs(5);
/// let room = lan.sign_in("Ada")?.host(SessionSettings::new("Ada's room").attr("map", "dust")).wait(five)?;
/// room.update(SettingsUpdate::new().set("map", "nuke")).wait(five)?;
/// assert_eq!(room.snapshot().attributes.get("map").and_then(|v| v.as_str()), Some("nuke"));
/// room.destroy().wait(five)?;
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "the seat is left when the last handle is dropped"]
#[doc(alias = "ISession")]
pub struct Session {
    // Dropped before the user: the leave goes before the sign-out.
    pub(super) claim: SeatClaim,
    user: User,
}

impl Session {
    pub(super) fn new(claim: SeatClaim, user: User) -> Self {
        Self { claim, user }
    }

    /// The session's id.
    #[must_use]
    #[doc(alias = "GetSessionId")]
    pub fn id(&self) -> SessionId {
        self.key().id
    }

    pub(super) fn seat_id(&self) -> SeatId {
        self.claim.id()
    }

    pub(super) fn is_live(&self) -> bool {
        self.claim.lock().is_live()
    }

    /// What names it in every list.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.claim.lock().snapshot.key
    }

    /// The user whose seat this is.
    #[must_use]
    pub fn user(&self) -> User {
        self.user.clone()
    }

    /// The name by which this process knows the session.
    #[must_use]
    pub fn local_name(&self) -> String {
        self.claim.lock().local_name.clone()
    }

    /// Whether this seat is the host's.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.claim.lock().is_host
    }

    /// The state as it is. A pointer: keep it as long as you like. In frame mode it changes with updates only.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room").max_members(4)).wait(Duration::from_secs(5))?;
    /// assert_eq!(room.snapshot().open_slots(), 3);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Arc<SessionSnapshot> {
        Arc::clone(&self.claim.lock().snapshot)
    }

    /// The state, for readers who wait for it to change.
    pub fn watch(&self) -> Watch<SessionSnapshot> {
        Watch::new(self.claim.watch(), self.claim.core().drive().cloned())
    }

    /// What happens in the session. It begins with `Joined` and one `MemberJoined` with `present_before` for each member of
    /// the present state, whenever it is called, so there is no gap between the state and its changes.
    pub fn events(&self) -> Events<SessionEvent> {
        Events::new(self.claim.subscribe(), self.claim.core().drive().cloned())
    }

    /// Changes settings; host only. The answer is the revision that has them. An update that changes nothing succeeds.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound, or by how many bytes the advert's budget is exceeded; `NotOwner`,
    /// `Ended`, `Stopped`.
    #[doc(alias = "UpdateSessionSettings")]
    pub fn update(&self, update: SettingsUpdate) -> Pending<Revision> {
        self.update_as(update, None)
    }

    /// As [`update`](Self::update), if the state still is of this revision.
    ///
    /// # Errors
    /// As [`update`](Self::update), and `Stale` with the [current state](crate::Error::current).
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, Lan, Preset, SessionSettings, SettingsUpdate};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(five)?;
    /// let before = room.snapshot().revision;
    /// room.update_if(before, SettingsUpdate::new().name("arena")).wait(five)?;
    /// let stale = room.update_if(before, SettingsUpdate::new().name("hall")).wait(five).unwrap_err();
    /// assert_eq!(stale.kind(), ErrorKind::Stale);
    /// assert_eq!(stale.current().unwrap().name, "arena");
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn update_if(&self, expected: Revision, update: SettingsUpdate) -> Pending<Revision> {
        self.update_as(update, Some(expected))
    }

    fn update_as(&self, update: SettingsUpdate, expected: Option<Revision>) -> Pending<Revision> {
        if let Err(error) = self.check_host().and_then(|()| check_update(&update)) {
            return Pending::ready_with(Err(error));
        }
        let (seat, update) = (self.claim.id(), Box::new(update));
        self.change(|request| Command::Update { request, seat, update, expected })
    }

    /// Changes this seat's own name, ready flag and attributes.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound, `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, MemberUpdate, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(five)?;
    /// room.update_me(MemberUpdate::new().ready(true).set("team", "red")).wait(five)?;
    /// assert!(room.snapshot().members[0].ready);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn update_me(&self, update: MemberUpdate) -> Pending<Revision> {
        if let Err(error) = self.check_live().and_then(|()| check_member_update(&update)) {
            return Pending::ready_with(Err(error));
        }
        let (seat, update) = (self.claim.id(), Box::new(update));
        self.change(|request| Command::UpdateMe { request, seat, update })
    }

    /// Lobby, in progress, ended; host only.
    ///
    /// With the [ready gate](crate::SessionSettings::ready_gate) on, the match starts only when all active and connected
    /// members are ready. The host's own seat counts like any other; a dedicated host has none.
    ///
    /// # Errors
    /// `InvalidState` naming who is not ready, `NotOwner`, `Ended`, `Stopped`.
    #[doc(alias = "StartSession")]
    #[doc(alias = "EndSession")]
    pub fn set_phase(&self, phase: Phase) -> Pending<Revision> {
        let seat = self.claim.id();
        match self.check_host() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.change(|request| Command::SetPhase { request, seat, phase }),
        }
    }

    /// Removes a member; host only. It may join again.
    ///
    /// # Errors
    /// `NotFound` where that account has no seat, `InvalidArgument` for the host's own or a reason over its bound,
    /// `NotOwner`, `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Left, Preset, SessionEvent, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let room = ada.host(SessionSettings::new("room")).wait(five)?;
    /// # let seat = bob.join(room.code()).wait(five)?;
    /// let mut events = seat.events();
    /// room.kick(bob.id(), "AFK").wait(five)?;
    /// let left = std::iter::from_fn(|| events.wait(five)).last();
    /// assert!(matches!(left, Some(SessionEvent::Left { why: Left::Kicked(reason), .. }) if reason.text() == "AFK"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "KickPlayer")]
    #[doc(alias = "RemoveSessionMember")]
    pub fn kick(&self, account: AccountId, reason: impl Into<Reason>) -> Pending<()> {
        self.remove(account, reason.into(), false)
    }

    /// Removes a member, or bans an account that is none; host only. It is refused until [`unban`](Self::unban) or the
    /// session's end.
    ///
    /// # Errors
    /// As [`kick`](Self::kick), but for `NotFound`; `InvalidState` where 1,024 accounts are banned.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, Refusal, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let room = ada.host(SessionSettings::new("room")).wait(five)?;
    /// room.ban(bob.id(), "cheating").wait(five)?;
    /// assert_eq!(room.bans(), [bob.id()]);
    /// let refused = bob.join(room.code()).wait(five).unwrap_err();
    /// assert_eq!(refused.refusal(), Some(&Refusal::Banned));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "BanPlayer")]
    pub fn ban(&self, account: AccountId, reason: impl Into<Reason>) -> Pending<()> {
        self.remove(account, reason.into(), true)
    }

    fn remove(&self, account: AccountId, reason: Reason, ban: bool) -> Pending<()> {
        let own = || match account == self.user.id() {
            true => Err(Error::invalid("a host cannot remove itself; leave() or destroy() end the session")),
            false => Ok(()),
        };
        if let Err(error) = self.check_host().and_then(|()| own()).and_then(|()| reason.check()) {
            return Pending::ready_with(Err(error));
        }
        let seat = self.claim.id();
        self.ask(|request| Command::Kick { request, seat, account, reason, ban })
    }

    /// Lets a banned account join again; host only. One that is not banned is no error.
    ///
    /// # Errors
    /// `NotOwner`, `Ended`, `Stopped`.
    pub fn unban(&self, account: AccountId) -> Pending<()> {
        let seat = self.claim.id();
        match self.check_host() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.ask(|request| Command::Unban { request, seat, account }),
        }
    }

    /// The banned accounts, as the host's own seat knows them; empty at members, whom that does not concern.
    #[must_use]
    pub fn bans(&self) -> Vec<AccountId> {
        self.claim.lock().bans.clone()
    }

    /// Answers a [`SessionEvent::JoinAsked`]; the first answer counts, one that comes too late does nothing. Of a refusal's
    /// reason that is out of its bounds only the code goes out.
    pub fn answer(&self, ask: &JoinAsk, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Refuse(reason) if reason.check().is_err() => Verdict::Refuse(Reason::new(reason.code(), "")),
            verdict => verdict,
        };
        // The deadline answers where this cannot be told any more.
        let _ = self.claim.core().tell(Command::Answer { seat: self.claim.id(), ask: ask.id, verdict });
    }

    /// The addresses of one of the game's own named ports at the host, best first: at a member, the one at which the host
    /// was really reached. `Display` prints the best one, as a connect string.
    ///
    /// # Errors
    /// `NotFound` naming the ports that the session has; `Unreachable` where the host has no address now.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let settings = SessionSettings::new("room").port("game", 7777);
    /// # let room = lan.sign_in("Ada")?.host(settings).wait(Duration::from_secs(5))?;
    /// assert_eq!(room.endpoint("game")?.addr().port(), 7777);
    /// assert!(room.endpoint("voice").unwrap_err().to_string().contains("game"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "GetResolvedConnectString")]
    pub fn endpoint(&self, port: &str) -> Result<Endpoint> {
        let seat = self.claim.lock();
        let port = seat.snapshot.port(port)?;
        let addresses = seat.addresses.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        Endpoint::new(addresses).ok_or_else(|| Error::new(ErrorKind::Unreachable, "the host has no address now"))
    }

    /// 32 bytes that only the host and that member know, drawn from their encrypted connection: the key for the game's own
    /// netcode between the two. At a member: with its own account. It changes with each connection.
    ///
    /// # Errors
    /// `NotFound` where no such key is here: no member, the host itself, or not connected.
    pub fn game_key(&self, account: AccountId) -> Result<[u8; 32]> {
        let seat = self.claim.lock();
        seat.keys.iter().find(|(of, _)| *of == account).map(|(_, key)| **key).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no game key is shared with account {account:?} here"))
        })
    }

    /// The host's control addresses (TCP), best first: at a member the one it was reached at, at the host its own.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.claim.lock().control_addresses()
    }

    /// The session's TCP port at its host.
    #[must_use]
    pub fn control_port(&self) -> u16 {
        self.claim.lock().control_port
    }

    /// A link by which others can join: for a QR code, a chat, the platform's own UI. It holds no password.
    #[must_use]
    pub fn link(&self) -> JoinLink {
        let seat = self.claim.lock();
        let mut addresses = seat.control_addresses();
        addresses.truncate(LINK_ADDRESSES);
        JoinLink {
            game: self.user.lan().config().game.clone(),
            key: seat.snapshot.key,
            host_key: seat.snapshot.host_key,
            addresses,
        }
    }

    /// Six letters by which others on this LAN can join: `K7Q-F2M`.
    #[must_use]
    pub fn code(&self) -> RoomCode {
        RoomCode::of(self.key())
    }

    /// Sends a lobby message to all members, at most 1 KiB, about ten a second.
    ///
    /// # Errors
    /// `InvalidArgument` by how many bytes it is too long, `TooManyRequests`, `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(five)?;
    /// room.say(*b"hello").wait(five)?;
    /// assert!(room.say(vec![0; 1_025]).wait(five).unwrap_err().to_string().contains("1 byte"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn say(&self, data: impl Into<Arc<[u8]>>) -> Pending<()> {
        self.say_as(data.into())
    }

    fn say_as(&self, data: Arc<[u8]>) -> Pending<()> {
        if data.len() > limits::MESSAGE {
            let over = data.len() - limits::MESSAGE;
            let bytes = if over == 1 { "byte" } else { "bytes" };
            let why = format!("the message is {over} {bytes} over its {}", limits::MESSAGE);
            return Pending::ready_with(Err(Error::invalid(why)));
        }
        let seat = self.claim.id();
        match self.check_live() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.ask(|request| Command::Say { request, seat, data }),
        }
    }

    /// Leaves. A host's session goes on under the first successor that is ready, within a second; it ends where there is
    /// none, or [`migration`](crate::HostRequest::migration) is off. Where the seat has ended this succeeds at once.
    ///
    /// # Errors
    /// `Stopped` after a close.
    #[doc(alias = "LeaveSession")]
    pub fn leave(&self) -> Pending<()> {
        let mut seat = self.claim.lock();
        if seat.ended.is_some() {
            return Pending::ready_with(Ok(()));
        }
        seat.leaving = true;
        drop(seat);
        let seat = self.claim.id();
        self.claim.core().request(Kind::End, |request| Command::Leave { request: Some(request), seat }, unit)
    }

    /// Makes another member the host; host only. Without an account it is the first in the order of succession that is ready.
    /// This seat stays as a member's; its own [`HostChanged`](SessionEvent::HostChanged) tells when that is done. What the
    /// next host shall have of the game is to be set before.
    ///
    /// # Errors
    /// `NotOwner`; `InvalidState` where migration is off or no such member may go on as host and is there; `TimedOut` where
    /// none was ready within a second: this one is host still; `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, HostRequest, Lan, Migration, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// let request = HostRequest::new(SessionSettings::new("room")).migration(Migration::Quorum);
    /// let room = lan.sign_in("Ada")?.host(request).wait(five)?;
    /// assert_eq!(room.hand_over(None).wait(five).unwrap_err().kind(), ErrorKind::InvalidState); // nobody is there
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn hand_over(&self, to: impl Into<Option<AccountId>>) -> Pending<()> {
        let (seat, to) = (self.claim.id(), to.into());
        match self.check_host() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.claim.core().request(Kind::Plain, |request| Command::HandOver { request, seat, to }, unit),
        }
    }

    /// Ends the session for all; host only. Members leave with [`Left::Destroyed`](crate::Left::Destroyed).
    ///
    /// # Errors
    /// `NotOwner`, `Ended`, `Stopped`.
    #[doc(alias = "DestroySession")]
    #[doc(alias = "bDestroySession")]
    pub fn destroy(&self) -> Pending<()> {
        if let Err(error) = self.check_host() {
            return Pending::ready_with(Err(error));
        }
        self.claim.lock().leaving = true;
        let seat = self.claim.id();
        self.claim.core().request(Kind::End, |request| Command::Destroy { request, seat }, unit)
    }

    /// Stays until [`leave`](Self::leave), even without a handle; [`User::session`] gives one again. The seat still ends
    /// with its [`Lan`](crate::Lan).
    pub fn keep(&self) {
        self.claim.keep();
    }

    /// All that is known of this seat as text for a bug report, one thing a line; the first word of a line says what it is,
    /// and texts that players chose are quoted. Further lines may come with later versions.
    ///
    /// It holds members' names, accounts and addresses, and at the host the attributes that only the host sees, marked
    /// `(host alone)`: look it over before it is published. Of passwords, tickets and game keys it holds nothing.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// let settings = SessionSettings::new("room").max_members(4).attr("map", "dust").port("game", 7777);
    /// let room = lan.sign_in("Ada")?.host(settings).wait(Duration::from_secs(5))?;
    /// let dump = room.dump();
    /// let line = |word| dump.lines().find(|line| line.starts_with(word)).unwrap_or_default();
    /// assert_eq!(line("seats"), "seats     1 of 4, 0 held back, 3 open");
    /// assert_eq!(line("ports"), "ports     \"game\"=7777");
    /// assert_eq!(line("attribute"), "attribute \"map\" = \"dust\"");
    /// assert!(line("member").contains("\"Ada\"") && line("member").ends_with(", host"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "DumpSessionState")]
    pub fn dump(&self) -> String {
        let pending = self.claim.core().pending();
        let lan = self.user.lan();
        let around = dump::Around { game: &lan.config().game, user: self.user.name(), pending };
        dump::text(&self.claim.lock(), &around)
    }

    pub(super) fn check_live(&self) -> Result<()> {
        self.user.lan().check_open()?;
        match &self.claim.lock().ended {
            Some(why) => Err(Error::new(ErrorKind::Ended, format!("the seat has ended: {why}"))),
            None => Ok(()),
        }
    }

    pub(super) fn check_host(&self) -> Result<()> {
        self.check_live()?;
        if self.is_host() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::NotOwner, "only the session's host may do this"))
        }
    }

    pub(super) fn change(&self, command: impl FnOnce(RequestId) -> Command) -> Pending<Revision> {
        self.claim.core().request(Kind::Change(self.claim.id()), command, |outcome| match outcome {
            Outcome::Revision(revision) => Ok(revision),
            other => Err(unfit(&other)),
        })
    }

    pub(super) fn ask(&self, command: impl FnOnce(RequestId) -> Command) -> Pending<()> {
        self.claim.core().request(Kind::Plain, command, unit)
    }
}

/// The update's own values; how they fit the session's other settings is checked where those are, at the engine.
fn check_update(update: &SettingsUpdate) -> Result<()> {
    let mut neutral = SessionSettings::new("any");
    neutral.max_members = SessionSettings::MAX_MEMBERS;
    update.applied_to(&neutral).check()?;
    update.remove.iter().try_for_each(|name| check_attribute_name(name))
}

fn check_member_update(update: &MemberUpdate) -> Result<()> {
    if let Some(name) = &update.name {
        crate::types::check_name("the player's name", name, Profile::MAX_NAME)?;
    }
    let mut attributes = Attributes::new();
    for (name, attribute) in &update.set {
        attributes.set_with(name.clone(), attribute.value.clone(), attribute.visibility)?;
    }
    update.remove.iter().try_for_each(|name| check_attribute_name(name))
}

fn check_attribute_name(name: &str) -> Result<()> {
    crate::types::check_name("an attribute's name", name, Attributes::MAX_NAME)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seat = self.claim.lock();
        f.debug_struct("Session")
            .field("key", &seat.snapshot.key)
            .field("user", &seat.user)
            .field("host", &seat.is_host)
            .field("ended", &seat.ended)
            .finish_non_exhaustive()
    }
}
