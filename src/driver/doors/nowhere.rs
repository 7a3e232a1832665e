//! Where a system has neither local sockets nor named pipes there is no door.

use crate::handle::backend::TakeLink;

/// None can be made.
pub(crate) enum Entrance {}

pub(super) async fn serve(entrance: Entrance, _: TakeLink) {
    match entrance {}
}
