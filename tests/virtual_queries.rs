//! Queries as MPSD asks them, on the virtual LAN: each parameter with its default, the rights, the order, the batch.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, UNIX_EPOCH};

use lansession::testing::VirtualLan;
use lansession::{
    ErrorKind, Field, Found, HostRequest, Identity, JoinPolicy, MemberStatus, OrderBy, Session, SessionQuery,
    SessionSettings, SessionVisibility, SettingsUpdate, User, attr,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn room(name: &str) -> SessionSettings {
    SessionSettings::new(name).max_members(4)
}

/// Each session of a user under a local name of its own.
fn host(user: &User, settings: SessionSettings) -> Session {
    let local_name = format!("session {}", user.sessions().len());
    user.host(HostRequest::from(settings).local_name(local_name)).wait(2 * SECOND).unwrap()
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(Found::name).collect()
}

fn find(user: &User, query: SessionQuery) -> Vec<Found> {
    user.find(query).wait(3 * SECOND).unwrap()
}

fn sorted(user: &User, query: SessionQuery) -> Vec<String> {
    let found = find(user, query.order_by([OrderBy::ascending(Field::NAME)]));
    found.iter().map(|found| found.name().to_owned()).collect()
}

fn of(user: &User) -> SessionQuery {
    SessionQuery::new().accounts([user.id()])
}

fn forbidden(query: SessionQuery, user: &User) {
    let error = user.find(query).wait(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error:?}");
}

#[test]
fn keyword_take_version_and_visibility_over_the_lan() {
    let net = VirtualLan::new(1);
    let ada = user(&net, "ada", "Ada");
    let _open = host(&ada, room("open").keyword("Casual"));
    let _friends = host(&ada, room("friends").policy(JoinPolicy::FriendsOnly).listed(true));
    let invited = room("invited").policy(JoinPolicy::InviteOnly).listed(true);
    let _invited = host(&ada, invited.keyword("casual"));
    let _hidden = host(&ada, room("hidden").listed(false).keyword("casual"));
    let _full = host(&ada, SessionSettings::new("full").max_members(1));
    let old = net.lan("old", GAME).version(3).start().unwrap().sign_in("Old").unwrap();
    let _old = host(&old, room("old"));
    let bob = user(&net, "bob", "Bob");

    // The default: everything that is advertised, whatever its policy, room or version.
    assert_eq!(sorted(&bob, SessionQuery::new()), ["friends", "full", "invited", "old", "open"]);
    assert_eq!(sorted(&bob, SessionQuery::new().keyword("CASUAL")), ["invited", "open"]);
    assert_eq!(sorted(&bob, SessionQuery::new().version_up_to(2)), ["friends", "full", "invited", "open"]);
    assert_eq!(sorted(&bob, SessionQuery::new().version_up_to(3)), ["friends", "full", "invited", "old", "open"]);
    let seen = |visibility| sorted(&bob, SessionQuery::new().visibility(visibility));
    assert_eq!(seen(SessionVisibility::Open), ["old", "open"]);
    assert_eq!(seen(SessionVisibility::Visible), ["friends", "invited"]);
    assert_eq!(seen(SessionVisibility::Full), ["full"]);
    assert_eq!(sorted(&bob, SessionQuery::new().visibility(SessionVisibility::Open).version_up_to(0)), ["open"]);

    // A page of results, in the order of its key and then of the id.
    let page = |take| sorted(&bob, SessionQuery::new().take(take));
    assert_eq!(page(2), ["friends", "full"]);
    assert_eq!(page(100).len(), 5);
    let before = net.now();
    assert!(find(&bob, SessionQuery::new().take(0)).is_empty());
    assert_eq!(net.now(), before, "an empty list takes no time");
    let over = bob.find(SessionQuery::new().take(101)).wait(Duration::ZERO).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::InvalidArgument);
    let found = find(&bob, SessionQuery::new());
    assert!(found.windows(2).all(|pair| pair[0].id() < pair[1].id()), "ties go by the session id");
}

