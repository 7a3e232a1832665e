//! Finds, browses and joins sessions from the command line.
//!
//! `cargo run --example client -- find --game com.example.boxes --filter 'map == "dust" and @open_slots > 0'`

mod common;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use common::{Failure, Lines, Stop, args::Args, output::Output, social, social::Social};
use lansession::{
    AccountId, Events, Field, Filter, Found, Invite, JoinLink, JoinRequest, Lan, Left, Matchmaking, MemberUpdate,
    OrderBy, RoomCode, Session, SessionEvent, SessionId, SessionQuery, SessionSettings, User, UserEvent,
};
use serde_json::json;

const USAGE: &str =
    "client find|browse|join|match|wait|where|account|open LINK --game ID
     [--filter EXPR] [--keyword W] [--take N] [--enough N] [--order KEY[:desc]]
     [--timeout 2s] [--at ADDR[:PORT]]... [--name NAME | --id ID | --code CODE | --link URI] [--password-file F]
     [--player NAME] [--identity FILE] [--interface NAME|ADDR]... [--loopback] [--beacon-port P] [--game-version N]
     [--no-mdns] [--no-beacon] [--receive-links] [--json] [--friend ACCOUNT]... [--invites friends|anyone] [--presence]
     [--invite FILE] [--account ACCOUNT] [--private] [--reservations] [--max-members N]
find: 0 something was found, 1 nothing (the diagnosis is on standard error)
browse: until a signal or the line `quit`; `refresh` asks again, `diagnose` says why the list is empty;
     with --receive-links, links of other processes are shown
open: hands the link to the process of this game that receives links and ends with 0; where there is none it is that
     process: shows the link, joins it at the line `yes`, and receives others; `quit` ends it
join: until a signal or the line `leave`; `say TEXT`, `ready on|off`, `friend ACCOUNT`, `invite ACCOUNT [SECONDS]`,
     `revoke INVITE`, `presence on|off`; `--invite FILE` is an invite that was printed with --json
     0 left, 1 nothing found, 3 refused, 4 ended by the host, 5 host lost
match: joins the best session there is, or makes one and waits for others; then as join
wait: until a signal or the line `quit`, in no session: `accept INVITE` joins, `reject INVITE`, `invites`
where: finds the sessions of `--account`, as find does
account: prints the account of `--identity`
all: 1 also where the system refuses, 2 bad words
Links of the scheme lansession: reach `open` once the system knows this program for them; it registers nothing itself:
  Windows  HKCU\\Software\\Classes\\lansession: \"URL Protocol\" = \"\", shell\\open\\command = \"client.exe\" open \"%1\" --game ID
  macOS    CFBundleURLTypes with CFBundleURLSchemes = lansession in Info.plist; the running app gets the link as an event
  Linux    a .desktop file with MimeType=x-scheme-handler/lansession; and Exec=client open %u --game ID,
           then xdg-mime default NAME.desktop x-scheme-handler/lansession";

/// What the program ends with.
const NOTHING_FOUND: u8 = 1;
const REFUSED: u8 = 3;
const ENDED: u8 = 4;
const HOST_LOST: u8 = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(Output::new()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => common::failed("client", &error, USAGE),
    }
}

