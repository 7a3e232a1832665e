//! What goes into the engines and what comes out: the whole surface between them and whoever drives them.
//!
//! The driver (tokio and sockets) and the virtual LAN speak exactly this. Call order: any `handle_*`, then drain
//! `poll_transmit`, `poll_action`, `poll_output` until each says `None`, then sleep until `poll_timeout`. A forgotten drain
//! delays, it never corrupts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::types::{
    AccountId, BrowserEvent, BrowserId, Diagnosis, Error, External, Found, GameState, HostKey, HostRequest, Identity,
    Invite, InviteId, InviteRequest, InvitesFrom, LanEvent, MemberStatus, MemberUpdate, Password, PathKind, Phase,
    PublicKey, Reason, Reservation, ReservationChange, ReservationId, ReserveRequest, Revision, RoomCode, Secret,
    SessionEvent, SessionId, SessionKey, SessionQuery, SessionSnapshot, SettingsUpdate, UserEvent, Verdict,
};

// ---------------------------------------------------------------------------------------------------- datagrams

/// One address of one usable interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interface {
    /// The operating system's index: the scope of link-local addresses.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
    /// The subnet's own broadcast address, where it has one.
    pub(crate) broadcast: Option<Ipv4Addr>,
    pub(crate) loopback: bool,
    pub(crate) point_to_point: bool,
    pub(crate) wireless: bool,
    /// The port of our own socket bound to this address, the same on every interface where the system allows it; 0 while
    /// there is none.
    pub(crate) port: u16,
    /// Why the shared beacon port cannot be heard here, in the operating system's words.
    pub(crate) deaf: Option<String>,
}

impl Interface {
    /// What the operating system says of it, without what became of our sockets.
    pub(crate) fn bare(&self) -> Self {
        Self { port: 0, deaf: None, ..self.clone() }
    }
}

/// From where a datagram leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    /// By this interface, from the socket bound to this address of it, TTL 1.
    Interface { index: u32, address: IpAddr },
    /// As the routing table says, TTL 64: only to typed or configured targets and to peers proven by a cookie. To whoever
    /// asked the beacon port by unicast, from that port, or its firewall drops the answer; else from one of our own.
    Routed,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transmit {
    pub(crate) via: Via,
    /// The destination with its port; for `Ipv6Multicast` with the interface's scope id.
    pub(crate) to: SocketAddr,
    pub(crate) path: PathKind,
    pub(crate) bytes: Arc<[u8]>,
}

/// A datagram that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The interface it came by; 0 where the socket cannot tell.
    pub(crate) interface: u32,
    /// The local address it was sent to or its socket is bound to; unspecified where unknown.
    pub(crate) local: IpAddr,
    pub(crate) from: SocketAddr,
    /// Whether it came to the shared beacon port (a broadcast, a multicast, or a unicast to a typed address) and not to a
    /// socket of our own.
    pub(crate) shared: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A send that the operating system refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendFailure {
    pub(crate) via: Via,
    pub(crate) to: SocketAddr,
    pub(crate) path: PathKind,
    /// In the operating system's words.
    pub(crate) why: String,
    /// ICMP port unreachable from `to`: nobody listens there any more.
    pub(crate) unreachable: bool,
}

// --------------------------------------------------------------------------------------------------------- mDNS

/// What the mDNS adapter is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MdnsAction {
    /// Advertise one session; the adapter draws instance and host names.
    Register {
        session: SessionKey,
        port: u16,
        txt: Vec<(String, String)>,
    },
    Unregister {
        session: SessionKey,
    },
    Browse,
    StopBrowse,
}

/// What the mDNS adapter heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MdnsEvent {
    /// An instance of our service type with its addresses (link-local ones with scope) and TXT pairs.
    Resolved {
        instance: String,
        addresses: Vec<SocketAddr>,
        txt: Vec<(String, String)>,
    },
    Removed {
        instance: String,
    },
    /// Our own registration was seen back: the daemon lives.
    Registered {
        session: SessionKey,
    },
    /// The daemon cannot work (no socket, stopped); it is started again by itself.
    Failed {
        why: String,
    },
}

// -------------------------------------------------------------------------------------------------------- links

