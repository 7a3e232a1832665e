//! Row 20: a switch that forgets who is in a group.

use std::path::Path;

use super::inside::{feed, in_namespaces};
use super::lan::{Lan, in_namespace};
use super::rules::Drops;
use super::timing::{SECOND, pause};

/// IGMP snooping, and no querier: the switch learns groups from the reports of a machine that joins, and forgets them, since
/// nobody asks again. That takes 260 s; here the bridge forgets after 2 s, so 20 s are what ten minutes are there. Linux
/// floods what it has forgotten, other switches drop it: so do rules here. A late host and a late finder see each other
/// within two seconds.
///
/// Fails when only multicast is used to ask and to announce (`Net::ways` without broadcasts).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_20_a_switch_that_snoops_without_a_querier_hides_no_late_host() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(4);
        let words = "link set br0 type bridge mcast_snooping 1 mcast_querier 0 mcast_membership_interval 200 \
                     mcast_last_member_interval 50 mcast_startup_query_count 0\n";
        feed(in_namespace(lan.segment.namespace(), Path::new("ip")).args(["-batch", "-"]), words);
        let early = lan.nodes[0].host("early", &["--no-mdns"]);
        let browse = lan.nodes[1].client("browse", &["--no-mdns"]);
        browse.expect("found", 5 * SECOND);
        pause(20_000);
        let groups = feed(in_namespace(lan.segment.namespace(), Path::new("bridge")).args(["mdb", "show"]), "");
        assert!(!groups.contains("239.255.76.83"), "the switch still knows the group: {groups}");

        lan.segment.drops(&[Drops::Ipv4Multicast, Drops::Ipv6Multicast]);
        let late = lan.nodes[2].host("late", &["--no-mdns"]);
        let ready = late.expect("ready", SECOND).at;
        let seen = browse.expect_where("found", late.started, 4 * SECOND, |e| e.name() == "late");
        println!("a late host is seen after {:?}", seen.at.saturating_duration_since(ready));
        assert!(seen.at.saturating_duration_since(ready) <= 2 * SECOND);
        let find = lan.nodes[3].client("find", &["--enough", "2", "--no-mdns", "--timeout", "3s"]);
        assert_eq!(find.exit(5 * SECOND), Some(0), "{}", find.transcript());
        assert!(find.all("found").iter().all(|e| e.at_ms() <= 2_000.0), "{}", find.transcript());
        assert!(browse.all("lost").is_empty(), "{}", browse.transcript());
        drop(early);
    });
}