#[test]
fn a_row_says_what_theirs_says_and_leaves_out_what_theirs_leaves_out() {
    let net = VirtualLan::new(2);
    let ada = user(&net, "ada", "Ada");
    let open = host(&ada, room("open").keyword("ranked"));
    let _friends = host(&ada, room("friends").policy(JoinPolicy::FriendsOnly).listed(true));
    let _hidden = host(&ada, room("hidden").policy(JoinPolicy::InviteOnly).listed(false).keyword("secret"));
    let bob = user(&net, "bob", "Bob");
    let _bob = bob.join(open.link()).wait(5 * SECOND).unwrap();

    let found = find(&bob, SessionQuery::new().filter(Field::NAME.eq("open")));
    let [row] = found.as_slice() else { panic!("{found:?}") };
    assert!(row.matched().is_none(), "no account was asked for");
    assert_eq!((row.accepted(), row.visibility(), row.join_restriction()), (2, SessionVisibility::Open, None));
    assert!(row.started_at().is_some_and(|at| at > UNIX_EPOCH));
    assert_eq!(row.keywords(), ["ranked"]);

    let rows = find(&ada, of(&ada).private(true).order_by([OrderBy::ascending(Field::NAME)]));
    assert_eq!(names(&rows), ["friends", "hidden", "open"]);
    let (friends, hidden, own) = (&rows[0], &rows[1], &rows[2]);
    assert_eq!(friends.visibility(), SessionVisibility::Visible);
    assert_eq!(friends.join_restriction(), Some(JoinPolicy::FriendsOnly));
    assert_eq!((hidden.visibility(), hidden.join_restriction()), (SessionVisibility::Private, None));
    assert_eq!(hidden.policy(), JoinPolicy::InviteOnly);
    assert!(hidden.keywords().is_empty(), "a private session shows no keyword");
    let me = own.matched().unwrap();
    assert_eq!((me.account, me.status, me.my_turn), (ada.id(), MemberStatus::Active, false));
    assert_eq!((own.accepted(), own.id()), (2, open.id()));
    assert_eq!(own.started_at(), row.started_at(), "the account's row and the advert tell the same");
    assert!(find(&ada, of(&ada).private(true).keyword("secret")).is_empty());
}

#[test]
fn accounts_of_this_process_are_answered_at_once_and_without_a_packet() {
    let net = VirtualLan::new(3);
    let lan = net.lan("ada", GAME).start().unwrap();
    let (ada, ann) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Ann").unwrap());
    let arena = host(&ada, room("arena"));
    let _duel = host(&ann, room("duel"));
    let _cave = host(&ann, room("cave").listed(false));
    let _both = ann.join(arena.link()).wait(5 * SECOND).unwrap();
    net.advance(2 * SECOND);
    let (now, packets) = (net.now(), net.traffic().datagrams);

    // The other's private sessions are not told, one's own are where one asks for them.
    assert_eq!(sorted(&ada, of(&ann)), ["arena", "duel"]);
    assert_eq!(sorted(&ann, of(&ann)), ["arena", "duel"]);
    assert_eq!(sorted(&ann, of(&ann).private(true)), ["arena", "cave", "duel"]);
    assert_eq!(names(&lan.find(of(&ada)).wait(SECOND).unwrap()), ["arena"], "nobody may ask for accounts too");
    // Filters narrow rows as they narrow anything.
    assert_eq!(sorted(&ann, of(&ann).filter(Field::MEMBERS.ge(2))), ["arena"]);
    assert_eq!(sorted(&ann, of(&ann).filter(attr("map").exists())), [""; 0]);
    assert_eq!(sorted(&ann, of(&ann).id(arena.id())), ["arena"]);
    assert_eq!((net.now(), net.traffic().datagrams), (now, packets));

    // What is found so can be joined: an id is enough, hidden or not.
    let found = find(&ann, of(&ann).private(true).visibility(SessionVisibility::Private));
    assert_eq!(names(&found), ["cave"]);
    let seat = ada.join(lansession::JoinRequest::from(&found[0]).local_name("cave")).wait(5 * SECOND).unwrap();
    assert_eq!(seat.id(), found[0].id());
}

