//! Settings, updates and queries: what is not given is as their constructors have it, what is not known is refused.

use std::net::SocketAddr;
use std::time::Duration;

use ::serde::de::{self, Deserialize, Deserializer};
use ::serde::ser::{self, Serialize, Serializer};

use super::{ports, set, some_ports};
use crate::types::attributes::{Attribute, Attributes, check_attribute_name};
use crate::types::error::Error;
use crate::types::filter::Filter;
use crate::types::id::{RoomCode, SessionId};
use crate::types::key::AccountId;
use crate::types::matched::SessionVisibility;
use crate::types::order::OrderBy;
use crate::types::query::SessionQuery;
use crate::types::role::Role;
use crate::types::settings::{JoinPolicy, SessionSettings};
use crate::types::timeouts::MemberTimeouts;
use crate::types::update::SettingsUpdate;

#[derive(::serde::Serialize, ::serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsForm {
    name: String,
    schema: String,
    max_members: u16,
    reserved_slots: u16,
    policy: JoinPolicy,
    listed: Option<bool>,
    closed: bool,
    locked: bool,
    join_in_progress: bool,
    keywords: Vec<String>,
    attributes: Attributes,
    #[serde(with = "ports")]
    ports: Vec<(String, u16)>,
    roles: Vec<Role>,
    timeouts: MemberTimeouts,
    ready_gate: bool,
}

impl Default for SettingsForm {
    fn default() -> Self {
        SessionSettings::new("").into()
    }
}

impl From<SessionSettings> for SettingsForm {
    fn from(settings: SessionSettings) -> Self {
        Self {
            name: settings.name,
            schema: settings.schema,
            max_members: settings.max_members,
            reserved_slots: settings.reserved_slots,
            policy: settings.policy,
            listed: settings.listed,
            closed: settings.closed,
            locked: settings.locked,
            join_in_progress: settings.join_in_progress,
            keywords: settings.keywords,
            attributes: settings.attributes,
            ports: settings.ports,
            roles: settings.roles,
            timeouts: settings.timeouts,
            ready_gate: settings.ready_gate,
        }
    }
}

/// Fails where a value that the settings could not take was kept for [`SessionSettings::check`].
impl Serialize for SessionSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(problem) = &self.problem {
            return Err(ser::Error::custom(problem));
        }
        SettingsForm::from(self.clone()).serialize(serializer)
    }
}

/// Needs a name; what else is not given is as in [`SessionSettings::new`].
impl<'de> Deserialize<'de> for SessionSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = SettingsForm::deserialize(deserializer)?;
        let settings = Self {
            name: form.name,
            schema: form.schema,
            declared: None,
            max_members: form.max_members,
            reserved_slots: form.reserved_slots,
            policy: form.policy,
            listed: form.listed,
            closed: form.closed,
            locked: form.locked,
            join_in_progress: form.join_in_progress,
            keywords: form.keywords.iter().map(|word| word.to_ascii_lowercase()).collect(),
            attributes: form.attributes,
            ports: form.ports,
            roles: form.roles,
            timeouts: form.timeouts,
            ready_gate: form.ready_gate,
            problem: None,
        };
        settings.check().map_err(de::Error::custom)?;
        Ok(settings)
    }
}

/// As [`SettingsUpdate`] itself, before it is checked.
#[derive(::serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(in crate::types) struct UpdateForm {
    name: Option<String>,
    schema: Option<String>,
    max_members: Option<u16>,
    reserved_slots: Option<u16>,
    policy: Option<JoinPolicy>,
    listed: Option<bool>,
    closed: Option<bool>,
    locked: Option<bool>,
    join_in_progress: Option<bool>,
    keywords: Option<Vec<String>>,
    #[serde(with = "some_ports")]
    ports: Option<Vec<(String, u16)>>,
    roles: Option<Vec<Role>>,
    timeouts: Option<MemberTimeouts>,
    ready_gate: Option<bool>,
    #[serde(with = "set")]
    set: Vec<(String, Attribute)>,
    remove: Vec<String>,
}

impl TryFrom<UpdateForm> for SettingsUpdate {
    type Error = Error;

    fn try_from(form: UpdateForm) -> Result<Self, Error> {
        let words = form.keywords.map(|words| words.iter().map(|word| word.to_ascii_lowercase()).collect());
        let update = Self {
            name: form.name,
            schema: form.schema,
            max_members: form.max_members,
            reserved_slots: form.reserved_slots,
            policy: form.policy,
            listed: form.listed,
            closed: form.closed,
            locked: form.locked,
            join_in_progress: form.join_in_progress,
            keywords: words,
            ports: form.ports,
            roles: form.roles,
            timeouts: form.timeouts,
            ready_gate: form.ready_gate,
            set: form.set,
            remove: form.remove,
        };
        update.remove.iter().try_for_each(|name| check_attribute_name(name))?;
        // Onto the widest settings there can be: what does not fit these fits none.
        let widest = SessionSettings::new("x").max_members(SessionSettings::MAX_MEMBERS);
        update.applied_to(&widest).check()?;
        Ok(update)
    }
}

#[derive(::serde::Serialize, ::serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QueryForm {
    filter: Filter,
    order: String,
    take: u8,
    enough: Option<u16>,
    timeout: Duration,
    id: Option<SessionId>,
    code: Option<RoomCode>,
    at: Vec<SocketAddr>,
    accounts: Vec<AccountId>,
    reservations: bool,
    inactive: bool,
    private: bool,
    visibility: Option<SessionVisibility>,
    version_up_to: Option<u32>,
}

impl Default for QueryForm {
    fn default() -> Self {
        SessionQuery::new().into()
    }
}

impl From<SessionQuery> for QueryForm {
    fn from(query: SessionQuery) -> Self {
        let order: Vec<String> = query.order.iter().map(ToString::to_string).collect();
        Self {
            filter: query.filter,
            order: order.join(", "),
            take: query.take,
            enough: query.enough,
            timeout: query.timeout,
            id: query.id,
            code: query.code,
            at: query.targets,
            accounts: query.accounts,
            reservations: query.reservations,
            inactive: query.inactive,
            private: query.private,
            visibility: query.visibility,
            version_up_to: query.version_up_to,
        }
    }
}

/// Filter and order as text.
impl Serialize for SessionQuery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        QueryForm::from(self.clone()).serialize(serializer)
    }
}

/// What is not given is as in [`SessionQuery::new`].
impl<'de> Deserialize<'de> for SessionQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = QueryForm::deserialize(deserializer)?;
        let query = Self {
            filter: form.filter,
            order: OrderBy::parse_list(&form.order).map_err(|error| de::Error::custom(format!("order: {error}")))?,
            take: form.take,
            enough: form.enough,
            timeout: form.timeout,
            id: form.id,
            code: form.code,
            targets: form.at,
            accounts: Vec::new(),
            reservations: form.reservations,
            inactive: form.inactive,
            private: form.private,
            visibility: form.visibility,
            version_up_to: form.version_up_to,
        };
        let query = query.accounts(form.accounts);
        query.check().map_err(de::Error::custom)?;
        Ok(query)
    }
}
