//! Password keys, derived off the driver's thread: one takes 0.15 s of a core.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU32;
use std::task::{Context, Poll};
use std::thread;

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::types::Password;
use crate::wire::hash::password_key;

/// Derivations that run at one time.
const AT_ONCE: usize = 2;

struct Job {
    id: u64,
    password: Password,
    salt: [u8; 32],
    rounds: NonZeroU32,
}

type Derived = (u64, Zeroizing<[u8; 32]>);
type Work = Box<dyn FnOnce() + Send>;

pub(super) struct Derive {
    waiting: VecDeque<Job>,
    running: usize,
    /// Without a thread: what the system said.
    failed: VecDeque<(u64, String)>,
    spawn: fn(Work) -> io::Result<()>,
    done: mpsc::UnboundedReceiver<Derived>,
    sender: mpsc::UnboundedSender<Derived>,
}

impl Derive {
    pub(super) fn new() -> Self {
        let (sender, done) = mpsc::unbounded_channel();
        Self { waiting: VecDeque::new(), running: 0, failed: VecDeque::new(), spawn: thread, done, sender }
    }

    pub(super) fn start(&mut self, id: u64, password: Password, salt: [u8; 32], rounds: NonZeroU32) {
        self.waiting.push_back(Job { id, password, salt, rounds });
        self.fill();
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(u64, Result<[u8; 32], String>)> {
        if let Some((id, why)) = self.failed.pop_front() {
            return Poll::Ready((id, Err(why)));
        }
        match self.done.poll_recv(cx) {
            Poll::Ready(Some((id, key))) => {
                self.running = self.running.saturating_sub(1);
                self.fill();
                Poll::Ready((id, Ok(*key)))
            }
            // The sender is held here, so the channel never closes.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn fill(&mut self) {
        while self.running < AT_ONCE {
            let Some(job) = self.waiting.pop_front() else { return };
            let (id, sender) = (job.id, self.sender.clone());
            let work = Box::new(move || {
                let key = Zeroizing::new(password_key(job.password.as_bytes(), &job.salt, job.rounds));
                // Nobody waits any more: the driver is gone.
                let _gone = sender.send((id, key));
            });
            match (self.spawn)(work) {
                Ok(()) => self.running += 1,
                // Whoever waits is told; the next one tries a thread again.
                Err(error) => self.failed.push_back((id, format!("the system gives no thread: {error}"))),
            }
        }
    }
}

fn thread(work: Work) -> io::Result<()> {
    thread::Builder::new().name("lansession-key".into()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn every_derivation_comes_back_and_the_same_input_gives_the_same_key() {
        let mut derive = Derive::new();
        for id in 0..5 {
            derive.start(id, Password::from("swordfish"), [7; 32], NonZeroU32::MIN);
        }
        assert_eq!(derive.running, AT_ONCE);
        let mut done = Vec::new();
        for _ in 0..5 {
            let (id, key) = poll_fn(|cx| derive.poll(cx)).await;
            done.push((id, key.unwrap()));
        }
        done.sort();
        assert_eq!(done.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(done.iter().all(|(_, key)| *key == done[0].1));
    }

    #[tokio::test]
    async fn without_a_thread_each_one_fails_and_the_next_tries_again() {
        let mut derive = Derive::new();
        derive.spawn = |_| Err(io::ErrorKind::WouldBlock.into());
        for id in 0..4 {
            derive.start(id, Password::from("swordfish"), [7; 32], NonZeroU32::MIN);
        }
        for id in 0..4 {
            let (failed, why) = poll_fn(|cx| derive.poll(cx)).await;
            assert_eq!(failed, id);
            assert!(why.unwrap_err().contains("no thread"));
        }
        derive.spawn = thread;
        derive.start(9, Password::from("swordfish"), [7; 32], NonZeroU32::MIN);
        let (id, key) = poll_fn(|cx| derive.poll(cx)).await;
        assert!(id == 9 && key.is_ok());
    }
}
