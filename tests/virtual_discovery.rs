//! Finding sessions on the virtual LAN: filters, orders, paths, loss, crashes, partitions, many interfaces.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use lansession::testing::{Fault, Nic, VirtualLan};
use lansession::{
    Browser, BrowserEvent, Field, Found, Lan, LanBuilder, OrderBy, PathKind, Refusal, Session, SessionQuery,
    SessionSettings, SettingsUpdate, Source, attr,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);
const ALL_PATHS: [PathKind; 5] = [
    PathKind::LimitedBroadcast,
    PathKind::DirectedBroadcast,
    PathKind::Ipv4Multicast,
    PathKind::Ipv6Multicast,
    PathKind::Mdns,
];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lan(net: &VirtualLan, node: &str) -> Lan {
    net.lan(node, GAME).start().unwrap()
}

/// A session on a node of its own, or a further process of that node.
fn host(net: &VirtualLan, node: &str, settings: SessionSettings) -> Session {
    let ada = lan(net, node).sign_in("Ada").unwrap();
    ada.host(settings).wait(SECOND).unwrap()
}

fn find(net: &VirtualLan, node: &str, query: impl Into<SessionQuery>) -> Vec<Found> {
    lan(net, node).find(query).wait(70 * SECOND).unwrap()
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(Found::name).collect()
}

fn listed(browser: &Browser) -> usize {
    browser.list().len()
}

/// Until one session is listed that answered a question of ours.
fn until_confirmed(net: &VirtualLan, browser: &Browser) {
    net.run_until(SECOND, || browser.list().iter().any(Found::is_confirmed)).unwrap();
}

#[test]
fn a_session_is_found_as_it_is() {
    let net = VirtualLan::new(1);
    let settings = SessionSettings::new("Ada's room").max_members(4).attr("map", "dust").keyword("Ranked");
    let room = host(&net, "host", settings.port("game", 7_777));
    let found = find(&net, "guest", SessionQuery::new().enough(1));
    assert_eq!(names(&found), ["Ada's room"]);
    let entry = &found[0];
    assert_eq!(entry.key(), room.key());
    assert_eq!((entry.members(), entry.max_members(), entry.open_slots()), (1, 4, 3));
    assert_eq!(entry.attributes().get("map").and_then(|map| map.as_str()), Some("dust"));
    assert_eq!(entry.keywords(), ["ranked"]);
    assert!(entry.is_confirmed() && entry.joinable().is_ok());
    assert!(entry.ping().is_some_and(|ping| ping < ms(10)), "{:?}", entry.ping());
    assert_eq!(entry.endpoint("game").unwrap().addr().port(), 7_777);
}

#[test]
fn enough_ends_a_find_within_a_round_trip_and_the_timeout_else() {
    let net = VirtualLan::new(2);
    let _room = host(&net, "host", SessionSettings::new("room"));
    // In its first two seconds a host answers as one of a hundred.
    net.advance(3 * SECOND);
    let guest = lan(&net, "guest");
    let before = net.now();
    assert_eq!(guest.find(SessionQuery::new().enough(1)).wait(SECOND).unwrap().len(), 1);
    assert!(net.now() - before < ms(20), "{:?}", net.now() - before);
    let before = net.now();
    assert_eq!(guest.find(SessionQuery::new().timeout(ms(700))).wait(SECOND).unwrap().len(), 1);
    assert_eq!(net.now() - before, ms(700));
}

#[test]
fn filters_hold_and_a_host_that_cannot_match_is_silent() {
    let net = VirtualLan::new(3);
    let _dust = host(&net, "dust", SessionSettings::new("dust").attr("map", "dust").attr("skill", 3));
    let _ice = host(&net, "ice", SessionSettings::new("ice").attr("map", "ice").max_members(1));
    net.advance(5 * SECOND);
    let before = net.traffic();
    // By mDNS everybody is heard of, and asked.
    let finder = net.lan("a", GAME).mdns(false).start().unwrap();
    assert_eq!(names(&finder.find(attr("map").eq("dust")).wait(2 * SECOND).unwrap()), ["dust"]);
    let since = net.traffic().since(&before);
    assert_eq!((since.of("ice"), since.of("dust") > 0), (0, true), "{since:?}");
    assert_eq!(names(&find(&net, "b", Field::OPEN_SLOTS.eq(0))), ["ice"]);
    assert_eq!(names(&find(&net, "c", !attr("skill").gt(3) & attr("map").ne("ice"))), ["dust"]);
    assert!(find(&net, "d", attr("map").eq("lava") | attr("skill").gt(3)).is_empty());
    assert_eq!(find(&net, "e", Field::PING_MS.lt(50)).len(), 2);
}

