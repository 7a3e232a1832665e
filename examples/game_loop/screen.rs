//! What a player sees, drawn anew each frame; all of it fits 80 by 24.

use lansession::{Found, JoinLink, LinkState, Member, Phase, SessionSnapshot};
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
    let name = short(found.name(), 24);
    format!(" {}  {name:<24} {members}/{seats}  {ping:>9}  {why}", found.code())
}

fn lobby(room: &Room, frame: &mut Frame<'_>, area: Rect) {
    let snapshot = room.snapshot();
    let rows = Layout::vertical([Constraint::Length(6), Constraint::Min(3), Constraint::Length(5)]);
    let [players, chat, link] = rows.areas(area);
    let block = Block::bordered().title(" Players ");
    let columns = Layout::horizontal([Constraint::Fill(1); 2]).areas::<2>(block.inner(players));
    frame.render_widget(block, players);
    for (column, members) in columns.into_iter().zip(snapshot.members.chunks(4)) {
        frame.render_widget(Paragraph::new(members.iter().map(member_line).collect::<Vec<_>>()), column);
    }
    said(room, frame, chat, true);
    let invitation = invitation(room);
    frame.render_widget(Paragraph::new(invitation).dim().wrap(Wrap { trim: false }), link);
}

fn member_line(member: &Member) -> Line<'static> {
    let ready = if member.ready { "[x] ready" } else { "[ ]      " };
    let state = match member.link {
        LinkState::Away => "lost",
        _ if member.is_host => "host",
        _ => "",
    };
    Line::from(format!(" {ready}  {:<18} {state}", short(&member.name, 18))).style(colour(member.number))
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
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
        Some((number, name)) => Line::from(vec![
            Span::styled(format!("{}: ", short(name, 16)), colour(*number)),
            Span::raw(line.text.as_str()),
        ]),
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
        let name = short(&name(&snapshot, runner.number), 10);
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crossterm::event::{KeyCode, KeyEvent};
    use lansession::{Lan, Preset};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::app::First;
    use super::super::bots::Bot;
    use super::super::player::{Player, Setup};
    use super::*;

    /// The rows of the screen.
    fn shown(app: &mut App) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(app, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        buffer.content.chunks(80).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()).collect()
    }

    fn has(rows: &[String], text: &str) {
        assert!(rows.iter().any(|row| row.contains(text)), "no {text:?} in\n{}", rows.join("\n"));
    }

    /// Turns frames until the screen shows it.
    fn until(app: &mut App, text: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            app.frame(Instant::now());
            let rows = shown(app);
            if rows.iter().any(|row| row.contains(text)) {
                return rows;
            }
            assert!(Instant::now() < deadline, "no {text:?} in\n{}", rows.join("\n"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn press(app: &mut App, code: KeyCode) {
        app.key(KeyEvent::from(code));
    }

    fn write(app: &mut App, text: &str) {
        text.chars().for_each(|c| press(app, KeyCode::Char(c)));
        press(app, KeyCode::Enter);
    }

    #[test]
    fn a_whole_game_by_keys_fits_80_by_24() {
        let lan = Lan::builder("test.gems").preset(Preset::Loopback);
        let port = lan.clone().start().unwrap().beacon_port();
        let setup = Setup { lan: lan.beacon_port(port), loopback: true, round: Duration::from_secs(1) };
        let bots = (0..6).map(|number| Bot::new(setup.clone(), number).unwrap()).collect();
        let alone = |name: &str| App::new(Player::new(setup.clone(), name).unwrap(), Vec::new(), First::Menu);
        let (mut guest, mut late) = (alone("Guest"), alone("Late"));
        let mut app = App::new(Player::new(setup.clone(), "Ada").unwrap(), bots, First::Menu);

        let rows = until(&mut app, "None heard of yet");
        has(&rows[23..], "h host a room");
        press(&mut app, KeyCode::Char('h'));
        let rows = until(&mut app, "7/8 players");
        has(&rows[..1], "Ada's room · code ");
        has(&rows[23..], "Enter start");
        has(&rows, "or by the link");
        has(&rows, "lansession:");
        has(&rows, " came in");
        press(&mut app, KeyCode::Enter);
        has(&until(&mut app, "Not ready yet")[22..], "Ada");

        // By name, and then the room is full: the list says so, and so does the host.
        press(&mut guest, KeyCode::Char('j'));
        write(&mut guest, "No such room");
        until(&mut guest, "No room is called");
        press(&mut guest, KeyCode::Char('j'));
        write(&mut guest, "Ada's room");
        let rows = until(&mut guest, "8/8 players");
        assert!(!rows[23].contains("Enter start"), "{}", rows[23]);
        let code = app.player.room().unwrap().session().code().to_string();
        let rows = until(&mut late, "the session is full");
        has(&rows, &code);
        press(&mut late, KeyCode::Char('j'));
        write(&mut late, &code);
        until(&mut late, "You were not let in: the session is full");
        press(&mut late, KeyCode::Char('j'));
        write(&mut late, "lansession:nonsense");
        until(&mut late, "That is no link to a room");
        late.close();

        write(&mut guest, "good luck \u{1b}[2J");
        has(&until(&mut app, "Guest: good luck")[2..3], "[ ]        Ada                host");
        press(&mut guest, KeyCode::Tab);
        until(&mut guest, "[x] ready  Guest");
        press(&mut app, KeyCode::Tab);
        until(&mut app, "[x] ready  Ada");
        let all_ready = |app: &App| app.player.room().unwrap().snapshot().members.iter().all(|member| member.ready);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !all_ready(&app) && Instant::now() < deadline {
            app.frame(Instant::now());
        }
        press(&mut app, KeyCode::Enter);
        let rows = until(&mut app, "time 0:01");
        press(&mut app, KeyCode::Right);
        assert!(
            rows[18].starts_with('└') && rows[1].starts_with('┌'),
            "the board ends above the chat: {}",
            rows.join("\n")
        );
        let snapshot = app.player.room().unwrap().snapshot();
        for member in &snapshot.members {
            let first = member.name.chars().next().unwrap();
            has(&rows[1..18], &format!(" {first}{} {}", member.number + 1, member.name));
        }
        has(&rows, "IT takes one where it lands");
        has(&rows[19..22], "The game is on.");
        has(&rows[23..], "w a s d run");

        press(&mut guest, KeyCode::Left);
        // The host's frames are the game's clock.
        for _ in 0..1_000 {
            app.frame(Instant::now());
            guest.frame(Instant::now());
            if guest.player.room().unwrap().state().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        has(&shown(&mut guest)[1..18], "A1 Ada");

        let rows = until(&mut app, "The result");
        has(&rows, "   8. ");
        has(&rows, "meetings");
        press(&mut app, KeyCode::Enter);
        until(&mut app, "Back in the lobby.");
        until(&mut guest, "Back in the lobby.");
        press(&mut app, KeyCode::Esc);
        until(&mut app, "You have left the room.");
        until(&mut guest, "You are out of the room: the host ended the session.");
        app.close();
        guest.close();
    }
}
