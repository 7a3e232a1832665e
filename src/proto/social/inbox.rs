//! A user's inbox: bounded, fair to senders, and gone with time (protocol.md, "Invites").

use crate::proto::clock::Moment;
use crate::proto::limits;
use crate::types::{AccountId, Invite, InviteId, InviteState, SessionKey};

#[derive(Debug)]
struct Held {
    invite: Invite,
    until: Moment,
    /// Neither a friend nor a member of a session this user is in, when it came.
    stranger: bool,
}

/// The invites of one user, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Inbox(Vec<Held>);

impl Inbox {
    /// Takes an invite. Those that end by that, or `None` where it is not taken itself.
    ///
    /// The same invite, or another by the same inviter into the same session, takes the place of the former. A stranger
    /// pushes out strangers only; a friend pushes out a stranger first, then the oldest of the sender with most. An id is
    /// one inviter's and leads into one session.
    pub(super) fn take(&mut self, now: Moment, invite: Invite, stranger: bool) -> Option<Vec<InviteId>> {
        let until = now + invite.expires_in;
        let same = |held: &Held| held.invite.inviter == invite.inviter && held.invite.session == invite.session;
        // A player who accepts what was shown must not be led elsewhere.
        if self.0.iter().any(|held| held.invite.id == invite.id && !same(held)) {
            return None;
        }
        let mut ended = Vec::new();
        if let Some(at) = self.0.iter().position(same) {
            let old = self.0.remove(at).invite;
            if old.id != invite.id {
                ended.push(old.id);
            }
        }
        let strangers = self.0.iter().filter(|held| held.stranger).count();
        let full = self.0.len() >= limits::INBOX;
        if (stranger && strangers >= limits::INBOX_STRANGERS) || full {
            let at = self.0.iter().position(|held| held.stranger);
            let at = at.or_else(|| if stranger { None } else { self.oldest_of_most() })?;
            ended.push(self.0.remove(at).invite.id);
        }
        self.0.push(Held { invite, until, stranger });
        Some(ended)
    }

    fn oldest_of_most(&self) -> Option<usize> {
        let count = |inviter: AccountId| self.0.iter().filter(|held| held.invite.inviter == inviter).count();
        // The first of the largest: `max_by_key` gives the last, so in reverse.
        let most = self.0.iter().enumerate().rev().max_by_key(|(_, held)| count(held.invite.inviter));
        most.map(|(at, _)| at)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: InviteId) -> Option<Invite> {
        let at = self.0.iter().position(|held| held.invite.id == id)?;
        Some(self.0.remove(at).invite)
    }

    /// Those into this session: its seat is taken, or it is over.
    pub(super) fn remove_of(&mut self, session: SessionKey) -> Vec<InviteId> {
        self.remove_where(|held| held.invite.session == session)
    }

    pub(super) fn get(&self, id: InviteId) -> Option<&Invite> {
        self.0.iter().map(|held| &held.invite).find(|invite| invite.id == id)
    }

    pub(super) fn list(&self) -> Vec<Invite> {
        self.0.iter().map(|held| held.invite.clone()).collect()
    }

    /// Takes out those whose time is over.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<InviteId> {
        self.remove_where(|held| held.until <= now)
    }

    fn remove_where(&mut self, over: impl Fn(&Held) -> bool) -> Vec<InviteId> {
        let ids = self.0.iter().filter(|held| over(held)).map(|held| held.invite.id).collect();
        self.0.retain(|held| !over(held));
        ids
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.0.iter().map(|held| held.until).min()
    }
}

/// What ends an invite that another took the place of.
pub(super) const DISPLACED: InviteState = InviteState::Revoked;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{HostKey, Identity, SessionId};

    fn account(seed: u8) -> AccountId {
        Identity::from_seed([seed; 32]).unwrap().account()
    }

    fn invite(number: u8, inviter: u8) -> Invite {
        let host_key = HostKey::from_bytes([9; 32]).unwrap();
        Invite {
            id: InviteId::from_bytes([number; 16]),
            session: SessionKey { id: SessionId::from_name(&number.to_string()), founder: host_key },
            host_key,
            incarnation: 1,
            name: "room".into(),
            inviter: account(inviter),
            inviter_name: "Ada".into(),
            invitee: account(200),
            addresses: Vec::new(),
            expires_in: Duration::from_secs(60),
            hold: false,
        }
    }

    #[test]
    fn strangers_have_four_places_and_give_way_to_friends() {
        let (mut inbox, now) = (Inbox::default(), Moment::ZERO);
        for number in 0..limits::INBOX_STRANGERS as u8 {
            assert_eq!(inbox.take(now, invite(number, 50 + number), true), Some(vec![]));
        }
        assert_eq!(inbox.take(now, invite(9, 99), true), Some(vec![InviteId::from_bytes([0; 16])]));
        for number in 10..10 + limits::INBOX as u8 {
            assert!(inbox.take(now, invite(number, number), false).is_some());
        }
        assert_eq!(inbox.list().len(), limits::INBOX);
        assert!(inbox.0.iter().all(|held| !held.stranger));
        assert_eq!(inbox.take(now, invite(8, 98), true), None, "friends do not give way to a stranger");
    }

    #[test]
    fn whoever_sends_most_loses_first_and_one_session_is_one_invite() {
        let (mut inbox, now) = (Inbox::default(), Moment::ZERO);
        assert!(inbox.take(now, invite(1, 1), false).is_some());
        for number in 2..=limits::INBOX as u8 {
            assert!(inbox.take(now, invite(number, 2), false).is_some());
        }
        assert_eq!(inbox.take(now, invite(40, 3), false), Some(vec![InviteId::from_bytes([2; 16])]));
        let mut again = invite(40, 3);
        again.id = InviteId::from_bytes([41; 16]);
        assert_eq!(inbox.take(now, again.clone(), false), Some(vec![InviteId::from_bytes([40; 16])]));
        assert_eq!(inbox.take(now, again.clone(), false), Some(vec![]));
        assert_eq!(inbox.list().len(), limits::INBOX);
        assert_eq!(inbox.remove_of(again.session), [again.id]);
        assert_eq!(inbox.get(again.id), None);
    }

    #[test]
    fn nobody_puts_another_invite_under_an_id_that_is_there() {
        let (mut inbox, now) = (Inbox::default(), Moment::ZERO);
        assert!(inbox.take(now, invite(1, 1), false).is_some());
        let mut others = invite(1, 2);
        assert_eq!(inbox.take(now, others.clone(), false), None, "an id is its inviter's");
        others = Invite { session: invite(2, 1).session, ..invite(1, 1) };
        assert_eq!(inbox.take(now, others, false), None, "and leads into one session");
        assert_eq!(inbox.list(), [invite(1, 1)]);
    }

    #[test]
    fn an_invite_ends_at_its_moment() {
        let (mut inbox, now) = (Inbox::default(), Moment::ZERO);
        inbox.take(now, invite(1, 1), false);
        let end = now + Duration::from_secs(60);
        assert_eq!(inbox.next(), Some(end));
        assert!(inbox.expire(end - Duration::from_micros(1)).is_empty());
        assert_eq!(inbox.expire(end), [InviteId::from_bytes([1; 16])]);
        assert_eq!(inbox.next(), None);
    }
}