#[test]
fn order_and_take() {
    let net = VirtualLan::new(4);
    let rooms: Vec<Session> = [800, 1_150, 1_500, 1_210]
        .into_iter()
        .enumerate()
        .map(|(n, skill)| host(&net, &format!("h{n}"), SessionSettings::new(format!("{skill}")).attr("skill", skill)))
        .collect();
    let query = |order| SessionQuery::new().order_by([order]).take(3);
    assert_eq!(names(&find(&net, "a", query(OrderBy::near("skill", 1_200.0)))), ["1210", "1150", "1500"]);
    assert_eq!(names(&find(&net, "b", query(OrderBy::descending("skill")))), ["1500", "1210", "1150"]);
    assert_eq!(names(&find(&net, "c", query(OrderBy::ascending("skill")))), ["800", "1150", "1210"]);
    assert!(find(&net, "d", SessionQuery::new().take(0)).is_empty());
    drop(rooms);
}

#[test]
fn a_browser_sees_a_newcomer_a_change_and_a_goodbye_at_once() {
    let net = VirtualLan::new(5);
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    let mut events = browser.events();
    net.advance(5 * SECOND);
    let room = host(&net, "host", SessionSettings::new("room").attr("map", "dust"));
    net.run_until(ms(50), || listed(&browser) == 1).unwrap();
    net.advance(5 * SECOND);
    room.update(SettingsUpdate::new().set("map", "ice")).wait(SECOND).unwrap();
    let map_is = |map: &str| browser.list().iter().any(|found| found.attributes().get("map") == Some(&map.into()));
    net.run_until(ms(50), || map_is("ice")).unwrap();
    net.advance(5 * SECOND);
    let key = room.key();
    drop(room);
    net.run_until(ms(250), || listed(&browser) == 0).unwrap();
    let mut kinds = Vec::new();
    while let Some(event) = events.try_next() {
        kinds.push(match event {
            BrowserEvent::Found(found) if found.key() == key => 'f',
            BrowserEvent::Updated { ref new, .. } if new.key() == key => 'u',
            BrowserEvent::Lost(lost) if lost == key => 'l',
            other => panic!("{other:?}"),
        });
    }
    kinds.dedup();
    assert_eq!(kinds, ['f', 'u', 'l']);
}

#[test]
fn a_crashed_host_is_lost_within_eight_seconds() {
    for seed in 0..20 {
        let net = VirtualLan::new(seed);
        let guest = lan(&net, "guest");
        let browser = guest.browse(SessionQuery::new()).unwrap();
        let _room = host(&net, "host", SessionSettings::new("room"));
        until_confirmed(&net, &browser);
        net.advance(Duration::from_millis(seed * 777));
        net.crash("host");
        net.run_until(8 * SECOND, || listed(&browser) == 0).unwrap();
    }
}

#[test]
fn nothing_is_lost_that_lives_at_a_fifth_of_loss() {
    let net = VirtualLan::new(6);
    let rooms: Vec<Session> =
        (0..3).map(|n| host(&net, &format!("h{n}"), SessionSettings::new(format!("room {n}")))).collect();
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    let _loss = net.fault(Fault::loss(0.2));
    net.run_until(3 * SECOND, || listed(&browser) == 3).unwrap();
    let mut events = browser.events();
    while events.try_next().is_some() {}
    net.advance(600 * SECOND);
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, BrowserEvent::Lost(_)), "{event:?}");
    }
    drop(rooms);
}

#[test]
fn a_partition_loses_and_a_heal_finds_again() {
    let net = VirtualLan::new(7);
    let _room = host(&net, "host", SessionSettings::new("room"));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    until_confirmed(&net, &browser);
    net.cut("host", "guest");
    net.run_until(8 * SECOND, || listed(&browser) == 0).unwrap();
    net.advance(30 * SECOND);
    net.heal("host", "guest");
    net.run_until(65 * SECOND, || listed(&browser) == 1).unwrap();
}

