//! Hosts a session and prints what happens in it; commands on standard input.
//!
//! `cargo run --example host -- --game com.example.boxes --name "Ada's room" --attr map=dust --game-port 7777`

mod common;

use std::process::ExitCode;

use common::{Failure, args::Args, output::Output, social, social::Social};
use lansession::{
    AccountId, Error, HostRequest, Migration, Phase, Session, SessionEvent, SessionSettings, SettingsUpdate, Visibility,
};
use serde_json::json;

const USAGE: &str =
    "host --game ID --name NAME [--max-members N] [--attr KEY=VALUE]... [--members-attr KEY=VALUE]... [--keyword W]...
     [--policy public|friends_only|invite_only] [--password-file F] [--game-port PORT] [--player NAME] [--identity FILE]
     [--interface NAME|ADDR]... [--loopback] [--beacon-port P] [--control-port P] [--game-version N] [--no-mdns]
     [--no-beacon] [--json] [--listed | --hidden] [--migration quorum|any]
     [--friend ACCOUNT]... [--invites friends|anyone] [--presence]
values: 12 integer, 1.5 float, true and false, \"12\" string, anything else string; --members-attr is for members only
exit: 0 the session was ended or left here, 1 it could not be hosted, 2 bad words";

const COMMANDS: &str =
    "commands: set K=V | unset K | max N | open | close | lock | unlock | start | end | lobby | jip on|off
     kick MEMBER [REASON] | ban MEMBER [REASON] | say TEXT | members | hand_over [MEMBER] | leave | quit
     leave hands over where --migration lets it, quit ends the session
     policy public|friends_only|invite_only | friend ACCOUNT | invite ACCOUNT [SECONDS] | revoke INVITE | presence on|off
     a MEMBER is the start of an account, or a player's name";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{USAGE}\n{COMMANDS}");
        return ExitCode::SUCCESS;
    }
    match run(Output::new()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => common::failed("host", &error, &format!("{USAGE}\n{COMMANDS}")),
    }
}

async fn run(mut output: Output) -> Result<(), Failure> {
    let mut args = Args::from_env();
    output.json(args.flag("--json"));
    let lan = common::lan(&mut args)?;
    let profile = common::profile(&mut args, "host")?;
    let request = request(&mut args)?;
    let social = Social::from_args(&mut args)?;
    args.done()?;

    let mut stop = common::Stop::new();
    let lan = lan.start()?;
    let user = lan.sign_in(profile)?;
    social.begin(&user)?;
    let session = user.host(request).await?;
    social.seated(&session)?;
    let mut events = session.events();
    let addresses: Vec<String> = session.addresses().iter().map(ToString::to_string).collect();
    let snapshot = session.snapshot();
    let line = common::output::snapshot_line(&snapshot);
    let words = format!("ready    {line}\n{:>12}  link {}", "", session.link());
    let ready = json!({
        "session": common::output::snapshot_json(&snapshot, &addresses),
        "code": session.code().to_string(),
        "link": session.link().to_string(),
        "control_port": session.control_port(),
    });
    output.event("ready", &words, ready);

    let mut lines = common::lines();
    let mut left = false;
    loop {
        tokio::select! {
            () = stop.wait() => break,
            line = common::next_line(&mut lines) => {
                if line == "quit" {
                    break;
                }
                if line == "leave" {
                    session.leave().await.or_else(ended_is_fine)?;
                    break;
                }
                if let Err(error) = command(&session, &output, &line).await {
                    eprintln!("host: {error}");
                }
            }
            event = events.next() => match event {
                Some(event) => {
                    output.session(&session, &event);
                    if matches!(event, SessionEvent::Left { .. }) {
                        left = true;
                        break;
                    }
                }
                None => break,
            },
        }
    }
    // Who has handed over is a member like any other.
    let end = if session.is_host() { session.destroy() } else { session.leave() };
    end.await.or_else(ended_is_fine)?;
    if !left {
        common::last_words(&session, &mut events, &output).await;
    }
    lan.close().await?;
    Ok(())
}