/// One control connection or one attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// What happened to a connection. For a dialled one the engine drew the id (even numbers), for an accepted one the driver
/// (odd numbers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// Somebody connected to a session's listener. No TLS yet.
    Incoming { link: LinkId, session: SessionKey, remote: SocketAddr },
    /// Its first byte came and starts a TLS record.
    HelloBegun { link: LinkId },
    /// TLS stands and the peer's key is proved. `binding` is the channel's exporter value, the same on both sides.
    /// `fallback`: only the frozen ALPN was common, so an `Incompatible` frame is all that may be said.
    Open { link: LinkId, peer: PublicKey, binding: [u8; 32], local: SocketAddr, remote: SocketAddr, fallback: bool },
    /// One frame: kind, whether more parts follow, payload.
    Frame { link: LinkId, kind: u8, more: bool, payload: Vec<u8> },
    /// So many bytes of what was queued have been written.
    Written { link: LinkId, bytes: usize },
    /// It is gone, or the dial failed; nothing follows.
    Closed { link: LinkId, why: Closed },
}

/// Why a connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The dial was refused: nobody listens there.
    Refused,
    /// The dial found no way or got no answer in time.
    Unreachable,
    /// The peer proved another key than the one that was expected, or a weak one.
    WrongKey,
    /// TLS failed otherwise: garbage, no common protocol.
    Handshake,
    /// The peer closed (FIN or RST).
    ByPeer,
    /// The network or this side's system broke it.
    Broken,
    /// A frame that no peer of ours sends.
    Protocol,
    /// We closed it.
    ByUs,
}

// ------------------------------------------------------------------------------------------------------ actions

/// What the driver is to do beside sending datagrams.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Open the UDP sockets on every usable interface (there is a host, a find or a browser), or close them.
    Sockets {
        open: bool,
    },
    /// Listen for a session's joiners; answered by `handle_listening`. The TLS key is `key`.
    Listen {
        session: SessionKey,
        key: Identity,
        port: u16,
    },
    Unlisten {
        session: SessionKey,
    },
    /// Connect and shake hands; `expect` is the only key that counts, `None` takes any (a typed address).
    Dial {
        link: LinkId,
        to: SocketAddr,
        expect: Option<HostKey>,
        identity: Identity,
    },
    /// Queue one frame (or part), header included.
    Send {
        link: LinkId,
        bytes: Vec<u8>,
    },
    /// Close: at once, or once what is queued has been written (within 1 s).
    Close {
        link: LinkId,
        flush: bool,
    },
    Mdns(MdnsAction),
    /// Derive a password's key off the driver's thread; answered by `handle_derived`, in any case.
    Derive {
        id: u64,
        password: Password,
        salt: [u8; 32],
        rounds: NonZeroU32,
    },
    /// Everything is ended; the driver stops once it has drained.
    Stop,
}

// ----------------------------------------------------------------------------------------------------- commands

/// One answer that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub(crate) u64);

/// One local user's seat in one session. Drawn by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeatId(pub(crate) u64);

/// A signed-in user.
#[derive(Debug, Clone)]
pub(crate) struct LocalUser {
    pub(crate) identity: Identity,
    pub(crate) name: String,
    pub(crate) external: Option<External>,
}

/// Whom to join.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JoinTarget {
    Found(Found),
    Id(SessionId),
    Code(RoomCode),
    Link(crate::types::JoinLink),
    /// A host's control port (TCP) or beacon port (UDP): asked first by UDP, then dialled.
    Address(SocketAddr),
    /// Dialled where it says.
    Invite(Box<Invite>),
}

impl JoinTarget {
    /// The invite that brings the joiner.
    pub(crate) fn invite(&self) -> Option<InviteId> {
        match self {
            Self::Invite(invite) => Some(invite.id),
            _ => None,
        }
    }
}

/// All of a join.
#[derive(Debug, Clone)]
pub(crate) struct JoinCommand {
    pub(crate) target: JoinTarget,
    pub(crate) local_name: String,
    pub(crate) password: Option<Password>,
    pub(crate) ticket: Vec<u8>,
    pub(crate) attributes: crate::types::Attributes,
    pub(crate) timeout: std::time::Duration,
    /// The role, and the state of the new seat.
    pub(crate) role: Option<String>,
    pub(crate) status: MemberStatus,
    /// Other local users to seat with this one, and accounts to reserve seats for: all or none.
    pub(crate) party: Vec<AccountId>,
    pub(crate) reserve_for: Vec<AccountId>,
    /// Waits for a session that is on its way into another one, as long as the timeout lets it.
    pub(crate) patient: bool,
    /// Whether this machine would go on as host.
    pub(crate) can_host: bool,
}

