//! The nouns: ids, attributes, settings, changes, queries, members, reasons, events.
//!
//! Nothing here knows a clock, a socket or a byte format. Every other layer stands on this one.

mod attributes;
#[cfg(feature = "serde")]
mod attributes_serde;
mod diagnosis;
mod endpoint;
mod error;
mod event;
mod facts;
mod fault;
mod filter;
mod found;
mod id;
mod identity;
mod invite;
mod key;
mod left;
mod link;
mod matched;
mod member;
mod migration;
mod order;
mod query;
mod reason;
mod refusal;
mod reservation;
mod role;
mod schema;
mod secret;
#[cfg(feature = "serde")]
mod serde;
mod settings;
mod snapshot;
mod text;
mod timeouts;
mod update;
mod value;

pub use attributes::{Attribute, Attributes, Visibility};
pub use diagnosis::{Diagnosis, PathKind, PathReport, PathState};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind, Result};
pub use event::{BrowserEvent, Event, JoinAsk, LanEvent, Progress, SessionEvent, UserEvent, Verdict};
pub use facts::PublicFacts;
pub use fault::NetworkFault;
pub use filter::{Field, Filter, FilterError, attr};
pub use found::{Found, FoundAddress, Source, Sources};
pub use id::{BrowserId, InviteId, ReservationId, RoomCode, SessionId, SessionKey};
pub use identity::{External, Identity, Profile};
pub use invite::{Invite, InviteRequest, InviteState, InvitesFrom, UiTarget};
pub use key::{AccountId, HostKey, PublicKey};
pub use left::Left;
pub use link::JoinLink;
pub use matched::{MatchedMember, SessionVisibility};
pub use member::{LinkState, Member, MemberStatus};
pub use migration::{GameState, Migration};
pub use order::OrderBy;
pub use query::SessionQuery;
pub use reason::Reason;
pub use refusal::Refusal;
pub use reservation::{Reservation, ReservationChange, ReserveRequest};
pub use role::Role;
pub use schema::{Schema, ValueType};
pub use settings::{HostRequest, JoinPolicy, Password, Phase, SessionSettings};
pub use snapshot::{Revision, SessionSnapshot};
pub use timeouts::MemberTimeouts;
pub use update::{AttributeChange, MemberUpdate, SettingsChange, SettingsUpdate};
pub use value::Value;

pub(crate) use filter::{Comparison, Node, Truth};
pub(crate) use found::{FoundData, WIRE_MAJOR};
pub(crate) use id::base32;
pub(crate) use matched::AccountRow;
pub(crate) use order::{Direction, compare};
pub(crate) use secret::Secret;
pub(crate) use text::{check_name, is_displayable};
