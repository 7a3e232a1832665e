//! Seeded fault schedules over the virtual LAN: real engines, random players, a network and processes that fail, hostile
//! nodes; after every step the invariants.
//!
//! A run is a pure function of (seed, profile). [`schedule`] draws what will happen, as a list; [`run`] lets it happen, and
//! [`workload`] and [`hostile`] choose what is possible at that moment; [`air`] is the network and fires the faults that are
//! keyed to frames; [`app`] is the game in each process and checks what it is told; [`invariants`] looks into the engines, and
//! [`reigns`] at who is host in them and how that came to be.
//!
//! ```text
//! cargo test --all-features --lib chaos                      a few dozen seeds
//! LANSESSION_SEEDS=100000 cargo test --release --all-features --lib chaos -- --ignored --nocapture many_seeds
//!     about 25 seeds a second and core; half of that is the signatures, which are real
//!     LANSESSION_SEED=0x1234     the first seed; with LANSESSION_SEEDS=1 (the default where it is set) only that one
//!     LANSESSION_PROFILE=siege   all seeds with that profile, else each seed has its own
//! ```
//!
//! A seed that fails prints the line that reruns it, and the smallest schedule found that still fails (unless
//! `LANSESSION_SHRINK=0`).
//!
//! # Faults put in by hand
//!
//! `tests/mutations/run` builds the deliberate faults of `tests/mutations/faults` into a copy of the sources, each behind a
//! switch, and shows for each that it is caught: within 10,000 seeds, or by the scripted test that its block names, where what
//! breaks is too rare for seeds.
//!
//! | fault | profile | caught by |
//! |---|---|---|
//! | `seat-over-max`: one more than there are seats | mixed | S6 |
//! | `ban-forgotten`: who is banned comes back | mixed | S12 |
//! | `policy-forgotten`: a stranger in a closed circle | mixed | S12 |
//! | `password-unchecked`: any proof will do | hostile | S12 |
//! | `request-twice`: a request that was sent again | keyed | S9 |
//! | `no-confirm`: a seat whose holder never said a word outlives its link | keyed | the host's own state |
//! | `away-for-ever`: the seat of a lost member is never freed | keyed | timers |
//! | `deadline-ignored`: reserved seats without end | mixed | S24 |
//! | `secrets-shown`: attributes for the host alone go to all | mixed | S7 |
//! | `delta-hole`: every fifth delta says nothing | mixed | S7 |
//! | `party-in-pieces`: some of the companions | social | S13 |
//! | `advert-unsigned`, `goodbye-unsigned`: anybody's word about a session | siege | S19 |
//! | `tombstone-skipped`: a recording brings back what is over | siege | S19 |
//! | `end-unanswered`: a request of a seat that ended | mixed | L7 |
//! | `wake-off-by-one`: the wake that is due does nothing | mixed | timers |
//! | `invites-uncapped`: as many as one likes | pressure | S22 |
//! | `companion-unproved`: an account that signed nothing gets a seat | hostile | L4 |
//! | `vote-twice`: a second vote in a term | migration | S2 |
//! | `vote-forgotten`: a walk that begins has promised nothing | migration | S4 |
//! | `order-unacked`: the next order before most have the last | migration | S3 |
//! | `fork-in-branch`: who goes on alone does so in the branch of all | migration | S15 |
//! | `old-electorate`: a candidate counts later votes in its own order | a test | S1 |
//! | `quorum-of-half`: half of the machines make a host | a test | S1 |
//! | `state-behind`: a vote for who has seen less | migration | S16 |
//! | `no-step-down`: a host never gives way | migration | L2 |
//! | `old-token`: after a takeover any token brings its account back | a test | S11 |
//!
//! # More of it
//!
//! A new frame: one line in [`air::TAPS`]. A new operation: one in [`schedule::Op`], its weight, its arm in [`workload`]. A new
//! invariant: a function in [`invariants`], called in `Lore::look` (each step), `check_*` (when told) or `Run::at_rest`; of
//! sessions that move, in [`reigns`].
//!
//! # What is watched where
//!
//! In all profiles some sessions outlive their host; in `migration` nearly all do, hosts crash, leave and hand over, and faults
//! are fired by the frames of that. S1, S2, S3, S4, S5, S15, S16, S17 and S21: [`reigns`], inside the engines after each step;
//! S2 and S16 of what a machine remembers and of what a takeover shows. S7 by branch and revision, S6, S12, S22 and S24:
//! [`invariants`] and the host's own state. S8, S9, S10, S13 and S18: [`app`], as an app sees it; another host's first
//! revision begins the comparison anew. S11: [`hostile`], whose nodes have seats and show tokens that count no more. S14 is S12
//! of invited accounts. S19 and L1 to L5, L7: at the end or when told, at whichever host there is then. S20 and S23 are not
//! watched here: the tests of matchmaking and of refusals do.

