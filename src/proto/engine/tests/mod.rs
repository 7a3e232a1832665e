//! The composer alone.

use super::*;

mod closed;
mod hosts;
