//! The example `browser` without a terminal: what it remembers, and what it shows at 80x24.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(feature = "net", feature = "serde"))]

#[path = "../examples/common/mod.rs"]
mod common;

#[cfg(feature = "testing")]
#[path = "../examples/browser/app/mod.rs"]
mod app;

#[cfg(feature = "testing")]
mod screen {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use lansession::testing::{FakeFound, Fault, VirtualLan, found, member, snapshot};
    use lansession::{
        AccountId, Found, HostRequest, Identity, InviteId, InvitesFrom, JoinLink, JoinPolicy, LinkState, PathKind,
        Phase, Session, SessionKey, SessionQuery, SessionSettings, SettingsUpdate, Source, User,
    };
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use crate::app::live::Live;
    use crate::app::social::InviteRow;
    use crate::app::{Action, Model, Room, Tab, draw};
    use crate::common::saved::{Friend, Memory, Recent, Saved};

    const GAME: &str = "com.example.boxes";
    const SECOND: Duration = Duration::from_secs(1);
    const START: Duration = Duration::from_secs(1_700_000_000);

    /// What is seen in so many columns and lines.
    fn seen(model: &Model, columns: u16, lines: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        terminal.draw(|frame| draw::draw(frame, model)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..lines).map(|y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    fn screen(model: &Model) -> Vec<String> {
        seen(model, 80, 24)
    }

    fn all(model: &Model) -> String {
        screen(model).join("\n")
    }

    #[track_caller]
    fn shows(model: &Model, text: &str) {
        assert!(all(model).contains(text), "{text:?} is not on the screen:\n{}", all(model));
    }

    #[track_caller]
    fn hides(model: &Model, text: &str) {
        assert!(!all(model).contains(text), "{text:?} is on the screen:\n{}", all(model));
    }

    fn key(model: &mut Model, code: KeyCode) {
        model.key(KeyEvent::new(code, KeyModifiers::NONE));
    }

    fn keys(model: &mut Model, letters: &str) {
        letters.chars().for_each(|letter| key(model, KeyCode::Char(letter)));
    }

    fn model() -> Model {
        let mut model = Model::new(GAME, "Bob", member("Bob").build().account);
        model.now = START;
        model
    }

    fn room(name: &str) -> SessionSettings {
        SessionSettings::new(name).max_members(4)
    }

    fn three() -> Arc<[Found]> {
        let far: SocketAddr = "10.77.0.9:40009".parse().unwrap();
        let arena = found(room("arena").attr("map", "dust").attr("skill", 1200)).members(2);
        let den = found(room("Cem's den").attr("map", "nuke")).members(4).password(true);
        let club = found(room("club").policy(JoinPolicy::InviteOnly)).address(far, Some(Duration::from_micros(12_340)));
        [arena, den, club].map(FakeFound::build).into()
    }

    /// The names in the list, from the top.
    fn names(model: &Model) -> Vec<String> {
        let rows = screen(model);
        let inside = rows[4..20].iter().filter_map(|row| row.strip_prefix("│ "));
        inside.map(|row| row[..20].trim().to_owned()).filter(|name| !name.is_empty()).collect()
    }

    // ---------------------------------------------------------------------------------------- on a network of its own

    /// A browser on a virtual LAN with one other machine.
    struct Party {
        net: VirtualLan,
        ada: User,
        live: Live,
        model: Model,
    }

    impl Party {
        fn new(seed: u64) -> Self {
            Self::remembering(seed, Saved::open(None))
        }

        fn remembering(seed: u64, saved: Saved) -> Self {
            let net = VirtualLan::new(seed);
            let ada = net.lan("host", GAME).start().unwrap().sign_in("Ada").unwrap();
            let guest = net.lan("guest", GAME);
            let (live, model) = Live::start(guest, GAME, "Bob".into(), saved).unwrap();
            Self { net, ada, live, model }
        }

        fn host(&self, request: impl Into<HostRequest>) -> Session {
            self.ada.host(request).wait(SECOND).unwrap()
        }

        fn frame(&mut self) -> bool {
            self.net.frame(Duration::from_millis(33));
            self.live.step(&mut self.model, START + self.net.now())
        }

        /// Frames until the screen shows it.
        #[track_caller]
        fn until(&mut self, text: &str) {
            for _ in 0..400 {
                if all(&self.model).contains(text) {
                    return;
                }
                self.frame();
            }
            panic!("{text:?} never came:\n{}", all(&self.model));
        }

        fn key(&mut self, code: KeyCode) {
            key(&mut self.model, code);
        }

        fn keys(&mut self, letters: &str) {
            keys(&mut self.model, letters);
        }
    }

    #[test]
    fn an_empty_list_says_why() {
        let mut party = Party::new(1);
        shows(&party.model, "Looking …");
        party.until("c joins by a code");
        party.until("No session is listed.");
        for _ in 0..120 {
            party.frame();
        }
        let advice = party.model.report.clone().unwrap().advice;
        let first: String = advice.split(' ').take(5).collect::<Vec<_>>().join(" ");
        shows(&party.model, &first);
        party.keys("5");
        shows(&party.model, "What was tried on the network");
        shows(&party.model, "by limited broadcast: sent");

        let _room = party.host(room("arena"));
        party.keys("1");
        party.until("arena");
        party.keys("/@members > 3");
        party.until("none fits the filter");
    }

    #[test]
    fn a_damaged_file_is_told_on_the_screen_and_ends_nothing() {
        let file = std::env::temp_dir().join(format!("lansession-browser-{}.json", std::process::id()));
        let aside = file.with_extension("json.corrupt-1");
        let _ = std::fs::remove_file(&aside);
        std::fs::write(&file, "{").unwrap();
        let net = VirtualLan::new(5);
        let saved = Saved::open(Some(file.clone()));
        let (mut live, mut model) = Live::start(net.lan("guest", GAME), GAME, "Bob".into(), saved).unwrap();
        assert!(live.step(&mut model, START));
        shows(&model, "What is remembered");
        shows(&model, "is damaged");
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), "{");
        keys(&mut model, "x");
        keys(&mut model, &format!("3a{} Dee", friend("Dee").account));
        key(&mut model, KeyCode::Enter);
        live.step(&mut model, START);
        shows(&model, "Dee is a friend now");
        assert_eq!(Saved::open(Some(file.clone())).memory().friends, [friend("Dee")]);
        std::fs::remove_file(file).unwrap();
        std::fs::remove_file(aside).unwrap();
    }

