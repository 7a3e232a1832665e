//! What nobody who means well does: raw connections, frames that their sender never sent, datagrams from nowhere, trouble.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::input::Input;
use super::net::{End, Far, Instance, NODES, Net};
use super::node::identity;
use crate::proto::io::{Arrival, Closed, LinkEvent, LinkId, MdnsEvent, SendFailure, Via};
use crate::types::{Attributes, MemberStatus, MemberUpdate, PathKind, ReservationChange, Revision, SessionKey};
use crate::wire::frame::{Frame, HEADER, Join, MergeAsk, Request, frames, header};

/// A raw connection to a listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    host: usize,
    link: LinkId,
    session: SessionKey,
    /// Who it is.
    identity: u8,
    open: bool,
    number: u32,
}

impl Net {
    // ----------------------------------------------------------------------------------------------------- guests

    pub(super) fn guest(&mut self, choice: u8, input: &mut Input<'_>) {
        match choice {
            0 => self.knock(input, false),
            1..=3 => self.knock(input, true),
            4 => {
                let Some(at) = self.some_guest(input) else { return };
                let Some(guest) = self.guests.get(at).copied() else { return };
                let why = [Closed::ByPeer, Closed::Broken, Closed::Protocol, Closed::Handshake];
                let why = input.pick(&why).unwrap_or(Closed::ByPeer);
                self.gone(guest, why);
            }
            5 => self.guest_says_bytes(input),
            6 => self.guest_says_again(input),
            _ => {
                let Some(at) = self.some_guest(input) else { return self.knock(input, true) };
                let frame = self.guest_frame(at, choice, input);
                self.guest_says(at, &frame);
            }
        }
    }

    fn some_guest(&self, input: &mut Input<'_>) -> Option<usize> {
        let open: Vec<_> = (0..self.guests.len()).filter(|at| self.guests.get(*at).is_some_and(|g| g.open)).collect();
        input.pick(&open)
    }

    /// Connects to some listener; with `whole` up to a proven key.
    fn knock(&mut self, input: &mut Input<'_>, whole: bool) {
        let listeners: Vec<_> = self.listeners.iter().map(|(to, (host, session, _))| (*to, *host, *session)).collect();
        let Some((to, host, session)) = input.pick(&listeners) else { return };
        let byte = input.byte();
        let link = self.incoming(host);
        let remote = SocketAddr::new(IpAddr::from([10, 0, 0, 100 + byte % 8]), 9);
        self.ends.insert((host, link), Far::Input);
        self.guests.push(Guest { host, link, session, identity: 4 + byte % 10, open: whole, number: 1 });
        self.post_link(Duration::ZERO, host, LinkEvent::Incoming { link, session, remote });
        if byte & 0x40 == 0 {
            self.post_link(Duration::ZERO, host, LinkEvent::HelloBegun { link });
        }
        if whole {
            let (binding, peer) = (self.binding(), identity(4 + byte % 10).public());
            // Now and then a peer of another major.
            let fallback = byte & 0x3f == 0x3f;
            self.post_link(Duration::ZERO, host, LinkEvent::Open { link, peer, binding, local: to, remote, fallback });
        }
        self.run(Duration::ZERO);
    }

    fn gone(&mut self, guest: Guest, why: Closed) {
        if self.ends.remove(&(guest.host, guest.link)).is_some() {
            self.with(guest.host, |engine, now| engine.handle_link(now, LinkEvent::Closed { link: guest.link, why }));
        }
        self.guests.retain(|other| (other.host, other.link) != (guest.host, guest.link));
    }

    fn guest_says(&mut self, at: usize, frame: &Frame) {
        let Some(Guest { host, link, .. }) = self.guests.get(at).copied() else { return };
        for bytes in frames(frame) {
            if let Some((head, payload)) = bytes.split_first_chunk::<HEADER>() {
                let (_, kind, more) = header(*head);
                self.hear((host, link), kind, more, payload.to_vec());
            }
        }
    }

    fn guest_says_bytes(&mut self, input: &mut Input<'_>) {
        let Some(Guest { host, link, .. }) = self.some_guest(input).and_then(|at| self.guests.get(at).copied()) else {
            return;
        };
        let (kind, more) = (input.byte(), input.byte() == 0xff);
        let payload = input.bytes();
        self.hear((host, link), kind, more, payload);
    }

