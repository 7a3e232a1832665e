//! SECURITY.md: each threat has a test that exists; and secrets that no log may show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_threat_of_the_page_names_tests_that_exist() {
    let page = fs::read_to_string("SECURITY.md").unwrap();
    let (_, table) = page.split_once("<!-- threats -->").unwrap();
    let (table, _) = table.split_once("<!-- /threats -->").unwrap();
    let mut all = String::new();
    sources(Path::new("src"), &mut all);
    sources(Path::new("tests"), &mut all);
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() >= 35, "{} rows", rows.len());
    let mut missing = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, holds, tests] = cells[..] else { panic!("a row of three cells: {row}") };
        assert!(!holds.is_empty(), "{row}");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row} names no test");
        missing.extend(named.into_iter().filter(|name| !all.contains(&format!("fn {name}()"))));
    }
    assert!(missing.is_empty(), "tests that do not exist: {missing:?}");
}

#[cfg(feature = "net")]
mod log {
    use std::fmt::{Debug, Write as _};
    use std::io::{Read, Write as _};
    use std::net::TcpStream;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use lansession::{HostRequest, Identity, JoinRequest, Lan, Preset, Profile, SessionSettings};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    const WAIT: Duration = Duration::from_secs(20);

    /// Keeps every event of every level as text.
    struct Everything(Arc<Mutex<String>>);

    struct Words<'a>(&'a mut String);

    impl Visit for Words<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl Subscriber for Everything {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut Words(&mut self.0.lock().unwrap()));
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, values: &Record<'_>) {
            values.record(&mut Words(&mut self.0.lock().unwrap()));
        }
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut text = self.0.lock().unwrap();
            write!(text, "\n{} {}", event.metadata().level(), event.metadata().target()).unwrap();
            event.record(&mut Words(&mut text));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Fails when the driver traces the payload of frames: the ticket is in it.
    #[test]
    fn no_line_of_the_log_shows_a_secret() {
        let text = Arc::new(Mutex::new(String::new()));
        tracing::subscriber::set_global_default(Everything(Arc::clone(&text))).unwrap();
        let builder = || Lan::builder("com.example.secrets").preset(Preset::Loopback);
        let host = builder().start().unwrap();
        let guest = builder().beacon_port(host.beacon_port()).start().unwrap();
        let seed = |byte| Identity::from_seed([byte; 32]).unwrap();
        let ada = host.sign_in(Profile::new("Ada").identity(seed(0xa5))).unwrap();
        let bob = guest.sign_in(Profile::new("Bob").identity(seed(0xb6))).unwrap();
        let room = HostRequest::new(SessionSettings::new("room")).password("swordfish");
        let room = ada.host(room).wait(WAIT).unwrap();
        let with = |password: &str| {
            let request = JoinRequest::from(room.link()).password(password).ticket(*b"planted-ticket");
            bob.join(request).wait(WAIT)
        };
        assert!(with("sturgeon").is_err());
        let seat = with("swordfish").unwrap();
        seat.say(*b"planted-message").wait(WAIT).unwrap();
        let key = seat.game_key(bob.id()).unwrap();
        // Something that is logged in any case: a handshake that is none.
        let mut stranger = TcpStream::connect(("127.0.0.1", room.control_port())).unwrap();
        stranger.write_all(&[0x16, 3, 3, 0, 4, 1, 2, 3, 4]).unwrap();
        let _closed = stranger.read(&mut [0; 64]);
        seat.leave().wait(WAIT).unwrap();
        guest.close().wait(WAIT).unwrap();
        host.close().wait(WAIT).unwrap();

        let text = text.lock().unwrap();
        assert!(text.contains("lansession::"), "something was logged: {text}");
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let list = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
        let raw: [&[u8]; 6] = [b"swordfish", b"sturgeon", b"planted-", &[0xa5; 8], &[0xb6; 8], &key[..8]];
        for secret in raw {
            for form in [hex(secret), list(secret), String::from_utf8_lossy(secret).into_owned()] {
                assert!(!text.to_lowercase().contains(&form.to_lowercase()), "{form:?} in {text}");
            }
        }
    }
}
