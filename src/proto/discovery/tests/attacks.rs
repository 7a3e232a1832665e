//! What a stranger on the link cannot do.
use super::*;
