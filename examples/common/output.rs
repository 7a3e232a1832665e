//! Lines on standard output: for people, or with `--json` one object each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Instant;

use lansession::{
    AccountId, Attributes, BrowserEvent, Found, Left, LinkState, Member, Refusal, Session, SessionEvent, SessionKey,
    SessionSnapshot, SettingsChange, Source, UiTarget, UserEvent, Value,
};
use serde_json::{Map, Value as Json, json};

/// Where events go.
pub(crate) struct Output {
    json: bool,
    start: Instant,
    /// What each listed session was when it was last told: a lost one is told by it.
    listed: RefCell<BTreeMap<SessionKey, Found>>,
}

impl Output {
    /// `at_ms` counts from here: call it first.
    pub(crate) fn new() -> Self {
        Self { json: false, start: Instant::now(), listed: RefCell::default() }
    }

    /// One object a line instead of words.
    pub(crate) fn json(&mut self, on: bool) {
        self.json = on;
    }

    /// Whether lines are objects.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One event: `words` for people, `fields` for programs.
    pub(crate) fn event(&self, event: &str, words: &str, fields: Json) {
        let at_ms = (self.start.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        let line = if self.json {
            let mut object = Map::new();
            object.insert("event".into(), event.into());
            object.insert("at_ms".into(), at_ms.into());
            if let Json::Object(fields) = fields {
                object.extend(fields);
            }
            Json::Object(object).to_string()
        } else {
            format!("{at_ms:>9.1} ms  {words}")
        };
        // Whoever reads us may have gone; that is no reason to end a session.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }

    /// What a browser told.
    pub(crate) fn browser(&self, event: &BrowserEvent) {
        match event {
            BrowserEvent::Found(found) => self.found(found),
            BrowserEvent::Updated { new, .. } => {
                self.listed.borrow_mut().insert(new.key(), new.clone());
                self.event("updated", &format!("updated  {}", found_line(new)), json!({ "session": found_json(new) }));
            }
            BrowserEvent::Lost(key) => {
                let last = self.listed.borrow_mut().remove(key);
                let words =
                    last.as_ref().map_or_else(|| key.id.to_string(), |f| format!("{} {:?}", f.code(), f.name()));
                let session = last.as_ref().map_or_else(|| json!({ "id": key.id.to_string() }), found_json);
                self.event("lost", &format!("lost     {words}"), json!({ "session": session }));
            }
            _ => {}
        }
    }

    /// One session of a find.
    pub(crate) fn found(&self, found: &Found) {
        self.listed.borrow_mut().insert(found.key(), found.clone());
        self.event("found", &format!("found    {}", found_line(found)), json!({ "session": found_json(found) }));
    }

    /// What a seat told; `false` where nothing is printed for it.
    pub(crate) fn session(&self, session: &Session, event: &SessionEvent) -> bool {
        let with = |mut fields: Json| {
            if let Json::Object(object) = &mut fields {
                object.insert("session".into(), snapshot_json(&session.snapshot(), &own_addresses(session)));
            }
            fields
        };
        match event {
            SessionEvent::Joined { snapshot, .. } => {
                let game =
                    session.endpoint("game").map_or_else(|_| String::new(), |at| format!("; the game is at {at}"));
                self.event("joined", &format!("joined   {}{game}", snapshot_line(snapshot)), with(json!({})));
            }
            SessionEvent::MemberJoined { member, present_before, .. } => {
                let me = member.account == session.user().id();
                let came = if me { "is us" } else { "came" };
                let words = format!("member   {member} {}", if *present_before { "is here" } else { came });
                let fields = json!({ "member": member_json(member), "present_before": present_before, "me": me });
                self.event("member_joined", &words, with(fields));
            }
            SessionEvent::MemberLeft { member, why, .. } => {
                let words = format!("member   {member} is gone: {why}");
                let fields = json!({ "member": member_json(member), "reason": why.id() });
                self.event("member_left", &words, with(fields));
            }
            SessionEvent::MemberAway { account, .. } => self.link(session, *account, "away"),
            SessionEvent::MemberBack { account, .. } => self.link(session, *account, "connected"),
            SessionEvent::MemberUpdated { member, .. } => {
                let fields = json!({ "member": member_json(member) });
                self.event("member_updated", &format!("member   {member} changed"), with(fields));
            }
            SessionEvent::SettingsChanged { changes, .. } => {
                let all: Vec<Json> = changes.iter().map(change_json).collect();
                let words: Vec<String> = all.iter().map(change_words).collect();
                let words = format!("settings {}", words.join(", "));
                self.event("settings_changed", &words, with(json!({ "changes": all })));
            }
            SessionEvent::InviteUpdated { invite, account, state, .. } => {
                let fields = json!({
                    "invite": invite.to_string(), "account": account.to_string(), "state": state.to_string(),
                });
                self.event("invite_updated", &format!("invite   {invite} is {state}"), fields);
            }
            SessionEvent::TurnChanged { new, .. } => {
                let turn: Vec<String> = new.iter().map(ToString::to_string).collect();
                self.event("turn_changed", &format!("turn     {}", turn.join(", ")), with(json!({ "turn": turn })));
            }
            SessionEvent::PhaseChanged { old, new, .. } => {
                let change = json!({ "setting": "phase", "old": old.as_str(), "new": new.as_str() });
                let words = format!("settings {}", change_words(&change));
                self.event("settings_changed", &words, with(json!({ "changes": [change] })));
            }
            SessionEvent::HostChanged { old, new, discarded, .. } => {
                let id = |account: &Option<AccountId>| account.map(|account| account.to_string());
                let name = new.and_then(|account| session.snapshot().member(account).map(|m| m.name.clone()));
                let lost = if *discarded == 0 { String::new() } else { format!("; {discarded} changes are lost") };
                let words = format!("host     is {} now{lost}", name.as_deref().unwrap_or("another"));
                let fields = json!({ "old": id(old), "new": id(new), "discarded": discarded });
                self.event("host_changed", &words, with(fields));
            }
            SessionEvent::BecameHost { state, .. } => {
                let version = state.as_ref().map(|state| state.version);
                self.event("became_host", "host     is us now", with(json!({ "state_version": version })));
            }
            SessionEvent::QuorumLost => {
                let words = "quorum   is lost: nobody could go on without this host";
                self.event("quorum_lost", words, json!({}));
            }
            SessionEvent::QuorumRegained => self.event("quorum_regained", "quorum   is there again", json!({})),
            SessionEvent::Message { from, data, .. } => {
                let text = String::from_utf8_lossy(data);
                let name = from.and_then(|account| session.snapshot().member(account).map(|m| m.name.clone()));
                let words = format!("message  {}: {text}", name.as_deref().unwrap_or("host"));
                let fields = json!({ "from": from.map(|account| account.to_string()), "text": text });
                self.event("message", &words, with(fields));
            }
            SessionEvent::Reconnecting => self.event("reconnecting", "link     lost, on the way back", with(json!({}))),
            SessionEvent::Reconnected => self.event("reconnected", "link     stands again", with(json!({}))),
            SessionEvent::Left { why, .. } => self.left(session, why),
            _ => return false,
        }
        true
    }

    /// What happened to the user, outside of its sessions.
    pub(crate) fn user(&self, event: &UserEvent) {
        if let UserEvent::UiJoinRequested { target: UiTarget::Link(link), .. } = event {
            let at: Vec<String> = link.addresses().iter().map(ToString::to_string).collect();
            let words = format!("link     to session {} at {}: join it? yes", link.id(), at.join(" "));
            let session = json!({ "id": link.id().to_string(), "addresses": at });
            self.event("ui_join_requested", &words, json!({ "link": link.to_string(), "session": session }));
        }
    }

    /// A seat whose link was lost, or is back.
    fn link(&self, session: &Session, account: AccountId, link: &str) {
        let snapshot = session.snapshot();
        let Some(member) = snapshot.member(account) else { return };
        let mut fields = member_json(member);
        fields["link"] = link.into();
        let fields = json!({ "member": fields, "session": snapshot_json(&snapshot, &own_addresses(session)) });
        self.event("member_updated", &format!("member   {member} is {link}"), fields);
    }

    fn left(&self, session: &Session, why: &Left) {
        let (event, detail) = match why {
            Left::Kicked(reason) | Left::Banned(reason) => ("kicked", json!(reason.text())),
            Left::Destroyed => ("destroyed", Json::Null),
            Left::HostLost => ("host_lost", Json::Null),
            _ => ("left", Json::Null),
        };
        let session = snapshot_json(&session.snapshot(), &own_addresses(session));
        let fields = json!({ "reason": why.id(), "text": detail, "session": session });
        let words = match why {
            Left::Kicked(reason) => reason.to_string(),
            other => other.to_string(),
        };
        self.event(event, &format!("{:<8} {words}", event.replace('_', " ")), fields);
    }

    /// A join that was not granted; of which session, where that is known.
    pub(crate) fn refused(&self, refusal: &Refusal, found: Option<&Found>) {
        let mut fields = json!({ "reason": refusal.id(), "code": refusal.code(), "text": refusal.to_string() });
        if let Some(found) = found {
            fields["session"] = found_json(found);
        }
        self.event("refused", &format!("refused  {refusal}"), fields);
    }
}

/// `K7Q-F2M "Ada's room" 1/4 public lobby`, then where and how far, then what it says of itself.
fn found_line(found: &Found) -> String {
    let ping = found.ping().map_or_else(|| "-".to_owned(), |ping| format!("{:.1} ms", ping.as_secs_f64() * 1e3));
    let address = found.addresses().first().map_or_else(|| "-".to_owned(), |a| a.addr.to_string());
    let mut line = format!(
        "{} {:?} {}/{} {} {} {address} {ping}",
        found.code(),
        found.name(),
        found.members(),
        found.max_members(),
        found.policy().as_str(),
        found.phase().as_str(),
    );
    if found.password() {
        line.push_str(" password");
    }
    for (name, attribute) in found.attributes().iter() {
        let _ = write!(line, " {name}={}", value_json(&attribute.value));
    }
    for word in found.keywords() {
        let _ = write!(line, " #{word}");
    }
    line
}

/// The same of a session from within.
pub(crate) fn snapshot_line(snapshot: &SessionSnapshot) -> String {
    format!(
        "{} {:?} {}/{} {} {}",
        lansession::RoomCode::of(snapshot.key),
        snapshot.name,
        snapshot.members.len(),
        snapshot.max_members,
        snapshot.policy.as_str(),
        snapshot.phase.as_str(),
    )
}

/// `map "dust" -> "nuke"`.
fn change_words(change: &Json) -> String {
    let name = change.get("name").unwrap_or(&change["setting"]).as_str().unwrap_or_default();
    let word = |value: &Json| if value.is_null() { "none".to_owned() } else { value.to_string() };
    format!("{name} {} -> {}", word(&change["old"]), word(&change["new"]))
}

fn own_addresses(session: &Session) -> Vec<String> {
    session.addresses().iter().map(ToString::to_string).collect()
}

pub(crate) fn value_json(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Int(int) => json!(int),
        Value::Float(float) => json!(float),
        Value::Bool(flag) => json!(flag),
        Value::List(list) => json!(list),
        other => json!(other.to_string()),
    }
}

fn attributes_json(attributes: &Attributes) -> Json {
    attributes.iter().map(|(name, a)| (name.to_owned(), value_json(&a.value))).collect::<Map<_, _>>().into()
}

fn ports_json(ports: &[(String, u16)]) -> Json {
    ports.iter().map(|(name, port)| (name.clone(), json!(port))).collect::<Map<_, _>>().into()
}

pub(crate) fn member_json(member: &Member) -> Json {
    json!({
        "account": member.account.to_string(),
        "name": member.name,
        "number": member.number,
        "link": if member.link == LinkState::Away { "away" } else { "connected" },
        "ready": member.ready,
        "host": member.is_host,
        "status": format!("{:?}", member.status).to_lowercase(),
        "role": member.role,
        "attributes": attributes_json(&member.attributes),
    })
}

fn change_json(change: &SettingsChange) -> Json {
    let (setting, old, new) = match change {
        SettingsChange::Name(old, new) => ("name".to_owned(), json!(old), json!(new)),
        SettingsChange::Schema(old, new) => ("schema".to_owned(), json!(old), json!(new)),
        SettingsChange::MaxMembers(old, new) => ("max_members".to_owned(), json!(old), json!(new)),
        SettingsChange::ReservedSlots(old, new) => ("reserved_slots".to_owned(), json!(old), json!(new)),
        SettingsChange::Policy(old, new) => ("policy".to_owned(), json!(old.as_str()), json!(new.as_str())),
        SettingsChange::Listed(old, new) => ("listed".to_owned(), json!(old), json!(new)),
        SettingsChange::Closed(old, new) => ("closed".to_owned(), json!(old), json!(new)),
        SettingsChange::Locked(old, new) => ("locked".to_owned(), json!(old), json!(new)),
        SettingsChange::JoinInProgress(old, new) => ("join_in_progress".to_owned(), json!(old), json!(new)),
        SettingsChange::Keywords(old, new) => ("keywords".to_owned(), json!(old), json!(new)),
        SettingsChange::Ports(old, new) => ("ports".to_owned(), ports_json(old), ports_json(new)),
        SettingsChange::Attribute(change) => {
            let json_of = |value: &Option<Value>| value.as_ref().map_or(Json::Null, value_json);
            // Named apart: an attribute may be called as a setting is.
            let (old, new) = (json_of(&change.old), json_of(&change.new));
            return json!({ "setting": "attribute", "name": change.name, "old": old, "new": new });
        }
        other => (format!("{other:?}"), Json::Null, Json::Null),
    };
    json!({ "setting": setting, "old": old, "new": new })
}

pub(crate) fn found_json(found: &Found) -> Json {
    let sources: Vec<&str> = found
        .sources()
        .iter()
        .map(|source| match source {
            Source::Mdns => "mdns",
            Source::Direct => "direct",
            _ => "beacon",
        })
        .collect();
    let addresses: Vec<String> = found.addresses().iter().map(|a| a.addr.to_string()).collect();
    json!({
        "id": found.id().to_string(),
        "name": found.name(),
        "code": found.code().to_string(),
        "host_key": found.host_key().to_string(),
        "addresses": addresses,
        "ports": ports_json(&found.facts().ports),
        "attributes": attributes_json(found.attributes()),
        "keywords": found.keywords(),
        "members": found.members(),
        "max_members": found.max_members(),
        "open_slots": found.open_slots(),
        "policy": found.policy().as_str(),
        "phase": found.phase().as_str(),
        "version": found.version(),
        "password": found.password(),
        "ping_ms": found.ping().map(|ping| (ping.as_secs_f64() * 1e6).round() / 1e3),
        "confirmed": found.is_confirmed(),
        "sources": sources,
    })
}

pub(crate) fn snapshot_json(snapshot: &SessionSnapshot, addresses: &[String]) -> Json {
    json!({
        "id": snapshot.key.id.to_string(),
        "name": snapshot.name,
        "code": lansession::RoomCode::of(snapshot.key).to_string(),
        "host_key": snapshot.host_key.to_string(),
        "addresses": addresses,
        "ports": ports_json(&snapshot.ports),
        "attributes": attributes_json(&snapshot.attributes),
        "keywords": snapshot.keywords,
        "members": snapshot.members.len(),
        "max_members": snapshot.max_members,
        "open_slots": snapshot.open_slots(),
        "policy": snapshot.policy.as_str(),
        "phase": snapshot.phase.as_str(),
        "version": snapshot.version,
        "password": snapshot.password,
        "ping_ms": Json::Null,
        "confirmed": true,
        "sources": [],
    })
}
