//! Friends, invites and presence on the command line: the flags, the lines and the events of all programs.

use std::time::Duration;

use lansession::{
    AccountId, Error, Invite, InviteId, InviteRequest, InvitesFrom, JoinPolicy, Session, SettingsUpdate, UiTarget,
    User, UserEvent,
};
use serde_json::{Value as Json, json};

use super::Failure;
use super::args::Args;
use super::output::Output;

/// What every program that signs in takes.
pub(crate) const FLAGS: &str = "[--friend ACCOUNT]... [--invites friends|anyone] [--presence]";

/// What a session's lines can say beside their own.
pub(crate) const LINES: &str = "friend ACCOUNT | invite ACCOUNT [SECONDS] | revoke INVITE | presence on|off";

/// What the flags say.
#[derive(Default)]
pub(crate) struct Social {
    friends: Vec<AccountId>,
    invites: InvitesFrom,
    presence: bool,
}

impl Social {
    pub(crate) fn from_args(args: &mut Args) -> Result<Self, Failure> {
        let mut social = Self { presence: args.flag("--presence"), ..Self::default() };
        for text in args.all("--friend")? {
            social.friends.push(account(&text)?);
        }
        social.invites = match args.one("--invites")?.as_deref() {
            None => InvitesFrom::Nobody,
            Some("friends") => InvitesFrom::Friends,
            Some("anyone") => InvitesFrom::Anyone,
            Some(other) => return Err(format!("--invites {other:?}: friends or anyone").into()),
        };
        Ok(social)
    }

    /// Tells the library who the friends are and whose invites are welcome.
    pub(crate) fn begin(&self, user: &User) -> Result<(), Failure> {
        user.set_friends(self.friends.iter().copied())?;
        user.receive_invites(self.invites)?;
        Ok(())
    }

    /// Shows the seat to friends, where the player wants that.
    pub(crate) fn seated(&self, session: &Session) -> Result<(), Failure> {
        if self.presence {
            session.user().set_presence(Some(session))?;
        }
        Ok(())
    }
}

/// Prints who this is: what others put behind `--friend` and `invite`.
pub(crate) fn who(user: &User, output: &Output) {
    let account = user.id().to_string();
    output.event("account", &format!("account  {account}"), json!({ "account": account }));
}

fn account(text: &str) -> Result<AccountId, Failure> {
    text.parse().map_err(|error: Error| format!("{text:?} is no account: {error}").into())
}

pub(crate) fn policy(text: &str) -> Result<JoinPolicy, Failure> {
    match text {
        "public" => Ok(JoinPolicy::Public),
        "friends_only" => Ok(JoinPolicy::FriendsOnly),
        "invite_only" => Ok(JoinPolicy::InviteOnly),
        other => Err(format!("policy {other:?}: public, friends_only or invite_only").into()),
    }
}

/// A line within a session; `None` where it is none of these.
pub(crate) async fn line(session: &Session, output: &Output, verb: &str, rest: &str) -> Option<Result<(), Failure>> {
    Some(match verb {
        "friend" => befriend(&session.user(), rest),
        "invite" => invite(session, output, rest).await,
        "revoke" => match rest.parse::<InviteId>() {
            Ok(id) => session.revoke(id).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        },
        "presence" => session.user().set_presence((rest == "on").then_some(session)).map_err(Into::into),
        "policy" => match policy(rest) {
            Ok(policy) => session.update(SettingsUpdate::new().policy(policy)).await.map(drop).map_err(Into::into),
            Err(error) => Err(error),
        },
        _ => return None,
    })
}

fn befriend(user: &User, text: &str) -> Result<(), Failure> {
    let mut friends = user.friends();
    friends.push(account(text)?);
    Ok(user.set_friends(friends)?)
}

/// `ACCOUNT [SECONDS]`.
async fn invite(session: &Session, output: &Output, text: &str) -> Result<(), Failure> {
    let (whom, life) = text.split_once(' ').unwrap_or((text, ""));
    let invitee = account(whom)?;
    let mut request = InviteRequest::from(invitee);
    if !life.is_empty() {
        request = request.ttl(Duration::from_secs(life.parse()?));
    }
    for id in session.invite(request).await? {
        let fields = json!({ "invite": id.to_string(), "account": invitee.to_string() });
        output.event("invited", &format!("invited  {invitee} ({id})"), fields);
    }
    Ok(())
}

/// A line of a user without a session; `None` where it is none of these.
pub(crate) async fn user_line(user: &User, output: &Output, verb: &str, rest: &str) -> Option<Result<(), Failure>> {
    let id = || rest.parse::<InviteId>().map_err(Failure::from);
    Some(match verb {
        "friend" => befriend(user, rest),
        "invites" => {
            user.invites().iter().for_each(|invite| received(output, invite));
            Ok(())
        }
        "accept" => match id() {
            Ok(id) => user.accept(id).map_err(Into::into),
            Err(error) => Err(error),
        },
        "reject" => match id() {
            Ok(id) => user.reject(id).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        _ => return None,
    })
}

fn received(output: &Output, invite: &Invite) {
    let words = format!("invite   {} into {:?} by {}", invite.id, invite.name, invite.inviter_name);
    output.event("invite_received", &words, json!({ "invite": invite_json(invite) }));
}

fn invite_json(invite: &Invite) -> Json {
    let addresses: Vec<String> = invite.addresses.iter().map(ToString::to_string).collect();
    json!({
        "id": invite.id.to_string(),
        "session": invite.session.id.to_string(),
        "name": invite.name,
        "inviter": invite.inviter.to_string(),
        "inviter_name": invite.inviter_name,
        "addresses": addresses,
        "hold": invite.hold,
        "whole": serde_json::to_value(invite).unwrap_or_default(),
    })
}

/// What a user was told; the target where the game is to join now.
pub(crate) fn user_event(output: &Output, event: &UserEvent) -> Option<UiTarget> {
    match event {
        UserEvent::InviteReceived(invite) => received(output, invite),
        UserEvent::InviteEnded { id, state, .. } => {
            let fields = json!({ "invite": id.to_string(), "state": state.to_string() });
            output.event("invite_ended", &format!("invite   {id} is {state}"), fields);
        }
        UserEvent::UiJoinRequested { target, .. } => {
            let by = match target {
                UiTarget::Link(_) => "link",
                _ => "invite",
            };
            output.event("ui_join_requested", &format!("join     asked for by {by}"), json!({ "by": by }));
            return Some(target.clone());
        }
        UserEvent::Matchmaking { progress, .. } => {
            let words = format!("{progress:?}");
            output.event("matchmaking", &format!("matching {words}"), json!({ "progress": words }));
        }
        _ => {}
    }
    None
}
