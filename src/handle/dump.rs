//! A seat as text for a bug report: `Session::dump`.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::seat::Seat;
use crate::proto::limits;
use crate::types::{AccountId, Attributes, LinkState, Member, Migration, SessionSnapshot, Visibility};

/// What a seat does not know of its surroundings.
pub(super) struct Around<'a> {
    pub(super) game: &'a str,
    pub(super) user: &'a str,
    /// Requests of the whole `Lan` without an answer.
    pub(super) pending: usize,
}

/// One line each, its first word says what it is. No text from outside holds a line break (`types::text`).
pub(super) fn text(seat: &Seat, around: &Around<'_>) -> String {
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = write(&mut text, seat, around);
    text
}

fn write(out: &mut String, seat: &Seat, around: &Around<'_>) -> fmt::Result {
    let state = &*seat.snapshot;
    writeln!(out, "lansession {}, dump 1", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "session   {} {:?} in {:?}, version {}", state.key.id, state.name, around.game, state.version)?;
    let elsewhere = if state.key.founder == state.host_key { "" } else { ", migrated" };
    writeln!(out, "founder   {}{elsewhere}", state.key.founder)?;
    writeln!(out, "revision  {}", state.revision)?;
    let role = if seat.is_host { "host" } else { "member" };
    write!(out, "seat      {:?} of {:?} ({:?}), {role}", seat.local_name, around.user, seat.user)?;
    for (word, so) in [("kept", seat.keep), ("leaving", seat.leaving && seat.ended.is_none())] {
        if so {
            write!(out, ", {word}")?;
        }
    }
    if let Some(why) = &seat.ended {
        write!(out, ", ended: {why}")?;
    }
    writeln!(out)?;
    writeln!(out, "link      {}", link(seat))?;
    writeln!(out, "pending   {} requests", around.pending)?;
    let control = seat.control_addresses();
    writeln!(out, "control   port {}, {}", seat.control_port, list(control.iter()))?;
    writeln!(out, "ports     {}", list(state.ports.iter().map(|(name, port)| format!("{name:?}={port}"))))?;
    let (taken, most) = (state.members.len(), state.max_members);
    writeln!(out, "seats     {taken} of {most}, {} held back, {} open", state.reserved_slots, state.open_slots())?;
    writeln!(out, "state     {}, {}{}", state.policy.as_str(), state.phase.as_str(), switches(state))?;
    if !state.schema.is_empty() {
        writeln!(out, "schema    {:?}", state.schema)?;
    }
    writeln!(out, "keywords  {}", list(state.keywords.iter().map(|word| format!("{word:?}"))))?;
    for role in &state.roles {
        let or_any = |bound: Option<u16>| bound.map_or_else(|| "any".to_owned(), |bound| bound.to_string());
        writeln!(out, "role      {:?}, target {}, at most {}", role.name, or_any(role.target), or_any(role.max))?;
    }
    let times = state.timeouts;
    let times = [times.reserved, times.ready, times.inactive, times.empty].map(time);
    let [reserved, ready, inactive, empty] = times;
    writeln!(out, "timeouts  reserved {reserved}, ready {ready}, inactive {inactive}, empty {empty}")?;
    succession(out, seat)?;
    if !state.turn.is_empty() {
        writeln!(out, "turn      {}", list(state.turn.iter().map(|account| format!("{account:?}"))))?;
    }
    attributes(out, "attribute", &state.attributes)?;
    state.members.iter().try_for_each(|member| write_member(out, member))
}

/// Who goes on, where the session is to outlive its host.
fn succession(out: &mut String, seat: &Seat) -> fmt::Result {
    let (policy, view) = (seat.snapshot.migration, &seat.succession);
    if policy == Migration::Disabled {
        return Ok(());
    }
    let accounts = |accounts: &[AccountId]| list(accounts.iter().map(|account| format!("{account:?}")));
    write!(out, "migration {policy:?}, term {}, order {} of {}", view.term, view.cfg, accounts(&view.voters))?;
    if seat.is_host {
        write!(out, ", {} of {} have it", view.acked, view.voters.len())?;
    }
    writeln!(out)?;
    let keepers = view.successors.get(..view.successors.len().min(limits::KEEPERS)).unwrap_or_default();
    writeln!(out, "successor {}; kept by {}", accounts(&view.successors), accounts(keepers))?;
    if !view.unreached.is_empty() {
        writeln!(out, "unreached {}: a firewall there, or another network", accounts(&view.unreached))?;
    }
    match &view.state {
        Some(state) => writeln!(out, "state     version {}, {} bytes", state.version, state.data.len()),
        None => Ok(()),
    }
}

fn link(seat: &Seat) -> String {
    let members = &seat.snapshot.members;
    if seat.is_host {
        let others = members.iter().filter(|member| member.account != seat.user);
        let away = others.clone().filter(|member| member.link == LinkState::Away).count();
        return format!("{} members, {away} away", others.count());
    }
    match members.iter().find(|member| member.account == seat.user) {
        Some(own) => format!("{:?}", own.link).to_lowercase(),
        None => "no seat".to_owned(),
    }
}

fn switches(state: &SessionSnapshot) -> String {
    let words = [
        (if state.listed { "listed" } else { "hidden" }, true),
        ("closed", state.closed),
        ("locked", state.locked),
        ("join in progress", state.join_in_progress),
        ("password", state.password),
        ("dedicated", state.dedicated),
        ("ready gate", state.ready_gate),
        ("matchmaking", state.matchmaking),
        ("mobile", state.mobile),
        ("anti-cheat", state.anti_cheat),
        ("no sanctioned players", !state.allow_sanctioned),
    ];
    words.into_iter().filter(|(_, so)| *so).map(|(word, _)| format!(", {word}")).collect()
}

fn write_member(out: &mut String, member: &Member) -> fmt::Result {
    let Member { number, name, account, status, link, joined_revision, .. } = member;
    write!(out, "member    #{number} {name:?} ({account:?}) since {joined_revision}, {status:?}, {link:?}")?;
    for (word, so) in [("ready", member.ready), ("host", member.is_host)] {
        if so {
            write!(out, ", {word}")?;
        }
    }
    if let Some(role) = &member.role {
        write!(out, ", role {role:?}")?;
    }
    if let Some(external) = &member.external {
        write!(out, ", {:?} 0x", external.provider())?;
        external.id().iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    }
    writeln!(out)?;
    attributes(out, "  attribute", &member.attributes)
}

fn attributes(out: &mut String, word: &str, attributes: &Attributes) -> fmt::Result {
    for (name, attribute) in attributes.iter() {
        let seen = match attribute.visibility {
            Visibility::Public => "",
            Visibility::Members => " (members)",
            Visibility::Host => " (host alone)",
        };
        writeln!(out, "{word} {name:?} = {}{seen}", attribute.value)?;
    }
    Ok(())
}

fn time(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "never".to_owned(), |limit| format!("{limit:?}"))
}

/// With commas, or "none".
fn list(items: impl Iterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
