//! What stands between the handles and whoever drives the engine: commands one way, outputs the other.
//!
//! Lock order: core, then seat, then queue, cell or slot. Wakers are woken and claims dropped with no lock held: both run
//! other people's code.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::backend::Drive;
use super::deliver::close_all;
use super::inbox::Inbox;
use super::pending::{Outcome, Pending, Slot, Ticket};
use super::queue::Queue;
use super::seat::{SeatCell, SeatClaim};
use super::users::{SignedIn, UserQueues};
use crate::proto::io::{Command, Output, RequestId, SeatId};
use crate::proto::limits;
use crate::types::{AccountId, BrowserEvent, BrowserId, Error, ErrorKind, Event, Found, LanEvent, Result, SessionId};

/// Commands that wait for the driver before requests fail; about 300 bytes each.
const COMMANDS: usize = 4_096;

/// One `Lan`'s state, shared by its handles and its driver.
pub(crate) struct Core {
    inner: Mutex<Inner>,
    /// The engine said something, or the driver has ended.
    staged: Condvar,
    drive: Option<Arc<dyn Drive>>,
    this: OnceLock<Weak<Core>>,
}

pub(super) struct Inner {
    commands: VecDeque<Command>,
    command_waker: Option<Waker>,
    last_request: u64,
    last_browser: u64,
    pub(super) last_sign_in: u64,
    pub(super) requests: BTreeMap<RequestId, Waiter>,
    pub(super) users: BTreeMap<AccountId, SignedIn>,
    /// Who listens to sign-ins whose end the engine has been told to make and has not told of, the oldest first. Beside
    /// `users`: an account may sign in again meanwhile.
    pub(super) departing: BTreeMap<AccountId, VecDeque<UserQueues>>,
    pub(super) seats: BTreeMap<SeatId, Arc<SeatCell>>,
    pub(super) browsers: BTreeMap<BrowserId, Listing>,
    /// The last find of each user, and of nobody.
    pub(super) finds: BTreeMap<Option<AccountId>, Vec<Found>>,
    pub(super) events: Vec<Weak<Queue<Event>>>,
    /// `Some` in frame mode.
    pub(super) inbox: Option<Inbox>,
    /// A close was asked for.
    pub(super) closing: bool,
    /// The engine has closed.
    pub(super) closed: bool,
    /// The driver has ended.
    pub(super) stopped: bool,
    pub(super) closed_told: bool,
    /// When links were opened lately.
    pub(super) links_opened: VecDeque<Duration>,
}

/// Who waits for an answer.
pub(super) struct Waiter {
    /// `None` where the request was detached.
    pub(super) slot: Option<Arc<Slot>>,
    pub(super) kind: Kind,
    /// Whom it is to seat: once detached it needs them signed in, though no handle of theirs is left.
    pub(super) seats: Vec<AccountId>,
}

/// What a request is, as far as its end goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs on when its answer is dropped.
    Plain,
    /// Is given up when its answer is dropped. Its seats may be their users' presence.
    Opening {
        presence: bool,
    },
    Find(Option<AccountId>),
    /// Is answered with a revision of this seat's state.
    Change(SeatId),
    SignOut(AccountId),
    /// Ends a seat: no bound refuses it.
    End,
    /// Succeeds when everything stops.
    Close,
}

/// A browser's list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) list: Arc<[Found]>,
    pub(super) events: Vec<Weak<Queue<BrowserEvent>>>,
}

/// What is to be done once the lock is released.
#[derive(Default)]
pub(super) struct After {
    pub(super) wakers: Vec<Waker>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) slots: Vec<Arc<Slot>>,
    pub(super) doors: Vec<Box<dyn Any + Send + Sync>>,
}

impl After {
    fn run(self) {
        let Self { wakers, outcomes, slots, doors } = self;
        wakers.into_iter().for_each(Waker::wake);
        drop((outcomes, slots, doors));
    }
}

impl Inner {
    /// Queues a command that no bound may refuse: what ends things.
    pub(super) fn command(&mut self, after: &mut After, command: Command) {
        if self.stopped {
            return;
        }
        self.commands.push_back(command);
        after.wakers.extend(self.command_waker.take());
    }

