//! Line 11, the part over real sockets (pain 13): twenty hosts at 20 % loss.

use super::inside::in_namespaces;
use super::lan::{Lan, Node};
use super::process::Proc;
use super::rules::Drops;
use super::timing::{SECOND, pause, quiet};

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_11_at_20_percent_loss_20_hosts_are_all_found_within_1_s_in_9_of_10_runs() {
    in_namespaces(240 * SECOND, || {
        let lan = Lan::new(21);
        let hosts: Vec<Proc> = (1..=20).map(|at| lan.nodes[at].start_host(&format!("h{at}"), &["--no-mdns"])).collect();
        for host in &hosts {
            host.expect("ready", 20 * SECOND);
        }
        pause(3_000);
        lan.segment.drops(&[Drops::Percent(20)]);
        let mut complete = 0;
        for run in 0..10 {
            lan.nodes.iter().for_each(Node::forget_neighbours);
            quiet();
            let find = lan.nodes[0].client("find", &["--enough", "20", "--timeout", "3s", "--no-mdns"]);
            find.exit(8 * SECOND);
            let mut times: Vec<f64> = find.all("found").iter().map(super::process::Event::at_ms).collect();
            times.sort_by(f64::total_cmp);
            let soon = times.iter().filter(|ms| **ms <= 1_000.0).count();
            complete += usize::from(soon == 20);
            println!("run {run}: {soon} within 1 s, {} within 3 s, last after {:?} ms", times.len(), times.last());
            pause(2_000);
        }
        println!("complete within 1 s in {complete} of 10 runs; limit 9");
        assert!(complete >= 9, "complete within 1 s in {complete} of 10 runs");
    });
}