    fn guest_says_again(&mut self, input: &mut Input<'_>) {
        let Some(Guest { host, link, .. }) = self.some_guest(input).and_then(|at| self.guests.get(at).copied()) else {
            return;
        };
        let Some((kind, more, payload)) = self.some_frame(input) else { return };
        self.hear((host, link), kind, more, payload);
    }

    /// A frame that a guest could mean.
    fn guest_frame(&mut self, at: usize, choice: u8, input: &mut Input<'_>) -> Frame {
        let Some(guest) = self.guests.get_mut(at) else { return Frame::Leave };
        let own = identity(guest.identity).account();
        let other = identity(input.byte()).account();
        let role = || Some("red".to_owned());
        let status = [MemberStatus::Active, MemberStatus::Ready, MemberStatus::Inactive, MemberStatus::Reserved];
        let body = match choice {
            7 | 8 => {
                let byte = input.byte();
                return Frame::Join(Box::new(Join {
                    session: guest.session,
                    incarnation: 0,
                    nonce: [byte & 3; 16],
                    peer_incarnation: u64::from(byte & 1),
                    version: if byte == 0xff { 8 } else { 7 },
                    name: "guest".into(),
                    external: None,
                    attributes: Attributes::new(),
                    ticket: Vec::new(),
                    password_proof: (byte & 4 != 0).then_some([byte; 32]),
                    knock: (byte & 8 != 0).then_some([byte; 64]),
                    invite: (byte & 16 != 0).then_some([byte; 16]),
                    role: if byte & 32 != 0 { role() } else { None },
                    status: input.pick(&status).unwrap_or(MemberStatus::Active),
                    party: Vec::new(),
                }));
            }
            9 => return Frame::Ack,
            10 => {
                return match input.byte() % 6 {
                    0 => Frame::Leave,
                    1 => Frame::Heartbeat,
                    2 => Frame::Stay,
                    3 => Frame::Resync { have: Revision { term: 1, number: u64::from(input.byte()) } },
                    4 => Frame::Vouch { ask: u64::from(input.byte()), yes: input.flag() },
                    _ => Frame::MergeAsk(Box::new(MergeAsk {
                        session: guest.session,
                        from: SessionKey { id: guest.session.id, founder: identity(guest.identity).public().into() },
                        taken: u16::from(input.byte()),
                        accounts: vec![own, other],
                    })),
                };
            }
            11 => Request::UpdateMe(match input.byte() % 3 {
                0 => MemberUpdate::new().set("k", i64::from(input.byte())),
                1 => MemberUpdate::new().remove("k").name("other"),
                _ => MemberUpdate::new().set("big", "x".repeat(1_000)),
            }),
            12 => match input.byte() % 4 {
                0 => Request::Register,
                1 => Request::SetRole(role()),
                2 => Request::SetRole(None),
                _ => Request::SetStatus(input.pick(&status).unwrap_or(MemberStatus::Active)),
            },
            13 => {
                let (accounts, role) = (vec![other], if input.flag() { role() } else { None });
                Request::Reserve { accounts, role, ttl: Some(u32::from(input.byte()) * 100) }
            }
            14 => {
                let change = match input.byte() % 4 {
                    0 => ReservationChange::Extend(vec![other]),
                    1 => ReservationChange::Shrink(vec![other]),
                    2 => ReservationChange::Renew,
                    _ => ReservationChange::Cancel,
                };
                let known = self.nodes.iter().flat_map(|node| node.watch.reservations.iter().copied());
                let known: Vec<_> = known.collect();
                let id = input.pick(&known).unwrap_or(crate::types::ReservationId::from_bytes([1; 16]));
                Request::ChangeReservation { id, expected: None, change }
            }
            _ => Request::Say(vec![input.byte(); 16]),
        };
        // Mostly in order; a number that was skipped or used is an attack.
        let Some(guest) = self.guests.get_mut(at) else { return Frame::Leave };
        let number = guest.number;
        guest.number += u32::from(input.byte() & 7 != 7);
        Frame::Request { number, body }
    }

    // ----------------------------------------------------------------------------------------------- made up frames

    /// One of those that were said lately, or with a byte of it changed.
    fn some_frame(&mut self, input: &mut Input<'_>) -> Option<(u8, bool, Vec<u8>)> {
        let heard = self.frames.len();
        let (kind, more, mut payload) = self.frames.get(input.below(heard))?.clone();
        let damage = input.byte();
        if damage & 1 == 1 {
            let at = usize::from(input.byte()) | usize::from(damage >> 1) << 8;
            let length = payload.len().max(1);
            let value = input.byte();
            if let Some(byte) = payload.get_mut(at % length) {
                *byte = value;
            }
        }
        Some((kind, more, payload))
    }