#[test]
fn rights_come_from_the_request_alone() {
    let net = VirtualLan::new(4);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    let _hidden = host(&ada, room("hidden").listed(false));
    net.advance(2 * SECOND);
    let packets = net.traffic().datagrams;
    let nobody = Identity::generate().unwrap().account();
    for query in [
        of(&ada).private(true),
        of(&ada).reservations(true),
        SessionQuery::new().private(true),
        SessionQuery::new().reservations(true),
        SessionQuery::new().accounts([nobody]).private(true),
        SessionQuery::new().accounts([bob.id(), ada.id()]).private(true),
        of(&ada).private(true).take(0),
    ] {
        forbidden(query.clone(), &bob);
        let lan = net.lan("nobody", GAME).start().unwrap();
        assert_eq!(lan.find(query).wait(Duration::ZERO).unwrap_err().kind(), ErrorKind::Forbidden);
    }
    let lan = net.lan("other", GAME).start().unwrap();
    assert_eq!(lan.find(of(&ada).private(true)).wait(Duration::ZERO).unwrap_err().kind(), ErrorKind::Forbidden);
    assert!(bob.browse(SessionQuery::new().private(true)).is_err_and(|error| error.kind() == ErrorKind::Forbidden));
    assert!(bob.browse(of(&bob)).is_err_and(|error| error.kind() == ErrorKind::InvalidArgument));
    let browser = bob.browse(SessionQuery::new()).unwrap();
    assert!(browser.set_query(of(&bob)).is_err_and(|error| error.kind() == ErrorKind::InvalidArgument));
    drop(browser);
    // Not even the right account finds what it does not ask for.
    assert_eq!(net.traffic().datagrams, packets, "what is forbidden sends nothing");
    assert!(find(&ada, of(&ada)).is_empty());
    let lost = SessionQuery::new().visibility(SessionVisibility::Private);
    assert_eq!(bob.find(lost).wait(Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let many = SessionQuery::new().accounts((0..17).map(|_| Identity::generate().unwrap().account()));
    assert_eq!(bob.find(many).wait(Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(SessionQuery::new().accounts([bob.id(); 20]).check().is_ok(), "one account named twice is one");
}

#[test]
fn an_account_that_does_not_answer_ends_the_find_at_its_timeout() {
    let net = VirtualLan::new(5);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    let _arena = host(&ada, room("arena"));
    // Presence is off: another machine's account looks like one that does not exist, to the moment.
    for account in [ada.id(), Identity::generate().unwrap().account()] {
        let before = net.now();
        assert!(find(&bob, SessionQuery::new().accounts([account])).is_empty());
        assert_eq!(net.now() - before, SECOND, "the default timeout");
    }
    let before = net.now();
    let query = SessionQuery::new().accounts([ada.id()]).timeout(Duration::from_millis(300));
    assert!(find(&bob, query.clone()).is_empty());
    assert_eq!(net.now() - before, Duration::from_millis(300));
    // As nobody, nobody is asked: there is nothing to wait for.
    let before = net.now();
    assert!(net.lan("cem", GAME).start().unwrap().find(query.clone()).wait(SECOND).unwrap().is_empty());
    assert_eq!(net.now(), before);
    // A find that nobody waits for any more is gone, and a close ends one.
    drop(bob.find(query.clone()));
    let find = bob.find(query);
    drop(bob);
    assert_eq!(find.wait(SECOND).map(|found| found.len()).unwrap_or(0), 0);
}

#[test]
fn a_batch_is_grouped_in_the_order_of_the_request() {
    let net = VirtualLan::new(6);
    let lan = net.lan("ada", GAME).start().unwrap();
    let (ada, ann, amy) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Ann").unwrap(), lan.sign_in("Amy").unwrap());
    let arena = host(&ada, room("arena").attr("rank", 2));
    let _cave = host(&ada, room("cave").attr("rank", 1));
    let _duel = host(&ann, room("duel").attr("rank", 3));
    let _in_arena = ann.join(arena.link()).wait(5 * SECOND).unwrap();
    let batch = |accounts: &[&User]| {
        let query = SessionQuery::new().accounts(accounts.iter().map(|user| user.id()));
        let found = find(&amy, query.order_by([OrderBy::ascending("rank")]));
        let row = |found: &Found| format!("{}:{}", found.matched().unwrap().account == ada.id(), found.name());
        found.iter().map(row).collect::<Vec<_>>()
    };
    // `true` is Ada's group. A session with both stands in both; within a group the query's order counts.
    assert_eq!(batch(&[&ada, &ann]), ["true:cave", "true:arena", "false:arena", "false:duel"]);
    assert_eq!(batch(&[&ann, &ada]), ["false:arena", "false:duel", "true:cave", "true:arena"]);
    assert_eq!(batch(&[&amy]), [""; 0]);
    let both = SessionQuery::new().accounts([ada.id(), ann.id()]).order_by([OrderBy::ascending("rank")]);
    assert_eq!(names(&find(&amy, both.clone().take(3))), ["cave", "arena", "arena"]);
    // Without a key, the id decides, in each group.
    let plain = find(&amy, SessionQuery::new().accounts([ada.id()]));
    assert!(plain[0].id() < plain[1].id());
    // Enough is enough, though one account never answers.
    let stranger = Identity::generate().unwrap().account();
    let before = net.now();
    let some = SessionQuery::new().accounts([stranger, ada.id()]).enough(2);
    assert_eq!(find(&amy, some).len(), 2);
    assert_eq!(net.now(), before);
    let all = SessionQuery::new().accounts([stranger, ada.id()]);
    assert_eq!(find(&amy, all).len(), 2);
    assert_eq!(net.now() - before, SECOND);
}

#[test]
fn rows_follow_the_session() {
    let net = VirtualLan::new(7);
    let (ada, bob) = (user(&net, "ada", "Ada"), user(&net, "bob", "Bob"));
    let arena = host(&ada, room("arena"));
    let seat = bob.join(arena.link()).wait(5 * SECOND).unwrap();
    arena.update(SettingsUpdate::new().listed(false).name("cellar")).wait(SECOND).unwrap();
    net.run_until(SECOND, || seat.snapshot().name == "cellar").unwrap();
    assert!(find(&bob, of(&bob)).is_empty());
    let rows = find(&bob, of(&bob).private(true));
    assert_eq!(names(&rows), ["cellar"]);
    assert_eq!(rows[0].addresses()[0].addr.port(), arena.link().addresses()[0].port());
    seat.leave().wait(SECOND).unwrap();
    assert!(find(&bob, of(&bob).private(true)).is_empty());
    // A dedicated host has no seat: its user is in no session.
    let dedicated = HostRequest::from(room("server")).dedicated(true).local_name("server");
    let _server = ada.host(dedicated).wait(SECOND).unwrap();
    assert_eq!(names(&find(&ada, of(&ada).private(true))), ["cellar"]);
}
