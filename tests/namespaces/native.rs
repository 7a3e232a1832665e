//! The few lines of C that the suite needs: what no program of this crate may do, built by the machine's `cc`.

use std::path::{Path, PathBuf};

use super::inside::{SCRATCH, run};
use super::lan::{Node, in_namespace};
use super::process::Proc;
use super::timing::SECOND;

fn build(name: &str, words: &[&str]) -> PathBuf {
    let out = PathBuf::from(SCRATCH).join(name);
    if !out.exists() {
        let source = format!("{}/tests/namespaces/c/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let part = format!("{}.part", out.display());
        run("cc", &[words, &["-O1", "-Wall", "-o", &part, &source, "-ldl"]].concat());
        std::fs::rename(part, &out).expect("a scratch file");
    }
    out
}

/// The library that makes sockets fail and the clock go wrong.
pub(crate) fn deny() -> PathBuf {
    build("deny", &["-shared", "-fPIC"])
}

/// Opens a tunnel device on `node`, to `peer` or to nowhere. It carries no broadcast and no multicast.
pub(crate) fn tun(node: &Node, name: &str, peer: Option<&Node>) -> Proc {
    let mut command = in_namespace(node.name(), Path::new(&build("tun", &[])));
    command.arg(name).args(peer.map(Node::name));
    let tun = Proc::start(&mut command, format!("{}: {name}", node.name()));
    tun.expect("open", 5 * SECOND);
    tun
}