    /// A frame comes to an engine, whoever sent it.
    fn hear(&mut self, (at, link): End, kind: u8, more: bool, payload: Vec<u8>) {
        // The driver's own limit is the header's.
        if payload.len() > crate::wire::frame::MAX_FRAME || !self.ends.contains_key(&(at, link)) {
            return;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.watch.lied_to = true;
        }
        self.with(at, |engine, now| engine.handle_link(now, LinkEvent::Frame { link, kind, more, payload }));
        self.run(Duration::ZERO);
    }

    /// On a link between two engines.
    pub(super) fn frame(&mut self, choice: u8, input: &mut Input<'_>) {
        let standing: Vec<End> =
            self.ends.iter().filter(|(_, far)| matches!(far, Far::Engine(_))).map(|(end, _)| *end).collect();
        // More often to a member than to the host.
        let members: Vec<End> = standing.iter().filter(|(at, _)| *at != 0).copied().collect();
        let Some(end) = input.pick(if choice & 3 == 0 { &standing } else { &members }) else { return };
        if choice < 8 {
            let (kind, more) = (input.byte(), input.byte() == 0xff);
            let payload = input.bytes();
            self.hear(end, kind, more, payload);
        } else if let Some((kind, more, payload)) = self.some_frame(input) {
            self.hear(end, kind, more, payload);
        }
    }

    // --------------------------------------------------------------------------------------------------- datagrams

    pub(super) fn datagram(&mut self, choice: u8, input: &mut Input<'_>) {
        let at = input.below(NODES);
        let bytes = if choice < 8 {
            let heard = self.datagrams.len();
            let Some(mut bytes) = self.datagrams.get(input.below(heard)).cloned() else { return };
            let place = usize::from(input.byte()) | usize::from(choice & 3) << 8;
            let (length, value) = (bytes.len().max(1), input.byte());
            if let Some(byte) = bytes.get_mut(place % length).filter(|_| choice < 6) {
                *byte = value;
            }
            bytes
        } else {
            input.bytes()
        };
        let Some(node) = self.nodes.get(at) else { return };
        let from = SocketAddr::new(IpAddr::from([10, 0, 0, 1 + input.byte() % 8]), 30_000);
        let arrival = Arrival { interface: 2, local: node.ip(), from, shared: input.flag(), bytes };
        self.post_datagram(at, arrival);
        self.run(Duration::from_millis(1));
    }

    // ----------------------------------------------------------------------------------------------------- trouble

    pub(super) fn trouble(&mut self, choice: u8, input: &mut Input<'_>) {
        let at = input.below(NODES);
        match choice {
            0..=2 => {
                let ends = self.ends_of(at);
                if let Some(end) = input.pick(&ends) {
                    self.cut(end);
                }
            }
            3 | 4 => {
                if let Some(node) = self.nodes.get_mut(at) {
                    node.dark = true;
                }
            }
            5..=7 => self.nodes.iter_mut().for_each(|node| node.dark = false),
            8 | 9 => {
                if let Some(node) = self.nodes.get_mut(at) {
                    node.plugged = !node.plugged;
                }
                self.look_at_interfaces(at);
            }
            10 => self.restart(at),
            11 => {
                if let Some(node) = self.nodes.get_mut(at) {
                    node.poor = !node.poor;
                }
            }
            12 | 13 => {
                let known: Vec<_> = self.instances.keys().copied().collect();
                let event = match input.pick(&known).and_then(|key| self.instances.get(&key)) {
                    Some(Instance { host, addresses, txt }) if choice == 12 => MdnsEvent::Resolved {
                        instance: format!("host {host}"),
                        addresses: addresses.clone(),
                        txt: txt.clone(),
                    },
                    Some(Instance { host, .. }) => MdnsEvent::Removed { instance: format!("host {host}") },
                    None => MdnsEvent::Failed { why: "no socket".into() },
                };
                self.post_mdns(at, event);
            }
            _ => {
                let Some(to) = self.nodes.get(input.below(NODES)).map(|node| node.address()) else { return };
                let Some(address) = self.nodes.get(at).map(|node| node.ip()) else { return };
                let via = if input.flag() { Via::Routed } else { Via::Interface { index: 2, address } };
                let (path, why, unreachable) = (PathKind::Unicast, "refused".into(), input.flag());
                self.post_failure(at, SendFailure { via, to, path, why, unreachable });
            }
        }
        self.run(Duration::from_millis(2));
    }
}
