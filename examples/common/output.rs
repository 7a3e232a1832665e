//! Lines on standard output: for people, or with `--json` one object each.

use std::io::Write;
use std::time::Instant;

use lansession::{
    Attributes, BrowserEvent, Found, Left, Member, Refusal, Session, SessionEvent, SessionSnapshot, SettingsChange,
    Source, Value,
};
use serde_json::{Map, Value as Json, json};

/// Where events go.
pub(crate) struct Output {
    json: bool,
    start: Instant,
}

impl Output {
    /// `at_ms` counts from here: call it first.
    pub(crate) fn new() -> Self {
        Self { json: false, start: Instant::now() }
    }

    /// One object a line instead of words.
    pub(crate) fn json(&mut self, on: bool) {
        self.json = on;
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
                self.event("updated", &format!("updated  {}", line(new)), json!({ "session": found_json(new) }));
            }
            BrowserEvent::Lost(key) => {
                let session = json!({ "id": key.id.to_string() });
                self.event("lost", &format!("lost     {}", key.id), json!({ "session": session }));
            }
            _ => {}
        }
    }

    /// One session of a find.
    pub(crate) fn found(&self, found: &Found) {
        self.event("found", &format!("found    {}", line(found)), json!({ "session": found_json(found) }));
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
                self.event("joined", &format!("joined   {snapshot}"), with(json!({})));
            }
            SessionEvent::MemberJoined { member, present_before, .. } => {
                let me = member.account == session.user().id();
                let came = if me { "is in: that is us" } else { "came" };
                let words = format!("member   {member} {}", if *present_before { "is here" } else { came });
                let fields = json!({ "member": member_json(member), "present_before": present_before, "me": me });
                self.event("member_joined", &words, with(fields));
            }
            SessionEvent::MemberLeft { member, why, .. } => {
                let words = format!("member   {member} is gone: {why}");
                let fields = json!({ "member": member_json(member), "reason": why.id() });
                self.event("member_left", &words, with(fields));
            }
            SessionEvent::MemberAway { account, .. } => {
                let fields = json!({ "account": account.to_string(), "link": "away" });
                self.event("member_updated", &format!("member   {account:?} is away"), with(fields));
            }
            SessionEvent::MemberBack { account, .. } => {
                let fields = json!({ "account": account.to_string(), "link": "connected" });
                self.event("member_updated", &format!("member   {account:?} is back"), with(fields));
            }
            SessionEvent::MemberUpdated { member, .. } => {
                let fields = json!({ "member": member_json(member) });
                self.event("member_updated", &format!("member   {member} changed"), with(fields));
            }
            SessionEvent::SettingsChanged { changes, .. } => {
                let all: Vec<Json> = changes.iter().map(change_json).collect();
                let words = format!("settings {}", Json::Array(all.clone()));
                self.event("settings_changed", &words, with(json!({ "changes": all })));
            }
            SessionEvent::PhaseChanged { old, new, .. } => {
                let change = json!({ "setting": "phase", "old": old.as_str(), "new": new.as_str() });
                let words = format!("phase    {} -> {}", old.as_str(), new.as_str());
                self.event("settings_changed", &words, with(json!({ "changes": [change] })));
            }
            SessionEvent::Message { from, data, .. } => {
                let text = String::from_utf8_lossy(data);
                let name = from.and_then(|account| session.snapshot().member(account).map(|m| m.name.clone()));
                let words = format!("message  {}: {text}", name.as_deref().unwrap_or("host"));
                let fields = json!({ "from": from.map(|account| account.to_string()), "text": text });
                self.event("message", &words, with(fields));
            }
            SessionEvent::Left { why, .. } => self.left(session, why),
            _ => return false,
        }
        true
    }

    fn left(&self, session: &Session, why: &Left) {
        let (event, detail) = match why {
            Left::Kicked(reason) | Left::Banned(reason) => ("kicked", json!(reason.text())),
            Left::Destroyed => ("destroyed", Json::Null),
            Left::HostLost => ("host_lost", Json::Null),
            _ => ("left", Json::Null),
        };
        let session = json!({ "id": session.id().to_string(), "name": session.snapshot().name });
        let fields = json!({ "reason": why.id(), "text": detail, "session": session });
        self.event(event, &format!("{event:<8} {why}"), fields);
    }

    /// A join that was not granted.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let fields = json!({ "reason": refusal.id(), "code": refusal.code(), "text": refusal.to_string() });
        self.event("refused", &format!("refused  {refusal}"), fields);
    }
}

fn line(found: &Found) -> String {
    let ping = found.ping().map_or_else(|| "-".to_owned(), |ping| format!("{:.1} ms", ping.as_secs_f64() * 1e3));
    let address = found.addresses().first().map_or_else(|| "-".to_owned(), |a| a.addr.to_string());
    format!(
        "{} {:?} {}/{} {} {} {} {ping}",
        found.code(),
        found.name(),
        found.members(),
        found.max_members(),
        found.policy().as_str(),
        found.phase().as_str(),
        address,
    )
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

fn member_json(member: &Member) -> Json {
    json!({
        "account": member.account.to_string(),
        "name": member.name,
        "number": member.number,
        "ready": member.ready,
        "host": member.is_host,
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
            (change.name.clone(), json_of(&change.old), json_of(&change.new))
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
