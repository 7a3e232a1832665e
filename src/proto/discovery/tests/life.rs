//! Liveness, restarts, interfaces, mDNS.
use super::*;
