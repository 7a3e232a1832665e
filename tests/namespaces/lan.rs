//! A LAN of namespaces: segments (a bridge each, in a namespace of its own) and nodes plugged into them by veth pairs.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::inside::{feed, run};
use super::process::Proc;

/// One broadcast domain: a bridge without snooping and without spanning tree.
#[derive(Debug)]
pub(crate) struct Segment {
    number: u8,
    mask: u8,
    plugs: Cell<u16>,
    name: String,
}

/// One machine: a namespace with loopback up.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
}

/// One segment with some nodes on it, each with `eth0`.
#[derive(Debug)]
pub(crate) struct Lan {
    pub(crate) segment: Segment,
    pub(crate) nodes: Vec<Node>,
}

impl Lan {
    /// So many machines on one /24.
    pub(crate) fn new(nodes: usize) -> Self {
        Self::masked(nodes, 24)
    }

    /// The same with another length of the network mask.
    pub(crate) fn masked(nodes: usize, mask: u8) -> Self {
        let segment = Segment::new(0, mask);
        let nodes: Vec<_> = (0..nodes).map(|i| Node::new(&format!("n{i}"))).collect();
        for node in &nodes {
            segment.plug(node, "eth0");
            node.default_route("eth0");
        }
        nodes.iter().for_each(Node::settle);
        Self { segment, nodes }
    }
}

impl Segment {
    /// Segment `number` has the network 10.(50 + number).0.0 with a mask of that length.
    pub(crate) fn new(number: u8, mask: u8) -> Self {
        let name = format!("bridge{number}");
        run("ip", &["netns", "add", &name]);
        batch(&name, "link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up\n");
        Self { number, mask, plugs: Cell::new(0), name }
    }

    /// The namespace of the bridge `br0`.
    pub(crate) fn namespace(&self) -> &str {
        &self.name
    }

    /// Gives `node` an interface of that name on this segment; its address is returned.
    pub(crate) fn plug(&self, node: &Node, interface: &str) -> Ipv4Addr {
        let count = self.plugs.get() + 1;
        self.plugs.set(count);
        let [high, low] = count.to_be_bytes();
        let address = Ipv4Addr::new(10, 50 + self.number, high, low);
        let (port, mask) = (format!("p{count}"), self.mask);
        batch(
            &self.name,
            &format!(
                "link add {port} type veth peer name {interface} netns {}\nlink set {port} master br0 up\n",
                node.name
            ),
        );
        node.batch(&format!("addr add {address}/{mask} brd + dev {interface}\nlink set {interface} up\n"));
        address
    }

    /// Gives `node` an interface that leads nowhere: its other end is up and on no bridge.
    pub(crate) fn plug_dead(&self, node: &Node, interface: &str) {
        let port = format!("dead{}", self.number);
        batch(
            &self.name,
            &format!("link add {port} type veth peer name {interface} netns {}\nlink set {port} up\n", node.name),
        );
        node.batch(&format!("addr add 10.99.0.1/24 brd + dev {interface}\nlink set {interface} up\n"));
    }
}

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        run("ip", &["netns", "add", name]);
        let node = Self { name: name.to_owned() };
        // Without duplicate address detection a link-local address is usable at once; where /proc/sys is read-only,
        // `settle` waits for it.
        let quick = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad || true";
        feed(node.command(Path::new("sh")).args(["-c", quick]), "");
        node.batch("link set lo up\n");
        node
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lines for `ip -batch`.
    pub(crate) fn batch(&self, lines: &str) {
        batch(&self.name, lines);
    }

    /// Everything that is not on a link of its own leaves by this interface, before any other route.
    pub(crate) fn default_route(&self, interface: &str) {
        self.batch(&format!("route add default dev {interface} metric 0\n"));
    }

    /// Waits until every IPv6 address may be used.
    pub(crate) fn settle(&self) {
        let end = Instant::now() + Duration::from_secs(5);
        while !run("ip", &["-n", &self.name, "-6", "addr", "show", "tentative"]).trim().is_empty() {
            assert!(Instant::now() < end, "{}: an IPv6 address stays tentative", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Forgets who has which hardware address, as a machine that has just been switched on.
    pub(crate) fn forget_neighbours(&self) {
        run("ip", &["-n", &self.name, "neigh", "flush", "all"]);
    }

    /// A command that runs in this namespace.
    pub(crate) fn command(&self, program: &Path) -> Command {
        in_namespace(&self.name, program)
    }

    /// Starts one of the example programs.
    pub(crate) fn spawn(&self, example: &str, words: &[&str]) -> Proc {
        let mut command = self.command(&examples().join(example));
        command.args(words);
        let mut title = format!("{}: {example}", self.name);
        for word in words {
            let _ = write!(title, " {word}");
        }
        Proc::start(&mut command, title)
    }

    /// Starts `host` with a name and further words, and waits until it can be found.
    pub(crate) fn host(&self, name: &str, words: &[&str]) -> Proc {
        let host = self.start_host(name, words);
        host.expect("ready", Duration::from_secs(10));
        host
    }

    /// Starts `host` and does not wait.
    pub(crate) fn start_host(&self, name: &str, words: &[&str]) -> Proc {
        self.spawn("host", &[&["--game", super::GAME, "--name", name, "--json"], words].concat())
    }

    /// Starts `client VERB` with further words.
    pub(crate) fn client(&self, verb: &str, words: &[&str]) -> Proc {
        self.spawn("client", &[&[verb, "--game", super::GAME, "--json"], words].concat())
    }
}

/// A command that runs in the namespace of that name.
pub(crate) fn in_namespace(name: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{name}")).arg("--").arg(program);
    command
}

fn batch(namespace: &str, lines: &str) {
    feed(Command::new("ip").args(["-n", namespace, "-batch", "-"]), lines);
}

/// The folder with the example programs: `LANSESSION_EXAMPLES`, else that of this build.
pub(crate) fn examples() -> PathBuf {
    let folder = std::env::var_os("LANSESSION_EXAMPLES").map_or_else(
        || {
            // target/PROFILE/deps/namespaces-HASH
            let exe = std::env::current_exe().expect("the path of this test program");
            exe.ancestors().nth(2).expect("target/PROFILE").join("examples")
        },
        PathBuf::from,
    );
    assert!(folder.join("host").exists(), "no programs in {}: cargo build --examples first", folder.display());
    folder
}
