//! What the host's own user asks for: settings, phase, kicks and bans, lobby messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::bounds::{attribute_bytes, check_member_update, check_message, member_budget, members_own_update};
use super::super::core::Core;
use super::super::document::setting_changes;
use super::super::publication::check_budget;
use super::roles::check_caps;
use super::seated::take_token;
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Output, RequestId};
use crate::proto::limits;
use crate::types::{
    AccountId, Error, ErrorKind, Left, MemberUpdate, Phase, Reason, Revision, SessionSettings, SessionSnapshot,
    SettingsUpdate,
};
use crate::wire::frame::Change;

impl HostAuthority {
    pub(in super::super) fn update(
        &mut self,
        core: &mut Core,
        request: RequestId,
        update: &SettingsUpdate,
        expected: Option<Revision>,
    ) {
        match self.next_settings(core.now, update, expected) {
            Err(error) => core.done(request, Err(error)),
            Ok((settings, state)) => {
                let changes = setting_changes(self.doc.state(), &state).into_iter().map(Change::Setting);
                let changes: Vec<_> = changes.collect();
                self.settings = settings;
                self.commit_settings(core, request, &changes);
            }
        }
    }

    fn next_settings(
        &self,
        at: Moment,
        update: &SettingsUpdate,
        expected: Option<Revision>,
    ) -> Result<(SessionSettings, SessionSnapshot), Error> {
        let now = self.doc.revision();
        // A revision from the future was handed out by no host of this term: it must never match.
        let holds = |at: Revision| at.term == now.term && at <= now && at >= self.settings_revision;
        if expected.is_some_and(|at| !holds(at)) {
            return Err(Error::stale(Arc::new(self.doc.state().clone())));
        }
        let settings = update.applied_to(&self.settings);
        settings.check()?;
        let mut state = self.doc.state().clone();
        put(&mut state, &settings);
        // A seat that is held is promised: its invitee must not come to find it gone.
        let members = state.members.iter().map(|member| member.account);
        let promised = members.chain(self.merge.granted(at)).chain(self.invites.held_for(at));
        let taken = promised.collect::<BTreeSet<_>>().len();
        if usize::from(settings.max_members) < taken && settings.max_members < self.settings.max_members {
            let max = settings.max_members;
            return Err(Error::invalid(format!("max_members is {max}, but {taken} seats are taken")));
        }
        let budget = member_budget(settings.max_members);
        if let Some(member) = state.members.iter().find(|member| attribute_bytes(&member.attributes) > budget) {
            let why = format!("max_members is {}: the attributes of {member} are too large", settings.max_members);
            return Err(Error::invalid(why));
        }
        check_caps(&state)?;
        check_budget(&state)?;
        Ok((settings, state))
    }

    fn commit_settings(&mut self, core: &mut Core, request: RequestId, changes: &[Change]) {
        if changes.is_empty() {
            core.done(request, Ok(Answer::Revision(self.doc.revision())));
            return;
        }
        self.settings_revision = self.commit(core, changes, None, Reply::Revision(request));
    }

    pub(in super::super) fn set_phase(&mut self, core: &mut Core, request: RequestId, phase: Phase) {
        if let Err(error) = self.check_gate(phase) {
            core.done(request, Err(error));
            return;
        }
        let change = (self.doc.state().phase != phase).then_some(Change::Phase(phase));
        self.commit_settings(core, request, change.as_slice());
    }

    pub(in super::super) fn update_me(&mut self, core: &mut Core, request: RequestId, update: MemberUpdate) {
        let (account, update) = (self.user.identity.account(), members_own_update(update));
        match check_member_update(self.doc.state(), account, &update) {
            Ok(()) => {
                self.commit_member_update(core, account, update, None, Reply::Revision(request));
            }
            Err(error) => core.done(request, Err(error)),
        }
    }

    /// Removes a member, and with `ban` keeps the account out; an account may be banned that never came.
    pub(in super::super) fn kick(
        &mut self,
        core: &mut Core,
        request: RequestId,
        account: AccountId,
        reason: Reason,
        ban: bool,
    ) {
        let refused = if self.owns(account) {
            Some(Error::invalid("the host cannot be removed from its own session"))
        } else if ban && self.bans.len() >= limits::BANS && !self.bans.contains(&account) {
            Some(Error::new(ErrorKind::InvalidState, format!("at most {} accounts can be banned", limits::BANS)))
        } else if !ban && !self.seats.contains_key(&account) {
            Some(Error::new(ErrorKind::NotFound, format!("{account:?} has no seat in this session")))
        } else {
            None
        };
        if let Some(error) = refused {
            core.done(request, Err(error));
            return;
        }
        if ban {
            self.bans.insert(account);
            self.tell_bans(core);
        }
        if !self.seats.contains_key(&account) {
            core.done(request, Ok(Answer::Unit));
            self.revoke_invites_of(core, account, ban);
            return;
        }
        let why = if ban { Left::Banned(reason) } else { Left::Kicked(reason) };
        self.end_link(core, account, Some(why.clone()));
        self.free(core, account, why, Reply::Unit(request));
        self.revoke_invites_of(core, account, ban);
    }

    /// One that was not banned is a success.
    pub(in super::super) fn unban(&mut self, core: &mut Core, request: RequestId, account: AccountId) {
        self.bans.remove(&account);
        self.tell_bans(core);
        core.done(request, Ok(Answer::Unit));
    }

    fn tell_bans(&mut self, core: &mut Core) {
        self.touch_kept();
        let bans = self.bans.iter().copied().collect();
        core.outputs.push_back(Output::SeatBans { seat: self.seat, bans });
    }

    pub(in super::super) fn say(&mut self, core: &mut Core, request: RequestId, data: &Arc<[u8]>) {
        let taken = check_message(data).and_then(|()| take_token(core, &mut self.says));
        let said = taken.is_ok();
        core.done(request, taken.map(|()| Answer::Unit));
        if said {
            let from = self.doc.state().host;
            self.spread(core, from, data);
        }
    }
}

/// The settings' part of a state.
pub(super) fn put(state: &mut SessionSnapshot, settings: &SessionSettings) {
    state.name.clone_from(&settings.name);
    state.schema.clone_from(&settings.schema);
    state.max_members = settings.max_members;
    state.reserved_slots = settings.reserved_slots;
    state.policy = settings.policy;
    state.listed = settings.is_listed();
    state.closed = settings.closed;
    state.locked = settings.locked;
    state.join_in_progress = settings.join_in_progress;
    state.keywords.clone_from(&settings.keywords);
    state.attributes = settings.attributes.clone();
    state.ports.clone_from(&settings.ports);
    state.roles.clone_from(&settings.roles);
    state.timeouts = settings.timeouts;
    state.ready_gate = settings.ready_gate;
}
