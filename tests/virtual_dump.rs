//! `Session::dump`: the whole text, and what must never be in it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{HostRequest, Identity, JoinRequest, MemberUpdate, Profile, Role, SessionSettings, Visibility};

const SECOND: Duration = Duration::from_secs(1);
const GAME: &str = "com.example.boxes";

fn profile(name: &str, seed: u8) -> Profile {
    Profile::new(name).identity(Identity::from_seed([seed; 32]).unwrap())
}

/// The id and the founder's key are drawn at the host: everything else of the text is the same in every run.
fn without_ids(dump: &str) -> Vec<String> {
    let fixed = |line: &str| !line.starts_with("founder") && !line.starts_with("lansession");
    dump.lines().filter(|line| fixed(line)).map(str::to_owned).collect()
}

#[test]
fn a_dump_shows_the_whole_seat_and_no_secret() {
    let net = VirtualLan::new(3);
    let (host, guest) = (net.lan("host", GAME).start().unwrap(), net.lan("guest", GAME).start().unwrap());
    let settings = SessionSettings::new("Ada's \"room\"")
        .max_members(4)
        .keyword("ranked")
        .port("game", 7_777)
        .attr("map", "dust, \"2\"")
        .attr_with("seed", 7, Visibility::Host)
        .attr_with("fog", true, Visibility::Members)
        .role(Role::new("red").max(1));
    let request = HostRequest::new(settings).password("swordfish").local_name("GameSession").control_port(4_000);
    let ada = host.sign_in(profile("Ada", 1)).unwrap();
    let room = ada.host(request).wait(SECOND).unwrap();
    let bob = guest.sign_in(profile("Bob", 2).external("eos", *b"\x00\x2a")).unwrap();
    let join = JoinRequest::from(room.link()).password("swordfish").ticket(*b"sesame");
    let seat = bob.join(join).wait(3 * SECOND).unwrap();
    seat.update_me(MemberUpdate::new().ready(true).set("hat", "top")).wait(SECOND).unwrap();
    net.run_until(SECOND, || room.snapshot().revision == seat.snapshot().revision).unwrap();

    let (at_host, at_guest) = (room.dump(), seat.dump());
    let id = room.id();
    let expected = format!(
        r#"session   {id} "Ada's \"room\"" in "com.example.boxes", version 0
revision  1.3
seat      "GameSession" of "Ada" ({ada:?}), host
link      1 members, 0 away
pending   0 requests
control   port 4000, 10.77.0.1:4000, [fe80::1]:4000, 127.0.0.1:4000
ports     "game"=7777
seats     2 of 4, 0 held back, 2 open
state     public, lobby, listed, join in progress, password
keywords  "ranked"
role      "red", target any, at most 1
timeouts  reserved 30s, ready 180s, inactive never, empty never
attribute "fog" = true (members)
attribute "map" = "dust, \"2\""
attribute "seed" = 7 (host alone)
member    #0 "Ada" ({ada:?}) since 1, Active, Connected, host
member    #1 "Bob" ({bob:?}) since 2, Active, Connected, ready, "eos" 0x002a
  attribute "hat" = "top" (members)"#,
        ada = ada.id(),
        bob = bob.id(),
    );
    assert_eq!(without_ids(&at_host).join("\n"), expected);
    assert!(at_host.starts_with("lansession ") && at_host.lines().next().unwrap().ends_with(", dump 1"));
    assert!(at_host.contains(&format!("founder   {}", room.key().founder)));

    assert!(!at_guest.contains("\"seed\""), "{at_guest}");
    assert!(at_guest.contains("\nlink      connected\n") && at_guest.contains(", member\n"), "{at_guest}");
    let key = room.game_key(bob.id()).unwrap();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    for secret in ["swordfish", "sesame", &hex, &format!("{key:?}"), "0202020202", "2, 2, 2"] {
        assert!(!at_host.contains(secret) && !at_guest.contains(secret), "{secret} is shown");
    }
}

#[test]
fn a_dump_tells_what_is_under_way_and_how_it_ended() {
    let net = VirtualLan::new(4);
    let (host, guest) = (net.lan("host", GAME).start().unwrap(), net.lan("guest", GAME).start().unwrap());
    let room = host.sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(SECOND).unwrap();
    let seat = guest.sign_in("Bob").unwrap().join(room.link()).wait(SECOND).unwrap();
    net.cut("host", "guest");
    let (_first, _second) = (seat.say(*b"x"), seat.update_me(MemberUpdate::new().ready(true)));
    seat.keep();
    assert!(seat.dump().contains("\npending   2 requests\n") && seat.dump().contains(", member, kept\n"));
    net.run_until(20 * SECOND, || room.dump().contains("1 members, 1 away")).unwrap();
    let account = seat.user().id();
    room.kick(account, "no shooting").wait(SECOND).unwrap();
    net.heal("host", "guest");
    net.run_until(30 * SECOND, || seat.dump().contains("ended: ")).unwrap();
    let dump = seat.dump();
    assert!(dump.contains("no shooting"), "{dump}");
    assert!(room.dump().contains("\nlink      0 members, 0 away\n"));
}