#[cfg(any(test, feature = "testing"))]
impl JoinCommand {
    /// What a user asks who says no more than where, with time enough.
    pub(crate) fn of(target: JoinTarget) -> Self {
        Self {
            target,
            local_name: "game".into(),
            password: None,
            ticket: Vec::new(),
            attributes: crate::types::Attributes::new(),
            timeout: std::time::Duration::from_secs(5),
            role: None,
            status: MemberStatus::Active,
            party: Vec::new(),
            reserve_for: Vec::new(),
            patient: true,
            can_host: true,
        }
    }
}

/// All of a matchmaking.
#[derive(Debug, Clone)]
pub(crate) struct MatchCommand {
    pub(crate) query: SessionQuery,
    /// The session to make where none is found.
    pub(crate) host: HostRequest,
    pub(crate) local_name: String,
    pub(crate) early: bool,
    pub(crate) timeout: Option<std::time::Duration>,
}

/// What users ask for. Everything was checked for its own bounds before.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    SignIn {
        user: LocalUser,
    },
    /// Ends the user's sessions first.
    SignOut {
        request: RequestId,
        account: AccountId,
    },
    Host {
        request: RequestId,
        account: AccountId,
        what: Box<HostRequest>,
    },
    Join {
        request: RequestId,
        account: AccountId,
        what: Box<JoinCommand>,
    },
    /// Cancelled like a find: the seats it holds are left.
    Matchmake {
        request: RequestId,
        account: AccountId,
        what: Box<MatchCommand>,
    },
    Find {
        request: RequestId,
        /// With whose rights; they were checked.
        account: Option<AccountId>,
        query: Box<SessionQuery>,
    },
    /// The answer is not wanted any more: stops a find, gives up a join.
    Cancel {
        request: RequestId,
    },
    OpenBrowser {
        browser: BrowserId,
        query: Box<SessionQuery>,
    },
    SetQuery {
        browser: BrowserId,
        query: Box<SessionQuery>,
    },
    Refresh {
        browser: BrowserId,
    },
    CloseBrowser {
        browser: BrowserId,
    },
    Update {
        request: RequestId,
        seat: SeatId,
        update: Box<SettingsUpdate>,
        expected: Option<Revision>,
    },
    UpdateMe {
        request: RequestId,
        seat: SeatId,
        update: Box<MemberUpdate>,
    },
    SetPhase {
        request: RequestId,
        seat: SeatId,
        phase: Phase,
    },
    Kick {
        request: RequestId,
        seat: SeatId,
        account: AccountId,
        reason: Reason,
        ban: bool,
    },
    Unban {
        request: RequestId,
        seat: SeatId,
        account: AccountId,
    },
    Answer {
        seat: SeatId,
        ask: u64,
        verdict: Verdict,
    },
    /// Replaces a user's friends.
    SetFriends {
        account: AccountId,
        friends: Vec<AccountId>,
    },
    Invite {
        request: RequestId,
        seat: SeatId,
        what: Box<InviteRequest>,
    },
    Revoke {
        request: RequestId,
        seat: SeatId,
        invite: InviteId,
    },
    Say {
        request: RequestId,
        seat: SeatId,
        data: Arc<[u8]>,
    },
    // States, roles, turns, reservations.
    SetStatus {
        request: RequestId,
        seat: SeatId,
        status: MemberStatus,
    },
    Register {
        request: RequestId,
        seat: SeatId,
    },
    /// Without an account one's own.
    SetRole {
        request: RequestId,
        seat: SeatId,
        account: Option<AccountId>,
        role: Option<String>,
    },
    SetTurn {
        request: RequestId,
        seat: SeatId,
        accounts: Vec<AccountId>,
    },
    Reserve {
        request: RequestId,
        seat: SeatId,
        what: Box<ReserveRequest>,
    },
    ChangeReservation {
        request: RequestId,
        seat: SeatId,
        id: ReservationId,
        expected: Option<u32>,
        change: ReservationChange,
    },
    // What goes on after the host.
    SetState {
        request: RequestId,
        seat: SeatId,
        data: Vec<u8>,
    },
    SetSuccessors {
        request: RequestId,
        seat: SeatId,
        accounts: Vec<AccountId>,
    },
    SetCanHost {
        request: RequestId,
        seat: SeatId,
        can: bool,
    },
    /// Without a request where the last handle was dropped.
    Leave {
        request: Option<RequestId>,
        seat: SeatId,
    },
    Destroy {
        request: RequestId,
        seat: SeatId,
    },
    /// The host goes on as a member; without an account the first in the order of succession is host.
    HandOver {
        request: RequestId,
        seat: SeatId,
        to: Option<AccountId>,
    },
    Diagnose {
        request: RequestId,
    },
    /// From whom a user receives invites from now on.
    ReceiveInvites {
        account: AccountId,
        from: InvitesFrom,
    },
    /// The session in which friends may see a user.
    SetPresence {
        account: AccountId,
        session: Option<SessionKey>,
    },
    AcceptInvite {
        account: AccountId,
        invite: InviteId,
    },
    RejectInvite {
        request: RequestId,
        account: AccountId,
        invite: InviteId,
    },
    /// Leaves and destroys everything, says goodbye, then `Action::Stop`.
    Close {
        request: RequestId,
    },
}