async fn run(mut output: Output) -> Result<u8, Failure> {
    let mut args = Args::from_env();
    let verb = args.word().ok_or("which of find, browse, join, match, wait, where, account, open?")?;
    output.json(args.flag("--json"));
    if verb == "open" {
        return open(args, &output).await;
    }
    let receive = args.flag("--receive-links");
    let lan = common::lan(&mut args)?;
    let profile = common::profile(&mut args, "player")?;
    let target = target(&mut args)?;
    let mut query = query(&mut args, &target)?;
    let at = args.all("--at")?.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let password = common::password(&mut args)?;
    let social = Social::from_args(&mut args)?;
    let invite = invite(&mut args)?;
    let max_members = args.parsed("--max-members")?.unwrap_or(8);
    let asked: Option<AccountId> = args.parsed("--account")?;
    query = query.private(args.flag("--private")).reservations(args.flag("--reservations"));
    args.done()?;
    if !["find", "browse", "join", "match", "wait", "where", "account"].contains(&verb.as_str()) {
        return Err(format!("unknown verb {verb:?}: find, browse, join, match, wait, where, account or open").into());
    }

    let mut stop = Stop::new();
    let lan = lan.start()?;
    for mut address in at.iter().copied() {
        if address.port() == 0 {
            address.set_port(lan.beacon_port());
        }
        query = query.at(address);
    }
    let code = match verb.as_str() {
        "find" => tokio::select! {
            code = find(&lan, query, &output) => code?,
            () = stop.wait() => NOTHING_FOUND,
        },
        "browse" => {
            let user = if receive { Some(lan.sign_in(profile)?) } else { None };
            browse(&lan, user.as_ref(), query, &output, &mut stop).await?
        }
        "account" => {
            social::who(&lan.sign_in(profile)?, &output);
            0
        }
        "where" => {
            let user = lan.sign_in(profile)?;
            social.begin(&user)?;
            let account = asked.unwrap_or_else(|| user.id());
            found(&lan, user.find(query.accounts([account])).await?, &output).await?
        }
        "match" => {
            let user = lan.sign_in(profile)?;
            social.begin(&user)?;
            let settings = SessionSettings::new(format!("{}'s match", user.name())).max_members(max_members);
            let session = matched(&user, Matchmaking::new(query, settings), &output, &mut stop).await?;
            match session {
                Some(session) => stay(session, &mut common::lines(), &output, &mut stop).await?,
                None => NOTHING_FOUND,
            }
        }
        "wait" => {
            let user = lan.sign_in(profile)?;
            social.begin(&user)?;
            social::who(&user, &output);
            wait(&user, &social, &output, &mut stop).await?
        }
        _ => {
            let user = lan.sign_in(profile)?;
            social.begin(&user)?;
            // Whoever names an address wants it asked, whatever else is known of the session.
            let target = if at.is_empty() { target } else { target.or_find() };
            let target = invite.map_or(target, |invite| Target::Invite(Box::new(invite)));
            let seat = tokio::select! {
                seat = join(&lan, &user, query, target, password, &output) => seat?,
                () = stop.wait() => Err(NOTHING_FOUND),
            };
            match seat {
                Ok(session) => {
                    social.seated(&session)?;
                    stay(session, &mut common::lines(), &output, &mut stop).await?
                }
                Err(code) => code,
            }
        }
    };
    lan.close().await?;
    Ok(code)
}

/// What `--name`, `--id`, `--code` or `--link` name.
enum Target {
    /// Whatever the query finds first.
    Any,
    Name(String),
    Id(SessionId),
    Code(RoomCode),
    Link(JoinLink),
    Invite(Box<Invite>),
}

impl Target {
    /// What can be found by a query is found so.
    fn or_find(self) -> Self {
        if let Self::Link(_) | Self::Invite(_) = self { self } else { Self::Any }
    }
}

fn target(args: &mut Args) -> Result<Target, Failure> {
    let named = [
        args.one("--name")?.map(Target::Name),
        args.parsed("--id")?.map(Target::Id),
        args.parsed("--code")?.map(Target::Code),
        args.parsed("--link")?.map(Target::Link),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (first, None) => Ok(first.unwrap_or(Target::Any)),
        _ => Err("--name, --id, --code, --link: one of them".into()),
    }
}

fn query(args: &mut Args, target: &Target) -> Result<SessionQuery, Failure> {
    let mut query = SessionQuery::new().timeout(Duration::from_secs(2));
    if let Some(filter) = args.one("--filter")? {
        query = query.filter(filter.parse::<Filter>().map_err(|error| format!("--filter:\n{}", error.caret(&filter)))?);
    }
    for word in args.all("--keyword")? {
        query = query.keyword(&word);
    }
    if let Some(take) = args.parsed("--take")? {
        query = query.take(take);
    }
    if let Some(enough) = args.parsed("--enough")? {
        query = query.enough(enough);
    }
    if let Some(order) = args.one("--order")? {
        query =
            query.order_by(OrderBy::parse_list(&order).map_err(|error| format!("--order:\n{}", error.caret(&order)))?);
    }
    if let Some(timeout) = args.one("--timeout")? {
        query = query.timeout(duration(&timeout)?);
    }
    Ok(match target {
        Target::Name(name) => query.filter(Field::NAME.eq(name.as_str())),
        Target::Id(id) => query.id(*id),
        Target::Code(code) => query.code(*code),
        // A listing tells its code, not its link; the id is in both.
        Target::Link(link) => query.id(link.id()),
        Target::Any | Target::Invite(_) => query,
    })
}

/// `2s`, `250ms`, `2`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|_| format!("{text:?} is no time: 2s or 250ms"))? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text:?}: {error}").into())
}

