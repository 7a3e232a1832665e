//! The machine alone: each step of a starter, in its order.

use super::*;
use crate::proto::clock::Moment;
use crate::types::{AccountId, HostKey, Identity, Reason, SessionId};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn account(number: u8) -> AccountId {
    Identity::from_seed([number; 32]).unwrap().account()
}

fn key(number: u8) -> SessionKey {
    let founder = HostKey::from(Identity::from_seed([9; 32]).unwrap().public());
    SessionKey { id: SessionId::from_bytes([number; 16]), founder }
}

fn candidate(number: u8, mobile: bool, taken: u16) -> Candidate {
    Candidate { key: key(number), mobile, taken, joinable: true, public: true }
}

fn roster(number: u8, is_host: bool, members: u8) -> Roster {
    let members = (0..members).map(|member| account(member + 1)).collect();
    Roster { key: key(number), is_host, mobile: true, full: false, members }
}

/// A starter with its clock.
struct Run {
    now: Moment,
    tuning: Tuning,
    machine: Matchmaker,
}

impl Run {
    fn new(wish: Wish) -> Self {
        let (now, tuning) = (Moment::from_micros(1_000_000), Tuning::default());
        let machine = Matchmaker::new(now, wish, &tuning, [7; 32]);
        Self { now, tuning, machine }
    }

    /// One that has made session 5 and sits in it alone.
    fn host(wish: Wish) -> Self {
        let mut run = Self::new(wish);
        run.until(|order| *order == Order::Host, ms(700));
        run.machine.created(run.now, &run.tuning, Ok((SeatId(1), roster(5, true, 1))));
        run.orders();
        run
    }

    /// One that has joined session 5.
    fn member(wish: Wish) -> Self {
        let mut run = Self::new(wish);
        run.sight([candidate(5, true, 1)]);
        run.until(|order| *order == Order::Join { to: key(5) }, ms(60));
        run.joined(Ok((SeatId(1), roster(5, false, 2))));
        run
    }

    fn sight<const N: usize>(&mut self, candidates: [Candidate; N]) {
        self.machine.sight(self.now, &self.tuning, candidates.to_vec());
    }

    fn joined(&mut self, result: Result<(SeatId, Roster), Error>) {
        self.machine.joined(self.now, &self.tuning, result);
    }

    fn merge(&mut self, outcome: MergeOutcome) {
        self.machine.merge(self.now, &self.tuning, SeatId(1), outcome);
    }

    /// All orders but those that only tell or ask anew.
    fn orders(&mut self) -> Vec<Order> {
        let orders = std::iter::from_fn(|| self.machine.poll_order());
        orders.filter(|order| !matches!(order, Order::Tell(_) | Order::Refresh)).collect()
    }

    /// Goes from deadline to deadline until such an order comes; what came with it.
    fn until(&mut self, wanted: impl Fn(&Order) -> bool, longest: Duration) -> Vec<Order> {
        let end = self.now + longest;
        loop {
            let orders = self.orders();
            if orders.iter().any(&wanted) {
                return orders;
            }
            assert!(orders.is_empty(), "{orders:?} came instead");
            let next = self.machine.poll_timeout(&self.tuning).unwrap();
            assert!(next <= end, "nothing came within {longest:?}");
            assert!(next > self.now, "it asks for a time that has passed");
            self.now = next;
            self.machine.handle_timeout(self.now, &self.tuning);
        }
    }

    /// Nothing but ticks for so long.
    fn quiet(&mut self, during: Duration) {
        let end = self.now + during;
        while let Some(next) = self.machine.poll_timeout(&self.tuning).filter(|next| *next <= end) {
            self.now = next;
            self.machine.handle_timeout(self.now, &self.tuning);
            assert_eq!(self.orders(), []);
        }
        self.now = end;
    }
}

#[test]
fn the_order_of_sessions_is_total() {
    let better = |a: Rank, b: Rank| assert!(a > b);
    better(rank(false, 1, key(9)), rank(true, 7, key(1)));
    better(rank(true, 3, key(9)), rank(true, 2, key(1)));
    better(rank(true, 2, key(1)), rank(true, 2, key(2)));
    assert_eq!(rank(true, 2, key(1)), rank(true, 2, key(1)));
}

#[test]
fn gathers_then_joins_the_best() {
    let mut run = Run::new(Wish::default());
    let began = run.now;
    run.sight([candidate(1, true, 1)]);
    run.quiet(ms(30));
    run.sight([candidate(1, true, 1), candidate(2, true, 3), candidate(3, true, 2)]);
    assert_eq!(run.until(|_| true, ms(40)), [Order::Join { to: key(2) }]);
    assert_eq!(run.now.since(began), run.tuning.mm_gather);
}

