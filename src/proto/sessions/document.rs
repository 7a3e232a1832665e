//! A session's state and its commits: one implementation for the host's own seat and for every member (protocol.md,
//! "State").

use std::collections::BTreeMap;

use crate::types::{
    AccountId, Attribute, AttributeChange, Attributes, Left, LinkState, Member, MemberUpdate, Phase, Revision,
    SessionEvent, SessionSettings, SessionSnapshot, SettingsChange, Visibility,
};
use crate::wire::frame::{Change, SettingChange};

/// Every how many revisions a delta carries the digest of the view after it.
pub(super) const DIGEST_EVERY: u64 = 64;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    state: SessionSnapshot,
}

impl Document {
    pub(super) fn new(state: SessionSnapshot) -> Self {
        Self { state }
    }

    pub(super) fn state(&self) -> &SessionSnapshot {
        &self.state
    }

    pub(super) fn revision(&self) -> Revision {
        self.state.revision
    }

    /// The state as a viewer of this standing sees it; member attributes are for members, so none are cut.
    pub(super) fn visible_to(&self, viewer: Visibility) -> SessionSnapshot {
        SessionSnapshot { attributes: self.state.attributes.visible_to(viewer), ..self.state.clone() }
    }

    /// The changes as members may see them. To be called before they are applied: an attribute that becomes the host's
    /// alone is a removal for those who saw it, and nothing at all for those who never did, not even its name.
    pub(super) fn cut(&self, changes: &[Change]) -> Vec<Change> {
        changes.iter().filter_map(|change| self.cut_one(change)).collect()
    }

    fn cut_one(&self, change: &Change) -> Option<Change> {
        let Change::Setting(SettingChange::Attribute { name, value }) = change else { return Some(change.clone()) };
        let seen = |attribute: &Attribute| attribute.visibility <= Visibility::Members;
        if value.as_ref().is_some_and(seen) {
            return Some(change.clone());
        }
        let was_seen = self.state.attributes.attribute(name).is_some_and(seen);
        was_seen.then(|| Change::Setting(SettingChange::Attribute { name: name.clone(), value: None }))
    }

    /// Makes one commit's changes, all of one revision. The events it caused, in the documented order: left, joined, away
    /// and back, member updated, settings, turn, phase. What changed nothing causes none.
    pub(super) fn apply(&mut self, revision: Revision, changes: &[Change]) -> Vec<SessionEvent> {
        self.state.revision = revision;
        let mut events = Events::at(revision);
        for change in changes {
            self.apply_one(change, &mut events);
        }
        events.finish(&self.state)
    }

    fn apply_one(&mut self, change: &Change, events: &mut Events) {
        let revision = self.state.revision;
        match change {
            Change::MemberLeft { account, why } => {
                if let Some(at) = self.position(*account) {
                    let member = self.state.members.remove(at);
                    events.left.push(SessionEvent::MemberLeft { member, why: why.clone(), revision });
                    let turn = self.state.turn.iter().filter(|turn| *turn != account).copied().collect();
                    self.set_turn(turn, events);
                }
            }
            Change::MemberJoined(member) => {
                // More than a session can have is a host that fills its members' memory.
                let room = self.state.members.len() < usize::from(SessionSettings::MAX_MEMBERS);
                if room && self.position(member.account).is_none() {
                    let at = self.state.members.partition_point(|other| other.number < member.number);
                    self.state.members.insert(at, member.clone());
                    let member = member.clone();
                    events.joined.push(SessionEvent::MemberJoined { member, present_before: false, revision });
                }
            }
            Change::MemberClaimed(member) => {
                let Some(at) = self.position(member.account) else { return };
                let Some(held) = self.state.members.get_mut(at).filter(|held| held.number == member.number) else {
                    return;
                };
                let before = std::mem::replace(held, member.clone());
                if before.link != member.link && member.link == LinkState::Connected {
                    events.links.push(SessionEvent::MemberBack { account: member.account, revision });
                }
                if *member != before {
                    events.updated.entry(member.account).or_insert(before);
                }
            }
            Change::MemberAway(account) => {
                if self.set_link(*account, LinkState::Away) {
                    events.links.push(SessionEvent::MemberAway { account: *account, revision });
                }
            }
            Change::MemberBack(account) => {
                if self.set_link(*account, LinkState::Connected) {
                    events.links.push(SessionEvent::MemberBack { account: *account, revision });
                }
            }
            Change::MemberUpdated { account, update, status } => {
                let Some(at) = self.position(*account) else { return };
                let Some(member) = self.state.members.get_mut(at) else { return };
                let before = member.clone();
                apply_update(member, update);
                member.status = status.unwrap_or(member.status);
                if *member != before {
                    events.updated.entry(*account).or_insert(before);
                }
            }
            Change::Setting(setting) => {
                if let Some(change) = self.set(setting) {
                    events.settings.push(change);
                }
            }
            Change::Phase(phase) => {
                let old = std::mem::replace(&mut self.state.phase, *phase);
                if old != *phase {
                    events.phase = Some(events.phase.map_or((old, *phase), |(first, _)| (first, *phase)));
                }
            }
            Change::Turn(accounts) => {
                let held = accounts.iter().filter(|account| self.position(**account).is_some()).copied().collect();
                self.set_turn(held, events);
            }
            Change::Role { account, role } => {
                let Some(at) = self.position(*account) else { return };
                let Some(member) = self.state.members.get_mut(at) else { return };
                let before = member.clone();
                member.role.clone_from(role);
                if *member != before {
                    events.updated.entry(*account).or_insert(before);
                }
            }
        }
    }

