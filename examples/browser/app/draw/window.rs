//! Windows over the screen: details, questions, refusals, help.

use lansession::{Found, Source};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::Clear;

use super::super::text::{fit, left, width, wrap};
use super::super::{Ask, Model, Popup};
use super::lists::{cursor, ping};
use super::{CHOSEN, QUIET, block, line, rows};

const HELP: &str = "\
1 to 6, Tab   sessions, recent, friends, invites, diagnosis, the session
Enter         joins what is selected; where a password is needed it is asked
d             all that is known of the session, or how others join ours
/             the filter: map == \"dust\" and @open_slots > 0, skill >= 1200,
              @name contains \"Ada\", not (@phase == \"ended\"), map missing
s, o          sorts by name, ping, players, attributes; o turns it around
c             joins by a room code, a link or an address
r             asks the network again; in a session: ready, not ready
t, i, f, l    in a session: talk, invite a friend, make a friend, leave
a, x, p       adds and removes friends, lets them find you; x also rejects
q, Ctrl-C     quits";

pub(super) fn popup(frame: &mut Frame<'_>, area: Rect, model: &Model, popup: &Popup) {
    match popup {
        Popup::Help => text(frame, area, "Keys", HELP, "Any key closes this."),
        Popup::Told { title, text: told } => text(frame, area, title, told, "Any key closes this."),
        Popup::Leave { quit: false } => text(frame, area, "Leave", "Leave the session?", "y leaves, any other stays."),
        Popup::Leave { quit: true } => {
            text(frame, area, "Quit", "Leave the session and quit?", "y quits, any other key stays.");
        }
        Popup::Details(scroll) => {
            let Some(found) = model.selected() else {
                return text(frame, area, "Details", "The session is gone.", "Esc closes this.");
            };
            frame.render_widget(Clear, area);
            let inside = block(frame, area, &format!("{} · Enter joins, Esc closes", found.name()));
            let lines = details(model, found, usize::from(inside.width).saturating_sub(2));
            let first = scroll.within(lines.len(), usize::from(inside.height));
            for (text, y) in lines.iter().skip(first).zip(inside.y..inside.bottom()) {
                line(frame, Rect { y, height: 1, ..inside }, format!(" {text}"), Style::new());
            }
        }
        Popup::Ask { what, line, problem } => ask(frame, area, what, line, problem.as_deref()),
        Popup::Invite { at } => invite(frame, area, model, *at),
    }
}

/// A window in the middle, so many lines high, as wide as the screen allows.
fn window(frame: &mut Frame<'_>, area: Rect, title: &str, lines: usize) -> Rect {
    let height = u16::try_from(lines.saturating_add(2)).unwrap_or(u16::MAX).min(area.height);
    let y = area.y.saturating_add(area.height.saturating_sub(height) / 2);
    let place = Rect { y, height, ..area };
    frame.render_widget(Clear, place);
    block(frame, place, title)
}

fn text(frame: &mut Frame<'_>, area: Rect, title: &str, text: &str, keys: &str) {
    let columns = usize::from(area.width).saturating_sub(4);
    let mut lines = wrap(text, columns);
    lines.truncate(usize::from(area.height).saturating_sub(4));
    let inside = window(frame, area, title, lines.len() + 2);
    let all = lines.into_iter().chain([String::new()]).map(|text| (text, Style::new()));
    for ((text, style), y) in all.chain([(fit(keys, columns), QUIET)]).zip(inside.y..inside.bottom()) {
        line(frame, Rect { y, height: 1, ..inside }, format!(" {text}"), style);
    }
}

