//! A person at a terminal: keys in, one frame after the other, a picture out.

use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::disable_raw_mode;
use lansession::Phase;
use ratatui::DefaultTerminal;

use super::Failure;
use super::board::Heading;
use super::bots::Bot;
use super::player::{Player, Stage};
use super::room::LINE;
use super::screen;

/// Fifty frames a second: enough for twenty states.
const FRAME: Duration = Duration::from_millis(20);
/// The longest thing that is typed: a link.
const TYPED: usize = 2_048;

pub(crate) struct App {
    pub(crate) player: Player,
    bots: Vec<Bot>,
    bots_sent: bool,
    in_room: bool,
    /// The row of the list that is chosen.
    pub(crate) chosen: usize,
    /// What is being typed, where something is.
    pub(crate) typed: Option<String>,
    quit: bool,
}

/// What the program is to do first.
pub(crate) enum First {
    Menu,
    Host,
    Join(String),
}

impl App {
    pub(crate) fn new(mut player: Player, bots: Vec<Bot>, first: First) -> Self {
        match first {
            First::Menu => {}
            First::Host => player.host(),
            First::Join(text) => player.join_text(&text),
        }
        Self { player, bots, bots_sent: false, in_room: false, chosen: 0, typed: None, quit: false }
    }

    /// Until the player quits. Whatever ends it, a panic too, the terminal is as it was.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let played = match ratatui::try_init() {
            Ok(terminal) => {
                let played = self.play(terminal);
                ratatui::restore();
                played
            }
            Err(error) => {
                // No escape sequences where there is no terminal; keys that are read one by one already are given back.
                let _ = disable_raw_mode();
                Err(format!("this is no terminal to play in: {error}").into())
            }
        };
        self.close();
        played
    }

    pub(crate) fn close(self) {
        self.player.close();
        for bot in self.bots {
            bot.player.close();
        }
    }

    fn play(&mut self, mut terminal: DefaultTerminal) -> Result<(), Failure> {
        while !self.quit {
            let now = Instant::now();
            self.frame(now);
            terminal.draw(|frame| screen::draw(self, frame))?;
            // Keys until the next frame is due.
            while event::poll((now + FRAME).saturating_duration_since(Instant::now()))? {
                if let Event::Key(key) = event::read()? {
                    if key.kind != KeyEventKind::Release {
                        self.key(key);
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn frame(&mut self, now: Instant) {
        self.player.frame(now);
        // Bots come with the host: into its room, by its code.
        if let Some(room) = self.player.room().filter(|room| room.is_host() && !self.bots_sent) {
            let code = room.session().code();
            self.bots.iter_mut().for_each(|bot| bot.player.join(code));
            self.bots_sent = true;
        }
        self.bots.iter_mut().for_each(|bot| bot.frame(now));
        if self.in_room != self.player.room().is_some() {
            self.in_room = !self.in_room;
            self.typed = None;
        }
        if matches!(self.player.stage, Stage::Menu) {
            self.chosen = self.chosen.min(self.player.rooms().len().saturating_sub(1));
            self.bots_sent = false;
        }
    }

    pub(crate) fn key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            self.quit |= key.code == KeyCode::Char('c');
            return;
        }
        match &self.player.stage {
            Stage::Menu => self.menu_key(key.code),
            Stage::Room(room) if room.snapshot().phase == Phase::InProgress => self.game_key(key.code),
            Stage::Room(_) => self.lobby_key(key.code),
            _ if key.code == KeyCode::Esc => {
                // Dropping the request gives it up.
                self.player.stage = Stage::Menu;
                self.player.notice.clear();
            }
            _ => {}
        }
    }

    fn menu_key(&mut self, code: KeyCode) {
        if self.typed.is_some() {
            if let Some(text) = self.type_key(code, TYPED) {
                self.player.join_text(&text);
            }
            return;
        }
        match code {
            KeyCode::Up => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Down => self.chosen += 1,
            KeyCode::Enter => {
                if let Some(found) = self.player.rooms().get(self.chosen) {
                    self.player.join(found);
                }
            }
            KeyCode::Char('h') => self.player.host(),
            KeyCode::Char('j') => self.typed = Some(String::new()),
            KeyCode::Char('q') | KeyCode::Esc => self.quit = true,
            _ => {}
        }
    }

    /// In the lobby, and after a game: what is typed is said.
    fn lobby_key(&mut self, code: KeyCode) {
        let Stage::Room(room) = &mut self.player.stage else { return };
        match code {
            KeyCode::Esc if self.typed.take().is_none_or(|line| line.is_empty()) => room.leave(),
            KeyCode::Tab => {
                let ready = room.me().is_some_and(|me| me.ready);
                if room.snapshot().phase == Phase::Lobby {
                    room.ready(!ready);
                }
            }
            KeyCode::Enter if self.typed.as_ref().is_none_or(String::is_empty) && room.is_host() => {
                if room.snapshot().phase == Phase::Lobby {
                    self.player.notice = room.start().err().unwrap_or_default();
                } else {
                    room.back_to_lobby();
                }
            }
            KeyCode::Char(_) | KeyCode::Backspace | KeyCode::Enter => {
                self.typed.get_or_insert_default();
                self.say(code);
            }
            _ => {}
        }
    }

    fn game_key(&mut self, code: KeyCode) {
        let Stage::Room(room) = &mut self.player.stage else { return };
        match code {
            KeyCode::Up => room.steer(Heading::Up),
            KeyCode::Down => room.steer(Heading::Down),
            KeyCode::Left => room.steer(Heading::Left),
            KeyCode::Right => room.steer(Heading::Right),
            _ if self.typed.is_some() => self.say(code),
            KeyCode::Char('w') => room.steer(Heading::Up),
            KeyCode::Char('s') => room.steer(Heading::Down),
            KeyCode::Char('a') => room.steer(Heading::Left),
            KeyCode::Char('d') => room.steer(Heading::Right),
            KeyCode::Char(' ') => room.steer(Heading::Still),
            KeyCode::Enter => self.typed = Some(String::new()),
            KeyCode::Esc => room.leave(),
            _ => {}
        }
    }

    fn say(&mut self, code: KeyCode) {
        if let Some(text) = self.type_key(code, LINE) {
            if let Some(room) = self.player.room_mut() {
                room.say(&text);
            }
        }
    }

    /// A key into the line that is typed; the line, once it is whole.
    fn type_key(&mut self, code: KeyCode, most: usize) -> Option<String> {
        let line = self.typed.as_mut()?;
        match code {
            KeyCode::Char(c) if line.chars().count() < most => line.push(c),
            KeyCode::Backspace => drop(line.pop()),
            KeyCode::Esc => self.typed = None,
            KeyCode::Enter => return self.typed.take().filter(|line| !line.trim().is_empty()),
            _ => {}
        }
        None
    }
}
