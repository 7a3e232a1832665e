//! Processes: an engine, its sockets and its users; how they start, stop, sleep and look at their interfaces.

use std::net::IpAddr;
use std::time::Duration;

use super::fault::between;
use super::topology::Nic;
use super::users::Users;
use super::world::{What, World};
use crate::proto::clock::Moment;
use crate::proto::disturb::Disturbance;
use crate::proto::io::Interface;
use crate::proto::machine::Machine;
use crate::types::NetworkFault;

/// Between two looks at the list of interfaces, as the driver has it.
const INTERFACE_POLL: Duration = Duration::from_secs(2);

/// Which of its machine's interfaces a process uses.
pub(super) type InterfaceFilter = Box<dyn Fn(&Interface) -> bool + Send>;

/// A socket of a process's own, bound to one of its addresses.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) index: u32,
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

/// One process: an engine and its sockets.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) node: usize,
    pub(super) alive: bool,
    /// When its engine's time began.
    pub(super) born: Moment,
    pub(super) machine: Box<dyn Machine>,
    pub(super) users: Box<dyn Users>,
    pub(super) filter: InterfaceFilter,
    pub(super) beacon_port: u16,
    pub(super) sockets_open: bool,
    pub(super) sockets: Vec<Socket>,
    /// The port of those sockets, on every interface the same.
    pub(super) port: u16,
    /// The port of the socket that sends as the routing table says.
    pub(super) routed_port: u16,
    /// What the engine was told, while sockets are open.
    pub(super) interfaces: Option<Vec<Interface>>,
    /// The earliest `Wake` that is in the heap.
    pub(super) wake: Option<Moment>,
    /// How often it was woken since when.
    pub(super) wakes: (u32, Moment),
    /// What came while it was frozen.
    pub(super) held: Vec<What>,
    pub(super) held_datagrams: usize,
    /// The fill of its socket buffer, and when that was so.
    pub(super) backlog: (f64, Moment),
    pub(super) next_link: u64,
    /// What is wrong with all it sends, by its own wish.
    pub(super) disturbance: Option<Disturbance>,
}

impl Process {
    /// The engine's own time.
    pub(super) fn age(&self, now: Moment) -> Moment {
        Moment::ZERO + now.since(self.born)
    }

    /// When the engine wants to be woken, in the world's time.
    pub(super) fn timeout(&mut self) -> Option<Moment> {
        self.machine.poll_timeout().map(|at| self.born + at.since(Moment::ZERO))
    }
}

impl World {
    /// Starts a process.
    pub(crate) fn start(
        &mut self,
        node: usize,
        beacon_port: u16,
        filter: InterfaceFilter,
        machine: Box<dyn Machine>,
        users: Box<dyn Users>,
    ) -> usize {
        let id = self.processes.len();
        let Some(host) = self.topology.nodes.get_mut(node) else { return id };
        let name = match host.processes.len() {
            0 => host.name.clone(),
            before => format!("{}#{}", host.name, before + 1),
        };
        host.processes.push(id);
        let (port, routed_port) = (host.ephemeral(), host.ephemeral());
        self.processes.push(Process {
            name,
            node,
            alive: true,
            born: self.now,
            machine,
            users,
            filter,
            beacon_port,
            sockets_open: false,
            sockets: Vec::new(),
            port,
            routed_port,
            interfaces: None,
            wake: None,
            wakes: (0, self.now),
            held: Vec::new(),
            held_datagrams: 0,
            backlog: (0.0, self.now),
            next_link: 1,
            disturbance: None,
        });
        id
    }

    /// `LanBuilder::simulate`, as the driver has it.
    pub(crate) fn simulate(&mut self, process: usize, fault: NetworkFault) {
        if fault.is_none() {
            return;
        }
        let seed = self.draw();
        if let Some(own) = self.processes.get_mut(process) {
            own.disturbance = Some(Disturbance::new(fault, seed));
        }
    }

    /// SIGKILL: its sockets vanish, its peers get an end of stream, its users `Stopped`.
    pub(super) fn kill(&mut self, process: usize) {
        let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { return };
        (own.alive, own.sockets_open) = (false, false);
        own.sockets.clear();
        own.held.clear();
        own.users.stop();
        self.transcript.note(self.now, process, "ends", "", &[]);
        self.abandon_streams(process);
        self.mdns_gone(process);
    }

    /// The end of the world.
    pub(super) fn stop_all(&mut self) {
        for process in 0..self.processes.len() {
            self.kill(process);
        }
    }

    pub(crate) fn crash(&mut self, node: usize) {
        let Some(host) = self.topology.nodes.get_mut(node) else { return };
        (host.crashed, host.frozen) = (true, false);
        for process in host.processes.clone() {
            self.kill(process);
        }
    }

    pub(crate) fn restart(&mut self, node: usize) {
        self.crash(node);
        if let Some(host) = self.topology.nodes.get_mut(node) {
            host.crashed = false;
        }
        self.arp.retain(|&(own, _), _| own != node);
    }

    /// SIGSTOP for so long: the kernel goes on, nobody reads.
    pub(crate) fn freeze(&mut self, node: usize, duration: Duration) {
        if let Some(host) = self.topology.nodes.get_mut(node) {
            host.frozen = true;
            self.schedule(duration, What::Thaw(node));
        }
    }

    pub(super) fn thaw(&mut self, node: usize) {
        let Some(host) = self.topology.nodes.get_mut(node) else { return };
        host.frozen = false;
        for process in host.processes.clone() {
            let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { continue };
            own.held_datagrams = 0;
            for what in std::mem::take(&mut own.held) {
                self.schedule(Duration::ZERO, what);
            }
            self.arrange_wake(process);
        }
    }

    /// Replaces a machine's interfaces; its processes notice when they look the next time.
    pub(crate) fn plug(&mut self, node: usize, nics: Vec<Nic>) {
        self.topology.plug(node, nics);
        self.arp.retain(|&(own, _), _| own != node);
        let Some(host) = self.topology.nodes.get(node) else { return };
        for process in host.processes.clone() {
            let noticed = between(&mut self.rng, Duration::from_millis(1), INTERFACE_POLL);
            self.schedule(noticed, What::Interfaces(process));
        }
    }

    pub(super) fn look_at_interfaces(&mut self, process: usize) {
        let open = |own: &&mut Process| own.alive && own.sockets_open;
        let Some(own) = self.processes.get_mut(process).filter(open) else { return };
        let Some(host) = self.topology.nodes.get(own.node) else { return };
        let mut listed: Vec<Interface> = host.interfaces().into_iter().filter(|i| (own.filter)(i)).collect();
        for interface in &mut listed {
            interface.port = own.port;
        }
        if own.interfaces.as_ref() == Some(&listed) {
            return;
        }
        let socket = |i: &Interface| Socket { index: i.index, address: i.address, port: i.port };
        own.sockets = listed.iter().map(socket).collect();
        own.interfaces = Some(listed.clone());
        self.with(process, |machine, now| machine.handle_interfaces(now, listed));
    }
}