/// An address, or a host's name, with or without a port; port 0 stands for the beacon port.
fn address(text: &str) -> Result<SocketAddr, Failure> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 0));
    }
    let found = if text.contains(':') { text.to_socket_addrs() } else { (text, 0).to_socket_addrs() };
    let found = found.map_err(|error| format!("--at {text:?}: {error}"))?.next();
    found.ok_or_else(|| format!("--at {text:?} has no address").into())
}

async fn find(lan: &Lan, query: SessionQuery, output: &Output) -> Result<u8, Failure> {
    found(lan, lan.find(query).await?, output).await
}

async fn found(lan: &Lan, found: Vec<Found>, output: &Output) -> Result<u8, Failure> {
    for session in &found {
        output.found(session);
    }
    if found.is_empty() {
        diagnose(lan, output).await?;
        return Ok(NOTHING_FOUND);
    }
    Ok(0)
}

async fn diagnose(lan: &Lan, output: &Output) -> Result<(), Failure> {
    let diagnosis = lan.diagnose().await?;
    let paths: Vec<_> = diagnosis
        .paths
        .iter()
        .map(|p| json!({ "interface": p.interface, "address": p.address, "path": p.path.to_string(), "sent": p.sent, "heard": p.heard, "failed": p.failed }))
        .collect();
    eprintln!("{diagnosis}");
    if output.is_json() {
        output.event("diagnosis", "", json!({ "advice": diagnosis.advice, "paths": paths }));
    }
    Ok(())
}

async fn browse(
    lan: &Lan,
    user: Option<&User>,
    query: SessionQuery,
    output: &Output,
    stop: &mut Stop,
) -> Result<u8, Failure> {
    let browser = lan.browse(query)?;
    let mut events = browser.events();
    let mut of_user = user.map(User::events);
    if let Some(user) = user {
        user.receive_links()?;
        output.event("receiving_links", "links of other processes are shown here", json!({}));
    }
    let mut lines = common::lines();
    loop {
        tokio::select! {
            () = stop.wait() => return Ok(0),
            line = common::next_line(&mut lines) => match line.as_str() {
                "quit" => return Ok(0),
                "refresh" => browser.refresh(),
                "diagnose" => diagnose(lan, output).await?,
                _ => {}
            },
            event = events.next() => match event {
                Some(event) => output.browser(&event),
                None => return Ok(0),
            },
            event = next_of(&mut of_user) => output.user(&event),
        }
    }
}

