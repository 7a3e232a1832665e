//! One daemon per process and setup, shared by all its drivers, on a thread that no driver waits for.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use tokio::sync::mpsc;

use super::parting::Parting;
use super::worker;
use crate::proto::io::{MdnsAction, MdnsEvent};

/// One driver at a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client(u64);

/// What makes two drivers share a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) port: u16,
    pub(super) loopback_only: bool,
    pub(super) interfaces: Vec<String>,
}

pub(super) enum Order {
    Attach(Client, mpsc::Sender<MdnsEvent>),
    Act(Client, MdnsAction, Option<Parting>),
    Detach(Client),
}

/// The way to the daemon's thread; that ends once the last driver has let go of this.
#[derive(Debug)]
pub(super) struct Hub {
    orders: mpsc::UnboundedSender<Order>,
    next: Mutex<u64>,
}

/// Two daemons of one process on one port would each answer for half of the sessions and disturb each other's caches.
static HUBS: Mutex<Vec<(Setup, Weak<Hub>)>> = Mutex::new(Vec::new());

impl Hub {
    pub(super) fn attach(setup: &Setup, events: mpsc::Sender<MdnsEvent>) -> io::Result<(Arc<Self>, Client)> {
        let hub = Self::shared(setup)?;
        let client = {
            let mut next = hub.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            Client(*next)
        };
        hub.order(Order::Attach(client, events));
        Ok((hub, client))
    }

    fn shared(setup: &Setup) -> io::Result<Arc<Self>> {
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|(_, hub)| hub.strong_count() > 0);
        let known = hubs.iter().find(|(other, _)| other == setup).and_then(|(_, hub)| hub.upgrade());
        // Its thread may have died of a panic in a dependency; a new one then.
        if let Some(hub) = known.filter(|hub| !hub.orders.is_closed()) {
            return Ok(hub);
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let worker = setup.clone();
        thread::Builder::new()
            .name("lansession-mdns".into())
            .spawn(move || runtime.block_on(worker::run(worker, inbox)))?;
        let hub = Arc::new(Self { orders, next: Mutex::new(0) });
        hubs.retain(|(other, _)| other != setup);
        hubs.push((setup.clone(), Arc::downgrade(&hub)));
        Ok(hub)
    }

    pub(super) fn tell(&self, client: Client, action: MdnsAction) {
        let parting = matches!(action, MdnsAction::Unregister { .. }).then(Parting::new);
        self.order(Order::Act(client, action, parting));
    }

    pub(super) fn detach(&self, client: Client) {
        self.order(Order::Detach(client));
    }

    fn order(&self, order: Order) {
        // A thread that died takes nothing more; the next attach starts another.
        let _dead = self.orders.send(order);
    }
}
