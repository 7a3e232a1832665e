//! The engine's verbs, as whoever turns it sees them: the driver, the virtual LAN, and tests of both with fakes.

use super::clock::Moment;
use super::io::{Action, Arrival, Command, Interface, LinkEvent, MdnsEvent, Output, SendFailure, Transmit};
use crate::types::SessionKey;

/// An engine, as [`io`](super::io) describes it. Any `handle_*`, then the `poll_*` until each says `None`, then sleep until
/// `poll_timeout`.
pub(crate) trait Machine: Send {
    fn handle_command(&mut self, now: Moment, command: Command);
    fn handle_arrival(&mut self, now: Moment, arrival: Arrival);
    fn handle_interfaces(&mut self, now: Moment, interfaces: Vec<Interface>);
    fn handle_send_failure(&mut self, now: Moment, failure: SendFailure);
    fn handle_link(&mut self, now: Moment, event: LinkEvent);
    fn handle_listening(&mut self, now: Moment, session: SessionKey, result: Result<u16, String>);
    fn handle_mdns(&mut self, now: Moment, event: MdnsEvent);
    fn handle_derived(&mut self, now: Moment, id: u64, key: Result<[u8; 32], String>);
    fn handle_timeout(&mut self, now: Moment);
    fn poll_transmit(&mut self) -> Option<Transmit>;
    fn poll_action(&mut self) -> Option<Action>;
    fn poll_output(&mut self) -> Option<Output>;
    fn poll_timeout(&mut self) -> Option<Moment>;
    /// Goodbyes, signed and ready, to be sent at once by a driver that is being torn down.
    fn farewell(&mut self) -> Vec<Transmit>;
}