    #[test]
    fn one_joins_talks_and_leaves() {
        let mut party = Party::new(2);
        let room = party.host(room("arena").attr("map", "dust").port("game", 7777));
        party.until("arena");
        party.key(KeyCode::Enter);
        shows(&party.model, "Joining arena …");
        party.until("2/4 players · public · lobby");
        shows(&party.model, "attributes: map=\"dust\"");
        shows(&party.model, "game at 10.");
        shows(&party.model, ":7777");
        shows(&party.model, "  1 Bob                      you│");
        shows(&party.model, "You are not ready.");
        party.keys("r");
        party.until("you ready");
        party.keys("tgood luck");
        shows(&party.model, " say: good luck");
        party.key(KeyCode::Enter);
        party.until("Bob: good luck");
        room.say(&b"you \x1b[2Jtoo"[..]).detach();
        party.until("Ada: you  [2Jtoo");
        room.update(SettingsUpdate::new().set("map", "nuke")).detach();
        party.until("* map is now \"nuke\"");
        party.key(KeyCode::Esc);
        party.keys("d");
        shows(&party.model, "How others join");
        shows(&party.model, &room.code().to_string());
        party.keys("xl");
        shows(&party.model, "Leave the session?");
        party.keys("n");
        assert_eq!(room.snapshot().members.len(), 2);
        party.keys("ly");
        party.until("You are out: left");
        party.key(KeyCode::Enter);
        assert_eq!(room.snapshot().members.len(), 1);

        // And again, from the list of those one was in.
        party.keys("2");
        shows(&party.model, "arena");
        shows(&party.model, "just now");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        room.kick(party.model.account, "too slow").detach();
        party.until("You are out: kicked: too slow");
    }

