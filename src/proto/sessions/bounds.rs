//! What a member's part of the state may weigh, the same at its own end and at the host.

use crate::proto::limits;
use crate::types::{
    AccountId, Attribute, Attributes, Error, ErrorKind, MemberStatus, MemberUpdate, Profile, Reason, Refusal,
    SessionSnapshot, Value, Visibility, check_name,
};

/// What one member's attributes may weigh, so that a snapshot of a full session still fits one message.
pub(super) fn member_budget(max_members: u16) -> usize {
    let room = limits::MEMBERS_BYTES / usize::from(max_members.max(1));
    room.saturating_sub(limits::MEMBER_FIXED_BYTES).min(limits::MEMBER_BYTES)
}

/// As they are counted against the budget: names, values, and what surrounds them.
pub(super) fn attribute_bytes(attributes: &Attributes) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.iter().map(|text| text.len() + 3).sum(),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => 9,
    };
    attributes.iter().map(|(name, attribute)| name.len() + value(&attribute.value) + 6).sum()
}

/// A member's attributes are the members' whatever its process says.
pub(super) fn members_own(attributes: &Attributes) -> Attributes {
    let mut own = Attributes::new();
    for (name, attribute) in attributes.iter() {
        let attribute = Attribute { visibility: Visibility::Members, ..attribute.clone() };
        let _ = own.insert(name.to_owned(), attribute);
    }
    own
}

/// The same for an update.
pub(super) fn members_own_update(mut update: MemberUpdate) -> MemberUpdate {
    for (_, attribute) in &mut update.set {
        attribute.visibility = Visibility::Members;
    }
    update
}

/// Whether a member may update its seat so.
pub(super) fn check_member_update(
    state: &SessionSnapshot,
    account: AccountId,
    update: &MemberUpdate,
) -> Result<(), Error> {
    let member = state.member(account);
    let member = member.ok_or_else(|| Error::new(ErrorKind::InvalidState, "a dedicated host has no seat"))?;
    if let Some(name) = &update.name {
        check_name("the player's name", name, Profile::MAX_NAME)?;
    }
    let mut attributes = member.attributes.clone();
    for name in &update.remove {
        attributes.remove(name);
    }
    for (name, attribute) in &update.set {
        attributes.insert(name.clone(), attribute.clone())?;
    }
    let over = attribute_bytes(&attributes).saturating_sub(member_budget(state.max_members));
    if over > 0 {
        return Err(Error::invalid(format!("the member's attributes are {over} bytes over this session's bound")));
    }
    Ok(())
}

/// Whether a member may change its seat's state so.
pub(super) fn check_status(state: &SessionSnapshot, account: AccountId, status: MemberStatus) -> Result<(), Error> {
    let member = state.member(account);
    let member = member.ok_or_else(|| Error::new(ErrorKind::InvalidState, "a dedicated host has no seat"))?;
    if status == MemberStatus::Reserved && member.status != MemberStatus::Reserved {
        let why = "a member that has registered is never reserved again; leave and join as reserved";
        return Err(Error::new(ErrorKind::InvalidState, why));
    }
    Ok(())
}

/// Whether the session has this role.
pub(super) fn check_role(state: &SessionSnapshot, name: &str) -> Result<(), Refusal> {
    if state.roles.iter().any(|role| role.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = state.roles.iter().map(|role| role.name.as_str()).collect();
    let have = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut why = format!("no role {name:?} here, there is: {have}");
    while why.len() > Reason::MAX_TEXT {
        why.pop();
    }
    Err(Refusal::Refused(Reason::from(why)))
}

/// Whether a lobby message is short enough.
pub(super) fn check_message(data: &[u8]) -> Result<(), Error> {
    match data.len().saturating_sub(limits::MESSAGE) {
        0 => Ok(()),
        over => Err(Error::invalid(format!("the message is {over} bytes over its {}", limits::MESSAGE))),
    }
}
