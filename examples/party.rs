//! A whole LAN party on this machine: one host and three players, over real sockets on loopback.
//!
//! `cargo run --example party` needs no network and no arguments; it ends with 0 only if every step happened.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lansession::{
    Browser, BrowserEvent, Error, Events, Field, HostRequest, JoinRequest, Lan, Left, MemberUpdate, Phase, Preset,
    Refusal, Session, SessionEvent, SessionQuery, SessionSettings, SettingsChange, SettingsUpdate, User, Value, attr,
};

const GAME: &str = "com.example.party";
const SOON: Duration = Duration::from_secs(5);

type Step = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match Party::open().and_then(|mut party| party.play()) {
        Ok(()) => {
            println!("\nEvery step happened.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe party broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Four copies of the library, as four processes of a game would be.
struct Party {
    start: Instant,
    ada: (Lan, User),
    bob: (Lan, User),
    cem: (Lan, User),
    dee: (Lan, User),
}

impl Party {
    fn open() -> Result<Self, Box<dyn std::error::Error>> {
        let lan = Lan::builder(GAME).preset(Preset::Loopback).start()?;
        let port = lan.beacon_port();
        let ada = lan.sign_in("Ada")?;
        let player = |name: &str| -> Result<(Lan, User), Error> {
            let lan = Lan::builder(GAME).preset(Preset::Loopback).beacon_port(port).start()?;
            let user = lan.sign_in(name)?;
            Ok((lan, user))
        };
        println!("A LAN party on 127.0.0.1, UDP port {port}: Ada hosts, Bob, Cem and Dee play.\n");
        Ok(Self {
            start: Instant::now(),
            ada: (lan, ada),
            bob: player("Bob")?,
            cem: player("Cem")?,
            dee: player("Dee")?,
        })
    }

    fn say(&self, words: &str) {
        println!("{:>9.1} ms  {words}", self.start.elapsed().as_secs_f64() * 1e3);
    }

    fn play(&mut self) -> Step {
        let list = self.bob.1.browse(SessionQuery::new())?;
        let mut news = list.events();
        let room = self.host()?;
        self.see(&mut news)?;
        self.filter()?;
        let (bob, mut bob_hears) = self.join_as_bob()?;
        self.change(&room, &mut bob_hears, &mut news)?;
        self.refuse(&room)?;
        let cem = self.fill(&room)?;
        self.talk(&room, &bob, &mut bob_hears)?;
        self.kick(&room, &cem)?;
        self.leave(&room, bob)?;
        self.destroy(room, &list, &mut news)?;
        for (lan, _) in [&self.ada, &self.bob, &self.cem, &self.dee] {
            lan.close().wait(SOON)?;
        }
        Ok(())
    }

    fn host(&self) -> Result<Session, Box<dyn std::error::Error>> {
        let settings = SessionSettings::new("Ada's room")
            .max_members(3)
            .attr("map", "dust")
            .attr("skill", 1200)
            .keyword("casual")
            .port("game", 7777);
        let room = self.ada.1.host(HostRequest::new(settings).password("swordfish")).wait(SOON)?;
        self.say(&format!("Ada hosts {:?}; its code is {}", room.snapshot().name, room.code()));
        Ok(room)
    }

    fn see(&self, news: &mut Events<BrowserEvent>) -> Step {
        let found = wait_for(news, "Bob's list shows the room", |event| match event {
            BrowserEvent::Found(found) => Some(found),
            _ => None,
        })?;
        self.say(&format!("Bob's list shows {:?}, {}/{} players", found.name(), found.members(), found.max_members()));
        Ok(())
    }

    fn filter(&self) -> Step {
        let dust = SessionQuery::new().filter(attr("map").eq("dust") & Field::OPEN_SLOTS.gt(0)).enough(1);
        expect(self.cem.1.find(dust).wait(SOON)?.len() == 1, "Cem's filter finds the room")?;
        self.say("Cem finds it with map == \"dust\" and @open_slots > 0");
        let nuke = SessionQuery::new().filter("map == \"nuke\"".parse()?).timeout(Duration::from_millis(300));
        expect(self.cem.1.find(nuke).wait(SOON)?.is_empty(), "a filter that does not fit finds nothing")?;
        self.say("and finds nothing with map == \"nuke\"");
        Ok(())
    }

    fn join_as_bob(&self) -> Result<(Session, Events<SessionEvent>), Box<dyn std::error::Error>> {
        let found = self.bob.1.find(SessionQuery::new().enough(1)).wait(SOON)?;
        let first = found.first().ok_or("Bob finds the room")?;
        let wrong = self.bob.1.join(JoinRequest::from(first).password("sardine")).wait(SOON);
        refused(wrong, &Refusal::BadPassword)?;
        self.say("Bob mistypes the password: refused");
        let seat = self.bob.1.join(JoinRequest::from(first).password("swordfish")).wait(SOON)?;
        let mut hears = seat.events();
        wait_for(&mut hears, "Bob is in", |event| matches!(event, SessionEvent::Joined { .. }).then_some(()))?;
        self.say(&format!(
            "Bob is in as player {}; the game's own port is {}",
            seat.snapshot().member(self.bob.1.id()).ok_or("Bob sees himself")?.number,
            seat.endpoint("game")?
        ));
        Ok((seat, hears))
    }

    fn change(&self, room: &Session, bob: &mut Events<SessionEvent>, news: &mut Events<BrowserEvent>) -> Step {
        room.update(SettingsUpdate::new().set("map", "inferno")).wait(SOON)?;
        let changes = wait_for(bob, "Bob hears of the new map", |event| match event {
            SessionEvent::SettingsChanged { changes, .. } => Some(changes),
            _ => None,
        })?;
        let SettingsChange::Attribute(map) = changes.first().ok_or("Bob hears what changed")? else {
            return Err(format!("Bob hears of the map, not of {changes:?}").into());
        };
        let word = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let (old, new) = (word(&map.old), word(&map.new));
        self.say(&format!("Ada changes the map; Bob, a member, hears {} was {old} and is {new}", map.name));
        wait_for(news, "the list shows the new map", |event| match event {
            BrowserEvent::Updated { new, .. } => {
                (new.attributes().get("map").and_then(|map| map.as_str()) == Some("inferno")).then_some(())
            }
            _ => None,
        })?;
        self.say("and the lists show it");
        Ok(())
    }

    fn refuse(&self, room: &Session) -> Step {
        room.update(SettingsUpdate::new().closed(true)).wait(SOON)?;
        refused(self.join_by_code(&self.dee.1, room), &Refusal::Closed)?;
        self.say("Ada closes the room; Dee is refused: closed");
        room.update(SettingsUpdate::new().closed(false).join_in_progress(false)).wait(SOON)?;
        room.set_phase(Phase::InProgress).wait(SOON)?;
        refused(self.join_by_code(&self.dee.1, room), &Refusal::InProgress)?;
        self.say("the match starts; Dee is refused: in progress");
        room.set_phase(Phase::Lobby).wait(SOON)?;
        Ok(())
    }

    fn fill(&self, room: &Session) -> Result<Session, Box<dyn std::error::Error>> {
        let cem = self.join_by_code(&self.cem.1, room)?;
        self.say(&format!("back in the lobby, Cem joins by the code {}", room.code()));
        refused(self.join_by_code(&self.dee.1, room), &Refusal::Full)?;
        self.say("Dee is refused: three seats, three players");
        Ok(cem)
    }

    fn talk(&self, room: &Session, bob: &Session, bob_hears: &mut Events<SessionEvent>) -> Step {
        bob.update_me(MemberUpdate::new().ready(true).set("team", "red")).wait(SOON)?;
        let me = self.bob.1.id();
        let ready = |room: &Session| room.snapshot().member(me).is_some_and(|member| member.ready);
        until("Ada sees that Bob is ready", || ready(room))?;
        self.say("Bob is ready, in team red; Ada sees it");
        room.say(&b"good luck"[..]).wait(SOON)?;
        wait_for(bob_hears, "Bob hears Ada", |event| match event {
            SessionEvent::Message { data, .. } => (&*data == b"good luck").then_some(()),
            _ => None,
        })?;
        self.say("Ada says \"good luck\"");
        expect(bob.game_key(me)? == room.game_key(me)?, "Ada and Bob share a key for the game's own packets")?;
        self.say("Ada and Bob hold the same key for the game's own packets");
        Ok(())
    }

    fn kick(&self, room: &Session, cem: &Session) -> Step {
        let mut hears = cem.events();
        room.ban(self.cem.1.id(), "camping").wait(SOON)?;
        let why = wait_for(&mut hears, "Cem hears that he is out", |event| match event {
            SessionEvent::Left { why, .. } => Some(why),
            _ => None,
        })?;
        expect(matches!(&why, Left::Banned(reason) if reason.text() == "camping"), "Cem hears why")?;
        refused(self.join_by_code(&self.cem.1, room), &Refusal::Banned)?;
        self.say(&format!("Ada bans Cem ({why}); he cannot come back"));
        Ok(())
    }

    fn leave(&self, room: &Session, bob: Session) -> Step {
        bob.leave().wait(SOON)?;
        until("Bob's seat is free", || room.snapshot().members.len() == 1)?;
        self.say("Bob leaves; his seat is free at once");
        let dee = self.join_by_code(&self.dee.1, room)?;
        self.say("Dee gets it");
        let mut hears = dee.events();
        std::thread::spawn(move || {
            // Keeps Dee's seat until the host ends the session.
            while let Some(event) = hears.wait(SOON) {
                if matches!(event, SessionEvent::Left { .. }) {
                    break;
                }
            }
            drop(dee);
        });
        Ok(())
    }

    fn destroy(&self, room: Session, list: &Browser, news: &mut Events<BrowserEvent>) -> Step {
        room.destroy().wait(SOON)?;
        let key = room.key();
        wait_for(news, "the room leaves the list", |event| match event {
            BrowserEvent::Lost(lost) => (lost == key).then_some(()),
            _ => None,
        })?;
        expect(list.list().is_empty(), "the list is empty")?;
        self.say("Ada ends the session; it has left the list");
        Ok(())
    }

    fn join_by_code(&self, user: &User, room: &Session) -> Result<Session, Error> {
        user.join(JoinRequest::from(room.code()).password("swordfish")).wait(SOON)
    }
}

fn expect(held: bool, what: &str) -> Step {
    if held { Ok(()) } else { Err(format!("expected: {what}").into()) }
}

fn refused(result: Result<Session, Error>, with: &Refusal) -> Step {
    match result {
        Err(error) if error.refusal() == Some(with) => Ok(()),
        Err(error) => Err(format!("expected the refusal {:?}, got: {error}", with.id()).into()),
        Ok(_) => Err(format!("expected the refusal {:?}, got a seat", with.id()).into()),
    }
}

/// The first event that `pick` takes.
fn wait_for<T: Clone, P>(
    events: &mut Events<T>,
    what: &str,
    mut pick: impl FnMut(T) -> Option<P>,
) -> Result<P, Box<dyn std::error::Error>> {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.wait(left).ok_or_else(|| format!("expected within 5 s: {what}"))?;
        if let Some(picked) = pick(event) {
            return Ok(picked);
        }
    }
}

fn until(what: &str, mut held: impl FnMut() -> bool) -> Step {
    let deadline = Instant::now() + SOON;
    while !held() {
        expect(Instant::now() < deadline, what)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