fn ask(frame: &mut Frame<'_>, area: Rect, what: &Ask, typed: &super::super::Line, problem: Option<&str>) {
    let (title, about, hidden) = match what {
        Ask::Password(target) => (format!("The password of {}", target.name()), "Enter joins, Esc gives up.", true),
        Ask::Join => ("Join".to_owned(), "A room code like K7Q-F2M, a link, or ADDRESS:PORT. Enter joins.", false),
        Ask::Friend => ("Add a friend".to_owned(), "The account id, and after a space a name.", false),
    };
    let columns = usize::from(area.width).saturating_sub(6);
    let problem = problem.map_or_else(Vec::new, |problem| wrap(problem, columns));
    let inside = window(frame, area, &title, 3 + problem.len());
    let view = typed.view(columns, hidden);
    let place = |row: u16| Rect { y: inside.y.saturating_add(row), height: inside.height.min(1), ..inside };
    let mut lines = vec![(format!("> {}", view.text), Style::new())];
    lines.extend(problem.into_iter().map(|text| (text, Style::new().fg(Color::Red))));
    lines.extend([(String::new(), QUIET), (about.to_owned(), QUIET)]);
    for ((text, style), row) in lines.into_iter().zip(0..inside.height) {
        line(frame, place(row), format!(" {}", fit(&text, columns + 2)), style);
    }
    cursor(frame, place(0), 3 + view.cursor);
}

fn invite(frame: &mut Frame<'_>, area: Rect, model: &Model, chosen: usize) {
    let friends = model.invitable();
    let inside = window(frame, area, "Invite whom? Enter invites, Esc closes", friends.len().max(1));
    let columns = usize::from(inside.width);
    for (at, place) in rows(inside, friends.len(), chosen) {
        let Some(friend) = friends.get(at) else { continue };
        let text = format!(" {} {:?}", left(&friend.name, columns.saturating_sub(11)), friend.account);
        line(frame, place, text, if at == chosen { CHOSEN } else { Style::new() });
    }
}

/// All that is known of a session, in lines that fit.
fn details(model: &Model, found: &Found, columns: usize) -> Vec<String> {
    let facts = found.facts();
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let or_none = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
    let sources = found.sources().iter().map(|source| match source {
        Source::Mdns => "mDNS".to_owned(),
        Source::Direct => "an address".to_owned(),
        _ => "beacon".to_owned(),
    });
    let joinable = found.joinable().map_or_else(|refusal| refusal.to_string(), |()| "yes".to_owned());
    let addresses = found.addresses().iter().map(|at| match at.rtt {
        Some(rtt) => format!("{} ({:.1} ms)", at.addr, rtt.as_secs_f64() * 1e3),
        None => at.addr.to_string(),
    });
    let mut rows = vec![
        ("room code", found.code().to_string()),
        ("joinable", joinable),
        (
            "players",
            format!(
                "{} of {}, {} open, {} held back",
                facts.members, facts.max_members, facts.open_slots, facts.reserved_slots
            ),
        ),
        ("policy, phase", format!("{}, {}", facts.policy.as_str(), facts.phase.as_str())),
        (
            "switches",
            format!(
                "closed {}, locked {}, join in progress {}",
                yes(facts.closed),
                yes(facts.locked),
                yes(facts.join_in_progress)
            ),
        ),
        ("password", yes(facts.password).to_owned()),
        ("dedicated", yes(facts.dedicated).to_owned()),
        ("version", format!("{}, revision {}", facts.version, facts.revision)),
        ("keywords", or_none(facts.keywords.clone())),
        ("game ports", or_none(facts.ports.iter().map(|(name, port)| format!("{name} {port}")).collect())),
        ("ping", ping(found)),
        ("addresses", or_none(addresses.collect())),
        ("heard by", or_none(sources.collect())),
        ("answers us", format!("{}{}", yes(found.is_confirmed()), if found.is_silent() { ", silent now" } else { "" })),
    ];
    if facts.attributes.is_empty() {
        rows.push(("attributes", "-".to_owned()));
    }
    for (name, attribute) in facts.attributes.iter() {
        rows.push(("attribute", format!("{name} = {}", attribute.value)));
    }
    rows.push(("session id", found.id().to_string()));
    rows.push(("host key", found.host_key().to_string()));
    rows.push(("link", model.link_to(found).map_or_else(|| "-".to_owned(), |link| link.to_string())));
    let label = rows.iter().map(|(label, _)| width(label)).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for (name, value) in rows {
        for (at, text) in wrap(&value, columns.saturating_sub(label)).into_iter().enumerate() {
            lines.push(format!("{}{text}", left(if at == 0 { name } else { "" }, label)));
        }
    }
    lines
}
