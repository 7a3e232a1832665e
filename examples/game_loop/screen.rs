//! What a player sees, drawn anew each frame; all of it fits 80 by 24.

use lansession::{Found, JoinLink, LinkState, Phase, SessionSnapshot};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::app::App;
use super::board::{Cell, HEIGHT, State, TICKS, WIDTH};
use super::player::Stage;
use super::room::{self, Room};

/// One a seat.
const COLOURS: [Color; 8] = [
    Color::Yellow,
    Color::LightBlue,
    Color::LightGreen,
    Color::LightMagenta,
    Color::LightCyan,
    Color::LightRed,
    Color::White,
    Color::Gray,
];

pub(crate) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ]);
    let [title, middle, typed, notice, keys] = rows.areas(frame.area());
    let room = app.player.room();
    let (heading, hints) = match room {
        None => (format!(" Gems · {}", app.player.name()), menu_keys(app)),
        Some(room) => (room_title(room), room_keys(room, app.typed.is_some())),
    };
    frame.render_widget(Line::from(heading).style(Style::new().reversed()).bold(), title);
    match room {
        None => menu(app, frame, middle),
        Some(room) => match (room.snapshot().phase, room.state()) {
            (Phase::InProgress, Some(state)) => game(room, state, frame, middle),
            (Phase::InProgress, None) => frame.render_widget("Waiting for the host's first packet …", middle),
            (Phase::Ended, _) => ended(room, frame, middle),
            _ => lobby(room, frame, middle),
        },
    }
    if let Some(line) = &app.typed {
        // Its end is what one looks at.
        let room = usize::from(typed.width.saturating_sub(4));
        let skip = line.chars().count().saturating_sub(room);
        let end: String = line.chars().skip(skip).collect();
        frame.render_widget(Line::from(vec!["> ".bold(), Span::raw(end), "_".slow_blink()]), typed);
    }
    frame.render_widget(Line::from(app.player.notice.as_str()).yellow(), notice);
    frame.render_widget(Line::from(hints).dim(), keys);
}

fn menu_keys(app: &App) -> &'static str {
    match &app.player.stage {
        Stage::Menu if app.typed.is_some() => "type a room's code, name or link · Enter join · Esc back",
        Stage::Menu => "↑ ↓ Enter join · h host a room · j join by code, name or link · q quit",
        _ => "Esc give up",
    }
}

fn room_keys(room: &Room, typing: bool) -> &'static str {
    match (room.snapshot().phase, room.is_host()) {
        (Phase::InProgress, _) if typing => "Enter say it · Esc back to the game",
        (Phase::InProgress, _) => "arrows or w a s d run · Space stop · Enter chat · Esc leave",
        (Phase::Ended, true) => "Enter back to the lobby · type to chat · Esc end the room",
        (Phase::Ended, false) => "type to chat · Esc leave",
        (_, true) => "Tab ready · Enter start · type to chat, Enter say it · Esc end the room",
        (_, false) => "Tab ready · type to chat, Enter say it · Esc leave",
    }
}

fn room_title(room: &Room) -> String {
    let snapshot = room.snapshot();
    let (members, seats) = (snapshot.members.len(), snapshot.max_members);
    let phase = match snapshot.phase {
        Phase::InProgress => "playing",
        Phase::Ended => "over",
        _ => "lobby",
    };
    format!(" Gems · {} · code {} · {members}/{seats} players · {phase}", snapshot.name, room.session().code())
}

