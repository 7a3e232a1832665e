//! The session from within: what it is, who is in it, what happened, the line one types.

use lansession::{LinkState, Member};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;

use super::super::text::{fit, left, width, wrap};
use super::super::{Model, Room};
use super::lists::cursor;
use super::{CHOSEN, HEAD, LOUD, QUIET, block, draw_news, line, rows};

/// Columns of the members.
const MEMBERS: u16 = 34;

pub(super) fn session(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let Some(room) = &model.room else {
        let inside = block(frame, area, "Session");
        return line(frame, inside, "  You are in none: join one from the list (tab 1).", QUIET);
    };
    let [facts, below] = Layout::vertical([Constraint::Length(5), Constraint::Min(1)]).areas(area);
    draw_facts(frame, facts, room);
    let [members, log] = Layout::horizontal([Constraint::Length(MEMBERS), Constraint::Min(1)]).areas(below);
    draw_members(frame, members, room);
    draw_log(frame, log, room);
}

fn draw_facts(frame: &mut Frame<'_>, area: Rect, room: &Room) {
    let state = &room.snapshot;
    let inside = block(frame, area, &format!("{} · {}", state.name, room.code()));
    let mut switches: Vec<String> = Vec::new();
    switches.extend(state.password.then(|| "password".to_owned()));
    switches.extend(state.closed.then(|| "closed".to_owned()));
    switches.extend(state.locked.then(|| "locked".to_owned()));
    switches.extend((!state.listed).then(|| "not listed".to_owned()));
    let switches = if switches.is_empty() { String::new() } else { format!(" · {}", switches.join(", ")) };
    let attributes: Vec<String> =
        state.attributes.iter().map(|(name, attribute)| format!("{name}={}", attribute.value)).collect();
    let ports: Vec<String> = room.endpoints.iter().map(|(name, at)| format!("{name} at {at}")).collect();
    let or_none = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join("  ") };
    let lines = [
        format!(
            "{}/{} players · {} · {}{switches} · revision {}",
            state.members.len(),
            state.max_members,
            state.policy.as_str(),
            state.phase.as_str(),
            state.revision
        ),
        format!("attributes: {}", or_none(attributes)),
        format!("the game's own ports: {}", or_none(ports)),
    ];
    for (text, y) in lines.iter().zip(inside.y..inside.bottom()) {
        let place = Rect { y, height: 1, ..inside };
        line(frame, place, fit(&format!(" {text}"), usize::from(inside.width)), Style::new());
    }
}

fn draw_members(frame: &mut Frame<'_>, area: Rect, room: &Room) {
    let inside = block(frame, area, "Members");
    let columns = usize::from(inside.width);
    for (at, place) in rows(inside, room.snapshot.members.len(), room.at) {
        let Some(member) = room.snapshot.members.get(at) else { continue };
        let words = words(member, member.account == room.me);
        let number = format!("{:>3}", member.number);
        let name = columns.saturating_sub(width(&number) + 1 + width(&words) + 1);
        let style = match member.link {
            _ if at == room.at => CHOSEN,
            LinkState::Away => QUIET,
            _ => Style::new(),
        };
        line(frame, place, format!("{number} {} {words}", left(&member.name, name)), style);
    }
}

/// What there is to say of a member beside its name.
fn words(member: &Member, me: bool) -> String {
    let words = [
        me.then_some("you"),
        member.is_host.then_some("host"),
        (member.link == LinkState::Away).then_some("away"),
        member.ready.then_some("ready"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The latest lines, at the bottom.
fn draw_log(frame: &mut Frame<'_>, area: Rect, room: &Room) {
    let inside = block(frame, area, "What happens");
    let columns = usize::from(inside.width).saturating_sub(1);
    let fitting = usize::from(inside.height);
    let mut lines: Vec<String> = Vec::new();
    for told in room.log.iter().rev() {
        lines.extend(wrap(told, columns).into_iter().rev());
        if lines.len() >= fitting {
            break;
        }
    }
    lines.truncate(fitting);
    for (text, y) in lines.iter().rev().zip(inside.y..inside.bottom()) {
        let place = Rect { y, height: 1, ..inside };
        line(frame, place, format!(" {text}"), if text.starts_with('*') { QUIET } else { Style::new() });
    }
}

/// The line that is typed, and under it how the seat does.
pub(super) fn message(frame: &mut Frame<'_>, first: Rect, second: Rect, model: &Model) {
    const LABEL: &str = " say: ";
    let Some(room) = &model.room else { return draw_news(frame, second, model) };
    let columns = usize::from(first.width);
    if let Some(why) = &room.ended {
        line(frame, first, fit(&format!(" You are out: {why}"), columns), HEAD.patch(LOUD));
    } else if let Some(typing) = &room.typing {
        let view = typing.view(columns.saturating_sub(width(LABEL) + 1), false);
        line(frame, first, format!("{LABEL}{}", view.text), Style::new());
        cursor(frame, first, width(LABEL) + view.cursor);
    } else if room.reconnecting {
        line(frame, first, " The link to the host is lost; trying again …", LOUD);
    } else {
        let text = if room.is_ready() { " You are ready." } else { " You are not ready." };
        line(frame, first, text, QUIET);
    }
    draw_news(frame, second, model);
}
