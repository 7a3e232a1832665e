//! What one process on the virtual LAN is to the world: an engine, and the users who hold handles of it.
//!
//! Two traits, so that the world can be tested with fakes, and so that it names nothing above `proto`.

use crate::proto::clock::Moment;
use crate::proto::io::{Action, Arrival, Command, Interface, LinkEvent, MdnsEvent, Output, SendFailure, Transmit};
use crate::types::SessionKey;

/// An engine, as `proto::io` describes it.
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
}

/// Those who hold handles: where commands come from and outputs go to.
pub(crate) trait Users: Send {
    fn take_command(&mut self) -> Option<Command>;
    fn deliver(&mut self, output: Output);
    /// The engine is gone: every wait ends with `Stopped`.
    fn stop(&mut self);
}
