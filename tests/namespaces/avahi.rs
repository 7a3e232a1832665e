//! `avahi-daemon` on a node, with a message bus of its own, and `avahi-browse`.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::inside::{SCRATCH, feed};
use super::lan::Node;
use super::timing::SECOND;

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub(crate) struct Avahi<'a> {
    node: &'a Node,
    bus: String,
    children: Vec<Child>,
    log: String,
}

impl<'a> Avahi<'a> {
    /// Starts the bus and the daemon, and waits until it answers.
    pub(crate) fn start(node: &'a Node) -> Self {
        Self::with(node, "eth0", "[reflector]\n")
    }

    /// The same for one that repeats what it hears on `eth0` and `eth1` on the other.
    pub(crate) fn reflector(node: &'a Node) -> Self {
        Self::with(node, "eth0,eth1", "[reflector]\nenable-reflector=yes\n")
    }

    fn with(node: &'a Node, interfaces: &str, reflector: &str) -> Self {
        let folder = format!("{SCRATCH}/avahi-{}", node.name());
        fs::create_dir_all(&folder).expect("a scratch folder");
        let path = |name: &str| format!("{folder}/{name}");
        let (bus, log) = (format!("unix:path={}", path("bus")), path("log"));
        let write = |name: &str, text: String| fs::write(path(name), text).expect("a scratch file");
        write(
            "bus.conf",
            format!(
                "<busconfig><type>system</type><listen>{bus}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/>\
                 <allow receive_sender=\"*\"/></policy></busconfig>"
            ),
        );
        write(
            "avahi.conf",
            format!(
                "[server]\nhost-name={}\nallow-interfaces={interfaces}\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=yes\n\
                 [publish]\npublish-hinfo=no\npublish-workstation=no\n{reflector}[rlimits]\n",
                node.name()
            ),
        );
        // The daemon gives its folder to the user `avahi`; here root is the only one there is.
        write("passwd", "root:x:0:0::/:/bin/sh\navahi:x:0:0::/:/bin/false\n".into());
        write("group", "root:x:0:\navahi:x:0:\nnetdev:x:0:\n".into());
        let start = |script: &str, words: &[&str]| {
            let out = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
            // A mount namespace of its own: the daemon's pid file has a fixed path.
            node.command(Path::new("unshare"))
                .args(["-m", "sh", "-c", script])
                .args(words)
                .env("DBUS_SYSTEM_BUS_ADDRESS", &bus)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(out)
                .spawn()
                .expect("a daemon starts")
        };
        let bus_daemon = start("exec dbus-daemon --config-file=\"$0\" --nopidfile --nofork", &[&path("bus.conf")]);
        let mut avahi = Self { node, bus: bus.clone(), children: vec![bus_daemon], log: log.clone() };
        avahi.wait("the bus", || Path::new(&path("bus")).exists());
        avahi.children.push(start(
            "mount -t tmpfs none /run/avahi-daemon && mount --bind \"$1/passwd\" /etc/passwd && \
             mount --bind \"$1/group\" /etc/group && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --file=\"$0\"",
            &[&path("avahi.conf"), &folder],
        ));
        avahi.wait("the daemon", || {
            let mut probe = avahi.command("avahi-browse", &["-t", "-p", "_none._udp"]);
            probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
        });
        thread::sleep(2 * SECOND); // its own probing and announcing
        avahi
    }

    fn wait(&self, what: &str, ready: impl Fn() -> bool) {
        let end = Instant::now() + 10 * SECOND;
        while !ready() {
            assert!(Instant::now() < end, "{what} of {} does not answer: {}", self.node.name(), self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn command(&self, program: &str, words: &[&str]) -> std::process::Command {
        let mut command = self.node.command(Path::new(program));
        command.args(words).env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        command
    }

    /// What the daemon logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The resolved lines of `avahi-browse -r -p -t TYPE`, split at the semicolons: state, interface, protocol, name,
    /// type, domain, host, address, port, TXT.
    pub(crate) fn browse(&self, service: &str) -> Vec<Vec<String>> {
        let text = feed(&mut self.command("timeout", &["20", "avahi-browse", "-r", "-p", "-t", service]), "");
        text.lines().filter(|line| line.starts_with('=')).map(|l| l.split(';').map(str::to_owned).collect()).collect()
    }
}

impl Drop for Avahi<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
