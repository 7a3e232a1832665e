//! The example programs on a LAN of network namespaces: issue lines 2 to 9 and 11, measured.
//!
//! Every test makes a LAN of its own (a bridge, and one namespace per machine), runs the real `host` and `client` on it
//! and reads their `--json` lines. Nothing is sent outside those namespaces. The tests are ignored by plain
//! `cargo test`; `.ci/run` builds the examples in release and runs them, which by hand is
//!
//! ```text
//! cargo build --release --examples
//! cargo test --release --test namespaces -- --ignored --test-threads 1
//! ```
//!
//! It needs Linux with `unshare`, `nsenter`, `ip` and `nft`, for the DNS-SD tests also `avahi-daemon`,
//! `avahi-browse` and `dbus-daemon`; root is not needed where user namespaces are allowed. Without namespaces a test
//! says so and passes, with `CI=true` it fails. `LANSESSION_EXAMPLES` names another folder with the programs.
//!
//! The time limits of the acceptance lines are asserted here and nowhere else: a loaded machine can break them.
#![cfg(all(target_os = "linux", feature = "net"))]

mod any_key;
mod attack;
mod avahi;
mod capture;
mod helper;
mod inside;
mod lan;
mod native;
mod player;
mod process;
mod rules;
mod timing;
mod tls_door;
mod usage;

mod changes;
mod denied;
mod ends;
mod filters;
mod find;
mod firewalls;
mod flood;
mod hostile;
mod live;
mod loss;
mod machine;
mod matchmaking;
mod migration;
mod paths;
mod quiet;
mod reconnect;
mod scaffold;
mod seats;
mod social;
mod stops;
mod switches;
mod tools;
mod tunnels;

/// The game of all these tests.
const GAME: &str = "test.lansession.namespaces";