#[test]
fn a_refusal_leads_to_the_next_and_then_to_a_session_of_its_own() {
    let mut run = Run::new(Wish::default());
    run.sight([candidate(1, false, 1), candidate(2, true, 3)]);
    run.until(|order| *order == Order::Join { to: key(1) }, ms(60));
    run.joined(Err(Error::refused(Refusal::Banned)));
    run.until(|order| *order == Order::Join { to: key(2) }, ms(250));
    run.joined(Err(Error::refused(Refusal::Refused(Reason::from("no")))));
    run.until(|order| *order == Order::Host, ms(700));
}

#[test]
fn what_a_lost_packet_failed_is_tried_again_before_another_session_is_made() {
    let mut run = Run::new(Wish::default());
    run.sight([candidate(1, true, 1)]);
    run.until(|order| *order == Order::Join { to: key(1) }, ms(60));
    run.quiet(ms(2_000));
    run.joined(Err(Error::refused(Refusal::HostUnreachable { tried: Vec::new() })));
    run.until(|order| *order == Order::Join { to: key(1) }, ms(500));
    // But not for ever.
    run.quiet(ms(3_000));
    run.joined(Err(Error::refused(Refusal::TimedOut)));
    run.until(|order| *order == Order::Host, ms(500));
}

#[test]
fn the_querys_order_counts_among_sessions_that_do_not_move() {
    let mut run = Run::new(Wish { ordered: true, ..Wish::default() });
    run.sight([candidate(4, true, 6), candidate(2, false, 1), candidate(1, false, 5)]);
    assert_eq!(run.until(|_| true, ms(60)), [Order::Join { to: key(2) }]);
    let mut run = Run::new(Wish::default());
    run.sight([candidate(4, true, 6), candidate(2, false, 1), candidate(1, false, 5)]);
    assert_eq!(run.until(|_| true, ms(60)), [Order::Join { to: key(1) }]);
}

#[test]
fn a_session_that_does_not_move_settles_at_once() {
    let mut run = Run::new(Wish::default());
    run.sight([candidate(5, false, 1)]);
    run.until(|order| matches!(order, Order::Join { .. }), ms(60));
    run.joined(Ok((SeatId(4), Roster { mobile: false, ..roster(5, false, 2) })));
    assert_eq!(run.orders(), [Order::Done(SeatId(4))]);
    assert_eq!(run.machine.poll_timeout(&run.tuning), None);
}

#[test]
fn a_host_asks_only_a_better_session_and_follows_its_members() {
    let mut run = Run::host(Wish::default());
    run.machine.roster(run.now, SeatId(1), roster(5, true, 2));
    let full = Candidate { joinable: false, ..candidate(1, true, 7) };
    run.sight([full, candidate(6, true, 2), candidate(3, true, 1)]);
    run.quiet(ms(1_000));
    run.sight([candidate(6, true, 2), candidate(4, true, 2)]);
    run.until(|order| *order == Order::Merge { seat: SeatId(1), into: key(4) }, ms(300));
    run.merge(MergeOutcome::Granted { own: true });
    assert_eq!(run.orders(), []);
    run.machine.roster(run.now, SeatId(1), roster(5, true, 1));
    assert_eq!(run.orders(), [Order::Join { to: key(4) }]);
    run.joined(Ok((SeatId(2), roster(4, false, 4))));
    assert_eq!(run.orders(), [Order::Quit(SeatId(1))]);
}

#[test]
fn a_merge_that_fails_leaves_things_as_they_were() {
    let mut run = Run::host(Wish::default());
    run.sight([candidate(4, true, 1)]);
    for outcome in [MergeOutcome::Busy, MergeOutcome::Refused, MergeOutcome::Over] {
        run.until(|order| matches!(order, Order::Merge { .. }), ms(2_000));
        run.merge(outcome);
        assert_eq!(run.orders(), []);
    }
    // The host's own way fails: it thaws.
    run.until(|order| matches!(order, Order::Merge { .. }), ms(2_000));
    run.merge(MergeOutcome::Granted { own: true });
    assert_eq!(run.orders(), [Order::Join { to: key(4) }]);
    run.joined(Err(Error::refused(Refusal::Full)));
    assert_eq!(run.orders(), [Order::Unfreeze(SeatId(1))]);
    // Its time passes on the way: the join is given up.
    run.until(|order| matches!(order, Order::Merge { .. }), ms(2_000));
    run.merge(MergeOutcome::Granted { own: true });
    run.orders();
    run.merge(MergeOutcome::Over);
    assert_eq!(run.orders(), [Order::CancelJoin]);
    run.joined(Ok((SeatId(3), roster(4, false, 2))));
    assert_eq!(run.orders(), [Order::Leave(SeatId(3))]);
}

