//! Draws the model: a head, the tab, two lines of what goes on, the keys.
//!
//! Made for 80 columns and 24 lines and more; what does not fit is cut with `…` or scrolled, never broken.

mod lists;
mod session;
mod window;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Paragraph};

use super::text::{fit, width};
use super::{Model, Tab};

const QUIET: Style = Style::new().fg(Color::DarkGray);
const LOUD: Style = Style::new().fg(Color::Yellow);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let rows = [1, 1, 0, 1, 1, 1].map(|lines| if lines == 0 { Constraint::Min(1) } else { Constraint::Length(lines) });
    let [head, tabs, body, first, second, keys] = Layout::vertical(rows).areas(frame.area());
    draw_head(frame, head, model);
    draw_tabs(frame, tabs, model);
    match model.tab {
        Tab::Sessions => lists::sessions(frame, body, model),
        Tab::Recent => lists::recent(frame, body, model),
        Tab::Friends => lists::friends(frame, body, model),
        Tab::Invites => lists::invites(frame, body, model),
        Tab::Diagnosis => lists::diagnosis(frame, body, model),
        Tab::Session => session::session(frame, body, model),
    }
    match model.tab {
        Tab::Sessions => lists::filter(frame, first, second, model),
        Tab::Session => session::message(frame, first, second, model),
        _ => draw_news(frame, second, model),
    }
    line(frame, keys, fit(hint(model), usize::from(keys.width)), QUIET);
    if let Some(popup) = &model.popup {
        window::popup(frame, body, model, popup);
    }
}

/// The keys of what is on the screen.
pub(super) fn hint(model: &Model) -> &'static str {
    match model.tab {
        _ if model.filtering => "Type a filter, as map == \"dust\" and @open_slots > 0    Enter done",
        Tab::Sessions => "Enter join  d details  / filter  s sort  o flip  r ask again  c code  ? help",
        Tab::Recent => "Enter join  x forget  Tab next tab  ? help  q quit",
        Tab::Friends => "a add  x remove  Enter join the friend  i invite  p be found  ? help  q quit",
        Tab::Invites => "Enter accept  x reject  Tab next tab  ? help  q quit",
        Tab::Diagnosis => "r ask again  Up/Down scroll  Tab next tab  ? help  q quit",
        Tab::Session => match &model.room {
            None => "Tab next tab  ? help  q quit",
            Some(room) if room.ended.is_some() => "Enter back to the list",
            Some(room) if room.typing.is_some() => "Enter send  Esc done",
            Some(_) => "t talk  r ready  d link  i invite a friend  f befriend  l leave  ? help  q quit",
        },
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let right = format!("{} ({:?})", model.player, model.account);
    let columns = usize::from(area.width);
    let left = fit(&format!(" lansession browser · {}", model.game), columns.saturating_sub(width(&right) + 2));
    let gap = columns.saturating_sub(width(&left) + width(&right) + 1);
    line(frame, area, format!("{left}{}{right}", " ".repeat(gap)), HEAD);
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let mut spans = Vec::new();
    for (number, tab) in (1..).zip(Tab::ALL) {
        let count = match tab {
            Tab::Sessions => model.list.len(),
            Tab::Invites => model.invites.len(),
            // The others' numbers are no news.
            _ => 0,
        };
        let count = if count == 0 { String::new() } else { format!(" ({count})") };
        let style = match tab {
            _ if tab == model.tab => CHOSEN,
            Tab::Invites if !model.invites.is_empty() => LOUD,
            Tab::Session if model.room.is_none() => QUIET,
            _ => Style::new(),
        };
        spans.push(Span::styled(format!(" {number} {}{count} ", tab.name()), style));
    }
    frame.render_widget(Paragraph::new(Text::from(spans)), area);
}

/// What goes on: a join under way, or what happened last.
fn draw_news(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let columns = usize::from(area.width).saturating_sub(2);
    if let Some(name) = &model.joining {
        line(frame, area, fit(&format!(" Joining {name} … (Esc gives up)"), columns), LOUD);
    } else if let Some(news) = model.news() {
        line(frame, area, fit(&format!(" {news}"), columns), LOUD);
    }
}

/// One line of text.
fn line(frame: &mut Frame<'_>, area: Rect, text: impl Into<String>, style: Style) {
    frame.render_widget(Paragraph::new(text.into()).style(style), area);
}

/// A frame with a title; what is inside of it.
fn block(frame: &mut Frame<'_>, area: Rect, title: &str) -> Rect {
    let title = fit(&format!(" {title} "), usize::from(area.width).saturating_sub(2));
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// The lines of a list that keep the chosen one in sight, each with where it is.
fn rows(area: Rect, count: usize, chosen: usize) -> impl Iterator<Item = (usize, Rect)> {
    let fitting = usize::from(area.height);
    let first = chosen.saturating_sub(fitting / 2).min(count.saturating_sub(fitting));
    let lines = (area.y..area.bottom()).map(move |y| Rect { y, height: 1, ..area });
    (first..count).zip(lines)
}
