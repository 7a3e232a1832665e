//! The answer to a request: one thing, three ways to wait for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::core::Core;
use super::events::turn_until;
use super::seat::SeatClaim;
use crate::proto::io::RequestId;
use crate::types::{Diagnosis, Error, ErrorKind, Found, InviteId, Reservation, Result, Revision};

/// What the engine answered, with the seat already held.
#[derive(Debug)]
pub(super) enum Outcome {
    Unit,
    Seat(SeatClaim),
    /// Of a join of several users, in their order.
    Seats(Vec<SeatClaim>),
    Reservation(Revision, Reservation),
    Found(Vec<Found>),
    Revision(Revision),
    Diagnosis(Diagnosis),
    Invites(Vec<InviteId>),
    Version(u64),
}

impl Outcome {
    /// The revision that it speaks of.
    pub(super) fn revision(&self) -> Option<Revision> {
        match self {
            Self::Revision(at) | Self::Reservation(at, _) => Some(*at),
            _ => None,
        }
    }

    /// The seats that it holds.
    pub(super) fn seats(&self) -> &[SeatClaim] {
        match self {
            Self::Seat(claim) => std::slice::from_ref(claim),
            Self::Seats(claims) => claims,
            _ => &[],
        }
    }
}

/// Where one answer is put.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<SlotState>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    outcome: Option<Result<Outcome>>,
    waker: Option<Waker>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The waker is to be woken once no lock is held.
    #[must_use]
    pub(super) fn fill(&self, outcome: Result<Outcome>) -> Option<Waker> {
        let mut state = self.lock();
        state.outcome = Some(outcome);
        self.filled.notify_all();
        state.waker.take()
    }

    fn take(&self) -> Option<Result<Outcome>> {
        self.lock().outcome.take()
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<Outcome>> {
        let mut state = self.lock();
        match state.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                let former = state.waker.replace(cx.waker().clone());
                drop(state);
                drop(former);
                Poll::Pending
            }
        }
    }

    fn wait_take(&self, longest: Duration) -> Option<Result<Outcome>> {
        let waiting = |state: &mut SlotState| state.outcome.is_none();
        let (mut state, _) =
            self.filled.wait_timeout_while(self.lock(), longest, waiting).unwrap_or_else(PoisonError::into_inner);
        state.outcome.take()
    }
}

/// A request under way; dropping it before its answer gives the request up.
pub(super) struct Ticket {
    pub(super) core: Arc<Core>,
    pub(super) request: RequestId,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.core.forget(self.request);
    }
}

type Finish<T> = Box<dyn FnOnce(Outcome) -> Result<T> + Send + Sync>;

/// The answer to a request that is under way. The request runs from the moment of the call, whoever waits or not.
///
/// Await it on any executor; or ask [`ready`](Self::ready) or [`try_take`](Self::try_take) once a frame, which never block;
/// or block in [`wait`](Self::wait). All requests have a deadline, so all are answered; matchmaking without a
/// timeout waits for company.
///
/// Dropping it drops the answer: a find stops, a join is given up, a seat that was taken meanwhile is left again, a session
/// that was made is ended. An update that was sent is not called back. [`detach`](Self::detach) lets the request run.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use lansession::{Lan, Preset, SessionQuery};
/// # use std::time::Duration;
/// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// let query = SessionQuery::new().timeout(Duration::from_millis(20));
/// let mut find = lan.find(query);
/// let found = loop {
///     if let Some(found) = find.try_take() { break found? } // or draw a frame
/// };
/// assert!(found.is_empty());
/// # Ok::<(), lansession::Error>(())
/// ```
#[must_use = "dropping a Pending drops its answer: a seat is left again; await it, keep it, or `detach()` it"]
pub struct Pending<T> {
    state: State<T>,
}

enum State<T> {
    Waiting {
        ticket: Ticket,
        finish: Finish<T>,
    },
    /// With the seats that the answer holds: `detach` must be able to keep them.
    Ready(Result<T>, Vec<SeatClaim>),
    Taken,
}

// No field is pinned: the value is only ever moved out.
impl<T> Unpin for Pending<T> {}

impl<T> Pending<T> {
    pub(super) fn new(ticket: Ticket, finish: impl FnOnce(Outcome) -> Result<T> + Send + Sync + 'static) -> Self {
        Self { state: State::Waiting { ticket, finish: Box::new(finish) } }
    }

    pub(super) fn ready_with(result: Result<T>) -> Self {
        Self { state: State::Ready(result, Vec::new()) }
    }

    /// The answer, if it is there; it stays. Never blocks.
    pub fn ready(&mut self) -> Option<Result<&T, &Error>> {
        self.settle();
        match &self.state {
            State::Ready(result, _) => Some(result.as_ref()),
            State::Waiting { .. } | State::Taken => None,
        }
    }

    /// Takes the answer, if it is there; once. Never blocks.
    pub fn try_take(&mut self) -> Option<Result<T>> {
        self.settle();
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ready(result, _) => Some(result),
            waiting => {
                self.state = waiting;
                None
            }
        }
    }

    /// Blocks until the answer is there, at most so long. On a virtual LAN its clock is turned meanwhile.
    ///
    /// # Errors
    /// The request's own; `TimedOut` where the answer did not come in time: the request is then given up, as by a drop.
    pub fn wait(mut self, longest: Duration) -> Result<T> {
        self.settle();
        if let State::Waiting { ticket, .. } = &self.state {
            let outcome = match ticket.core.drive() {
                Some(drive) => turn_until(&**drive, longest, || ticket.slot.take()),
                None => ticket.slot.wait_take(longest),
            };
            match outcome {
                Some(outcome) => self.finish(outcome),
                None => {
                    let why = format!("no answer within the {} ms that were waited for", longest.as_millis());
                    return Err(Error::new(ErrorKind::TimedOut, why));
                }
            }
        }
        self.try_take().unwrap_or_else(|| Err(taken()))
    }

    /// Lets the request run without anybody to wait for it. A session that it opens stays until it is left, as after
    /// [`Session::keep`](crate::Session::keep); a failure is told as [`LanEvent::Trouble`](crate::LanEvent::Trouble).
    pub fn detach(self) {
        match self.state {
            State::Waiting { ticket, .. } => ticket.core.detach(ticket.request, || ticket.slot.take()),
            State::Ready(_, seats) => seats.iter().for_each(SeatClaim::keep),
            State::Taken => {}
        }
    }

    fn settle(&mut self) {
        if let State::Waiting { ticket, .. } = &self.state {
            if let Some(outcome) = ticket.slot.take() {
                self.finish(outcome);
            }
        }
    }

    fn finish(&mut self, outcome: Result<Outcome>) {
        let seats = outcome.as_ref().map(Outcome::seats).unwrap_or_default().to_vec();
        if let State::Waiting { finish, .. } = std::mem::replace(&mut self.state, State::Taken) {
            self.state = State::Ready(outcome.and_then(finish), seats);
        }
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::InvalidState, "the answer was taken already")
}

pub(super) fn unfit(outcome: &Outcome) -> Error {
    Error::new(ErrorKind::Internal, format!("the engine's answer does not fit the request: {outcome:?}"))
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let State::Waiting { ticket, .. } = &self.state {
            match ticket.slot.poll_take(cx) {
                Poll::Ready(outcome) => self.finish(outcome),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(self.try_take().unwrap_or_else(|| Err(taken())))
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting { .. } => "Pending(waiting)",
            State::Ready(Ok(_), _) => "Pending(ready)",
            State::Ready(Err(_), _) => "Pending(failed)",
            State::Taken => "Pending(taken)",
        })
    }
}
