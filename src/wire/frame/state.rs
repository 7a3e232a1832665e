//! Commits: what changed, as new values (protocol.md, "State").

use crate::types::{
    AccountId, Attribute, JoinPolicy, Left, Member, MemberStatus, MemberTimeouts, MemberUpdate, Phase, Revision, Role,
};

use super::message::Cause;

/// One commit: all its changes or none, one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delta {
    pub(crate) revision: Revision,
    pub(crate) cause: Option<Cause>,
    /// Cut to what the receiver may see; may be empty, so that revisions have no holes.
    pub(crate) changes: Vec<Change>,
    /// With every 64th: the first 8 bytes of SHA-256 over the receiver's view after it.
    pub(crate) digest: Option<[u8; 8]>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    MemberLeft {
        account: AccountId,
        why: Left,
    },
    MemberJoined(Member),
    MemberAway(AccountId),
    MemberBack(AccountId),
    MemberUpdated {
        account: AccountId,
        update: MemberUpdate,
        status: Option<MemberStatus>,
    },
    Setting(SettingChange),
    Phase(Phase),
    Turn(Vec<AccountId>),
    Role {
        account: AccountId,
        role: Option<String>,
    },
    /// A reserved seat's account has come: the member as it is from now on.
    MemberClaimed(Member),
}

/// One setting's new value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SettingChange {
    Name(String),
    Schema(String),
    MaxMembers(u16),
    ReservedSlots(u16),
    Policy(JoinPolicy),
    Listed(bool),
    Closed(bool),
    Locked(bool),
    JoinInProgress(bool),
    Keywords(Vec<String>),
    Ports(Vec<(String, u16)>),
    Attribute { name: String, value: Option<Attribute> },
    Roles(Vec<Role>),
    Timeouts(MemberTimeouts),
    ReadyGate(bool),
    Mobile(bool),
}
