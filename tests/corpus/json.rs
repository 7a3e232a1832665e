//! The body of the fuzz target for JSON: whatever text comes, no public type panics on it, and what is read is written and
//! read again the same. `fuzz/fuzz_targets/json.rs` includes this file.

use std::fmt::Debug;

use lansession::{
    AccountId, Attribute, Attributes, External, Field, Filter, HostKey, Invite, InviteId, InviteState, InvitesFrom,
    JoinAsk, JoinPolicy, Left, Member, MemberStatus, MemberTimeouts, Migration, OrderBy, Phase, PublicFacts, PublicKey,
    Reason, Refusal, Reservation, ReservationId, Revision, Role, RoomCode, SessionId, SessionKey, SessionQuery,
    SessionSettings, SessionSnapshot, SessionVisibility, SettingsUpdate, Value,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let printed = serde_json::to_string(&value).expect("what was read can be written");
    let read = serde_json::from_str::<T>(&printed);
    assert!(read.as_ref().is_ok_and(|read| *read == value), "{value:?}: {printed}: {read:?}");
    Some(value)
}

macro_rules! each {
    ($text:expr, $($type:ty),* $(,)?) => { $(let _ = again::<$type>($text);)* };
}

pub(crate) fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    each!(text, SessionId, InviteId, ReservationId, AccountId, HostKey, PublicKey, RoomCode, SessionKey, Revision);
    each!(text, Filter, OrderBy, Field, Value, Attribute, SettingsUpdate, SessionQuery, Role, MemberTimeouts);
    each!(text, JoinPolicy, Phase, Migration, SessionVisibility, MemberStatus, InviteState, InvitesFrom, Left, Refusal);
    each!(text, Reason, External, Reservation, PublicFacts, Member, SessionSnapshot, JoinAsk, Invite);
    if let Some(settings) = again::<SessionSettings>(text) {
        assert!(settings.check().is_ok(), "{settings:?}");
    }
    if let Some(attributes) = again::<Attributes>(text) {
        // As a game takes its own type out of them.
        let _ = attributes.to::<serde_json::Value>();
    }
}
