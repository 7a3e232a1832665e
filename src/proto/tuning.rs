//! Every timer and constant in one place, with its default (protocol.md, "Timers"). The virtual LAN varies them.

use std::num::NonZeroU32;
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

macro_rules! tuning {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr),* $(,)?) => {
        /// The timers and constants.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Tuning {
            $($(#[$doc])* pub(crate) $name: $type,)*
        }

        impl Default for Tuning {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Tuning {
            /// Names and defaults, for the table in `protocol.md` that a test compares.
            #[cfg(test)]
            pub(crate) fn table() -> Vec<(&'static str, String)> {
                let defaults = Self::default();
                vec![$((stringify!($name), format!("{:?}", defaults.$name)),)*]
            }
        }
    };
}

tuning! {
    // ---- control channel (session.md 7)
    /// A sign of life each way on an idle link.
    heartbeat: Duration = ms(500),
    /// Silence after which a link counts as lost.
    host_silence: Duration = ms(2_500),
    /// How long a lost link's seat is held.
    grace: Duration = ms(30_000),
    /// A dial of the host whose link was closed: without an answer by then, it is dead.
    dial_closed_host: Duration = ms(300),
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
    /// A request of a member without an answer has failed after this.
    request: Duration = ms(10_000),
    /// A join whose connection ended without a word is tried again after this.
    rejoin: Duration = ms(100),
    /// A member that lost its link dials again this long after the first try; doubled each time, up to eight times it.
    redial: Duration = ms(250),
    /// After the seat's grace, a member waits so much longer for its host.
    give_up: Duration = ms(5_000),
    /// A handle_timeout that comes so late means that this process slept.
    stall: Duration = ms(1_000),
    /// The rounds of PBKDF2; fixed by the major version.
    password_rounds: NonZeroU32 = NonZeroU32::MIN.saturating_add(599_999),
}
