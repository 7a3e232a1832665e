//! Roles with their caps, whose turn it is, and the ready gate (protocol.md, "Roles, turns and the ready gate").

use std::collections::BTreeSet;

use super::super::bounds::check_role;
use super::super::core::Core;
use super::{HostAuthority, Reply};
use crate::proto::io::RequestId;
use crate::types::{
    AccountId, Error, ErrorKind, LinkState, Member, MemberStatus, Phase, Refusal, Revision, SessionSnapshot,
};
use crate::wire::frame::{Cause, Change};

impl HostAuthority {
    /// Why these accounts cannot have these roles, all together; what each of them had before is not counted.
    pub(super) fn roles_refusal(&self, wanted: &[(AccountId, Option<&str>)]) -> Option<Refusal> {
        let state = self.doc.state();
        for (_, name) in wanted {
            let Some(name) = *name else { continue };
            if let Err(refusal) = check_role(state, name) {
                return Some(refusal);
            }
            let others = state.members.iter().filter(|member| wanted.iter().all(|(own, _)| *own != member.account));
            let taken = others.filter(|member| member.role.as_deref() == Some(name)).count();
            let more = wanted.iter().filter(|(_, other)| *other == Some(name)).count();
            let max = state.roles.iter().find(|role| role.name == name).and_then(|role| role.max);
            if max.is_some_and(|max| taken + more > usize::from(max)) {
                return Some(Refusal::RoleFull);
            }
        }
        None
    }

    pub(super) fn change_role(
        &mut self,
        core: &mut Core,
        account: AccountId,
        role: Option<String>,
        cause: Option<Cause>,
        reply: Reply,
    ) -> Result<Revision, Error> {
        let none = || Error::new(ErrorKind::NotFound, format!("{account:?} has no seat in this session"));
        let member = self.doc.state().member(account).ok_or_else(none)?;
        let change = (member.role != role).then(|| Change::Role { account, role: role.clone() });
        if change.is_some() {
            self.roles_refusal(&[(account, role.as_deref())]).map_or(Ok(()), |why| Err(Error::refused(why)))?;
        }
        Ok(self.commit_some(core, change.as_slice(), cause, reply))
    }

    /// The host's word on a member's role, or on its own.
    pub(in super::super) fn set_role(
        &mut self,
        core: &mut Core,
        request: RequestId,
        account: Option<AccountId>,
        role: Option<String>,
    ) {
        let account = account.unwrap_or_else(|| self.user.identity.account());
        if let Err(error) = self.change_role(core, account, role, None, Reply::Revision(request)) {
            core.done(request, Err(error));
        }
    }

    pub(in super::super) fn set_turn(&mut self, core: &mut Core, request: RequestId, accounts: Vec<AccountId>) {
        let mut seen = BTreeSet::new();
        let state = self.doc.state();
        let refused = accounts.iter().find_map(|&account| {
            if state.member(account).is_none() {
                Some(format!("{account:?} is no member, so it cannot have the turn"))
            } else {
                (!seen.insert(account)).then(|| format!("{account:?} is in the turn list twice"))
            }
        });
        if let Some(why) = refused {
            core.done(request, Err(Error::invalid(why)));
            return;
        }
        let change = (state.turn != accounts).then_some(Change::Turn(accounts));
        self.commit_some(core, change.as_slice(), None, Reply::Revision(request));
    }

    /// With the gate on, the match starts only when all who take part are ready; who is away or not active is not waited
    /// for, a host with a seat is.
    pub(super) fn check_gate(&self, phase: Phase) -> Result<(), Error> {
        let state = self.doc.state();
        if !state.ready_gate || phase != Phase::InProgress || state.phase == Phase::InProgress {
            return Ok(());
        }
        let waited_for = |member: &&Member| {
            member.status == MemberStatus::Active && member.link == LinkState::Connected && !member.ready
        };
        let missing: Vec<_> = state.members.iter().filter(waited_for).map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (named, more) = missing.split_at(missing.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let why = format!("not everybody is ready: {}{more}", named.join(", "));
        Err(Error::new(ErrorKind::InvalidState, why))
    }
}

/// How many of those who are not ready the error names.
const NAMED: usize = 8;

/// Whether a state's roles have room for those who have them.
pub(super) fn check_caps(state: &SessionSnapshot) -> Result<(), Error> {
    for role in &state.roles {
        let taken = state.members.iter().filter(|member| member.role.as_deref() == Some(role.name.as_str())).count();
        if let Some(max) = role.max.filter(|max| taken > usize::from(*max)) {
            let name = &role.name;
            return Err(Error::invalid(format!("the role {name:?} has the max {max}, but {taken} members have it")));
        }
    }
    Ok(())
}
