//! The one task: every source in turn, the engine drained after each input, then sleep until something comes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::clock::Clock;
use super::delay::Delay;
use super::derive::Derive;
use super::doors::Doors;
use super::handles::{CommandSource, OutputSink};
use super::links::Links;
#[cfg(feature = "mdns")]
use super::mdns::Mdns;
use super::quiet::Quiet;
use super::udp::{Ports, Udp};
use super::{Config, interfaces};
use crate::proto::io::{Action, Interface, Output, SendFailure, Transmit};
use crate::proto::machine::Machine;
use crate::types::{LanEvent, SessionKey};

/// What each source may give in one turn.
const COMMANDS: usize = 32;
const DATAGRAMS: usize = 64;
const LINK_EVENTS: usize = 32;
const FEEDBACK: usize = 64;
#[cfg(feature = "mdns")]
const MDNS_EVENTS: usize = 32;
/// Turns before other tasks of the runtime, the links among them, get theirs.
const TURNS: usize = 4;
/// What one input may make the engine send and do before the next input; the rest follows in the next turn.
const DRAIN: usize = 4_096;
const INTERFACES_EVERY: Duration = Duration::from_secs(2);
/// While a socket waits to be opened again.
const REPAIR_EVERY: Duration = Duration::from_millis(500);
/// How long links may take to say their last words once everything ends.
const ENDING: Duration = Duration::from_secs(1);
/// The same where the engine has not ended anything itself.
const ENDING_UNHELD: Duration = Duration::from_millis(500);
/// How long the word that all is closed waits for the last words of the links: who hears it may end the process, and they
/// are the kernel's by then. A stop takes less than 50 ms whatever a peer does.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// How long the engine may repeat its goodbyes once the handle is dropped: it was told to close before that.
const GRACE: Duration = Duration::from_millis(600);

/// What the driver itself tells the engine as a consequence of an action.
enum Feedback {
    Interfaces(Vec<Interface>),
    Listening(SessionKey, Result<u16, String>),
    Failed(SendFailure),
}

/// Drives one engine. Made outside the runtime, run inside.
pub(crate) struct Driver<M: Machine, C: CommandSource, S: OutputSink> {
    machine: M,
    commands: C,
    sink: S,
    config: Config,
    clock: Clock,
    udp: Udp,
    delay: Delay,
    links: Links,
    derive: Derive,
    doors: Doors,
    #[cfg(feature = "mdns")]
    mdns: Mdns,
    /// The interfaces while sockets are open, as the system lists them.
    interfaces: Option<Vec<Interface>>,
    /// What the engine knows of them.
    told: Vec<Interface>,
    /// When to look at the interfaces again.
    look: Alarm,
    deadline: Alarm,
    feedback: VecDeque<Feedback>,
    /// Resolves when the handle of this driver is dropped.
    stop: Option<oneshot::Receiver<()>>,
    /// The engine is to stop by itself before this goes off.
    grace: Alarm,
    ending: Option<Alarm>,
    /// The last drain came to its bound.
    unfinished: bool,
    /// The engine has ended everything itself.
    stopped: bool,
    /// Outputs from "closed" on, while links still say their last words.
    parting: Option<(Alarm, Vec<Output>)>,
    quiet: Quiet,
}

impl<M: Machine, C: CommandSource, S: OutputSink> Driver<M, C, S> {
    pub(crate) fn new(machine: M, config: Config, commands: C, sink: S) -> Self {
        let ports = Ports {
            beacon: config.beacon_port,
            unicast: config.unicast_port,
            group_v4: config.group_v4,
            group_v6: config.group_v6,
        };
        Self {
            machine,
            commands,
            sink,
            clock: Clock::new(),
            udp: Udp::new(ports, config.is_restricted()),
            delay: Delay::new(config.disturbance()),
            links: Links::new(config.clone()),
            derive: Derive::new(),
            doors: Doors::default(),
            #[cfg(feature = "mdns")]
            mdns: Mdns::new(&config),
            config,
            interfaces: None,
            told: Vec::new(),
            look: Alarm::default(),
            deadline: Alarm::default(),
            feedback: VecDeque::new(),
            stop: None,
            grace: Alarm::default(),
            ending: None,
            unfinished: false,
            stopped: false,
            parting: None,
            quiet: Quiet::default(),
        }
    }

