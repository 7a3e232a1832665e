//! Every timer and constant in one place, with its default (protocol.md, "Timers"). The virtual LAN varies them.

use std::num::NonZeroU32;
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

macro_rules! tuning {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr),* $(,)?) => {
        /// The timers and constants.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Tuning {
            $($(#[doc = $doc])* pub(crate) $name: $type,)*
        }

        impl Default for Tuning {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Tuning {
            /// Names, defaults and meanings, for the table in `protocol.md` that a test compares.
            #[cfg(test)]
            pub(crate) fn table() -> Vec<(&'static str, String, &'static str)> {
                let defaults = Self::default();
                vec![$((stringify!($name), format!("{:?}", defaults.$name), concat!($($doc),*).trim()),)*]
            }
        }
    };
}

tuning! {
    // ---- control channel (protocol.md, "Members")
    /// A sign of life each way on an idle link.
    heartbeat: Duration = ms(500),
    /// Silence after which a link counts as lost, unless the session says otherwise.
    host_silence: Duration = ms(2_500),
    /// How long a lost link's seat is held, unless the session says otherwise.
    grace: Duration = ms(30_000),
    /// One TCP connect.
    connect: Duration = ms(3_000),
    /// From an accepted connection to its first byte.
    first_byte: Duration = ms(1_000),
    /// From the first byte to a finished handshake.
    handshake: Duration = ms(2_000),
    /// From the handshake to the join.
    join_frame: Duration = ms(2_000),
    /// The whole of a join, unless the caller says otherwise.
    join: Duration = ms(5_000),
    /// The next address is dialled this long after the one before, unless that failed sooner.
    dial_stagger: Duration = ms(50),
    /// An address that is silent for so long is dialled once more beside the first dial.
    dial_beside: Duration = ms(400),
    /// The game's word on a joiner.
    admission: Duration = ms(3_000),
    /// A wrong password is answered after this.
    wrong_password: Duration = ms(1_000),
    /// A reader that takes nothing for this long loses its link.
    stalled_reader: Duration = ms(5_000),
    /// Accept to Ack; a seat that is not confirmed by then is free again.
    confirm: Duration = ms(5_000),
    /// Two answers to Resync of one member are at least so far apart.
    resync: Duration = ms(1_000),
    /// Lobby messages of one member: one per this, and a burst of 8.
    message_interval: Duration = ms(100),
    /// Updates of one member's own seat: one per this, and a burst of 64.
    update_interval: Duration = ms(10),
    /// How long a connected seat has to show that it lives when another process of its account asks for it.
    same_account: Duration = ms(1_000),
    /// How long the members are asked whether a joiner is a friend of theirs; a no takes all of it.
    vouch: Duration = ms(500),
    /// Such rounds of one session: one per this, and a burst of 16.
    vouch_round: Duration = ms(500),
    /// For so long nobody is asked again about an account that no member knew, unless the roster changes.
    vouch_no: Duration = ms(10_000),
    /// Answers of one member to such questions: one yes and one no per this, and a burst of 6 each.
    vouch_answer: Duration = ms(10_000),
    /// An invite holds a seat for so long at most.
    invite_hold: Duration = ms(60_000),
    /// A request of a member without an answer has failed after this; the time stands still while the link is lost.
    request: Duration = ms(10_000),
    /// A join whose connection ended without a word is tried again after this.
    rejoin: Duration = ms(100),
    /// A member that lost its link dials again this long after the first try; doubled each time, up to eight times it.
    redial: Duration = ms(250),
    /// After the seat's grace, a member waits so much longer for its host.
    give_up: Duration = ms(5_000),
    /// A handle_timeout that comes so late means that this process slept.
    stall: Duration = ms(1_000),
    /// A host that took over tells the former one so at its last addresses: 30 times at this interval.
    superseded: Duration = ms(2_000),
    /// Then 20 times at this.
    superseded_later: Duration = ms(30_000),
    /// Claims of rival hosts that one session judges: one per this, and a burst of 8.
    claim_interval: Duration = ms(500),
    /// The rounds of PBKDF2; fixed by the major version.
    password_rounds: NonZeroU32 = NonZeroU32::MIN.saturating_add(599_999),

    // ---- host migration (protocol.md, "Walk", "Handoff" and "Two hosts")
    /// A machine that does not answer within this gives way to the next in the order.
    rank: Duration = ms(750),
    /// A candidate is waited for so long, then the next.
    ballot: Duration = ms(2_000),
    /// Between two rounds through the order, at least.
    walk_pause: Duration = ms(250),
    /// And up to this longer, at random.
    walk_pause_more: Duration = ms(500),
    /// A host that closed, and one that others asked about, has so long to answer a dial.
    dial_closed: Duration = ms(300),
    /// After the word that the host lives, before the next round.
    host_alive: Duration = ms(500),
    /// A machine that has more of the session is waited for by the candidate.
    pull: Duration = ms(300),
    /// Without a majority whoever may goes on alone after this.
    any_survivor: Duration = ms(4_000),
    /// A successor has so long to say that it is prepared.
    handoff_ready: Duration = ms(400),
    /// All of a handoff, before the host goes without it.
    handoff: Duration = ms(1_000),
    /// The host's dial to a member's listener; there is one in this time at most.
    dial_back: Duration = ms(1_000),
    /// A machine whose link is lost votes no more after this.
    voter_out: Duration = ms(3_000),
    /// What successors keep is sent anew at most once per this.
    keep_interval: Duration = ms(250),

    // ---- matchmaking (protocol.md, "Matchmaking")
    /// A starter listens at least so long before it makes a session of its own.
    mm_listen: Duration = ms(300),
    /// And up to this longer, at random.
    mm_listen_more: Duration = ms(400),
    /// From the first session that fits to the join of the best.
    mm_gather: Duration = ms(60),
    /// After a refusal, before the next best is asked: at least this.
    mm_next: Duration = ms(50),
    /// And up to this longer, at random.
    mm_next_more: Duration = ms(200),
    /// One join of a starter.
    mm_join: Duration = ms(3_000),
    /// The host of a mobile session looks for a better one about so often, a fifth more or less.
    mm_tick: Duration = ms(250),
    /// And asks the LAN anew so often.
    mm_requery: Duration = ms(5_000),
    /// Each step of a merge (the question, the members' way, the host's own) takes at most this.
    mm_freeze: Duration = ms(2_000),
    /// A seat that was granted is held so long.
    mm_grant: Duration = ms(5_000),
    /// What a joiner of a session on its way into another one is told to wait.
    mm_migrating: Duration = ms(200),
    /// A session that was asked in vain is not asked again within this.
    mm_again: Duration = ms(1_000),
    /// The same where it refused for good.
    mm_refused: Duration = ms(10_000),
    /// A session of two or more in which nothing changed for so long is settled.
    mm_settle: Duration = ms(15_000),
    // ---- between users (protocol.md, "Locate", "Links between users" and "Invites")
    /// When a Locate goes out, until it is answered.
    locate_at: [Duration; 6] = [ms(0), ms(60), ms(130), ms(310), ms(700), ms(1_500)],
    /// An invite that nobody took by then is unreachable.
    invite_delivery: Duration = ms(3_000),
    /// An asker listens so much longer after an answer: the account may run on another machine too.
    locate_linger: Duration = ms(250),
    /// A query for one's own account waits so long for another machine of it.
    own_elsewhere: Duration = ms(250),
    /// How far an asker's wall clock may be from this one's.
    locate_clock: Duration = ms(600_000),
    /// Signatures of Locates: one is checked per this, and a burst of 64.
    locate_check: Duration = ms(20),
    /// Dials to askers: one per this, and a burst of 32.
    locate_dial: Duration = ms(60),
    /// Of them to strangers: one per this, and a burst of 8.
    locate_dial_stranger: Duration = ms(240),
    /// Dials to one asker: one per this, and a burst of 4.
    locate_asker: Duration = ms(1_000),
    /// From a finished handshake, on either side, to the frame that the link is for.
    locate_frame: Duration = ms(2_000),
    /// Invites of one sender: one per this, and a burst of 6.
    invite_interval: Duration = ms(10_000),

    // ---- discovery (protocol.md, "Discovery, host" and "Discovery, finder")
    /// A finder listens up to this long before its first question.
    listen: Duration = ms(2),
    /// And up to this long once more if it heard another's question meanwhile.
    listen_more: Duration = ms(10),
    /// When the questions of one find go out, each up to a tenth later.
    ask_at: [Duration; 9] = [ms(0), ms(60), ms(130), ms(210), ms(310), ms(430), ms(570), ms(730), ms(900)],
    /// After those one more each 1, 2, 4 s and so on up to this.
    ask_later: Duration = ms(32_000),
    /// A browser that needs no more answers keeps the hosts' interest alive about so often, up to twice this.
    renew: Duration = ms(20_000),
    /// A host beacons for so long after it heard a question.
    lease: Duration = ms(60_000),
    /// Between two beacons of one host where few are heard.
    beacon: Duration = ms(4_000),
    /// Between two beacons of a host that nobody asked for a lease.
    beacon_idle: Duration = ms(60_000),
    /// Beacons in a second, of all hosts together.
    beacons_per_second: u32 = 25,
    /// Between two datagrams to all on one interface, of one process, once its `INTERFACE_CASTS` are used up.
    interface_cast: Duration = ms(4),
    /// The window of unicast answers, per expected answer.
    uni_slot: Duration = us(400),
    /// The same at a wireless host.
    uni_slot_wireless: Duration = ms(1),
    /// The window of multicast answers, per expected answer.
    mc_slot: Duration = ms(1),
    /// The same at a wireless host.
    mc_slot_wireless: Duration = ms(4),
    /// The least window of multicast answers.
    mc_window: Duration = ms(5),
    /// Two multicasts of one session are at least so far apart.
    mc_gap: Duration = ms(25),
    /// Up to so many expected answers come at once, without a window.
    prompt_answers: u16 = 10,
    /// The longest window of unicast answers, unless the question says another.
    uni_cap: Duration = ms(1_000),
    /// The longest window of multicast answers.
    mc_cap: Duration = ms(4_000),
    /// A finder that still asks within this after its answer gets the next one by multicast.
    answered: Duration = ms(2_000),
    /// Questions heard within `many_window` after which a finder asks for everybody.
    many_questions: usize = 6,
    /// See `many_questions`.
    many_window: Duration = ms(200),
    /// No second question while so many were heard in `crowd_window`.
    crowd_questions: usize = 25,
    /// See `crowd_questions`.
    crowd_window: Duration = ms(1_000),
    /// So many datagrams to all, heard in `busy_window`, are a busy link.
    busy: usize = 40,
    /// See `busy`.
    busy_window: Duration = ms(20),
    /// An announcement waits for a random part of this.
    announce_delay: Duration = ms(20),
    /// And is repeated after these.
    announce_again: [Duration; 3] = [ms(60), ms(250), ms(1_000)],
    /// So many changes in a row are told at once.
    change_burst: u32 = 4,
    /// Then one per this.
    change_interval: Duration = ms(1_000),
    /// When a goodbye goes out.
    goodbye_at: [Duration; 5] = [ms(0), ms(20), ms(60), ms(130), ms(250)],
    /// How long an own nonce is accepted.
    nonce_life: Duration = ms(5_000),
    /// A shown entry that is silent for so long, or up to a sixth longer, is probed.
    suspect: Duration = ms(4_250),
    /// See `suspect`: the later end.
    suspect_late: Duration = ms(5_000),
    /// Between two probes of a silent entry.
    probe_gap: Duration = ms(140),
    /// The same after a sign that it died.
    probe_gap_urgent: Duration = ms(50),
    /// So many unanswered probes lose an entry.
    probe_tries: u32 = 20,
    /// So many unanswered probes mark it silent.
    probe_silent: u32 = 3,
    /// An entry that never echoed a nonce is probed within this once it is heard, at once if it is shown.
    confirm_within: Duration = ms(2_000),
    /// And dies after this.
    unconfirmed_life: Duration = ms(7_500),
    /// A shown entry that only beacons is probed after so long without an echo.
    echo_life: Duration = ms(60_000),
    /// The same for one that is not shown.
    echo_life_unshown: Duration = ms(600_000),
    /// Two death notices about one entry within this are one.
    notice_interval: Duration = ms(5_000),
    /// A member's death notice waits up to this, and is dropped if another's is heard.
    notice_delay: Duration = ms(50),
    /// An entry that can outlive its host is held so long after its host was last heard.
    migrating_hold: Duration = ms(12_000),
    /// Between two questions to all, and to its former host, about such an entry.
    migrating_ask: Duration = ms(500),
    /// Before a finder follows a takeover it asks the former host this often.
    claim_probes: u32 = 4,
    /// So far apart; the host has as long for the last answer.
    claim_probe: Duration = ms(100),
    /// A host that claims a session without right is ignored for so long.
    claim_ignored: Duration = ms(60_000),
    /// One whose proof could not be fetched is asked again after this, up to five times as long.
    claim_again: Duration = ms(200),
    /// A claim that nothing more is heard of is forgotten.
    claim_life: Duration = ms(10_000),
    /// A finder that has listed a session for less than this takes the better of two hosts that both live.
    claim_fresh: Duration = ms(2_000),
    /// A proof of takeover, from the dial to its last byte.
    lineage_fetch: Duration = ms(2_000),
    /// Such dials: one per this, and a burst of 16.
    lineage_interval: Duration = ms(100),
    /// How long an ended session's recordings are refused.
    tombstone: Duration = ms(600_000),
    /// So many probes within `hot_window` make a host beacon instead of being probed.
    hot_probes: usize = 32,
    /// See `hot_probes`.
    hot_window: Duration = ms(4_000),
    /// For so long.
    hot_for: Duration = ms(20_000),
    /// A browser's list is told anew at most once per this.
    list_interval: Duration = ms(20),
    /// And for changed round trips alone at most once per this.
    ping_interval: Duration = ms(1_000),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::golden;

    #[test]
    fn the_page_lists_every_timer_with_its_default() {
        let row = |(name, default, what)| format!("| `{name}` | {default} | {what} |");
        golden::check_rows("timers", &Tuning::table().into_iter().map(row).collect::<Vec<_>>());
    }
}
