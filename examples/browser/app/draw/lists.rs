//! The tabs that are lists: sessions with the filter line, recent hosts, friends, invites; and the diagnosis.

use lansession::{Found, JoinPolicy, Phase, Refusal};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::super::text::{ago, fit, left, right, width, wrap};
use super::super::{Model, Tab};
use super::{CHOSEN, HEAD, LOUD, QUIET, block, draw_news, line, rows};

/// Columns of the list but for the name, which has the rest.
const PLAYERS: usize = 7;
const PING: usize = 9;
const STATE: usize = 17;
const EXTRA: usize = 15;

pub(super) fn sessions(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let way = if model.sort.descending { "largest first" } else { "smallest first" };
    let inside = block(frame, area, &format!("Sessions by {}, {way}", model.sort.key));
    if model.list.is_empty() {
        return nothing(frame, inside, model);
    }
    let extra = (!model.sort.key.starts_with('@')).then_some(model.sort.key.as_str());
    let columns = usize::from(inside.width);
    let name = columns.saturating_sub(PLAYERS + PING + STATE + EXTRA + 5);
    let row = |cells: [&str; 5]| {
        let [session, players, ping, state, more] = cells;
        format!(
            " {} {} {} {} {}",
            left(session, name),
            right(players, PLAYERS),
            right(ping, PING),
            left(state, STATE),
            left(more, EXTRA)
        )
    };
    let [head, below] = split_top(inside);
    line(frame, head, row(["Name", "Players", "Ping", "State", extra.unwrap_or("Code")]), HEAD);
    for (at, place) in rows(below, model.list.len(), model.selected_at()) {
        let Some(found) = model.list.get(at) else { continue };
        let value = extra.map_or_else(|| found.code().to_string(), |key| value(found, key));
        let players = format!("{}/{}", found.members(), found.max_members());
        let text = row([found.name(), &players, &ping(found), &state(found), &value]);
        let style = match found.joinable() {
            _ if at == model.selected_at() => CHOSEN,
            Ok(()) if !found.is_silent() => Style::new(),
            _ => QUIET,
        };
        line(frame, place, text, style);
    }
}

/// An empty list says why.
fn nothing(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let filtered = !model.filter.is_empty() && model.report.as_ref().is_some_and(|report| report.sessions > 0);
    let why = match &model.report {
        _ if filtered => "Sessions are there, and none fits the filter.",
        Some(report) => report.advice.as_str(),
        None => "Looking …",
    };
    let columns = usize::from(area.width).saturating_sub(4);
    let mut lines = vec![String::new(), "No session is listed.".to_owned(), String::new()];
    lines.extend(wrap(why, columns));
    lines.extend([String::new(), "Tab 5 shows what was tried; c joins by a code, a link or an address.".to_owned()]);
    paragraph(frame, area, &lines);
}

fn paragraph(frame: &mut Frame<'_>, area: Rect, lines: &[String]) {
    for (text, y) in lines.iter().zip(area.y..area.bottom()) {
        let place = Rect { y, height: 1, ..area };
        line(frame, place, format!("  {}", fit(text, usize::from(area.width).saturating_sub(4))), Style::new());
    }
}

fn split_top(area: Rect) -> [Rect; 2] {
    let head = Rect { height: area.height.min(1), ..area };
    [head, Rect { y: area.y.saturating_add(head.height), height: area.height.saturating_sub(1), ..area }]
}

pub(super) fn ping(found: &Found) -> String {
    found.ping().map_or_else(|| "-".to_owned(), |ping| format!("{:.1} ms", ping.as_secs_f64() * 1e3))
}