    pub(super) fn stop_with(mut self, stop: oneshot::Receiver<()>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Runs until the engine stops or nobody holds a handle any more. Needs a tokio runtime with I/O and time; dropped
    /// before its end, it sends the goodbyes in its drop.
    pub(crate) async fn run(mut self) {
        // Its own batches keep it fair; tokio's budget would let a flood of datagrams use up the links' share.
        tokio::task::unconstrained(poll_fn(|cx| self.poll(cx))).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            // No shortcut: every source is asked, or its waker would be missing.
            let busy = [
                self.rest(),
                self.commands(cx),
                self.feedback(),
                self.datagrams(cx),
                self.delayed(cx),
                self.link_events(cx),
                self.parted(cx),
                self.mdns_events(cx),
                self.derived(cx),
                self.new_doors(cx),
                self.look(cx),
                self.deadline(cx),
            ];
            if self.is_ended(cx) {
                return Poll::Ready(());
            }
            if !busy.contains(&true) && !self.unfinished {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn commands(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..COMMANDS {
            if self.ending.is_some() {
                return false;
            }
            match self.commands.poll_command(cx) {
                Poll::Ready(Some(command)) => {
                    self.machine.handle_command(self.clock.now(), command);
                    self.drain();
                }
                Poll::Ready(None) => self.end(ENDING_UNHELD),
                Poll::Pending => {
                    // Only now: what was said before the handle was dropped still counts, a leave above all.
                    if self.stop.as_mut().is_some_and(|stop| Pin::new(stop).poll(cx).is_ready()) {
                        self.stop = None;
                        self.grace.set(Some(Instant::now() + GRACE));
                    }
                    if self.grace.poll(cx) {
                        self.end(ENDING_UNHELD);
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Bounded, and not within the drain that caused it: an engine that repeats what failed cannot spin here.
    fn feedback(&mut self) -> bool {
        for _ in 0..FEEDBACK {
            let now = self.clock.now();
            match self.feedback.pop_front() {
                Some(Feedback::Interfaces(list)) => self.machine.handle_interfaces(now, list),
                Some(Feedback::Listening(session, result)) => self.machine.handle_listening(now, session, result),
                Some(Feedback::Failed(failure)) => self.machine.handle_send_failure(now, failure),
                None => return false,
            }
            self.drain();
        }
        true
    }

    fn datagrams(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut arrivals, mut failures) = (Vec::new(), Vec::new());
        let busy = self.udp.receive(cx, DATAGRAMS, &mut arrivals, &mut failures);
        for arrival in arrivals {
            self.machine.handle_arrival(self.clock.now(), arrival);
            self.drain();
        }
        for failure in failures {
            self.machine.handle_send_failure(self.clock.now(), failure);
            self.drain();
        }
        busy
    }

    fn send(&mut self, transmit: &Transmit) {
        if let Err(failure) = self.udp.send(transmit) {
            self.feedback.push_back(Feedback::Failed(failure));
        }
    }

    /// Sends what was held back by a simulated fault and is due.
    fn delayed(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..DATAGRAMS {
            let Poll::Ready(transmit) = self.delay.poll(cx) else { return false };
            self.send(&transmit);
        }
        true
    }

    fn link_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut events = Vec::new();
        let busy = self.links.poll(cx, LINK_EVENTS, &mut events);
        // Links that close because everything ends are no loss that the engine should mend.
        if self.ending.is_some() {
            return busy;
        }
        for event in events {
            self.machine.handle_link(self.clock.now(), event);
            self.drain();
        }
        busy
    }

    #[cfg(feature = "mdns")]
    fn mdns_events(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..MDNS_EVENTS {
            let Poll::Ready(event) = self.mdns.poll(cx) else { return false };
            self.machine.handle_mdns(self.clock.now(), event);
            self.drain();
        }
        true
    }

    #[cfg(not(feature = "mdns"))]
    #[expect(clippy::unused_self, reason = "the other half of the feature uses it")]
    fn mdns_events(&mut self, _: &mut Context<'_>) -> bool {
        false
    }

    fn derived(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready((id, key)) = self.derive.poll(cx) else { return false };
        self.machine.handle_derived(self.clock.now(), id, key);
        self.drain();
        true
    }

    fn new_doors(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(door) = self.commands.poll_door(cx) else { return false };
        self.doors.open(door);
        true
    }

    /// Looks at the interfaces and repairs sockets, while there are any.
    fn look(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.look.poll(cx) {
            return false;
        }
        self.clock.catch_up();
        let Some(known) = &self.interfaces else { return false };
        match interfaces::list(&self.config) {
            Ok(list) if list != *known => {
                tracing::info!(target: "lansession::discovery", addresses = list.len(), "interfaces changed");
                self.udp.update(list.clone());
                self.interfaces = Some(list);
            }
            Ok(_) => {}
            Err(error) => self.no_interfaces(&error),
        }
        self.udp.maintain();
        let now = self.udp.interfaces();
        if now != self.told {
            self.told.clone_from(&now);
            self.machine.handle_interfaces(self.clock.now(), now);
            self.drain();
        }
        self.arm_look();
        true
    }

    fn arm_look(&mut self) {
        let every = if self.udp.is_broken() { REPAIR_EVERY } else { INTERFACES_EVERY };
        self.look.set(Some(Instant::now() + every));
    }

    fn no_interfaces(&mut self, error: &std::io::Error) {
        if let Some(held) = self.quiet.may_warn("interfaces") {
            tracing::warn!(target: "lansession::discovery", %error, held, "the interfaces cannot be listed");
        }
    }

    fn deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.machine.poll_timeout() else {
            self.deadline.set(None);
            return false;
        };
        let now = self.clock.now();
        if due > now {
            self.deadline.set(Some(self.clock.instant(due)));
            if !self.deadline.poll(cx) {
                return false;
            }
        }
        self.machine.handle_timeout(self.clock.now());
        self.drain();
        true
    }

    /// Does what the engine wants done.
    fn drain(&mut self) {
        let mut left = [DRAIN; 3];
        let [transmits, actions, outputs] = &mut left;
        while let Some(transmit) = within(transmits, || self.machine.poll_transmit()) {
            if let Some(transmit) = self.delay.pass(transmit) {
                self.send(&transmit);
            }
        }
        while let Some(action) = within(actions, || self.machine.poll_action()) {
            self.act(action);
        }
        while let Some(output) = within(outputs, || self.machine.poll_output()) {
            self.deliver(output);
        }
        self.unfinished |= left.contains(&0);
    }

    /// What the last drain left.
    fn rest(&mut self) -> bool {
        let unfinished = std::mem::take(&mut self.unfinished);
        if unfinished {
            self.drain();
        }
        unfinished
    }

    fn deliver(&mut self, output: Output) {
        if matches!(output, Output::Lan(LanEvent::Closed)) && self.parting.is_none() && self.links.is_flushing() {
            let mut alarm = Alarm::default();
            alarm.set(Some(Instant::now() + LAST_WORDS + self.config.simulate.longest()));
            self.parting = Some((alarm, Vec::new()));
        }
        match &mut self.parting {
            Some((_, held)) => held.push(output),
            None => self.sink.deliver(output),
        }
    }

    /// Tells what was held back once the links have said their last words, or had their time.
    fn parted(&mut self, cx: &mut Context<'_>) -> bool {
        let flushing = self.links.is_flushing();
        let Some((alarm, _)) = &mut self.parting else { return false };
        if flushing && !alarm.poll(cx) {
            return false;
        }
        for output in self.parting.take().map(|(_, held)| held).unwrap_or_default() {
            self.sink.deliver(output);
        }
        true
    }

    fn act(&mut self, action: Action) {
        let opens = matches!(action, Action::Sockets { open: true } | Action::Listen { .. } | Action::Dial { .. });
        if opens && self.ending.is_some() {
            return;
        }
        match action {
            Action::Sockets { open: true } => self.open_sockets(),
            Action::Sockets { open: false } => {
                for transmit in self.delay.drain() {
                    let _lost = self.udp.send(&transmit);
                }
                self.udp.close();
                self.interfaces = None;
                self.look.set(None);
            }
            Action::Listen { session, key, port } => {
                let result = self.links.listen(session, &key, port);
                self.feedback.push_back(Feedback::Listening(session, result));
            }
            Action::Unlisten { session } => self.links.unlisten(session),
            Action::Dial { link, to, expect, identity } => self.links.dial(link, to, expect, &identity),
            Action::Send { link, bytes } => self.links.send(link, bytes),
            Action::Close { link, flush } => self.links.close(link, flush),
            #[cfg(feature = "mdns")]
            Action::Mdns(action) => self.mdns.act(action),
            #[cfg(not(feature = "mdns"))]
            Action::Mdns(_) => {}
            Action::Derive { id, password, salt, rounds } => self.derive.start(id, password, salt, rounds),
            Action::Stop => {
                self.stopped = true;
                self.end(ENDING);
            }
        }
    }

    fn open_sockets(&mut self) {
        if self.interfaces.is_some() {
            return;
        }
        let list = interfaces::list(&self.config).unwrap_or_else(|error| {
            self.no_interfaces(&error);
            Vec::new()
        });
        self.udp.update(list.clone());
        self.interfaces = Some(list);
        self.told = self.udp.interfaces();
        self.feedback.push_back(Feedback::Interfaces(self.told.clone()));
        self.arm_look();
    }

    fn end(&mut self, within: Duration) {
        if self.ending.is_none() {
            self.links.close_all();
            let mut alarm = Alarm::default();
            alarm.set(Some(Instant::now() + within + self.config.simulate.longest()));
            self.ending = Some(alarm);
        }
    }

    fn is_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let links_done = self.links.is_empty();
        self.ending.as_mut().is_some_and(|alarm| links_done || alarm.poll(cx))
    }
}

impl<M: Machine, C: CommandSource, S: OutputSink> Drop for Driver<M, C, S> {
    fn drop(&mut self) {
        for transmit in self.delay.drain() {
            let _lost = self.udp.send(&transmit);
        }
        // Nothing asynchronous runs any more: the goodbyes leave here or never. After a panic in the engine its state is
        // not to be trusted.
        if self.stopped || std::thread::panicking() {
            return;
        }
        for transmit in self.machine.farewell() {
            let _lost = self.udp.send(&transmit);
        }
    }
}

/// The next thing, as long as something is left of the bound.
fn within<T>(left: &mut usize, next: impl FnOnce() -> Option<T>) -> Option<T> {
    *left = left.checked_sub(1)?;
    next()
}