mod air;
mod app;
mod brain;
mod hostile;
mod invariants;
mod reigns;
mod run;
mod schedule;
mod shrink;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use run::Run;
use schedule::{Profile, Schedule};

use crate::proto::clock::Moment;

/// An invariant that did not hold, and when.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    what: String,
    at: Moment,
}

/// One run. A panic inside an engine is a broken invariant like any other.
fn play(schedule: &Schedule) -> Result<(), Broken> {
    let mut run = Run::new(schedule.clone());
    let result = catch_unwind(AssertUnwindSafe(|| run.go()));
    let at = run.world.now();
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(what)) => Err(Broken { what, at }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(Broken { what: format!("panic: {}", text.unwrap_or_default()), at })
        }
    }
}

/// Plays one seed; the report of a failure.
fn seed(seed: u64, profile: Profile) -> Result<(), String> {
    let schedule = Schedule::draw(seed, profile);
    let Err(broken) = play(&schedule) else { return Ok(()) };
    let name = profile.name();
    let mut report = format!(
        "LANSESSION_SEED={seed:#x} LANSESSION_PROFILE={name} cargo test --release --all-features --lib chaos -- --ignored \
         --nocapture many_seeds\n    fails at {:?}: {}\n",
        broken.at.since(Moment::ZERO),
        broken.what
    );
    if variable("LANSESSION_SHRINK") == Some(0) {
        return Err(report);
    }
    let (small, broken) = shrink::shrink(schedule, broken);
    report.push_str(&format!("    shrunk, fails at {:?}: {}\n", broken.at.since(Moment::ZERO), broken.what));
    for line in small.describe().lines() {
        report.push_str(&format!("      {line}\n"));
    }
    Err(report)
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn profile_of(seed: u64) -> Profile {
    match std::env::var("LANSESSION_PROFILE") {
        Ok(name) => Profile::named(&name).unwrap_or_else(|| panic!("no profile {name}: {:?}", Profile::ALL)),
        Err(_) => Profile::of_seed(seed),
    }
}

#[test]
fn some_seeds() {
    for at in 0..32 {
        if let Err(report) = seed(at, Profile::of_seed(at)) {
            panic!("{report}");
        }
    }
}

/// The same seed is the same run, to the last datagram.
#[test]
fn a_run_is_a_function_of_its_seed() {
    let traffic = |seed| {
        let mut run = Run::new(Schedule::draw(seed, Profile::Mixed));
        run.go().unwrap();
        run.world.traffic.clone()
    };
    assert_eq!(traffic(5), traffic(5));
    assert_ne!(traffic(5), traffic(6));
}

/// As many seeds as the environment says, on all cores.
#[test]
#[ignore = "two thousand seeds; see the module's page"]
#[expect(clippy::disallowed_methods, reason = "says how many seeds it plays in a second")]
fn many_seeds() {
    let first = variable("LANSESSION_SEED");
    let count = variable("LANSESSION_SEEDS").unwrap_or(if first.is_some() { 1 } else { 2_000 });
    let first = first.unwrap_or(1_000);
    let stop_after = variable("LANSESSION_FAILURES").unwrap_or(5);
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count || failures.lock().unwrap().len() as u64 >= stop_after {
                        break;
                    }
                    let number = first.wrapping_add(at);
                    if let Err(report) = seed(number, profile_of(number)) {
                        println!("{report}");
                        failures.lock().unwrap().push(number);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done % (count / 10).max(1) == 0 {
                        let rate = done as f64 / began.elapsed().as_secs_f64();
                        println!("{:>3} %: {done} seeds, {rate:.0} a second", done * 100 / count);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {count} seeds failed: {failures:#x?}", failures.len());
}
