//! Hosts and a finder as processes on a bridge of network namespaces: how soon sessions are found and lost, on a clean
//! LAN and at 20 % loss; what idle hosts send; what a process takes.
//!
//! This program starts itself again under `unshare`, and there once more for each host and finder. Nothing leaves the
//! namespaces. Where none can be made it says so and ends well. `cargo bench --bench lan -- idle find change loss` runs
//! the parts that are named, without a word all of them.
#![allow(dead_code, reason = "the scaffold of the namespace tests is used in part")]

#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/capture.rs"]
mod capture;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/helper.rs"]
mod helper;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/inside.rs"]
mod inside;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/lan.rs"]
mod lan;
#[cfg(target_os = "linux")]
mod parts;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/process.rs"]
mod process;
mod roles;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/rules.rs"]
mod rules;
#[cfg(target_os = "linux")]
#[path = "../../tests/namespaces/timing.rs"]
mod timing;

use std::process::ExitCode;

/// The game of all these processes.
const GAME: &str = "bench.lansession.lan";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["adv", name] => roles::advertise(name),
        ["seek", count, seconds] => roles::seek(count, seconds),
        ["browse"] => roles::browse(),
        words => measure(words),
    }
}

#[cfg(not(target_os = "linux"))]
fn measure(_: &[&str]) -> ExitCode {
    println!("needs namespaces, which are Linux's");
    ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn measure(words: &[&str]) -> ExitCode {
    use std::process::Command;

    const INSIDE: &str = "LANSESSION_BENCH_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        inside::prepare();
        parts::run(words);
        return ExitCode::SUCCESS;
    }
    let (Some(how), Ok(exe)) = (inside::unshare(), std::env::current_exe()) else {
        println!("needs namespaces, and none can be made here");
        return ExitCode::SUCCESS;
    };
    let status = Command::new("unshare").args(how).arg("--").arg(exe).args(words).env(INSIDE, "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