    fn set_turn(&mut self, turn: Vec<AccountId>, events: &mut Events) {
        let old = std::mem::replace(&mut self.state.turn, turn);
        if old != self.state.turn {
            events.turn.get_or_insert(old);
        }
    }

    fn position(&self, account: AccountId) -> Option<usize> {
        self.state.members.iter().position(|member| member.account == account)
    }

    fn set_link(&mut self, account: AccountId, link: LinkState) -> bool {
        let member = self.state.members.iter_mut().find(|member| member.account == account);
        member.is_some_and(|member| std::mem::replace(&mut member.link, link) != link)
    }

    fn set(&mut self, setting: &SettingChange) -> Option<SettingsChange> {
        macro_rules! replace {
            ($field:ident, $value:expr, $change:ident) => {{
                let new = $value.clone();
                let old = std::mem::replace(&mut self.state.$field, new.clone());
                (old != new).then_some(SettingsChange::$change(old, new))
            }};
        }
        match setting {
            SettingChange::Name(value) => replace!(name, value, Name),
            SettingChange::Schema(value) => replace!(schema, value, Schema),
            SettingChange::MaxMembers(value) => replace!(max_members, value, MaxMembers),
            SettingChange::ReservedSlots(value) => replace!(reserved_slots, value, ReservedSlots),
            SettingChange::Policy(value) => replace!(policy, value, Policy),
            SettingChange::Listed(value) => replace!(listed, value, Listed),
            SettingChange::Closed(value) => replace!(closed, value, Closed),
            SettingChange::Locked(value) => replace!(locked, value, Locked),
            SettingChange::JoinInProgress(value) => replace!(join_in_progress, value, JoinInProgress),
            SettingChange::Keywords(value) => replace!(keywords, value, Keywords),
            SettingChange::Ports(value) => replace!(ports, value, Ports),
            SettingChange::Roles(value) => replace!(roles, value, Roles),
            SettingChange::Timeouts(value) => replace!(timeouts, value, Timeouts),
            SettingChange::ReadyGate(value) => replace!(ready_gate, value, ReadyGate),
            SettingChange::Mobile(value) => replace!(mobile, value, Mobile),
            SettingChange::Attribute { name, value } => {
                let old = self.state.attributes.remove(name).map(|attribute| attribute.value);
                if let Some(attribute) = value {
                    let _ = self.state.attributes.insert(name.clone(), attribute.clone());
                }
                let new = self.state.attributes.get(name).cloned();
                (old != new).then(|| SettingsChange::Attribute(AttributeChange::new(name.clone(), old, new)))
            }
        }
    }

    /// Takes over a whole state, after a gap or a new link; the events are those of the difference. Why a member left in
    /// between is not in a snapshot: it is told as `Left`.
    pub(super) fn adopt(&mut self, new: SessionSnapshot) -> Vec<SessionEvent> {
        // HostChanged tells it; the events of the rest are those of members as they are from now on.
        for member in &mut self.state.members {
            if let Some(now) = new.member(member.account) {
                member.is_host = now.is_host;
            }
        }
        let changes = difference(&self.state, &new);
        let events = self.apply(new.revision, &changes);
        self.state = new;
        events
    }
}

fn apply_update(member: &mut Member, update: &MemberUpdate) {
    if let Some(name) = &update.name {
        member.name.clone_from(name);
    }
    member.ready = update.ready.unwrap_or(member.ready);
    for name in &update.remove {
        member.attributes.remove(name);
    }
    for (name, attribute) in &update.set {
        let _ = member.attributes.insert(name.clone(), attribute.clone());
    }
}

/// One revision's events, by kind.
struct Events {
    revision: Revision,
    left: Vec<SessionEvent>,
    joined: Vec<SessionEvent>,
    links: Vec<SessionEvent>,
    /// Each as it was before.
    updated: BTreeMap<AccountId, Member>,
    settings: Vec<SettingsChange>,
    /// As it was before.
    turn: Option<Vec<AccountId>>,
    phase: Option<(Phase, Phase)>,
}

impl Events {
    fn at(revision: Revision) -> Self {
        Self {
            revision,
            left: Vec::new(),
            joined: Vec::new(),
            links: Vec::new(),
            updated: BTreeMap::new(),
            settings: Vec::new(),
            turn: None,
            phase: None,
        }
    }