fn menu(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let rooms = app.player.rooms();
    let block = Block::bordered().title(" Rooms on this network ");
    let height = usize::from(area.height.saturating_sub(2));
    let first = app.chosen.saturating_sub(height.saturating_sub(1));
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (at, found) in rooms.iter().enumerate().skip(first).take(height) {
        let style = if at == app.chosen { Style::new().reversed() } else { Style::new() };
        lines.push(Line::from(room_line(found)).style(style));
    }
    if rooms.is_empty() {
        lines.push(Line::from("None heard of yet; they show here by themselves."));
        lines.push(Line::from("Press h to host one: others on this network will see it."));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn room_line(found: &Found) -> String {
    let ping = found.ping().map_or_else(String::new, |ping| format!("{:.1} ms", ping.as_secs_f64() * 1e3));
    let why = found.joinable().err().map(|refusal| refusal.to_string()).unwrap_or_default();
    let (members, seats) = (found.members(), found.max_members());
    let name: String = found.name().chars().take(24).collect();
    format!(" {}  {name:<24} {members}/{seats}  {ping:>9}  {why}", found.code())
}

fn lobby(room: &Room, frame: &mut Frame<'_>, area: Rect) {
    let snapshot = room.snapshot();
    let rows = Layout::vertical([Constraint::Length(10), Constraint::Min(3), Constraint::Length(5)]);
    let [players, chat, link] = rows.areas(area);
    let lines: Vec<Line<'_>> = snapshot
        .members
        .iter()
        .map(|member| {
            let ready = if member.ready { "[x] ready" } else { "[ ]      " };
            let host = if member.is_host { "host" } else { "" };
            let away = if member.link == LinkState::Away { "connection lost" } else { "" };
            let name: String = member.name.chars().take(30).collect();
            Line::from(format!(" {ready}  {name:<30} {host:<4} {away}")).style(colour(member.number))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Players ")), players);
    said(room, frame, chat, true);
    let invitation = invitation(room);
    frame.render_widget(Paragraph::new(invitation).dim().wrap(Wrap { trim: false }), link);
}

/// The room's link with the host's best addresses only: all of them could fill the screen.
fn invitation(room: &Room) -> String {
    let link = room.session().link();
    let best = link.addresses().iter().copied().take(2);
    match JoinLink::new(link.game(), link.key(), link.host_key(), best) {
        Ok(link) => {
            format!("Others join from their list, by the code {}, or by the link\n{link}", room.session().code())
        }
        Err(_) => String::new(),
    }
}

/// The end of the chat.
fn said(room: &Room, frame: &mut Frame<'_>, area: Rect, border: bool) {
    let block = if border { Block::bordered().title(" Chat ") } else { Block::new() };
    let inner = block.inner(area);
    let lines = room.lines();
    let skip = lines.len().saturating_sub(usize::from(inner.height));
    let lines: Vec<Line<'_>> = lines.iter().skip(skip).map(chat_line).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn chat_line(line: &room::Line) -> Line<'_> {
    match &line.from {
        Some((number, name)) => {
            Line::from(vec![Span::styled(format!("{name}: "), colour(*number)), Span::raw(line.text.as_str())])
        }
        None => Line::from(line.text.as_str()).dim().italic(),
    }
}

fn game(room: &Room, state: &State, frame: &mut Frame<'_>, area: Rect) {
    let [top, chat] = Layout::vertical([Constraint::Length(u16::from(HEIGHT) + 2), Constraint::Min(0)]).areas(area);
    let [board, scores] =
        Layout::horizontal([Constraint::Length(u16::from(WIDTH) * 2 + 2), Constraint::Min(0)]).areas(top);
    let snapshot = room.snapshot();
    let rows: Vec<Line<'_>> = (0..HEIGHT)
        .map(|y| Line::from((0..WIDTH).map(|x| cell(&snapshot, state, Cell { x, y })).collect::<Vec<_>>()))
        .collect();
    frame.render_widget(Paragraph::new(rows).block(Block::bordered()), board);
    let seconds = u32::from(state.left).div_ceil(TICKS);
    let mut lines = vec![
        Line::from(format!(" time {}:{:02}   meetings {}", seconds / 60, seconds % 60, state.meetings)),
        Line::default(),
    ];
    for runner in state.ranking() {
        let it = if state.it == Some(runner.number) { "IT" } else { "" };
        let you = if runner.number == room.number() { "you" } else { "" };
        let name: String = name(&snapshot, runner.number).chars().take(10).collect();
        let text = format!(" {} {name:<10} {:>3} {it:<2} {you}", glyph(&snapshot, runner.number), runner.score);
        lines.push(Line::from(text).style(colour(u16::from(runner.number))));
    }
    lines.extend([Line::default(), Line::from(" <> a gem is a point").cyan()]);
    lines.push(Line::from(" IT takes one where it lands").dim());
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Scores ")), scores);
    said(room, frame, chat, false);
}

/// Two columns, so that a cell is about as high as it is wide.
fn cell(snapshot: &SessionSnapshot, state: &State, at: Cell) -> Span<'static> {
    if at.is_wall() {
        return Span::raw("▒▒").dark_gray();
    }
    // Of several on a cell, the one that is "it" is to be seen.
    let here = |number: u8| state.runner(number).is_some_and(|runner| runner.at == at);
    let seen = state.it.filter(|&it| here(it)).or_else(|| state.runners.iter().find(|r| r.at == at).map(|r| r.number));
    match seen {
        Some(number) => {
            let style = colour(u16::from(number)).add_modifier(Modifier::BOLD);
            let it = state.it == Some(number);
            Span::styled(glyph(snapshot, number), if it { style.add_modifier(Modifier::REVERSED) } else { style })
        }
        None if state.gems.contains(&at) => Span::raw("<>").cyan().bold(),
        None => Span::raw("  "),
    }
}

/// `A1`: the name's first letter and the seat.
fn glyph(snapshot: &SessionSnapshot, number: u8) -> String {
    let first = name(snapshot, number).chars().next().filter(char::is_ascii_alphanumeric).unwrap_or('@');
    format!("{first}{}", number.saturating_add(1) % 10)
}

fn name(snapshot: &SessionSnapshot, number: u8) -> String {
    let member = snapshot.members.iter().find(|member| member.number == u16::from(number));
    member.map_or_else(|| "?".to_owned(), |member| member.name.clone())
}

fn colour(number: u16) -> Style {
    Style::new().fg(COLOURS.get(usize::from(number) % COLOURS.len()).copied().unwrap_or(Color::White))
}

fn ended(room: &Room, frame: &mut Frame<'_>, area: Rect) {
    let [result, chat] = Layout::vertical([Constraint::Length(13), Constraint::Min(0)]).areas(area);
    let mut lines = vec![Line::default()];
    for (at, line) in room.result().into_iter().enumerate() {
        let style = if at == 0 { Style::new().bold().yellow() } else { Style::new() };
        lines.push(Line::from(format!("   {}. {line}", at + 1)).style(style));
    }
    if let Some(state) = room.state() {
        lines.extend([Line::default(), Line::from(format!("   {} meetings", state.meetings))]);
    }
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" The result ")), result);
    said(room, frame, chat, true);
}