    /// One evening a session is joined, the next one its network lets no multicast and no broadcast through: the list is
    /// empty, and the program that was started anew joins from the list of those one was in.
    ///
    /// Fails when a join is not remembered (`Saved::visited`), and when a link's addresses are not dialled where its session
    /// was not found (`Engine::joins_due`).
    #[test]
    fn pain_14_where_nothing_to_all_passes_a_recent_host_is_joined() {
        let file = std::env::temp_dir().join(format!("lansession-recent-{}.json", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let mut party = Party::remembering(14, Saved::open(Some(file.clone())));
        let room = party.host(room("arena"));
        party.until("arena");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        party.keys("ly");
        party.until("You are out: left");
        let Party { net, ada, live, .. } = party;
        live.close();

        let to_all = [
            PathKind::LimitedBroadcast,
            PathKind::DirectedBroadcast,
            PathKind::Ipv4Multicast,
            PathKind::Ipv6Multicast,
            PathKind::Mdns,
        ];
        let _isolated = net.fault(to_all.into_iter().fold(Fault::silence(), Fault::path));
        let saved = Saved::open(Some(file.clone()));
        let (live, model) = Live::start(net.lan("guest", GAME), GAME, "Bob".into(), saved).unwrap();
        let mut party = Party { net, ada, live, model };
        for _ in 0..90 {
            party.frame();
        }
        shows(&party.model, "No session is listed");
        party.keys("2");
        shows(&party.model, "arena");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        assert_eq!(room.snapshot().members.len(), 2);
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_refusal_is_told_and_a_password_asked_for_again() {
        let mut party = Party::new(3);
        let session = party.host(HostRequest::new(room("den")).password("swordfish"));
        party.until("open, password");
        party.key(KeyCode::Enter);
        shows(&party.model, "The password of den");
        party.keys("sardine");
        shows(&party.model, "> *******");
        hides(&party.model, "sardine");
        party.key(KeyCode::Enter);
        party.until("the password is missing or wrong");
        shows(&party.model, "The password of den");
        session.update(SettingsUpdate::new().closed(true)).detach();
        party.keys("swordfish");
        party.key(KeyCode::Enter);
        party.until("Not in den");
        shows(&party.model, "the session takes no new members");
        shows(&party.model, "(join.closed)");
        party.key(KeyCode::Esc);
        party.until("closed, password");

        party.keys("cnothing");
        party.key(KeyCode::Enter);
        shows(&party.model, "a room code has 6 letters");
        party.key(KeyCode::Esc);
        session.update(SettingsUpdate::new().closed(false)).detach();
        party.keys("c");
        party.keys(&session.code().to_string());
        party.key(KeyCode::Enter);
        party.until("The password of");
        party.keys("swordfish");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        party.keys("q");
        shows(&party.model, "Leave the session and quit?");
        party.keys("y");
        assert!(!party.frame());
        party.live.close();
        party.net.run_until(SECOND, || session.snapshot().members.len() == 1).unwrap();
    }

    #[test]
    fn the_library_sorts_and_filters_the_list() {
        let mut party = Party::new(4);
        let session = |name: &str, local: &str, skill: i64| {
            let settings = room(name).attr("skill", skill).attr("map", if skill > 1 { "nuke" } else { "dust" });
            party.ada.host(HostRequest::new(settings).local_name(local)).wait(SECOND).unwrap()
        };
        let _rooms = [session("bravo", "b", 1), session("alpha", "a", 3), session("coral", "c", 2)];
        party.until("bravo");
        party.until("alpha");
        party.until("coral");
        assert_eq!(names(&party.model), ["alpha", "bravo", "coral"]);
        party.keys("o");
        party.until("Sessions by @name, largest first");
        party.frame();
        party.frame();
        assert_eq!(names(&party.model), ["coral", "bravo", "alpha"]);
        for title in ["@ping_ms", "@members", "map", "skill"] {
            party.keys("s");
            shows(&party.model, &format!("Sessions by {title}, smallest first"));
        }
        party.keys("o");
        party.frame();
        party.frame();
        assert_eq!(names(&party.model), ["alpha", "coral", "bravo"]);
        shows(&party.model, "State             skill");
        party.keys("s");
        shows(&party.model, "Sessions by @name");

        party.keys("/map == 'nuke'");
        party.frame();
        party.frame();
        assert_eq!(names(&party.model), ["alpha", "coral"]);
        // What cannot be read leaves the list as it is.
        party.keys(" and");
        party.frame();
        party.frame();
        assert_eq!(names(&party.model), ["alpha", "coral"]);
        shows(&party.model, "^ ");
    }

    // ------------------------------------------------------------------------------------------------- with fakes

    #[test]
    fn three_sessions_are_told_apart() {
        let mut model = model();
        model.listed(three());
        assert_eq!(names(&model), ["arena", "Cem's den", "club"]);
        shows(&model, "1 Sessions (3)");
        let rows = screen(&model);
        assert!(rows[4].contains("2/4    1.0 ms open  "), "{}", rows[4]);
        assert!(rows[5].contains("4/4    1.0 ms full, password"), "{}", rows[5]);
        assert!(rows[6].contains("1/4   12.3 ms invited only"), "{}", rows[6]);
        assert!(rows[4].contains(&three()[0].code().to_string()));

        // The selection stays with its session, wherever that goes.
        key(&mut model, KeyCode::Down);
        assert_eq!(model.selected().unwrap().name(), "Cem's den");
        model.listed(three().iter().rev().cloned().collect());
        keys(&mut model, "k");
        assert_eq!(model.selected().unwrap().name(), "club");
        model.listed(three()[..1].into());
        assert_eq!(model.selected().unwrap().name(), "arena");
    }

    #[test]
    fn the_caret_is_under_the_column() {
        let mut model = model();
        keys(&mut model, "/map = \"dust\"");
        let rows = screen(&model);
        assert_eq!(rows[21].trim_end(), " filter: map = \"dust\"");
        assert_eq!(rows[22].trim_end(), "             ^ `=` alone is no comparison: write `==`");
        assert_eq!(rows[21].find('='), rows[22].find('^'));

        // A line longer than the screen: the caret goes with its column, its words to the left.
        let mut model = self::model();
        keys(&mut model, &format!("/{} and a = 1", "skill > 1 and ".repeat(8)));
        let rows = screen(&model);
        assert_eq!(rows[21].find(" = "), rows[22].find('^').map(|at| at - 1), "{}\n{}", rows[21], rows[22]);
        assert!(rows[22].contains("write `==` ^"), "{}", rows[22]);
        // Its start again, where the caret's column is out of sight on the other side.
        key(&mut model, KeyCode::Home);
        assert!(screen(&model)[22].contains("write `==`"));

        // Corrected, it is asked for at once, and once.
        model.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        model.actions();
        keys(&mut model, "map == 1");
        assert!(matches!(model.actions().as_slice(), [Action::Query(_)]));
        key(&mut model, KeyCode::Enter);
        keys(&mut model, "q");
        assert!(matches!(model.actions().as_slice(), [Action::Quit]));
    }

    #[test]
    fn details_show_all_that_is_known() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let settings = room("arena").reserved_slots(1).keyword("casual").port("game", 7777).port("voice", 7778);
        let words: String = (100..160).map(|number| format!("w{number} ")).collect();
        let settings = settings.attr("map", "dust").attr("motd", words.as_str()).attr("skill", 1.5);
        let entry = found(settings)
            .members(2)
            .phase(Phase::InProgress)
            .address(address("10.77.0.1:40001"), Some(Duration::from_micros(700)))
            .address(address("[fe80::1]:40001"), None)
            .source(Source::Beacon)
            .source(Source::Mdns)
            .build();
        let mut model = model();
        model.listed([entry.clone()].into());
        keys(&mut model, "d");
        let mut all = String::new();
        for _ in 0..40 {
            for row in screen(&model) {
                let row = row.trim_matches('│').trim().to_owned();
                if !all.lines().any(|line| line == row) {
                    all = format!("{all}{row}\n");
                }
            }
            key(&mut model, KeyCode::Down);
        }
        let link = model.link_to(&entry).unwrap().to_string();
        let told = [
            &entry.code().to_string(),
            "2 of 4, 1 open, 1 held back",
            "public, in_progress",
            "closed no, locked no, join in progress yes",
            "version 0, revision 1",
            "casual",
            "game 7777, voice 7778",
            "0.7 ms",
            "10.77.0.1:40001 (0.7 ms), [fe80::1]:40001",
            "beacon, mDNS",
            "map = \"dust\"",
            "skill = 1.5",
            &entry.id().to_string(),
            &entry.host_key().to_string(),
        ];
        let plain = all.replace("version        0", "version 0");
        for text in told {
            assert!(plain.contains(text), "{text:?} is not told:\n{all}");
        }
        let joined: String = all.lines().map(str::trim).collect();
        assert!(joined.contains(&link), "{link}\n{all}");
        assert!((100..160).all(|number| all.contains(&format!("w{number}"))), "wrapped, not cut:\n{all}");
        // Scrolled past the end, one key leads back.
        key(&mut model, KeyCode::Up);
        let last = screen(&model);
        key(&mut model, KeyCode::Up);
        assert_ne!(last, screen(&model));
        key(&mut model, KeyCode::Esc);
        hides(&model, "room code");
    }

    fn fake_room() -> Room {
        let members = [
            member("Ada").host().ready(true),
            member("Bob"),
            member("Cem").link(LinkState::Away),
            member("会議室の人").ready(true),
        ];
        let state = snapshot(room("arena").max_members(8).attr("map", "dust")).revision(1, 7);
        let state = members.into_iter().fold(state, |state, member| state.member(member)).build();
        let key: SessionKey = state.key;
        let link = JoinLink::new(GAME, key, state.host_key, ["10.77.0.1:40001".parse().unwrap()]).unwrap();
        Room::new(Arc::new(state), member("Bob").build().account, link)
    }

    #[test]
    fn the_session_is_seen_from_within() {
        let mut model = model();
        let mut room = fake_room();
        room.endpoints = vec![("game".into(), "10.77.0.1:7777".into())];
        room.tell("* Cem is away");
        room.tell(format!("Ada: {}", "blah ".repeat(30)));
        model.joined(room);
        shows(&model, "4/8 players · public · lobby · revision 1.7");
        shows(&model, "the game's own ports: game at 10.77.0.1:7777");
        shows(&model, "  0 Ada               host ready│");
        shows(&model, "  1 Bob                      you│");
        shows(&model, "  2 Cem                     away│");
        shows(&model, "* Cem is away");
        assert_eq!(all(&model).matches("blah").count(), 30, "a long message is wrapped");

        // A member becomes a friend, a friend is invited.
        keys(&mut model, "f");
        assert!(matches!(model.actions().as_slice(), [Action::Befriend(friend)] if friend.name == "Ada"));
        let friends = vec![friend("Ada"), friend("Dee")];
        model.remembered(&Memory { friends, recent: Vec::new() });
        keys(&mut model, "i");
        shows(&model, "Invite whom?");
        shows(&model, "Dee");
        key(&mut model, KeyCode::Enter);
        let dee = friend("Dee").account;
        assert!(matches!(model.actions().as_slice(), [Action::Invite(account)] if *account == dee));
        keys(&mut model, "3");
        shows(&model, "here, with you");
    }

    fn friend(name: &str) -> Friend {
        Friend { account: member(name).build().account, name: name.to_owned() }
    }

    #[test]
    fn friends_are_added_by_account_and_found_in_sessions() {
        let mut model = model();
        keys(&mut model, "3");
        shows(&model, &format!("You are {}", model.account));
        let dee = friend("Dee");
        keys(&mut model, "aABC");
        key(&mut model, KeyCode::Enter);
        shows(&model, "no account id: an id of 32 bytes has 52 letters");
        model.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        let own = model.account.to_string();
        keys(&mut model, &own);
        key(&mut model, KeyCode::Enter);
        shows(&model, "that is your own account id");
        model.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        keys(&mut model, &format!("{} Dee", dee.account));
        key(&mut model, KeyCode::Enter);
        assert!(matches!(model.actions().as_slice(), [Action::Befriend(friend)] if *friend == dee));

        model.remembered(&Memory { friends: vec![dee.clone()], recent: Vec::new() });
        model.whereabouts.insert(dee.account, three()[0].clone());
        shows(&model, "in arena");
        key(&mut model, KeyCode::Enter);
        assert!(matches!(model.actions().as_slice(), [Action::Join { target, .. }] if target.name() == "arena"));
        key(&mut model, KeyCode::Esc);
        assert!(matches!(model.actions().as_slice(), [Action::CancelJoin]));
        keys(&mut model, "x");
        assert!(matches!(model.actions().as_slice(), [Action::Unfriend(account)] if *account == dee.account));
        keys(&mut model, "i");
        shows(&model, "Join a session first");
    }

    /// An invite into a session of that name, for a day.
    fn invite(session: &str, inviter: &str) -> InviteRow {
        let into = found(room("any")).build();
        let account = member("Ada").build().account;
        let invite = serde_json::json!({
            "id": InviteId::from_bytes([7; 16]),
            "session": into.key(),
            "host_key": into.host_key(),
            "incarnation": 1,
            "name": session,
            "inviter": account,
            "inviter_name": inviter,
            "invitee": member("Bob").build().account,
            "addresses": ["10.77.0.1:40001"],
            "expires_in": { "secs": 86_400, "nanos": 0 },
            "hold": false,
        });
        InviteRow { invite: serde_json::from_value(invite).unwrap(), expires: START + Duration::from_secs(86_400) }
    }

    #[test]
    fn invites_are_listed_accepted_and_rejected() {
        let mut model = model();
        keys(&mut model, "4");
        shows(&model, "None. Those of your friends");
        model.invited(vec![invite("arena", "Ada")]);
        shows(&model, "4 Invites (1)");
        shows(&model, "from Ada");
        shows(&model, "1440:00 left");
        model.now += 90 * SECOND;
        shows(&model, "1438:30 left");
        key(&mut model, KeyCode::Enter);
        keys(&mut model, "x");
        assert!(matches!(model.actions().as_slice(), [Action::Accept(a), Action::Reject(b)] if a == b));
        model.joined(fake_room());
        keys(&mut model, "4");
        key(&mut model, KeyCode::Enter);
        shows(&model, "leave it first");
        assert!(model.actions().is_empty());
    }

    #[test]
    fn a_link_from_outside_is_shown_and_followed_only_if_the_player_says_so() {
        let mut model = model();
        model.offer(&fake_room().link);
        shows(&model, "A room code like K7Q-F2M, a link, or ADDRESS:PORT.");
        assert!(model.actions().is_empty());
        key(&mut model, KeyCode::Enter);
        assert!(matches!(model.actions().as_slice(), [Action::Join { .. }]));
    }

    #[test]
    fn a_link_from_outside_waits_until_the_player_has_done_typing() {
        let mut model = model();
        model.listed(three());
        let link = fake_room().link;
        for (begin, end) in [("c", KeyCode::Esc), ("/", KeyCode::Enter), ("?", KeyCode::Esc)] {
            keys(&mut model, begin);
            model.offer(&link);
            hides(&model, "&a=10.77.0.1:40001");
            shows(&model, "A link was opened");
            key(&mut model, end);
            shows(&model, "&a=10.77.0.1:40001");
            assert!(model.actions().is_empty(), "no key that was meant for something else follows it");
            key(&mut model, KeyCode::Esc);
            hides(&model, "&a=10.77.0.1:40001");
        }
    }

    #[test]
    fn who_comes_without_an_identity_is_told_so_where_friends_are_made() {
        let mut model = model();
        keys(&mut model, "3");
        hides(&model, "--identity");
        model.passing = true;
        shows(&model, "known for this run only (--identity)");
    }

    #[test]
    fn an_invite_goes_from_one_browser_to_another_and_leads_in() {
        let mut party = Party::new(6);
        let _room = party.host(room("arena"));
        let dee = party.net.lan("third", GAME).start().unwrap().sign_in("Dee").unwrap();
        dee.set_friends([party.model.account]).unwrap();
        dee.receive_invites(InvitesFrom::Friends).unwrap();
        let add = |account: AccountId, name: &str| format!("3a{account} {name}");
        party.keys(&add(dee.id(), "Dee"));
        party.key(KeyCode::Enter);
        party.keys(&add(party.ada.id(), "Ada"));
        party.key(KeyCode::Enter);
        party.keys("1");
        party.until("arena");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        party.keys("i");
        shows(&party.model, "Dee");
        party.key(KeyCode::Enter);
        party.until("* you invite Dee");
        party.until("* the invite to Dee: delivered");
        let invite = dee.invites().remove(0);
        assert_eq!((invite.inviter, invite.inviter_name.as_str()), (party.model.account, "Bob"));
        dee.reject(invite.id).detach();
        party.until("* the invite to Dee: rejected");

        // And the other way: found, invited, accepted.
        party.keys("ly");
        party.until("You are out: left");
        party.key(KeyCode::Enter);
        let den =
            party.ada.host(HostRequest::new(room("den").policy(JoinPolicy::InviteOnly).listed(true)).local_name("den"));
        let den = den.wait(SECOND).unwrap();
        party.ada.set_friends([party.model.account]).unwrap();
        party.ada.set_presence(Some(&den)).unwrap();
        party.keys("3");
        party.until("in den");
        den.invite(party.model.account).detach();
        party.until("Ada invites you to den: see tab 4");
        party.keys("4");
        shows(&party.model, "from Ada");
        party.key(KeyCode::Enter);
        party.until("2/4 players · invite_only");
        party.keys("4");
        party.until("None. Those of your friends");
    }

    #[test]
    fn friends_find_the_player_only_where_it_says_so() {
        let mut party = Party::new(7);
        let _room = party.host(room("arena"));
        party.ada.set_friends([party.model.account]).unwrap();
        party.keys(&format!("3a{} Ada", party.ada.id()));
        party.key(KeyCode::Enter);
        party.keys("1");
        party.until("arena");
        party.key(KeyCode::Enter);
        party.until("2/4 players");
        let asked = |party: &mut Party| {
            let query = SessionQuery::new().accounts([party.model.account]);
            let mut found = party.ada.find(query);
            for _ in 0..100 {
                party.frame();
                if let Some(found) = found.try_take() {
                    return found.unwrap().len();
                }
            }
            panic!("the find has a deadline");
        };
        assert_eq!(asked(&mut party), 0);
        party.keys("3");
        shows(&party.model, "they cannot find you");
        party.keys("p");
        shows(&party.model, "they find you in your session");
        party.frame();
        assert_eq!(asked(&mut party), 1);
        party.keys("p");
        party.frame();
        assert_eq!(asked(&mut party), 0);
    }

    /// The longest of everything.
    fn crowded() -> Model {
        let mut model = model();
        model.player = "W".repeat(64);
        model.game = "g".repeat(255);
        let wide = "会".repeat(21);
        let entries = (0..60).map(|number| {
            let settings = SessionSettings::new(format!("{number}{}", "会".repeat(20)))
                .max_members(1_000)
                .attr("a", "x".repeat(200))
                .keyword("k".repeat(20))
                .port("game", 65_535);
            found(settings).members(999).password(true).phase(Phase::InProgress).build()
        });
        model.listed(entries.collect());
        let friends = (0..200_u8)
            .map(|number| Friend { account: Identity::from_seed([number; 32]).unwrap().account(), name: wide.clone() });
        let long: SocketAddr = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap();
        let first = &model.list[0];
        let link = JoinLink::new(GAME, first.key(), first.host_key(), [long; 8]).unwrap();
        let recent = vec![Recent { link: link.clone(), name: wide.clone(), when: 0 }; 20];
        model.remembered(&Memory { friends: friends.collect(), recent });
        model.invites = vec![invite(&wide, &"W".repeat(64)); 30];
        let state =
            (0..100).fold(snapshot(room(&wide).max_members(200).attr("a", "x".repeat(200))), |state, number| {
                state.member(member(format!("{}{number}", "W".repeat(60))).ready(true).link(LinkState::Away))
            });
        let mut inside = Room::new(Arc::new(state.password(true).build()), model.account, link);
        inside.endpoints = vec![("game".into(), long.to_string()); 4];
        (0..300).for_each(|number| inside.tell(format!("{number} {}", "会".repeat(200))));
        model.joined(inside);
        model.notice("n".repeat(300));
        model
    }

    /// The right border stands where it should: nothing ran over it.
    #[track_caller]
    fn whole(model: &Model) {
        let rows = screen(model);
        for (at, row) in rows.iter().enumerate().skip(2).take(19) {
            assert!(
                row.ends_with(['│', '┐', '┘']) && row.starts_with(['│', '┌', '└']),
                "line {at}:\n{}",
                rows.join("\n")
            );
        }
    }

    #[test]
    fn nothing_overflows_and_no_size_is_too_small() {
        let mut model = crowded();
        let windows = ["", "?", "q", "d", "i", "a", "c"];
        for tab in ["1", "2", "3", "4", "5", "6"] {
            for window in windows {
                keys(&mut model, tab);
                keys(&mut model, window);
                if matches!(window, "a" | "c") {
                    keys(&mut model, &"x".repeat(300));
                    key(&mut model, KeyCode::Enter);
                }
                whole(&model);
                for (columns, lines) in [(1, 1), (3, 2), (10, 5), (40, 12), (79, 23), (200, 60)] {
                    seen(&model, columns, lines);
                }
                key(&mut model, KeyCode::Esc);
                key(&mut model, KeyCode::End);
                whole(&model);
            }
        }
        keys(&mut model, "1");
        shows(&model, "59会");
    }

    #[test]
    fn the_keys_of_every_tab_are_readable() {
        let mut model = model();
        let mut hints = Vec::new();
        let mut check = |model: &Model| {
            let wide = seen(model, 200, 24);
            let hint = wide[23].trim_end().to_owned();
            assert!(hint.chars().count() <= 80, "{hint}");
            hints.push(hint);
        };
        Tab::ALL.into_iter().for_each(|tab| {
            model.tab = tab;
            check(&model);
        });
        model.joined(fake_room());
        check(&model);
        keys(&mut model, "t");
        check(&model);
        hints.dedup();
        assert_eq!(hints.len(), 8);
        let mut model = self::model();
        keys(&mut model, "?");
        let inside = |rows: Vec<String>| -> Vec<String> {
            rows.into_iter()
                .filter(|row| row.starts_with('│'))
                .map(|row| row.replace('│', " ").trim_end().to_owned())
                .collect()
        };
        let (narrow, wide) = (inside(screen(&model)), inside(seen(&model, 200, 24)));
        assert_eq!(narrow, wide, "a line of the help is wrapped at 80 columns");
        assert!(narrow.iter().any(|row| row.contains("q, Ctrl-C")), "{}", narrow.join("\n"));
    }
}
