//! Whatever an outsider can grow, with its cap and what it costs in memory.

/// Sessions a finder lists; at most about 2 KiB each.
pub(crate) const ENTRIES: usize = 4_096;
/// Of them under one host key.
pub(crate) const ENTRIES_PER_HOST_KEY: usize = 8;
/// Of them from one source address.
pub(crate) const ENTRIES_PER_SOURCE: usize = 32;
/// Entries of another major version, shown as incompatible.
pub(crate) const FOREIGN_ENTRIES: usize = 64;
/// Proven addresses of one entry.
pub(crate) const ADDRESSES: usize = 8;
/// Unproven addresses of one entry.
pub(crate) const HINTED_ADDRESSES: usize = 4;
/// Endings remembered; 64 bytes each.
pub(crate) const TOMBSTONES: usize = 1_024;
/// Hosts counted for the answer window; 16 bytes each.
pub(crate) const HOSTS_COUNTED: usize = 16_384;
/// Of them from one source address.
pub(crate) const HOSTS_COUNTED_PER_SOURCE: usize = 16;
/// Connections without a seat, over all sessions.
pub(crate) const PRE_SEAT: usize = 64;
/// Of them with a wrong password proof waiting for its answer, per source address.
pub(crate) const WRONG_PASSWORDS_PER_SOURCE: usize = 4;
/// Admissions waiting for the game's word, per session.
pub(crate) const ADMISSIONS: usize = 16;
/// Requests of one member without an answer.
pub(crate) const REQUESTS: usize = 32;
/// Bytes queued to one member before deltas collapse into a snapshot.
pub(crate) const SEND_QUEUE: usize = 256 << 10;
/// Deltas kept for members that missed some.
pub(crate) const DELTA_LOG: usize = 256;
/// The bytes of a lobby message.
pub(crate) const MESSAGE: usize = 1_024;
/// The bytes of a join's ticket.
pub(crate) const TICKET: usize = 1_024;
/// Accounts banned from one session.
pub(crate) const BANS: usize = 1_024;
/// Friends of one user; 32 bytes each.
pub(crate) const FRIENDS: usize = 1_024;
/// Joiners about whom a session's members are asked at once; afterwards one per `vouch_round`.
pub(crate) const VOUCH_ROUNDS: u32 = 16;
/// Joiners whom no member knew, remembered per session; 48 bytes each.
pub(crate) const VOUCH_NOS: usize = 64;
/// Answers of one seat at once, of either word; afterwards one per `vouch_answer`.
pub(crate) const VOUCH_ANSWERS: u32 = 6;
/// Accounts that one seat was asked about, remembered; 32 bytes each.
pub(crate) const VOUCHED: usize = 1_024;
/// Open invites of one inviter.
pub(crate) const INVITES_PER_MEMBER: usize = crate::types::InviteRequest::MAX_INVITEES;
/// Open invites of one session; about 150 bytes each.
pub(crate) const INVITES: usize = 64;
/// Invites of one session that are remembered as expired, and news of them for inviters whose link is lost.
pub(crate) const EXPIRED_INVITES: usize = 64;
/// Leavers a locked session takes back.
pub(crate) const LEAVERS: usize = 32;
/// Accounts that one join brings along.
pub(crate) const PARTY: usize = crate::wire::frame::MAX_PARTY;
/// Reservations of one session; about 700 bytes each, without its seats.
pub(crate) const RESERVATIONS: usize = 32;
/// Seats that one account holds for others in one session.
pub(crate) const RESERVED_SEATS: usize = 16;
/// Sessions hosted by one process.
pub(crate) const HOSTED: usize = 64;
/// Finds and browsers of one process.
pub(crate) const QUERIES: usize = 64;
/// Users signed in.
pub(crate) const USERS: usize = 16;
/// Endings of seats remembered, so that a member that dials back learns why its seat is gone; 200 bytes each.
pub(crate) const GONE: usize = 64;
/// The bytes of the deltas kept for members that missed some.
pub(crate) const DELTA_LOG_BYTES: usize = 256 << 10;
/// Lobby messages of one member at once.
pub(crate) const MESSAGE_BURST: u32 = 8;
/// Updates of one member's own seat at once.
pub(crate) const UPDATE_BURST: u32 = 64;
/// The bytes of all members in a snapshot: what the settings leave of a message of 1 MiB.
pub(crate) const MEMBERS_BYTES: usize = 900 << 10;
/// A member without its attributes, at most.
pub(crate) const MEMBER_FIXED_BYTES: usize = 220;
/// One member's attributes, at most; fewer in sessions of more than 109 seats.
pub(crate) const MEMBER_BYTES: usize = 8 << 10;
/// Seats of one session that are held for members of another that merges into it.
pub(crate) const GRANTS: usize = 64;
/// Matchmakings of one process.
pub(crate) const MATCHMAKINGS: usize = 16;
/// Sessions that one matchmaking remembers not to ask now.
pub(crate) const MM_HOLDS: usize = 64;
/// Second dials of a join to each address that is silent.
pub(crate) const DIALS_BESIDE: u32 = 2;
/// Dials of one join that end without a word before it gives up.
pub(crate) const JOIN_RETRIES: u32 = 8;
/// Nonces of ours that are remembered; 40 bytes each.
pub(crate) const NONCES: usize = 4_096;
/// Answers of one hosted session that wait for their moment; about 100 bytes each.
pub(crate) const PENDING_ANSWERS: usize = 1_024;
/// Askers of one hosted session that are remembered for two seconds; 64 bytes each.
pub(crate) const ASKERS: usize = 1_024;
/// Peers that probe us and get our goodbyes by unicast; 64 bytes each.
pub(crate) const LISTENERS: usize = 64;
/// Datagrams to all that one interface carries at once, of all that a process says but goodbyes; then one per
/// `interface_cast`.
pub(crate) const INTERFACE_CASTS: u32 = 512;
/// Slots of a limiter by address; 8 bytes each.
pub(crate) const LIMITER_SLOTS: usize = 1_024;
/// The same by address and port: with forged ports as many as one likes fall into these, and must leave others free.
pub(crate) const LIMITER_PEER_SLOTS: usize = 8_192;
/// Instances that mDNS told of; at most about 400 bytes each.
pub(crate) const MDNS_INSTANCES: usize = 1_024;
/// Questions and multicasts of others remembered to count them; 16 bytes each.
pub(crate) const HEARD: usize = 256;
/// Datagrams remembered so that their repeats are not verified again; 8 bytes each.
pub(crate) const REPEATS: usize = 128;
/// Questions of this process where an account is, each with a listener and a fresh key; 2 KiB each.
pub(crate) const ASKS: usize = 64;
/// Connections to one such listener; the least advanced gives way.
pub(crate) const ASK_GUESTS: usize = 8;
/// Locates whose signature is checked at once.
pub(crate) const LOCATE_CHECKS: u32 = 64;
/// Locates opened lately, so that their copies are not checked again, and listeners served; 16 and 32 bytes each.
pub(crate) const LOCATES_OPENED: usize = 128;
/// Locates that were answered, so that a recording is not; 24 bytes each.
pub(crate) const LOCATES_SEEN: usize = 1_024;
/// The same of strangers, where a user takes invites from anyone.
pub(crate) const LOCATES_SEEN_STRANGERS: usize = 256;
/// Dials to askers at once.
pub(crate) const LOCATE_DIALS: usize = 32;
/// Of them to strangers.
pub(crate) const LOCATE_DIALS_STRANGERS: usize = 8;
/// Dials to askers in a row.
pub(crate) const LOCATE_BURST: u32 = 32;
/// Of them to strangers.
pub(crate) const LOCATE_BURST_STRANGERS: u32 = 8;
/// Dials to one asker in a row.
pub(crate) const LOCATE_ASKER_BURST: u32 = 4;
/// Askers and senders of invites whose rate is remembered; 48 bytes each.
pub(crate) const LOCATE_ASKERS: usize = 256;
/// Addresses of one asker that are dialled for one question.
pub(crate) const LOCATE_WAYS: usize = 4;
/// Invites of one user; about 1 KiB each.
pub(crate) const INBOX: usize = 32;
/// Of them from strangers, evicted first.
pub(crate) const INBOX_STRANGERS: usize = 4;
/// Invites of one sender in a row.
pub(crate) const INVITE_BURST: u32 = 6;
/// Sessions that were listed and never gave an echo; 48 bytes each.
pub(crate) const DOUBTS: usize = 1_024;
/// Machines that wait at one successor; about 500 bytes each.
pub(crate) const PARKED: usize = 128;
/// Links opened or handed over in a second: a page that opens them in a loop must not bury the player in questions.
pub(crate) const LINKS_PER_SECOND: usize = 4;
/// Successors that hold what only the host knows; at most about 1.3 MiB each.
pub(crate) const KEEPERS: usize = 5;
/// Machines that vote beside the host, and accounts that it puts first.
pub(crate) const SUCCESSORS: usize = crate::wire::frame::MAX_VOTERS - 1;
/// Claims that a session goes on elsewhere, all sessions together; at most about 2 KiB each.
pub(crate) const CLAIMS: usize = 64;
/// Of them about one session.
pub(crate) const CLAIMS_PER_SESSION: usize = 8;
/// Claims that were refused; 80 bytes each.
pub(crate) const CLAIMS_REFUSED: usize = 256;
/// Proofs of takeovers being fetched, and waiting for that.
pub(crate) const LINEAGE_FETCHES: usize = 8;
/// See `LINEAGE_FETCHES`: those that wait.
pub(crate) const LINEAGES_WAITING: usize = 64;
/// See `LINEAGE_FETCHES`: of them for one session.
pub(crate) const LINEAGES_PER_SESSION: usize = 3;
/// Dials for them in a row.
pub(crate) const LINEAGE_BURST: u32 = 16;
/// Proofs that were verified; about 1 KiB each.
pub(crate) const LINEAGES_KEPT: usize = 64;
/// Times that one join or one lost member is sent on to another host.
pub(crate) const SENT_ON: u32 = 4;
/// Claims of rivals that a session judges in a row.
pub(crate) const CLAIM_BURST: u32 = 8;
/// Rivals that a host tells at a time that it goes on; about 200 bytes each, and as many dials as it has addresses.
pub(crate) const RIVALS: usize = 16;
/// How often a host that took over tells the former one at `superseded`, and then at `superseded_later`.
pub(crate) const SUPERSEDED_NOTICES: (u32, u32) = (30, 20);

/// What somebody holds of each thing that an outsider can grow, and the cap of it: for tests of whole runs.
#[cfg(all(test, feature = "testing"))]
pub(crate) type Census = Vec<(&'static str, usize, usize)>;