/// The next event, or never.
async fn next_of(events: &mut Option<Events<UserEvent>>) -> UserEvent {
    match events {
        Some(events) => match events.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// What the system starts for a clicked link.
async fn open(mut args: Args, output: &Output) -> Result<u8, Failure> {
    let text = args.word().ok_or("open: which link?")?;
    let link: JoinLink = text.parse()?;
    let game = args.peek("--game")?;
    let (lan, profile) = (common::lan(&mut args)?, common::profile(&mut args, "player")?);
    args.done()?;
    // Before anything is started: where the game runs already, this is all there is to do.
    if lansession::hand_over(&game, &link)? {
        output.event("handed_over", "the running game has the link", json!({ "id": link.id().to_string() }));
        return Ok(0);
    }

    let mut stop = Stop::new();
    let lan = lan.start()?;
    let user = lan.sign_in(profile)?;
    let mut events = user.events();
    user.receive_links()?;
    user.open_link(&text)?;
    let (mut lines, mut shown) = (common::lines(), None);
    let code = loop {
        tokio::select! {
            () = stop.wait() => break 0,
            event = events.next() => match event {
                Some(event) => {
                    output.user(&event);
                    if let UserEvent::UiJoinRequested { target, .. } = event {
                        shown = Some(target);
                    }
                }
                None => break 0,
            },
            line = common::next_line(&mut lines) => match (line.as_str(), shown.take()) {
                ("quit", _) => break 0,
                // Only now: a link that joins by itself would be anybody's to make.
                ("yes", Some(target)) => match user.join(target).await {
                    Ok(session) => break stay(session, &mut lines, output, &mut stop).await?,
                    Err(error) => match error.refusal() {
                        Some(refusal) => {
                            output.refused(refusal, None);
                            break REFUSED;
                        }
                        None => return Err(error.into()),
                    },
                },
                (_, target) => shown = target,
            },
        }
    };
    lan.close().await?;
    Ok(code)
}

/// A seat, or what the program ends with.
async fn join(
    lan: &Lan,
    user: &User,
    query: SessionQuery,
    target: Target,
    password: Option<String>,
    output: &Output,
) -> Result<Result<Session, u8>, Failure> {
    let mut known = None;
    let mut request = match target {
        Target::Id(id) => JoinRequest::from(id),
        Target::Code(code) => JoinRequest::from(code),
        Target::Link(link) => JoinRequest::from(link),
        Target::Invite(invite) => JoinRequest::from(*invite),
        Target::Any | Target::Name(_) => {
            let mut found = user.find(query.enough(1)).await?;
            if found.is_empty() {
                diagnose(lan, output).await?;
                return Ok(Err(NOTHING_FOUND));
            }
            let first = found.swap_remove(0);
            JoinRequest::from(&*known.insert(first))
        }
    };
    if let Some(password) = password {
        request = request.password(password);
    }
    match user.join(request).await {
        Ok(session) => Ok(Ok(session)),
        Err(error) => {
            let Some(refusal) = error.refusal() else { return Err(error.into()) };
            output.refused(refusal, known.as_ref());
            Ok(Err(REFUSED))
        }
    }
}

/// A seat, or nothing after a signal.
async fn matched(
    user: &User,
    wanted: Matchmaking,
    output: &Output,
    stop: &mut Stop,
) -> Result<Option<Session>, Failure> {
    let mut events = user.events();
    let mut pending = user.matchmake(wanted);
    loop {
        tokio::select! {
            session = &mut pending => return Ok(Some(session?)),
            () = stop.wait() => return Ok(None),
            Some(event) = events.next() => drop(social::user_event(output, &event)),
        }
    }
}

/// Signed in and in no session, until an invite is accepted or a link comes.
async fn wait(user: &User, social: &Social, output: &Output, stop: &mut Stop) -> Result<u8, Failure> {
    let mut events = user.events();
    let mut lines = common::lines();
    let target = loop {
        tokio::select! {
            () = stop.wait() => return Ok(0),
            line = common::next_line(&mut lines) => {
                let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
                if verb == "quit" {
                    return Ok(0);
                }
                if let Some(Err(error)) = social::user_line(user, output, verb, rest).await {
                    eprintln!("client: {error}");
                }
            }
            event = events.next() => match event {
                Some(event) => {
                    if let Some(target) = social::user_event(output, &event) {
                        break target;
                    }
                }
                None => return Ok(0),
            },
        }
    };
    match user.join(target).await {
        Ok(session) => {
            social.seated(&session)?;
            stay(session, &mut lines, output, stop).await
        }
        Err(error) => {
            let Some(refusal) = error.refusal() else { return Err(error.into()) };
            output.refused(refusal, None);
            Ok(REFUSED)
        }
    }
}

/// An invite as `invite_received` printed it.
fn invite(args: &mut Args) -> Result<Option<Invite>, Failure> {
    let Some(file) = args.one("--invite")? else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{file}: {error}").into())
}

/// What was asked of the host and is not answered yet.
type Asked = Pin<Box<dyn Future<Output = lansession::Result<()>>>>;

/// Of what was asked; none comes where nothing was.
async fn answer(asked: &mut Option<Asked>) -> lansession::Result<()> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

async fn stay(session: Session, lines: &mut Lines, output: &Output, stop: &mut Stop) -> Result<u8, Failure> {
    let mut events = session.events();
    // One at a time and in their order. While the link is lost it waits, and events are shown all the same.
    let mut asked: Option<Asked> = None;
    loop {
        tokio::select! {
            () = stop.wait() => break,
            done = answer(&mut asked) => {
                asked = None;
                if let Err(error) = done {
                    eprintln!("client: {error}");
                }
            }
            line = common::next_line(lines), if asked.is_none() => {
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("leave" | "quit", _) => break,
                    ("say", text) => asked = Some(Box::pin(session.say(text.as_bytes()))),
                    ("ready", state) => {
                        let update = session.update_me(MemberUpdate::new().ready(state != "off"));
                        asked = Some(Box::pin(async { update.await.map(drop) }));
                    }
                    (verb, rest) => {
                        if let Some(Err(error)) = social::line(&session, output, verb, rest).await {
                            eprintln!("client: {error}");
                        }
                    }
                }
            }
            event = events.next() => {
                let Some(event) = event else { return Ok(HOST_LOST) };
                output.session(&session, &event);
                if let SessionEvent::Left { why, .. } = event {
                    return Ok(match why {
                        Left::HostLost => HOST_LOST,
                        Left::Left => 0,
                        _ => ENDED,
                    });
                }
            }
        }
    }
    session.leave().await?;
    common::last_words(&session, &mut events, output).await;
    Ok(0)
}
