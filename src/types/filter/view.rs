//! The facts a filter sees: at the host, and at the finder.

use std::borrow::Cow;

use super::eval::{Facts, Lookup, Seen};
use crate::types::attributes::Visibility;
use crate::types::facts::PublicFacts;
use crate::types::found::FoundData;
use crate::types::key::HostKey;

/// What a host may tell a stranger of itself: its public view. The ping is not known there, nor are built-in fields of
/// newer versions; a hidden attribute is missing, as it is from the advert.
pub(super) struct HostView<'a>(pub(super) &'a PublicFacts, pub(super) HostKey);

impl Facts for HostView<'_> {
    fn field(&self, name: &str) -> Lookup<'_> {
        if name == "@ping_ms" { Lookup::Unknown } else { public(self.0, self.1, name) }
    }
}

/// What a finder knows of an entry: the advert, and the ping it measured.
pub(in crate::types) struct FinderView<'a>(pub(in crate::types) &'a FoundData);

impl Facts for FinderView<'_> {
    fn field(&self, name: &str) -> Lookup<'_> {
        let found = self.0;
        if name == "@ping_ms" {
            let fastest = found.addresses.iter().filter_map(|address| address.rtt).min();
            fastest.map_or(Lookup::Missing, |rtt| Lookup::Value(Seen::Float(rtt.as_secs_f64() * 1_000.0)))
        } else {
            public(&found.facts, found.host_key, name)
        }
    }
}

fn public<'a>(facts: &'a PublicFacts, host: HostKey, name: &str) -> Lookup<'a> {
    let text = |text: &'a str| Seen::Text(Cow::Borrowed(text));
    Lookup::Value(match name {
        "@open_slots" => Seen::Int(facts.open_slots.into()),
        "@members" => Seen::Int(facts.members.into()),
        "@max_members" => Seen::Int(facts.max_members.into()),
        "@name" => text(&facts.name),
        "@policy" => text(facts.policy.as_str()),
        "@phase" => text(facts.phase.as_str()),
        "@version" => Seen::Int(facts.version.into()),
        "@password" => Seen::Bool(facts.password),
        "@host" => Seen::Text(host.to_string().into()),
        "@keyword" => return Lookup::Words(&facts.keywords),
        "@closed" => Seen::Bool(facts.closed),
        newer if newer.starts_with('@') => return Lookup::Unknown,
        attribute => match facts.attributes.attribute(attribute) {
            Some(shown) if shown.visibility == Visibility::Public => Seen::from(&shown.value),
            _ => return Lookup::Missing,
        },
    })
}