    fn finish(self, state: &SessionSnapshot) -> Vec<SessionEvent> {
        let revision = self.revision;
        let mut events = self.left;
        events.extend(self.joined);
        events.extend(self.links);
        for (account, before) in self.updated {
            if let Some(member) = state.member(account) {
                let changes = attribute_changes(&before.attributes, &member.attributes);
                events.push(SessionEvent::MemberUpdated { member: member.clone(), changes, revision });
            }
        }
        if !self.settings.is_empty() {
            events.push(SessionEvent::SettingsChanged { changes: self.settings, revision });
        }
        if let Some(old) = self.turn.filter(|old| *old != state.turn) {
            events.push(SessionEvent::TurnChanged { old, new: state.turn.clone(), revision });
        }
        if let Some((old, new)) = self.phase {
            events.push(SessionEvent::PhaseChanged { old, new, revision });
        }
        events
    }
}

fn attribute_changes(old: &Attributes, new: &Attributes) -> Vec<AttributeChange> {
    let removed = old.iter().filter(|(name, _)| new.get(name).is_none());
    let removed = removed.map(|(name, a)| AttributeChange::new(name, Some(a.value.clone()), None));
    let set = new.iter().filter(|(name, a)| old.get(name) != Some(&a.value));
    let set = set.map(|(name, a)| AttributeChange::new(name, old.get(name).cloned(), Some(a.value.clone())));
    removed.chain(set).collect()
}

/// The changes that lead from one state of a session to another, except why members left.
pub(super) fn difference(old: &SessionSnapshot, new: &SessionSnapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let before: BTreeMap<_, _> = old.members.iter().map(|member| (member.account, member)).collect();
    let after: BTreeMap<_, _> = new.members.iter().map(|member| (member.account, member)).collect();
    let same_seat = |a: &Member, b: &Member| a.joined_revision == b.joined_revision && a.number == b.number;
    for member in &old.members {
        if !after.get(&member.account).is_some_and(|now| same_seat(member, now)) {
            changes.push(Change::MemberLeft { account: member.account, why: Left::Left });
        }
    }
    for member in &new.members {
        match before.get(&member.account) {
            Some(was) if same_seat(was, member) => member_changes(was, member, &mut changes),
            _ => changes.push(Change::MemberJoined(member.clone())),
        }
    }
    changes.extend(setting_changes(old, new).into_iter().map(Change::Setting));
    if old.turn != new.turn {
        changes.push(Change::Turn(new.turn.clone()));
    }
    if old.phase != new.phase {
        changes.push(Change::Phase(new.phase));
    }
    changes
}

fn member_changes(old: &Member, new: &Member, changes: &mut Vec<Change>) {
    let account = new.account;
    match (old.link, new.link) {
        (LinkState::Connected, LinkState::Away) => changes.push(Change::MemberAway(account)),
        (LinkState::Away, LinkState::Connected) => changes.push(Change::MemberBack(account)),
        _ => {}
    }
    if old.role != new.role {
        changes.push(Change::Role { account, role: new.role.clone() });
    }
    let update = member_update(old, &new.name, new.ready, &new.attributes);
    let status = (old.status != new.status).then_some(new.status);
    if !update.is_empty() || status.is_some() {
        changes.push(Change::MemberUpdated { account, update, status });
    }
}

/// What makes a member's name, ready flag and attributes these.
pub(super) fn member_update(old: &Member, name: &str, ready: bool, attributes: &Attributes) -> MemberUpdate {
    let gone = old.attributes.iter().filter(|(name, _)| attributes.attribute(name).is_none());
    let set = attributes.iter().filter(|(name, attribute)| old.attributes.attribute(name) != Some(*attribute));
    MemberUpdate {
        name: (old.name != name).then(|| name.to_owned()),
        ready: (old.ready != ready).then_some(ready),
        set: set.map(|(name, attribute)| (name.to_owned(), attribute.clone())).collect(),
        remove: gone.map(|(name, _)| name.to_owned()).collect(),
    }
}

/// The settings in which two states differ.
pub(super) fn setting_changes(old: &SessionSnapshot, new: &SessionSnapshot) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    macro_rules! compare {
        ($($field:ident => $change:ident),*) => {
            $(if old.$field != new.$field {
                changes.push(SettingChange::$change(new.$field.clone()));
            })*
        };
    }
    compare!(
        name => Name, schema => Schema, max_members => MaxMembers, reserved_slots => ReservedSlots, policy => Policy,
        listed => Listed, closed => Closed, locked => Locked, join_in_progress => JoinInProgress,
        keywords => Keywords, ports => Ports, roles => Roles, timeouts => Timeouts, ready_gate => ReadyGate,
        mobile => Mobile
    );
    let gone = old.attributes.iter().filter(|(name, _)| new.attributes.attribute(name).is_none());
    changes.extend(gone.map(|(name, _)| SettingChange::Attribute { name: name.to_owned(), value: None }));
    for (name, attribute) in new.attributes.iter() {
        if old.attributes.attribute(name) != Some(attribute) {
            changes.push(SettingChange::Attribute { name: name.to_owned(), value: Some(attribute.clone()) });
        }
    }
    changes
}

#[cfg(test)]
mod tests;