/// What a request ends with.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Unit,
    Seat(SeatId),
    /// A join of several local users: in their order.
    Seats(Vec<SeatId>),
    Reservation(Revision, Reservation),
    Found(Vec<Found>),
    Revision(Revision),
    Diagnosis(Diagnosis),
    Invites(Vec<InviteId>),
    /// Of the game's own state.
    Version(u64),
}

/// What a new seat is; comes before the `Done` that answers the host or join request.
#[derive(Debug, Clone)]
pub(crate) struct SeatOpened {
    pub(crate) seat: SeatId,
    pub(crate) user: AccountId,
    pub(crate) local_name: String,
    pub(crate) is_host: bool,
    /// The host's addresses, best first: at a member the one it was reached at, at the host its own.
    pub(crate) host_addresses: Vec<IpAddr>,
    pub(crate) control_port: u16,
    pub(crate) snapshot: Arc<SessionSnapshot>,
    /// The reservation that its join made for others.
    pub(crate) reservation: Option<ReservationId>,
}

/// What a seat knows of the succession.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SuccessionView {
    /// The host's term, and which of its orders this is.
    pub(crate) term: u32,
    pub(crate) cfg: u32,
    /// Of the machines that would go on, in their order.
    pub(crate) successors: Vec<AccountId>,
    /// Of all that vote, the host's first where it has a seat.
    pub(crate) voters: Vec<AccountId>,
    /// At the host: how many of them have the order.
    pub(crate) acked: usize,
    /// At the host: those that would go on and cannot be reached.
    pub(crate) unreached: Vec<AccountId>,
    /// At the host: the game's own state.
    pub(crate) state: Option<GameState>,
}

/// What users get.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "outputs are taken one by one; few wait at a time")]
pub(crate) enum Output {
    Done {
        request: RequestId,
        result: Result<Answer, Error>,
    },
    SeatOpened(Box<SeatOpened>),
    /// Events of one revision, and the snapshot that is current once they can be read. After `Left` nothing follows.
    Seat {
        seat: SeatId,
        events: Vec<SessionEvent>,
        snapshot: Option<Arc<SessionSnapshot>>,
    },
    /// The game keys this seat has: at the host one per linked member, at a member its own. Replaces the former list.
    SeatKeys {
        seat: SeatId,
        keys: Vec<(AccountId, Secret)>,
    },
    /// A user's inbox, the oldest first. Replaces the former list; comes before the event that speaks of it.
    Invites {
        user: AccountId,
        list: Arc<[Invite]>,
    },
    /// The host's addresses are others, or the host is: replaces `SeatOpened::host_addresses`, and the control port where
    /// there is one.
    SeatAddresses {
        seat: SeatId,
        addresses: Vec<IpAddr>,
        port: Option<u16>,
    },
    /// Whom the host keeps out. Replaces the former list.
    SeatBans {
        seat: SeatId,
        bans: Vec<AccountId>,
    },
    /// Who would go on after the host. Replaces what was told before.
    SeatSuccession {
        seat: SeatId,
        what: Box<SuccessionView>,
    },
    Browser {
        browser: BrowserId,
        list: Arc<[Found]>,
        events: Vec<BrowserEvent>,
    },
    User {
        user: AccountId,
        event: UserEvent,
    },
    Lan(LanEvent),
}