#[test]
fn one_way_that_is_open_is_enough() {
    for open in ALL_PATHS {
        let net = VirtualLan::new(8);
        let closed = ALL_PATHS.iter().filter(|&&path| path != open).fold(Fault::silence(), |f, &path| f.path(path));
        let _dropped = net.fault(closed);
        let _room = host(&net, "host", SessionSettings::new("room"));
        if open == PathKind::Mdns && !cfg!(feature = "mdns") {
            continue;
        }
        let found = find(&net, "guest", SessionQuery::new().enough(1).timeout(3 * SECOND));
        assert_eq!(names(&found), ["room"], "over {open}");
    }
}

#[test]
fn by_mdns_alone_each_of_two_hosts_on_one_machine_is_found() {
    if !cfg!(feature = "mdns") {
        return;
    }
    let net = VirtualLan::new(41);
    let quiet = |node: &str| net.lan(node, GAME).beacons(false).start().unwrap();
    let (one, two) = (quiet("host"), quiet("host"));
    let _one = one.sign_in("Ada").unwrap().host(SessionSettings::new("one")).wait(SECOND).unwrap();
    let _two = two.sign_in("Ben").unwrap().host(SessionSettings::new("two")).wait(SECOND).unwrap();
    // On another machine, and on the hosts' own.
    for node in ["guest", "host"] {
        let found = quiet(node).find(SessionQuery::new().timeout(2 * SECOND)).wait(3 * SECOND).unwrap();
        let mut names = names(&found);
        names.sort_unstable();
        assert_eq!(names, ["one", "two"], "from {node}");
        assert!(found.iter().all(|found| found.sources().contains(Source::Mdns) && found.is_confirmed()));
    }
}

#[test]
fn beacons_and_mdns_make_one_entry_with_both_sources() {
    if !cfg!(feature = "mdns") {
        return;
    }
    let net = VirtualLan::new(9);
    let _room = host(&net, "host", SessionSettings::new("room"));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    net.advance(5 * SECOND);
    let list = browser.list();
    assert_eq!(list.len(), 1);
    assert!(list[0].sources().contains(Source::Beacon) && list[0].sources().contains(Source::Mdns));
}

/// While nothing but broadcasts and multicasts passes, the host's second answer to the same finder, to all, confirms it.
#[test]
fn an_entry_that_only_an_answer_to_all_confirmed_gets_a_ping_too() {
    for seed in 0..10 {
        let net = VirtualLan::new(seed);
        let _room = host(&net, "host", SessionSettings::new("room"));
        let guest = net.lan("guest", GAME).mdns(false).start().unwrap();
        let to_all_only = net.fault(Fault::silence().path(PathKind::Unicast));
        let browser = guest.browse(SessionQuery::new()).unwrap();
        until_confirmed(&net, &browser);
        assert_eq!(browser.list()[0].ping(), None);
        net.advance(ms(400));
        drop(to_all_only);
        net.run_until(2 * SECOND, || browser.list()[0].ping().is_some()).unwrap();
    }
}

#[test]
fn duplicates_and_overtaking_make_no_second_entry() {
    let net = VirtualLan::new(10);
    let _twice = net.fault(Fault::duplicate(0.5));
    let _mixed = net.fault(Fault::reorder(0.5, ms(80)));
    let room = host(&net, "host", SessionSettings::new("room").attr("round", 0));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    let mut events = browser.events();
    for round in 1..20 {
        room.update(SettingsUpdate::new().set("round", round)).wait(SECOND).unwrap();
        net.advance(ms(700));
    }
    let (mut found, mut last) = (0, -1);
    while let Some(event) = events.try_next() {
        let entry = match event {
            BrowserEvent::Found(entry) => {
                found += 1;
                entry
            }
            BrowserEvent::Updated { new, .. } => new,
            other => panic!("{other:?}"),
        };
        let round = entry.attributes().get("round").and_then(lansession::Value::as_int).unwrap();
        assert!(round >= last, "{round} after {last}");
        last = round;
    }
    assert_eq!((found, last), (1, 19));
}

