//! Finds, browses and joins sessions from the command line.
//!
//! `cargo run --example client -- find --game com.example.boxes --filter 'map == "dust" and @open_slots > 0'`

mod common;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use common::{Failure, args::Args, output::Output};
use lansession::{Error, Filter, JoinLink, JoinRequest, Lan, Left, OrderBy, Session, SessionEvent, SessionQuery, User};
use serde_json::json;

const USAGE: &str =
    "client find|browse|join --game ID [--filter EXPR] [--keyword W] [--take N] [--enough N] [--order KEY[:desc]]
     [--timeout 2s] [--at ADDR[:PORT]]... [--name NAME | --id ID | --code CODE | --link URI] [--password-file F]
     [--player NAME] [--identity FILE] [--interface NAME|ADDR]... [--loopback] [--beacon-port P] [--game-version N]
     [--no-mdns] [--no-beacon] [--json]
find: 0 something was found, 1 nothing (the diagnosis is on standard error)
join: stays until a signal or the line `leave`; 3 refused, 4 ended by the host, 5 host lost";

/// What the program ends with.
const NOTHING_FOUND: u8 = 1;
const BAD_USE: u8 = 2;
const REFUSED: u8 = 3;
const ENDED: u8 = 4;
const HOST_LOST: u8 = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Output::new()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("client: {error}\n\n{USAGE}");
            ExitCode::from(BAD_USE)
        }
    }
}

async fn run(mut output: Output) -> Result<u8, Failure> {
    let mut args = Args::from_env();
    let verb = args.word().ok_or("find, browse or join?")?;
    output.json(args.flag("--json"));
    let lan = common::lan(&mut args)?;
    let profile = common::profile(&mut args, "player")?;
    let target = target(&mut args)?;
    let query = query(&mut args, &target)?;
    let password = common::password(&mut args)?;
    args.done()?;

    let lan = lan.start()?;
    let code = match verb.as_str() {
        "find" => find(&lan, query, &output).await?,
        "browse" => browse(&lan, query, &output).await?,
        "join" => join(&lan, lan.sign_in(profile)?, query, target, password, &output).await?,
        other => return Err(format!("unknown verb {other:?}: find, browse or join").into()),
    };
    lan.close().await?;
    Ok(code)
}

/// What `--name`, `--id`, `--code`, `--link` or `--at` name.
enum Target {
    Any,
    Id(lansession::SessionId),
    Code(lansession::RoomCode),
    Link(JoinLink),
}

fn target(args: &mut Args) -> Result<Target, Failure> {
    if let Some(link) = args.parsed("--link")? {
        return Ok(Target::Link(link));
    }
    if let Some(code) = args.parsed("--code")? {
        return Ok(Target::Code(code));
    }
    Ok(args.parsed("--id")?.map_or(Target::Any, Target::Id))
}

fn query(args: &mut Args, target: &Target) -> Result<SessionQuery, Failure> {
    let mut query = SessionQuery::new().timeout(Duration::from_secs(2));
    if let Some(filter) = args.one("--filter")? {
        query = query.filter(filter.parse::<Filter>().map_err(|error| format!("--filter:\n{}", error.caret(&filter)))?);
    }
    if let Some(name) = args.one("--name")? {
        query = query.filter(lansession::Field::NAME.eq(name));
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
    for at in args.all("--at")? {
        query = query.at(address(&at)?);
    }
    Ok(match target {
        Target::Id(id) => query.id(*id),
        Target::Code(code) => query.code(*code),
        Target::Any | Target::Link(_) => query,
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

/// An address with or without a port; without one it is the beacon port.
fn address(text: &str) -> Result<SocketAddr, Failure> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, lansession::LanBuilder::BEACON_PORT));
    }
    let found = if text.contains(':') {
        text.to_socket_addrs()?.next()
    } else {
        (text, lansession::LanBuilder::BEACON_PORT).to_socket_addrs()?.next()
    };
    found.ok_or_else(|| format!("{text:?} has no address").into())
}

async fn find(lan: &Lan, query: SessionQuery, output: &Output) -> Result<u8, Failure> {
    let found = lan.find(query).await?;
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
    output.event("diagnosis", &diagnosis.advice, json!({ "advice": diagnosis.advice, "paths": paths }));
    Ok(())
}

async fn browse(lan: &Lan, query: SessionQuery, output: &Output) -> Result<u8, Failure> {
    let browser = lan.browse(query)?;
    let mut events = browser.events();
    let mut lines = common::lines();
    let stop = common::stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(0),
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
        }
    }
}

async fn join(
    lan: &Lan,
    user: User,
    query: SessionQuery,
    target: Target,
    password: Option<String>,
    output: &Output,
) -> Result<u8, Failure> {
    let mut request = match target {
        Target::Id(id) => JoinRequest::from(id),
        Target::Code(code) => JoinRequest::from(code),
        Target::Link(link) => JoinRequest::from(link),
        Target::Any => {
            let found = user.find(query.enough(1)).await?;
            let Some(first) = found.first() else {
                diagnose(lan, output).await?;
                return Ok(NOTHING_FOUND);
            };
            JoinRequest::from(first)
        }
    };
    if let Some(password) = password {
        request = request.password(password);
    }
    let session = match user.join(request).await {
        Ok(session) => session,
        Err(error) => return refused(&error, output),
    };
    let events = session.events();
    stay(session, events, output).await
}

fn refused(error: &Error, output: &Output) -> Result<u8, Failure> {
    match error.refusal() {
        Some(refusal) => {
            output.refused(refusal);
            eprintln!("client: not let in: {refusal}");
            Ok(REFUSED)
        }
        None => Err(error.clone().into()),
    }
}

async fn stay(session: Session, mut events: lansession::Events<SessionEvent>, output: &Output) -> Result<u8, Failure> {
    let mut lines = common::lines();
    let stop = common::stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            line = common::next_line(&mut lines) => match line.split_once(' ').unwrap_or((&line, "")) {
                ("leave" | "quit", _) => break,
                ("say", text) => session.say(text.as_bytes()).await?,
                ("ready", state) => drop(session.update_me(lansession::MemberUpdate::new().ready(state != "off")).await?),
                _ => {}
            },
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
    while let Some(event) = events.try_next() {
        output.session(&session, &event);
    }
    Ok(0)
}
