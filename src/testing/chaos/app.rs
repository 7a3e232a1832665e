//! The game in one process, as far as a run needs one: what it asked for, what it was told, and the promises to an app
//! checked as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Output, RequestId, SeatId, SeatOpened};
use crate::types::{
    AccountId, BrowserEvent, BrowserId, Error, Found, Invite, JoinAsk, LanEvent, Left, LinkState, Member,
    ReservationId, Revision, SessionEvent, SessionKey, SessionSnapshot,
};

/// One seat as its user sees it.
pub(super) struct Seat {
    pub(super) opened: SeatOpened,
    pub(super) snapshot: Arc<SessionSnapshot>,
    pub(super) left: Option<Left>,
    /// It is the host's own, now.
    pub(super) is_host: bool,
    /// What the events alone make of the roster.
    folded: BTreeMap<AccountId, Member>,
    joined: bool,
    last: Option<Revision>,
    messages: BTreeSet<(Option<AccountId>, Vec<u8>)>,
    /// Numbers of updates are compared.
    numbers: bool,
    gone: BTreeSet<(AccountId, u64)>,
}

impl Seat {
    pub(super) fn key(&self) -> SessionKey {
        self.opened.snapshot.key
    }
}

/// One browser.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) list: BTreeMap<SessionKey, Found>,
    folded: BTreeSet<SessionKey>,
}

/// What a run learns from an output beyond what the app keeps.
pub(super) enum News {
    /// At a host: these were seated by one revision.
    Seated {
        key: SessionKey,
        accounts: Vec<AccountId>,
    },
    Found(SessionKey),
    Lost(SessionKey),
    Asked(SeatId, JoinAsk),
    Done(RequestId, Result<Answer, Error>),
}

#[derive(Default)]
pub(super) struct App {
    /// Open ones, since when, and what they are.
    pub(super) requests: BTreeMap<RequestId, (Moment, &'static str)>,
    pub(super) seats: BTreeMap<SeatId, Seat>,
    pub(super) browsers: BTreeMap<BrowserId, Listing>,
    pub(super) invites: BTreeMap<AccountId, Arc<[Invite]>>,
    pub(super) reserved: Vec<ReservationId>,
    /// Nobody waits for their answers any more.
    pub(super) cancelled: BTreeSet<RequestId>,
    next: u64,
}

impl App {
    pub(super) fn ask(&mut self, now: Moment, what: &'static str) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.requests.insert(request, (now, what));
        request
    }

    pub(super) fn browser(&mut self) -> BrowserId {
        self.next += 1;
        let id = BrowserId(self.next);
        self.browsers.insert(id, Listing::default());
        id
    }