    pub(super) fn draw_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    fn begin_closing(&mut self, after: &mut After) {
        self.closing = true;
        self.close_doors(after);
    }

    fn admit_end(&self) -> Result<()> {
        if self.stopped || self.closing { Err(stopped()) } else { Ok(()) }
    }

    pub(super) fn admit(&self) -> Result<()> {
        self.admit_end()?;
        if self.commands.len() >= COMMANDS {
            let why = format!("{COMMANDS} requests wait already; the driver does not keep up or is not driven");
            return Err(Error::new(ErrorKind::TooManyRequests, why));
        }
        Ok(())
    }

    fn admit_query(&self) -> Result<()> {
        let finds = self.requests.values().filter(|waiter| matches!(waiter.kind, Kind::Find(_))).count();
        if finds + self.browsers.len() >= limits::QUERIES {
            let why = format!("{} finds and browsers run already", limits::QUERIES);
            return Err(Error::new(ErrorKind::TooManyRequests, why));
        }
        Ok(())
    }
}

/// The users that a command asks seats for.
fn seated_by(command: &Command) -> Vec<AccountId> {
    match command {
        Command::Host { account, .. } | Command::Matchmake { account, .. } => vec![*account],
        Command::Join { account, what, .. } => std::iter::once(account).chain(&what.party).copied().collect(),
        _ => Vec::new(),
    }
}

pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Stopped, "the Lan was closed")
}

// ---------------------------------------------------------------------------------- for the driver, the virtual LAN

impl Core {
    pub(crate) fn new(drive: Option<Arc<dyn Drive>>, frames: bool) -> Arc<Self> {
        let inner = Inner {
            commands: VecDeque::new(),
            command_waker: None,
            last_request: 0,
            last_browser: 0,
            last_sign_in: 0,
            requests: BTreeMap::new(),
            users: BTreeMap::new(),
            departing: BTreeMap::new(),
            seats: BTreeMap::new(),
            browsers: BTreeMap::new(),
            finds: BTreeMap::new(),
            events: Vec::new(),
            inbox: frames.then(Inbox::default),
            closing: false,
            closed: false,
            stopped: false,
            closed_told: false,
            links_opened: VecDeque::new(),
        };
        let core = Arc::new(Self { inner: Mutex::new(inner), staged: Condvar::new(), drive, this: OnceLock::new() });
        let _ = core.this.set(Arc::downgrade(&core));
        core
    }