/// Two interfaces, on two segments.
fn two_nics(number: u8) -> [Nic; 3] {
    [
        Nic::loopback(),
        Nic::new("eth0", "left").address(&format!("10.1.0.{number}/24")).address(&format!("fe80::1:{number}/64")),
        Nic::new("eth1", "right").address(&format!("10.2.0.{number}/24")).address(&format!("fe80::2:{number}/64")),
    ]
}

#[test]
fn pain_06_several_interfaces_make_one_entry() {
    let net = VirtualLan::new(11);
    net.set_interfaces("host", two_nics(1)).unwrap();
    net.set_interfaces("guest", two_nics(2)).unwrap();
    let _room = host(&net, "host", SessionSettings::new("room"));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    let mut events = browser.events();
    net.advance(20 * SECOND);
    let mut found = 0;
    while let Some(event) = events.try_next() {
        found += usize::from(matches!(event, BrowserEvent::Found(_)));
        assert!(!matches!(event, BrowserEvent::Lost(_)));
    }
    let list = browser.list();
    assert_eq!((found, list.len()), (1, 1));
    let on = |net: &str| list[0].addresses().iter().any(|address| address.addr.to_string().starts_with(net));
    // On each of the two networks, by one family or the other.
    let on_second =
        on("10.2.0.1:") || list[0].addresses().iter().any(|address| address.addr.to_string().contains("%2"));
    assert!(on("10.1.0.1:") && on_second, "{:?}", list[0].addresses());
}

#[test]
fn a_dead_interface_that_is_preferred_silences_none_of_the_others() {
    let net = VirtualLan::new(12);
    let dead = Nic::new("tun0", "nowhere").address("172.16.0.1/24");
    let [lo, left, right] = two_nics(1);
    net.set_interfaces("host", [lo, dead, left, right]).unwrap();
    net.set_interfaces("a", [Nic::new("eth0", "left").address("10.1.0.7/24")]).unwrap();
    net.set_interfaces("b", [Nic::new("eth0", "right").address("10.2.0.7/24")]).unwrap();
    let _room = host(&net, "host", SessionSettings::new("room"));
    for node in ["a", "b"] {
        assert_eq!(find(&net, node, SessionQuery::new().enough(1)).len(), 1, "{node}");
    }
}

#[test]
fn pain_09_a_host_with_a_new_address_is_seen_again() {
    let net = VirtualLan::new(13);
    let _room = host(&net, "host", SessionSettings::new("room"));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    until_confirmed(&net, &browser);
    net.set_interfaces("host", []).unwrap();
    net.run_until(9 * SECOND, || listed(&browser) == 0).unwrap();
    net.set_interfaces("host", [Nic::new("eth0", "lan").address("10.77.9.9/16")]).unwrap();
    net.run_until(6 * SECOND, || browser.list().iter().any(Found::is_confirmed)).unwrap();
    assert!(browser.list()[0].addresses()[0].addr.to_string().starts_with("10.77.9.9:"));
}

#[test]
fn pain_09_a_minute_of_sleep_is_survived() {
    let net = VirtualLan::new(14);
    let _room = host(&net, "host", SessionSettings::new("room"));
    let guest = lan(&net, "guest");
    let browser = guest.browse(SessionQuery::new()).unwrap();
    until_confirmed(&net, &browser);
    net.freeze("host", 60 * SECOND);
    net.run_until(8 * SECOND, || listed(&browser) == 0).unwrap();
    net.advance(53 * SECOND);
    net.run_until(6 * SECOND, || listed(&browser) == 1).unwrap();
    net.freeze("guest", 60 * SECOND);
    net.advance(61 * SECOND);
    net.run_until(6 * SECOND, || listed(&browser) == 1).unwrap();
}

#[test]
fn ten_hosts_and_ten_finders_of_one_machine_without_a_network() {
    let net = VirtualLan::new(15);
    net.set_interfaces("pc", [Nic::loopback()]).unwrap();
    let mut rooms: Vec<Session> =
        (0..10).map(|n| host(&net, "pc", SessionSettings::new(format!("room {n}")))).collect();
    let finders: Vec<Lan> = (0..10).map(|_| lan(&net, "pc")).collect();
    let finds: Vec<_> = finders.iter().map(|finder| finder.find(SessionQuery::new().enough(10))).collect();
    for find in finds {
        assert_eq!(find.wait(SECOND).unwrap().len(), 10);
    }
    let browsers: Vec<Browser> = finders.iter().map(|finder| finder.browse(SessionQuery::new()).unwrap()).collect();
    net.run_until(SECOND, || browsers.iter().all(|browser| listed(browser) == 10)).unwrap();
    drop(rooms.remove(4));
    net.run_until(SECOND, || browsers.iter().all(|browser| listed(browser) == 9)).unwrap();
    net.advance(20 * SECOND);
    assert!(browsers.iter().all(|browser| listed(browser) == 9));
}