    /// Takes what the engine tells; `Err` is a broken promise.
    pub(super) fn told(&mut self, output: Output) -> Result<Vec<News>, String> {
        match output {
            Output::Done { request, result } => {
                // L7: exactly one answer.
                if self.cancelled.remove(&request) {
                    return Ok(Vec::new());
                }
                let Some((_, what)) = self.requests.remove(&request) else {
                    return Err(format!("L7: {request:?} is answered twice, or nobody asked: {result:?}"));
                };
                if let Ok(Answer::Seat(seat)) = &result {
                    if !self.seats.contains_key(seat) {
                        return Err(format!("S8: {what} is done with {seat:?} before that was opened"));
                    }
                }
                if let Ok(Answer::Reservation(_, made)) = &result {
                    self.reserved.push(made.id);
                }
                Ok(vec![News::Done(request, result)])
            }
            Output::SeatOpened(opened) => {
                let seat = Seat {
                    snapshot: Arc::clone(&opened.snapshot),
                    left: None,
                    is_host: opened.is_host,
                    folded: BTreeMap::new(),
                    joined: false,
                    last: None,
                    messages: BTreeSet::new(),
                    numbers: true,
                    gone: BTreeSet::new(),
                    opened: *opened,
                };
                match self.seats.insert(seat.opened.seat, seat) {
                    Some(old) => Err(format!("S8: {:?} opened twice", old.opened.seat)),
                    None => Ok(Vec::new()),
                }
            }
            Output::Seat { seat, events, snapshot } => {
                let Some(own) = self.seats.get_mut(&seat) else {
                    return Err(format!("S8: events of {seat:?} before it was opened"));
                };
                own.told(seat, events, snapshot)
            }
            Output::Browser { browser, list, events } => match self.browsers.get_mut(&browser) {
                Some(own) => own.told(&list, &events),
                None => Ok(Vec::new()),
            },
            Output::Invites { user, list } => {
                self.invites.insert(user, list);
                Ok(Vec::new())
            }
            // The last one that was opened is none.
            Output::Lan(LanEvent::Trouble(why)) if why.ends_with("which is the most") => {
                self.browsers.pop_last();
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Seat {
    fn told(
        &mut self,
        seat: SeatId,
        events: Vec<SessionEvent>,
        snapshot: Option<Arc<SessionSnapshot>>,
    ) -> Result<Vec<News>, String> {
        let mut news = Vec::new();
        let mut seated = Vec::new();
        let moved = events.iter().any(|event| matches!(event, SessionEvent::HostChanged { .. }));
        if moved {
            // The next host goes on from the last state that it has: what came after it may come again.
            (self.last, self.numbers) = (None, false);
            self.messages.clear();
            self.gone.clear();
        }
        if let Some(snapshot) = snapshot {
            self.snapshot = snapshot;
        }
        for event in events {
            if let Some(why) = &self.left {
                return Err(format!("S8: {event:?} after the end of {seat:?} ({why:?})"));
            }
            if self.joined == matches!(event, SessionEvent::Joined { .. }) {
                return Err(format!("S8: Joined is first and once, not {event:?}"));
            }
            self.joined = true;
            if let Some(revision) = event.revision() {
                if self.last.is_some_and(|last| revision < last) {
                    return Err(format!("S8: revisions of {seat:?} go back to {revision} from {:?}", self.last));
                }
                self.last = Some(revision);
            }
            self.fold(event, seat, &mut seated, &mut news)?;
        }
        self.numbers = true;
        // Whom another host has let in was judged there.
        if self.is_host && !seated.is_empty() && !moved {
            news.push(News::Seated { key: self.key(), accounts: seated });
        }
        self.check_view(seat)?;
        Ok(news)
    }

    fn fold(
        &mut self,
        event: SessionEvent,
        seat: SeatId,
        seated: &mut Vec<AccountId>,
        news: &mut Vec<News>,
    ) -> Result<(), String> {
        match event {
            SessionEvent::MemberJoined { member, present_before, .. } => {
                let account = member.account;
                if !present_before {
                    seated.push(account);
                }
                if self.folded.insert(account, member).is_some() {
                    return Err(format!("S8: {account:?} joined twice in the eyes of {seat:?}"));
                }
            }
            SessionEvent::MemberLeft { member, .. } => {
                let was = self.folded.remove(&member.account);
                // S10: one end of each seat.
                let once = self.gone.insert((member.account, member.joined_revision));
                if was.is_none() || !once {
                    return Err(format!("S10: {} left twice or was never there, says {seat:?}", member.name));
                }
            }
            SessionEvent::MemberUpdated { member, .. } => {
                let Some(was) = self.folded.get(&member.account) else {
                    return Err(format!("S8: {} changed and is not there, says {seat:?}", member.name));
                };
                // S9: each update of this run says a higher number, so an old one that takes effect again shows.
                let number = |member: &Member| member.attributes.get("n").and_then(|value| value.as_int());
                // Without one its process began anew.
                let older = number(was).zip(number(&member)).is_some_and(|(was, is)| was > is);
                if was.joined_revision == member.joined_revision && older && self.numbers {
                    return Err(format!("S9: an older update of {} took effect again", member.name));
                }
                self.folded.insert(member.account, member);
            }
            SessionEvent::MemberAway { account, .. } => self.link(account, LinkState::Away)?,
            SessionEvent::MemberBack { account, .. } => self.link(account, LinkState::Connected)?,
            // S9: the texts of a run are all different, but those of hostile members, who say again what others said.
            SessionEvent::Message { from, data, .. }
                if data.starts_with(b"message") && !self.messages.insert((from, data.to_vec())) =>
            {
                return Err(format!("S9: {seat:?} got the message {data:?} twice"));
            }
            SessionEvent::JoinAsked(ask) => news.push(News::Asked(seat, ask)),
            SessionEvent::HostChanged { new, .. } => {
                self.is_host = new == Some(self.opened.user);
                self.folded.values_mut().for_each(|member| member.is_host = new == Some(member.account));
            }
            SessionEvent::Left { why } => self.left = Some(why),
            _ => {}
        }
        Ok(())
    }

    fn link(&mut self, account: AccountId, link: LinkState) -> Result<(), String> {
        match self.folded.get_mut(&account) {
            Some(member) if member.link != link => {
                member.link = link;
                Ok(())
            }
            other => Err(format!("S8: {account:?} becomes {link:?} and is {other:?}")),
        }
    }

    /// S8: the events make the view. S6: nobody sees more members than seats.
    fn check_view(&self, seat: SeatId) -> Result<(), String> {
        if self.left.is_some() {
            return Ok(());
        }
        let shown = &self.snapshot.members;
        let same = shown.len() == self.folded.len()
            && shown.iter().all(|member| self.folded.get(&member.account) == Some(member));
        if !same {
            let of = |members: &BTreeMap<AccountId, Member>| format!("{members:?}");
            let other = shown.iter().find(|member| self.folded.get(&member.account) != Some(member));
            let by_events = other.map_or_else(|| of(&self.folded), |m| format!("{:?}", self.folded.get(&m.account)));
            let at = self.snapshot.revision;
            return Err(format!("S8: the events do not make the roster of {seat:?} at {at}: {other:?}, {by_events}"));
        }
        let roles = self.snapshot.roles.iter().all(|role| {
            let taken = shown.iter().filter(|member| member.role.as_deref() == Some(&role.name)).count();
            role.max.is_none_or(|max| taken <= usize::from(max))
        });
        if shown.len() > usize::from(self.snapshot.max_members) || !roles {
            return Err(format!("S6: {} members of {}, roles hold: {roles}", shown.len(), self.snapshot.max_members));
        }
        Ok(())
    }
}

impl Listing {
    /// S18: one entry per session; its events make the list.
    fn told(&mut self, list: &[Found], events: &[BrowserEvent]) -> Result<Vec<News>, String> {
        let mut news = Vec::new();
        for event in events {
            let fine = match event {
                BrowserEvent::Found(found) => {
                    news.push(News::Found(found.key()));
                    self.folded.insert(found.key())
                }
                BrowserEvent::Updated { new, .. } => self.folded.contains(&new.key()),
                BrowserEvent::Lost(key) => {
                    news.push(News::Lost(*key));
                    self.folded.remove(key)
                }
                BrowserEvent::Lagged { .. } => true,
            };
            if !fine {
                return Err(format!("S18: {event:?} makes no sense to who has read the list"));
            }
        }
        let new: BTreeMap<SessionKey, Found> = list.iter().map(|found| (found.key(), found.clone())).collect();
        if new.len() != list.len() || !new.keys().eq(self.folded.iter()) {
            let by_events = self.folded.len();
            return Err(format!("S18: {} entries for {} sessions, {by_events} by events", list.len(), new.len()));
        }
        for (key, found) in &new {
            let lost = events.iter().any(|event| matches!(event, BrowserEvent::Lost(lost) if lost == key));
            let was = self.list.get(key).filter(|_| !lost).map(|old| old.data().incarnation);
            if was > Some(found.data().incarnation) {
                return Err(format!("S18: the entry of {key:?} goes back to an older run"));
            }
        }
        self.list = new;
        Ok(news)
    }
}