fn value(found: &Found, key: &str) -> String {
    found.attributes().get(key).map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Whether one can get in, in two words.
fn state(found: &Found) -> String {
    let mut words = match found.joinable() {
        Err(Refusal::Incompatible { theirs, .. }) => return format!("version {theirs}"),
        Err(Refusal::NotInvited) => "invited only".to_owned(),
        Err(Refusal::Full) => "full".to_owned(),
        Err(Refusal::Closed) => "closed".to_owned(),
        Err(Refusal::Locked) => "locked".to_owned(),
        Err(Refusal::InProgress) if found.phase() == Phase::Ended => "ended".to_owned(),
        Err(_) => "in progress".to_owned(),
        Ok(()) if found.policy() == JoinPolicy::FriendsOnly => "friends".to_owned(),
        Ok(()) if found.phase() == Phase::InProgress => "open, playing".to_owned(),
        Ok(()) => "open".to_owned(),
    };
    if found.password() {
        words.push_str(", password");
    }
    words
}

/// The filter line, and under it what is wrong with it, or the news.
pub(super) fn filter(frame: &mut Frame<'_>, first: Rect, second: Rect, model: &Model) {
    const LABEL: &str = " filter: ";
    let columns = usize::from(first.width).saturating_sub(width(LABEL) + 1);
    let view = model.filter.view(columns, false);
    let style = if model.filtering { Style::new() } else { QUIET };
    let shown = if model.filter.is_empty() && !model.filtering { "none" } else { view.text.as_str() };
    line(frame, first, format!("{LABEL}{shown}"), style);
    if model.filtering {
        cursor(frame, first, width(LABEL) + view.cursor);
    }
    let Some(error) = &model.filter_error else { return draw_news(frame, second, model) };
    // Under its column, where that is in sight; the words to whichever side has room for them.
    let at = model.filter.column(&view, error.column().saturating_sub(1)).unwrap_or(0).min(columns) + width(LABEL);
    let all = usize::from(second.width);
    let (after, before) = (format!("^ {}", error.message()), format!("{} ^", error.message()));
    let text = if at + width(&after) <= all || at + 1 < width(&before) {
        format!("{}{}", " ".repeat(at), fit(&after, all.saturating_sub(at)))
    } else {
        right(&before, at + 1)
    };
    line(frame, second, text, Style::new().fg(Color::Red));
}

/// Puts the cursor into a line.
pub(super) fn cursor(frame: &mut Frame<'_>, area: Rect, column: usize) {
    let column = u16::try_from(column).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
    frame.set_cursor_position((area.x.saturating_add(column), area.y));
}

pub(super) fn recent(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let inside = block(frame, area, "Sessions that you were in");
    if model.memory.recent.is_empty() {
        return paragraph(frame, inside, &[String::new(), "None yet. Those that you join are kept here.".to_owned()]);
    }
    let columns = usize::from(inside.width);
    for (at, place) in rows(inside, model.memory.recent.len(), model.recent_at) {
        let Some(recent) = model.memory.recent.get(at) else { continue };
        let address = recent.link.addresses().first().map_or_else(|| "-".to_owned(), ToString::to_string);
        let when = ago(model.now.as_secs().saturating_sub(recent.when));
        let name = columns.saturating_sub(24 + 14 + 3);
        let text = format!(" {} {} {}", left(&recent.name, name), left(&address, 24), right(&when, 13));
        line(frame, place, text, if at == model.recent_at { CHOSEN } else { Style::new() });
    }
}

pub(super) fn friends(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let visible = if model.visible { "they find you in your session" } else { "they cannot find you" };
    let passing = if model.passing { " · known for this run only (--identity)" } else { "" };
    let inside = block(frame, area, &format!("Friends · {visible}{passing}"));
    let [own, below] = split_top(inside);
    line(frame, own, format!(" You are {}", model.account), QUIET);
    if model.memory.friends.is_empty() {
        let text = "None yet. Give a friend the line above and add theirs with a, or meet in a session and press f.";
        let mut lines = vec![String::new()];
        lines.extend(wrap(text, usize::from(inside.width).saturating_sub(4)));
        return paragraph(frame, below, &lines);
    }
    let columns = usize::from(inside.width);
    for (at, place) in rows(below, model.memory.friends.len(), model.friends_at) {
        let Some(friend) = model.memory.friends.get(at) else { continue };
        let here = model.seated().filter(|room| room.snapshot.member(friend.account).is_some());
        let found = model.whereabouts.get(&friend.account);
        let whereabouts = match (here, found) {
            (Some(_), _) => "here, with you".to_owned(),
            (None, Some(found)) => format!("in {}", found.name()),
            (None, None) => String::new(),
        };
        let name = 28.min(columns);
        let rest = columns.saturating_sub(name + 8 + 4);
        let text = format!(" {} {:?} {}", left(&friend.name, name), friend.account, left(&whereabouts, rest));
        let style = if at == model.friends_at { CHOSEN } else { Style::new() };
        line(frame, place, text, style);
    }
}

pub(super) fn invites(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let inside = block(frame, area, "Invites");
    if model.invites.is_empty() {
        let text = "None. Those of your friends, and of members of the session that you are in, appear here.";
        let mut lines = vec![String::new()];
        lines.extend(wrap(text, usize::from(inside.width).saturating_sub(4)));
        return paragraph(frame, inside, &lines);
    }
    let columns = usize::from(inside.width);
    for (at, place) in rows(inside, model.invites.len(), model.invites_at) {
        let Some(invite) = model.invites.get(at) else { continue };
        let seconds = invite.expires.saturating_sub(model.now).as_secs();
        let inviter = columns.saturating_sub(32 + 14 + 3);
        let text = format!(
            " {} {} {}",
            left(&invite.invite.name, 32),
            left(&format!("from {}", invite.invite.inviter_name), inviter),
            right(&format!("{}:{:02} left", seconds / 60, seconds % 60), 13)
        );
        line(frame, place, text, if at == model.invites_at { CHOSEN } else { LOUD });
    }
}

pub(super) fn diagnosis(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    debug_assert_eq!(model.tab, Tab::Diagnosis);
    let inside = block(frame, area, "What was tried on the network");
    let text = model.report.as_ref().map_or("Press r to ask.", |report| report.text.as_str());
    let lines = wrap(text, usize::from(inside.width).saturating_sub(4));
    let first = model.report_scroll.within(lines.len(), usize::from(inside.height));
    paragraph(frame, inside, lines.get(first..).unwrap_or_default());
}
