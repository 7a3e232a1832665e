//! What each key does.

use lansession::AccountId;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::line::Line;
use super::{Action, Ask, Model, Popup, Scroll, Tab, Target};
use crate::common::saved::{Friend, check_player};

/// Lines that a page key moves.
const PAGE: isize = 10;

impl Model {
    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent) {
        // Windows tells of releases as well.
        if key.kind == KeyEventKind::Release {
            return;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.act(Action::Quit);
        }
        self.press(key);
        if !self.is_busy() {
            if let Some(link) = self.offered.take() {
                self.offer(&link);
            }
        }
    }

    fn press(&mut self, key: KeyEvent) {
        if self.popup.is_some() {
            self.popup_key(key);
        } else if self.filtering {
            self.filter_key(key);
        } else if self.tab == Tab::Session && self.room.as_ref().is_some_and(|room| room.typing.is_some()) {
            self.message_key(key);
        } else if !self.common_key(key) {
            match self.tab {
                Tab::Sessions => self.sessions_key(key),
                Tab::Recent => self.recent_key(key),
                Tab::Friends => self.friends_key(key),
                Tab::Invites => self.invites_key(key),
                Tab::Diagnosis => self.diagnosis_key(key),
                Tab::Session => self.session_key(key),
            }
        }
    }

    /// Keys that do the same everywhere; whether this was one.
    fn common_key(&mut self, key: KeyEvent) -> bool {
        let count = Tab::ALL.len();
        let here = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        let there = match key.code {
            KeyCode::Tab => (here + 1) % count,
            KeyCode::BackTab => (here + count - 1) % count,
            KeyCode::Char(digit @ '1'..='6') => digit.to_digit(10).map_or(here, |digit| digit as usize - 1),
            KeyCode::Char('?') | KeyCode::F(1) => {
                self.popup = Some(Popup::Help);
                return true;
            }
            KeyCode::Char('q') => {
                match self.seated() {
                    Some(_) => self.popup = Some(Popup::Leave { quit: true }),
                    None => self.act(Action::Quit),
                }
                return true;
            }
            KeyCode::Esc if self.joining.is_some() => {
                self.joining = None;
                self.act(Action::CancelJoin);
                return true;
            }
            _ => return false,
        };
        self.tab = Tab::ALL.get(there).copied().unwrap_or(self.tab);
        if self.tab == Tab::Diagnosis {
            self.act(Action::Diagnose);
        }
        true
    }

    // ---------------------------------------------------------------------------------------------------- windows

    fn popup_key(&mut self, key: KeyEvent) {
        match self.popup.take() {
            Some(Popup::Details(scroll)) => self.details_key(key, scroll),
            Some(Popup::Ask { what, line, .. }) => self.ask_key(key, what, line),
            Some(Popup::Leave { quit }) if matches!(key.code, KeyCode::Char('y' | 'Y')) => {
                self.act(if quit { Action::Quit } else { Action::Leave });
            }
            Some(Popup::Invite { at }) => self.invite_key(key, at),
            _ => {}
        }
    }

    fn details_key(&mut self, key: KeyEvent, scroll: Scroll) {
        if key.code == KeyCode::Enter {
            return self.join_selected();
        }
        if matches!(key.code, KeyCode::Esc | KeyCode::Char('d' | 'q')) {
            return;
        }
        if let Some(lines) = moved(key) {
            scroll.by(lines);
        }
        self.popup = Some(Popup::Details(scroll));
    }

    fn ask_key(&mut self, key: KeyEvent, what: Ask, mut line: Line) {
        let problem = match key.code {
            KeyCode::Esc => return,
            KeyCode::Enter if line.is_empty() => None,
            KeyCode::Enter => {
                let text = line.text();
                match &what {
                    Ask::Password(target) => return self.join_with((**target).clone(), Some(text)),
                    Ask::Join => match Target::typed(&text) {
                        Ok(target) => {
                            self.popup = None;
                            return self.join(target);
                        }
                        Err(why) => Some(why),
                    },
                    Ask::Friend => match friend(&text, self.account) {
                        Ok(friend) => return self.act(Action::Befriend(friend)),
                        Err(why) => Some(why),
                    },
                }
            }
            _ => {
                line.key(key);
                None
            }
        };
        self.popup = Some(Popup::Ask { what, line, problem });
    }

    fn invite_key(&mut self, key: KeyEvent, mut at: usize) {
        let friends: Vec<AccountId> = self.invitable().iter().map(|friend| friend.account).collect();
        match key.code {
            KeyCode::Esc => return,
            KeyCode::Enter => {
                if let Some(account) = friends.get(at) {
                    self.act(Action::Invite(*account));
                }
                return;
            }
            _ => step(&mut at, friends.len(), key),
        };
        self.popup = Some(Popup::Invite { at });
    }

    // ------------------------------------------------------------------------------------------------------- tabs

    fn filter_key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter | KeyCode::Esc | KeyCode::Down => self.filtering = false,
            _ => {
                self.filter.key(key);
                self.refilter();
            }
        }
    }

    fn sessions_key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Char('/') => self.filtering = true,
            KeyCode::Char('s') => self.next_sort(),
            KeyCode::Char('o') => self.flip_sort(),
            KeyCode::Char('r') => {
                self.act(Action::Refresh);
                self.notice("Asking again");
            }
            KeyCode::Char('c') => {
                self.popup = Some(Popup::Ask { what: Ask::Join, line: Line::new(2_048), problem: None });
            }
            KeyCode::Char('d' | ' ') if self.selected().is_some() => {
                self.popup = Some(Popup::Details(Scroll::default()));
            }
            KeyCode::Enter => self.join_selected(),
            _ => {
                let mut at = self.selected_at();
                if step(&mut at, self.list.len(), key) {
                    self.select(at);
                }
            }
        }
    }

    fn join_selected(&mut self) {
        if let Some(found) = self.selected().cloned() {
            self.join(Target::Found(found));
        }
    }

    fn recent_key(&mut self, key: KeyEvent) {
        match (key.code, self.recent().cloned()) {
            (KeyCode::Enter, Some(recent)) => self.join(Target::Link(recent.link, recent.name)),
            (KeyCode::Char('x'), Some(recent)) => self.act(Action::Forget(recent.link)),
            _ => drop(step(&mut self.recent_at, self.memory.recent.len(), key)),
        }
    }

    fn friends_key(&mut self, key: KeyEvent) {
        let friend = self.memory.friends.get(self.friends_at).cloned();
        match (key.code, friend) {
            (KeyCode::Char('a'), _) => {
                self.popup = Some(Popup::Ask { what: Ask::Friend, line: Line::new(128), problem: None });
            }
            (KeyCode::Char('p'), _) => self.visible = !self.visible,
            (KeyCode::Char('x'), Some(friend)) => self.act(Action::Unfriend(friend.account)),
            (KeyCode::Char('i'), Some(friend)) if self.seated().is_some() => self.act(Action::Invite(friend.account)),
            (KeyCode::Char('i'), _) => self.notice("Join a session first: an invite leads into one"),
            (KeyCode::Enter, Some(friend)) => match self.whereabouts.get(&friend.account).cloned() {
                Some(found) => self.join(Target::Found(found)),
                None => self.notice(format!("{} was found in no session that you may see", friend.name)),
            },
            _ => drop(step(&mut self.friends_at, self.memory.friends.len(), key)),
        }
    }

    fn invites_key(&mut self, key: KeyEvent) {
        match (key.code, self.invites.get(self.invites_at).cloned()) {
            (KeyCode::Enter, Some(_)) if self.seated().is_some() => {
                self.notice("You are in a session: leave it first (tab 6, then l)");
            }
            (KeyCode::Enter, Some(invite)) => self.act(Action::Accept(invite.invite.id)),
            (KeyCode::Char('x'), Some(invite)) => self.act(Action::Reject(invite.invite.id)),
            _ => drop(step(&mut self.invites_at, self.invites.len(), key)),
        }
    }

    fn diagnosis_key(&mut self, key: KeyEvent) {
        if key.code == KeyCode::Char('r') {
            self.act(Action::Diagnose);
        } else if let Some(lines) = moved(key) {
            self.report_scroll.by(lines);
        }
    }

    fn session_key(&mut self, key: KeyEvent) {
        let nobody = self.invitable().is_empty();
        let Some(room) = &mut self.room else { return };
        if room.ended.is_some() {
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter) {
                self.room = None;
                self.tab = Tab::Sessions;
            }
            return;
        }
        match key.code {
            KeyCode::Enter | KeyCode::Char('t') => room.type_message(),
            KeyCode::Char('r') => {
                let ready = !room.is_ready();
                self.act(Action::Ready(ready));
            }
            KeyCode::Char('l') => self.popup = Some(Popup::Leave { quit: false }),
            KeyCode::Char('d') => {
                let text = format!("The code {} on this LAN, or this link:\n\n{}", room.code(), room.link);
                self.told("How others join", &text);
            }
            KeyCode::Char('i') if nobody => {
                self.notice("No friend to invite: add one with f here or a in tab 3");
            }
            KeyCode::Char('i') => self.popup = Some(Popup::Invite { at: 0 }),
            KeyCode::Char('f') => match room.snapshot.members.get(room.at) {
                Some(member) if member.account == room.me => self.notice("That is you"),
                Some(member) => {
                    let friend = Friend { account: member.account, name: member.name.clone() };
                    self.act(Action::Befriend(friend));
                }
                None => {}
            },
            _ => drop(step(&mut room.at, room.snapshot.members.len(), key)),
        }
    }

    fn message_key(&mut self, key: KeyEvent) {
        let Some(room) = &mut self.room else { return };
        let Some(line) = &mut room.typing else { return };
        match key.code {
            KeyCode::Esc => room.typing = None,
            KeyCode::Enter if line.is_empty() => room.typing = None,
            KeyCode::Enter => {
                let text = line.text();
                line.clear();
                self.act(Action::Say(text));
            }
            _ => drop(line.key(key)),
        }
    }
}

/// How many lines a key moves.
fn moved(key: KeyEvent) -> Option<isize> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(-1),
        KeyCode::Down | KeyCode::Char('j') => Some(1),
        KeyCode::PageUp => Some(-PAGE),
        KeyCode::PageDown => Some(PAGE),
        KeyCode::Home => Some(isize::MIN),
        KeyCode::End => Some(isize::MAX),
        _ => None,
    }
}

/// Moves a selection among so many; whether the key was for that.
fn step(at: &mut usize, count: usize, key: KeyEvent) -> bool {
    let Some(lines) = moved(key) else { return false };
    *at = at.saturating_add_signed(lines).min(count.saturating_sub(1));
    true
}

/// `ACCOUNT [NAME]`.
fn friend(text: &str, me: AccountId) -> Result<Friend, String> {
    let (account, name) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let account: AccountId = account.parse().map_err(|error| format!("no account id: {error}"))?;
    if account == me {
        return Err("that is your own account id: give it to your friend".into());
    }
    let name = if name.trim().is_empty() { format!("{account:?}") } else { name.trim().to_owned() };
    check_player(&name).map_err(|error| error.to_string())?;
    Ok(Friend { account, name })
}