fn request(args: &mut Args) -> Result<HostRequest, Failure> {
    let mut settings = SessionSettings::new(args.required("--name")?);
    if let Some(max) = args.parsed("--max-members")? {
        settings = settings.max_members(max);
    }
    for text in args.all("--attr")? {
        let (key, value) = common::attribute(&text)?;
        settings = settings.attr(key, value);
    }
    for text in args.all("--members-attr")? {
        let (key, value) = common::attribute(&text)?;
        settings = settings.attr_with(key, value, Visibility::Members);
    }
    for word in args.all("--keyword")? {
        settings = settings.keyword(word);
    }
    if let Some(port) = args.parsed("--game-port")? {
        settings = settings.port("game", port);
    }
    if let Some(policy) = args.one("--policy")? {
        settings = settings.policy(social::policy(&policy)?);
    }
    // A public session is listed unless said, the others are not.
    if args.flag("--listed") {
        settings = settings.listed(true);
    }
    if args.flag("--hidden") {
        settings = settings.listed(false);
    }
    let mut request = HostRequest::new(settings);
    if let Some(password) = common::password(args)? {
        request = request.password(password);
    }
    if let Some(port) = args.parsed("--control-port")? {
        request = request.control_port(port);
    }
    match args.one("--migration")?.as_deref() {
        None => {}
        Some("quorum") => request = request.migration(Migration::Quorum),
        Some("any") => request = request.migration(Migration::AnySurvivor),
        Some(other) => return Err(format!("--migration is quorum or any, not {other:?}").into()),
    }
    Ok(request)
}

async fn command(session: &Session, output: &Output, line: &str) -> Result<(), Failure> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let update = SettingsUpdate::new();
    match verb {
        "" => return Ok(()),
        "set" => {
            let (key, value) = common::attribute(rest)?;
            // What was for members only stays so.
            let snapshot = session.snapshot();
            let present = snapshot.attributes.iter().find(|(name, _)| *name == key);
            let visibility = present.map_or(Visibility::Public, |(_, attribute)| attribute.visibility);
            session.update(update.set_with(key, value, visibility)).await?;
        }
        "unset" => drop(session.update(update.remove(rest)).await?),
        "max" => drop(session.update(update.max_members(rest.parse()?)).await?),
        "open" => drop(session.update(update.closed(false)).await?),
        "close" => drop(session.update(update.closed(true)).await?),
        "start" => drop(session.set_phase(Phase::InProgress).await?),
        "end" => drop(session.set_phase(Phase::Ended).await?),
        "lobby" => drop(session.set_phase(Phase::Lobby).await?),
        "jip" => drop(session.update(update.join_in_progress(rest == "on")).await?),
        "lock" => drop(session.update(update.locked(true)).await?),
        "unlock" => drop(session.update(update.locked(false)).await?),
        "kick" | "ban" => {
            let (prefix, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let account = member(session, prefix)?;
            match verb {
                "kick" => session.kick(account, reason).await?,
                _ => session.ban(account, reason).await?,
            }
        }
        "say" => session.say(rest.as_bytes()).await?,
        "hand_over" if rest.is_empty() => session.hand_over(None).await?,
        "hand_over" => session.hand_over(member(session, rest)?).await?,
        "members" => {
            for member in &session.snapshot().members {
                let fields = json!({ "member": common::output::member_json(member) });
                output.event("member", &format!("member   {member}"), fields);
            }
        }
        other => match social::line(session, output, other, rest).await {
            Some(done) => done?,
            None => return Err(format!("unknown command {other:?}\n{COMMANDS}").into()),
        },
    }
    Ok(())
}

/// The one member whose account, or name, starts so.
fn member(session: &Session, prefix: &str) -> Result<AccountId, Failure> {
    let snapshot = session.snapshot();
    let upper = prefix.to_ascii_uppercase();
    let fits = |m: &&lansession::Member| m.account.to_string().starts_with(&upper) || m.name == prefix;
    let mut fitting = snapshot.members.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(member), None) if !prefix.is_empty() => Ok(member.account),
        (None, _) => Err(format!("no member {prefix:?}").into()),
        _ => Err(format!("{prefix:?} fits several members").into()),
    }
}

fn ended_is_fine(error: Error) -> Result<(), Error> {
    if error.kind() == lansession::ErrorKind::Ended { Ok(()) } else { Err(error) }
}