#[test]
fn a_member_goes_where_its_host_sends_it_and_only_then_leaves() {
    let mut run = Run::member(Wish::default());
    run.machine.ask_move(SeatId(1), key(4));
    assert_eq!(run.orders(), [Order::Join { to: key(4) }]);
    // Once is enough.
    run.machine.ask_move(SeatId(1), key(3));
    assert_eq!(run.orders(), []);
    run.joined(Ok((SeatId(2), roster(4, false, 3))));
    assert_eq!(run.orders(), [Order::Leave(SeatId(1))]);
    // Where it is not let in, it stays and says so.
    run.machine.ask_move(SeatId(2), key(3));
    run.orders();
    run.joined(Err(Error::refused(Refusal::Banned)));
    assert_eq!(run.orders(), [Order::Stay(SeatId(2))]);
}

#[test]
fn a_session_that_ends_on_the_way_leaves_the_way() {
    let mut run = Run::member(Wish::default());
    run.machine.ask_move(SeatId(1), key(4));
    run.orders();
    run.machine.ended(run.now, &run.tuning, SeatId(1));
    run.joined(Ok((SeatId(2), roster(4, false, 3))));
    assert_eq!(run.orders(), []);
    // And one that ends without a way leads to a new search.
    run.machine.ended(run.now, &run.tuning, SeatId(2));
    run.sight([]);
    run.until(|order| *order == Order::Host, ms(700));
}

#[test]
fn settled_by_fullness_by_rest_by_wish_and_by_time() {
    let mut run = Run::host(Wish::default());
    run.machine.roster(run.now, SeatId(1), Roster { full: true, ..roster(5, true, 4) });
    assert_eq!(run.orders(), [Order::Settle(SeatId(1))]);
    run.machine.roster(run.now, SeatId(1), Roster { full: true, mobile: false, ..roster(5, true, 4) });
    assert_eq!(run.orders(), [Order::Done(SeatId(1))]);

    // Alone it waits; in company it rests for a while.
    let mut run = Run::host(Wish::default());
    run.quiet(ms(60_000));
    run.machine.roster(run.now, SeatId(1), roster(5, true, 2));
    run.quiet(run.tuning.mm_settle - ms(1));
    run.machine.roster(run.now, SeatId(1), roster(5, true, 3));
    run.quiet(run.tuning.mm_settle - ms(1));
    assert_eq!(run.until(|_| true, ms(1)), [Order::Settle(SeatId(1))]);

    let early = Wish { early: true, ..Wish::default() };
    let mut run = Run::host(early);
    run.machine.roster(run.now, SeatId(1), roster(5, true, 2));
    assert_eq!(run.orders(), [Order::Settle(SeatId(1))]);
    assert_eq!(Run::member(early).orders(), [Order::Stay(SeatId(1)), Order::Done(SeatId(1))]);

    let patient = Wish { timeout: Some(ms(5_000)), ..Wish::default() };
    let mut run = Run::host(patient);
    assert_eq!(run.until(|_| true, ms(5_000)), [Order::Settle(SeatId(1))]);
    let mut run = Run::member(patient);
    assert_eq!(run.until(|_| true, ms(5_000)), [Order::Stay(SeatId(1)), Order::Done(SeatId(1))]);
}

#[test]
fn a_merge_under_way_is_not_cut_short_by_time_or_wish() {
    let mut run = Run::host(Wish { timeout: Some(ms(5_000)), ..Wish::default() });
    run.sight([candidate(4, true, 1)]);
    run.until(|order| matches!(order, Order::Merge { .. }), ms(300));
    run.now = run.now + ms(6_000);
    run.machine.handle_timeout(run.now, &run.tuning);
    assert_eq!(run.orders(), []);
    run.merge(MergeOutcome::Refused);
    assert_eq!(run.orders(), [Order::Settle(SeatId(1))]);
}

#[test]
fn a_failure_to_make_a_session_is_the_answer() {
    let mut run = Run::new(Wish::default());
    run.until(|order| *order == Order::Host, ms(700));
    let error = Error::new(crate::types::ErrorKind::Io, "no port");
    run.machine.created(run.now, &run.tuning, Err(error.clone()));
    assert_eq!(run.orders(), [Order::Fail(error)]);
    assert_eq!(run.machine.poll_timeout(&run.tuning), None);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut run = Run::new(Wish::default());
    for number in 0..=255 {
        run.machine.hold(key(number), run.now, ms(100));
    }
    assert_eq!(run.machine.holds.len(), limits::MM_HOLDS);
    run.now = run.now + ms(100);
    run.machine.handle_timeout(run.now, &run.tuning);
    assert!(run.machine.holds.is_empty());
}