#[test]
fn finding_while_hosting() {
    let net = VirtualLan::new(16);
    let a = host(&net, "a", SessionSettings::new("a"));
    let b = host(&net, "b", SessionSettings::new("b"));
    for room in [&a, &b] {
        let found = room.user().find(SessionQuery::new()).wait(2 * SECOND).unwrap();
        let other = if room.key() == a.key() { "b" } else { "a" };
        assert!(names(&found).contains(&other), "{found:?}");
    }
}

#[test]
fn a_typed_address_is_found_where_nothing_else_passes() {
    let net = VirtualLan::new(17);
    let isolated = ALL_PATHS.iter().fold(Fault::silence(), |fault, &path| fault.path(path));
    let _isolated = net.fault(isolated);
    let _room = host(&net, "host", SessionSettings::new("room"));
    assert!(find(&net, "guest", SessionQuery::new()).is_empty());
    let address: SocketAddr = SocketAddr::from(([10, 77, 0, 1], LanBuilder::BEACON_PORT));
    let found = find(&net, "guest", SessionQuery::new().at(address).enough(1));
    assert_eq!(names(&found), ["room"]);
    assert!(found[0].sources().contains(Source::Direct) && found[0].is_confirmed());
}

#[test]
fn another_game_or_version_is_apart() {
    let net = VirtualLan::new(18);
    let _room = host(&net, "host", SessionSettings::new("room"));
    let stranger = net.lan("a", "com.example.chess").start().unwrap();
    assert!(stranger.find(SessionQuery::new()).wait(2 * SECOND).unwrap().is_empty());
    let newer = net.lan("b", GAME).version(2).start().unwrap();
    let found = newer.find(SessionQuery::new().enough(1)).wait(2 * SECOND).unwrap();
    assert!(matches!(found[0].joinable(), Err(Refusal::Incompatible { ours: 2, theirs: 0, .. })));
}

#[test]
fn pain_25_nobody_talks_unasked() {
    let net = VirtualLan::new(19);
    let guest = lan(&net, "guest");
    let _bob = guest.sign_in("Bob").unwrap();
    net.advance(3_600 * SECOND);
    assert_eq!(net.traffic().datagrams, 0);
    assert!(guest.find(SessionQuery::new()).wait(2 * SECOND).unwrap().is_empty());
    net.advance(SECOND);
    let before = net.traffic();
    net.advance(3_600 * SECOND);
    assert_eq!(net.traffic().since(&before).datagrams, 0);
}

#[test]
fn an_idle_host_is_nearly_silent() {
    let net = VirtualLan::new(20);
    let _room = host(&net, "host", SessionSettings::new("room"));
    net.advance(60 * SECOND);
    let before = net.traffic();
    net.advance(3_600 * SECOND);
    let since = net.traffic().since(&before);
    // One beacon a minute, by each way of each interface.
    assert!(since.datagrams <= 90 * 8, "{since:?}");
}

#[test]
fn same_seed_same_run() {
    let run = |seed| {
        let net = VirtualLan::new(seed);
        let _loss = net.fault(Fault::loss(0.2));
        let rooms: Vec<Session> =
            (0..5).map(|n| host(&net, &format!("h{n}"), SessionSettings::new(format!("room {n}")))).collect();
        let guest = lan(&net, "guest");
        let found = guest.find(SessionQuery::new()).wait(2 * SECOND).unwrap();
        let bob = guest.sign_in("Bob").unwrap();
        let seat = found.first().map(|entry| bob.join(entry).wait(6 * SECOND));
        net.advance(5 * SECOND);
        drop((rooms, seat));
        net.advance(SECOND);
        net.transcript()
    };
    let first = run(21);
    assert_eq!(first, run(21));
    assert_ne!(first, run(22));
}
