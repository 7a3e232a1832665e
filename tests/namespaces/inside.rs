//! Runs a test's body in namespaces of its own: the test starts itself again under `unshare`.

use std::env;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Set in the process that runs inside.
const INSIDE: &str = "LANSESSION_INSIDE";

/// Scratch files of the test that runs inside; gone with its mount namespace.
pub(crate) const SCRATCH: &str = "/run/lansession";

/// User, network, mount, name and process namespaces, everything in them killed with the first process.
const WITH_USER: &[&str] = &["-Urnmu", "--pid", "--fork", "--kill-child"];
/// The same for root where user namespaces are forbidden.
const AS_ROOT: &[&str] = &["-nmu", "--pid", "--fork", "--kill-child"];

/// Runs `body` in fresh namespaces, for at most `limit`. Call it first and only in a `#[test]`: the test's name is read
/// off the closure's type.
pub(crate) fn in_namespaces<F: FnOnce()>(limit: Duration, body: F) {
    if env::var_os(INSIDE).is_some() {
        prepare();
        body();
        return;
    }
    let name = test_name::<F>();
    let Some(how) = unshare() else {
        assert!(env::var("CI").as_deref() != Ok("true"), "{name}: no namespaces can be made here, and CI=true");
        eprintln!("{name}: SKIPPED, no namespaces can be made here");
        return;
    };
    let exe = env::current_exe().expect("the path of this test program");
    let mut child = Command::new("unshare")
        .args(how)
        .arg("--")
        .arg(exe)
        .args([&name, "--exact", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = from.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("piped")));
    let err = read(Box::new(child.stderr.take().expect("piped")));
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("unshare can be waited for") {
            break Some(status);
        }
        if Instant::now() >= end {
            // `--kill-child`: with `unshare` dies the first process, and with that everything in the namespace.
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let (out, err) = (out.join().expect("reader"), err.join().expect("reader"));
    print!("{out}");
    eprint!("{err}");
    let status = status.unwrap_or_else(|| panic!("{name} did not end within {limit:?}"));
    assert!(status.success() && out.contains("1 passed"), "{name} failed inside its namespaces ({status})");
}

/// `module::test` from the type of the test's closure, `crate::module::test::{{closure}}`.
fn test_name<F>() -> String {
    let full = std::any::type_name::<F>();
    let inner = full.strip_suffix("::{{closure}}").unwrap_or(full);
    inner.split_once("::").map_or(inner, |(_, rest)| rest).to_owned()
}

/// The words for `unshare` that work here.
pub(crate) fn unshare() -> Option<&'static [&'static str]> {
    [WITH_USER, AS_ROOT].into_iter().find(|words| {
        let probe = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add probe";
        let status = Command::new("unshare")
            .args(*words)
            .args(["--", "sh", "-c", probe])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|s| s.success())
    })
}

/// `/run` becomes private and writable: `ip netns`, avahi and the scratch files live there.
pub(crate) fn prepare() {
    run("mount", &["-t", "tmpfs", "none", "/run"]);
    for folder in ["/run/netns", "/run/avahi-daemon", SCRATCH] {
        std::fs::create_dir_all(folder).expect("a folder under /run");
    }
    run("ip", &["link", "set", "lo", "up"]);
}

/// Runs a command that must succeed, and returns its output.
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    feed(Command::new(program).args(words), "")
}

/// Runs a command with `input`; it must succeed; returns its output.
pub(crate) fn feed(command: &mut Command, input: &str) -> String {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // The inputs here are far smaller than a pipe's buffer; a command that ends early is judged by its status.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} with {input:?}: {}\n{text}{error}", output.status);
    text
}