    /// The next command. `Ready(None)` once [`stopped`](Self::stopped) was called.
    pub(crate) fn poll_command(&self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        let mut inner = self.lock();
        if let Some(command) = inner.commands.pop_front() {
            return Poll::Ready(Some(command));
        }
        if inner.stopped {
            return Poll::Ready(None);
        }
        inner.command_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next command, if there is one.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn take_command(&self) -> Option<Command> {
        self.lock().commands.pop_front()
    }

    /// Waits until the engine has closed, its goodbyes on the way; at most so long.
    pub(crate) fn wait_closed(&self, longest: Duration) {
        let open = |inner: &mut Inner| !inner.closed && !inner.stopped;
        drop(self.staged.wait_timeout_while(self.lock(), longest, open));
    }

    /// The driver has ended, politely or not: completes every request with `Stopped`, ends every seat that has not ended
    /// with `Left::Shutdown`, and every subscription. Idempotent.
    pub(crate) fn stopped(&self) {
        self.with(|inner, after| {
            if inner.stopped {
                return;
            }
            inner.stopped = true;
            inner.commands.clear();
            after.wakers.extend(inner.command_waker.take());
            inner.close_doors(after);
            for (_, waiter) in std::mem::take(&mut inner.requests) {
                let end = if waiter.kind == Kind::Close { Ok(Outcome::Unit) } else { Err(stopped()) };
                if let Some(slot) = waiter.slot {
                    after.wakers.extend(slot.fill(end));
                    after.slots.push(slot);
                }
            }
            inner.accept_stop(after);
        });
        self.staged.notify_all();
    }
}

// ----------------------------------------------------------------------------------------------------- for the handles

impl Core {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` under the lock, and what it puts into `After` without.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Inner, &mut After) -> R) -> R {
        let mut after = After::default();
        let result = f(&mut self.lock(), &mut after);
        after.run();
        result
    }

    pub(super) fn staged(&self) -> &Condvar {
        &self.staged
    }

    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.this.get().and_then(Weak::upgrade)
    }

    pub(crate) fn drive(&self) -> Option<&Arc<dyn Drive>> {
        self.drive.as_ref()
    }

    /// Starts a request. `finish` makes the answer, in the hands of whoever waits.
    pub(super) fn request<T>(
        self: &Arc<Self>,
        kind: Kind,
        command: impl FnOnce(RequestId) -> Command,
        finish: impl FnOnce(Outcome) -> Result<T> + Send + Sync + 'static,
    ) -> Pending<T> {
        let ticket = self.with(|inner, after| {
            match kind {
                Kind::Close => {}
                Kind::End => inner.admit_end()?,
                Kind::Find(_) => inner.admit().and_then(|()| inner.admit_query())?,
                Kind::Plain | Kind::Opening { .. } | Kind::Change(_) | Kind::SignOut(_) => inner.admit()?,
            }
            let request = inner.draw_request();
            let slot = Arc::new(Slot::default());
            if inner.stopped {
                // Nobody is left to answer, and what was asked for has happened.
                let _ = slot.fill(Ok(Outcome::Unit));
                return Ok(Ticket { core: Arc::clone(self), request, slot });
            }
            let command = command(request);
            let waiter = Waiter { slot: Some(Arc::clone(&slot)), kind, seats: seated_by(&command) };
            inner.requests.insert(request, waiter);
            match kind {
                Kind::Close => inner.begin_closing(after),
                Kind::SignOut(account) => {
                    if let Some(user) = inner.users.get_mut(&account) {
                        user.leaving = true;
                        after.doors.extend(user.door.take());
                    }
                }
                Kind::Plain | Kind::Opening { .. } | Kind::Find(_) | Kind::Change(_) | Kind::End => {}
            }
            inner.command(after, command);
            Ok(Ticket { core: Arc::clone(self), request, slot })
        });
        match ticket {
            Ok(ticket) => Pending::new(ticket, finish),
            Err(error) => Pending::ready_with(Err(error)),
        }
    }

    /// Queues a command that has no answer and that a bound may refuse.
    pub(super) fn tell(&self, command: Command) -> Result<()> {
        self.with(|inner, after| {
            inner.admit()?;
            inner.command(after, command);
            Ok(())
        })
    }

    /// The answer is not wanted any more.
    pub(super) fn forget(&self, request: RequestId) {
        self.with(|inner, after| {
            let Some(waiter) = inner.requests.get(&request) else { return };
            if waiter.slot.is_none() {
                return;
            }
            let cancels = matches!(waiter.kind, Kind::Opening { .. } | Kind::Find(_));
            after.slots.extend(inner.requests.remove(&request).and_then(|waiter| waiter.slot));
            if cancels {
                inner.command(after, Command::Cancel { request });
            }
        });
    }

    /// Nobody waits any more; `late` takes an answer that is there already.
    pub(super) fn detach(&self, request: RequestId, late: impl FnOnce() -> Option<Result<Outcome>>) {
        let waits = self.with(|inner, after| match inner.requests.get_mut(&request) {
            Some(waiter) => {
                after.slots.extend(waiter.slot.take());
                true
            }
            None => false,
        });
        if waits {
            return;
        }
        match late() {
            Some(Ok(outcome)) => outcome.seats().iter().for_each(SeatClaim::keep),
            Some(Err(error)) => self.with(|inner, after| inner.trouble(after, &error)),
            None => {}
        }
    }

    /// One claim on a seat fewer.
    pub(super) fn release(&self, id: SeatId) {
        self.with(|inner, after| {
            let Some(cell) = inner.seats.get(&id) else { return };
            let mut seat = cell.lock();
            seat.claims = seat.claims.saturating_sub(1);
            if seat.claims > 0 {
                return;
            }
            let ended = seat.ended.is_some() || inner.stopped;
            let leaves = !ended && !seat.keep && !seat.leaving;
            seat.leaving |= leaves;
            drop(seat);
            if ended {
                inner.seats.remove(&id);
            } else if leaves {
                inner.command(after, Command::Leave { request: None, seat: id });
            }
        });
    }

    /// Claims the first seat that fits.
    pub(super) fn claims(&self, fits: impl Fn(&super::seat::Seat) -> bool) -> Vec<SeatClaim> {
        let Some(this) = self.this() else { return Vec::new() };
        self.with(|inner, _| {
            let fitting = inner.seats.iter().filter_map(|(&id, cell)| {
                let mut seat = cell.lock();
                if !fits(&seat) {
                    return None;
                }
                seat.claims = seat.claims.saturating_add(1);
                drop(seat);
                Some(SeatClaim::counted(Arc::clone(&this), id, Arc::clone(cell)))
            });
            fitting.collect()
        })
    }

    pub(super) fn open_browser(&self, command: impl FnOnce(BrowserId) -> Command) -> Result<BrowserId> {
        self.with(|inner, after| {
            inner.admit()?;
            inner.admit_query()?;
            inner.last_browser += 1;
            let browser = BrowserId(inner.last_browser);
            inner.browsers.insert(browser, Listing { list: Arc::from([]), events: Vec::new() });
            inner.command(after, command(browser));
            Ok(browser)
        })
    }

    pub(super) fn close_browser(&self, browser: BrowserId) {
        self.with(|inner, after| {
            let Some(listing) = inner.browsers.remove(&browser) else { return };
            close_all(&listing.events, after);
            inner.command(after, Command::CloseBrowser { browser });
        });
    }

    pub(super) fn list(&self, browser: BrowserId) -> Arc<[Found]> {
        self.lock().browsers.get(&browser).map_or_else(|| Arc::from([]), |listing| Arc::clone(&listing.list))
    }

    /// Requests without an answer.
    pub(super) fn pending(&self) -> usize {
        self.lock().requests.len()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    pub(super) fn is_closing(&self) -> bool {
        let inner = self.lock();
        inner.closing || inner.stopped
    }

    /// The last `Lan` handle is gone.
    pub(super) fn close_unheard(&self) {
        self.with(|inner, after| {
            if !inner.closing {
                inner.begin_closing(after);
                let request = inner.draw_request();
                inner.command(after, Command::Close { request });
            }
        });
    }

    /// What is known of a session: one's own, a listed one, one of the last finds.
    pub(super) fn known(&self, id: SessionId) -> Option<Found> {
        let inner = self.lock();
        let fits = |found: &&Found| found.id() == id;
        let listed = inner.browsers.values().find_map(|listing| listing.list.iter().find(fits));
        let found = listed.or_else(|| inner.finds.values().find_map(|list| list.iter().find(fits)));
        found.cloned().or_else(|| {
            inner.seats.values().find_map(|cell| {
                let seat = cell.lock();
                (seat.snapshot.key.id == id && seat.ended.is_none()).then(|| seat.as_found())
            })
        })
    }

    /// Waits until frame mode has something staged or all has stopped, at most so long.
    pub(crate) fn wait_staged(&self, longest: Duration) {
        let idle = |inner: &mut Inner| !inner.stopped && inner.inbox.as_ref().is_some_and(Inbox::is_empty);
        drop(self.staged.wait_timeout_while(self.lock(), longest, idle));
    }

    pub(crate) fn has_staged(&self) -> bool {
        self.lock().inbox.as_ref().is_some_and(|inbox| !inbox.is_empty())
    }

    /// Stopped, and nothing is left to be seen.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over()
    }
}

impl Inner {
    pub(super) fn is_over(&self) -> bool {
        self.stopped && self.inbox.as_ref().is_none_or(Inbox::is_empty)
    }

    pub(super) fn trouble(&mut self, after: &mut After, error: &Error) {
        let text = format!("a request that nobody waited for failed: {error}");
        self.accept(after, Output::Lan(LanEvent::Trouble(text)));
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("Core")
            .field("users", &inner.users.len())
            .field("seats", &inner.seats.len())
            .field("browsers", &inner.browsers.len())
            .field("stopped", &inner.stopped)
            .finish_non_exhaustive()
    }
}
