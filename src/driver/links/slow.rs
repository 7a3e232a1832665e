//! A stream on a simulated slow line: what is written leaves late and in order, what is read comes as it is.
//!
//! Who writes does not wait for the line, as nobody waits for a network: only for room in it. The line moves whenever the
//! stream is read, written or shut down, all of which one task does; a link always reads.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::proto::disturb::Disturbance;

/// Bytes on the line before a writer has to wait.
const ROOM: usize = 256 << 10;

/// A stream, slow or as it is.
pub(super) struct Slow<S: AsyncWrite + Unpin> {
    stream: S,
    line: Option<Line>,
}

struct Line {
    judge: Disturbance,
    queue: VecDeque<Piece>,
    held: usize,
    /// When the last piece leaves: none overtakes it.
    last: Instant,
    sleep: Pin<Box<Sleep>>,
    /// The next write is told what a late one met.
    broken: Option<io::Error>,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

impl<S: AsyncWrite + Unpin> Slow<S> {
    pub(super) fn new(stream: S, judge: Option<Disturbance>) -> Self {
        let line = judge.map(|judge| {
            let now = Instant::now();
            let sleep = Box::pin(sleep_until(now));
            Line { judge, queue: VecDeque::new(), held: 0, last: now, sleep, broken: None }
        });
        Self { stream, line }
    }

    /// Writes what is due; ready once nothing is left on the line.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(line) = &mut self.line else { return Poll::Ready(()) };
        while let Some(piece) = line.queue.front() {
            if piece.due > Instant::now() {
                if line.sleep.deadline() != piece.due {
                    line.sleep.as_mut().reset(piece.due);
                }
                ready!(line.sleep.as_mut().poll(cx));
            }
            if let Err(error) = ready!(line.write_first(&mut self.stream, cx)) {
                line.queue.clear();
                line.held = 0;
                line.broken = Some(error);
            }
        }
        Poll::Ready(())
    }
}

impl Line {
    /// Writes the first piece and takes it away.
    fn write_first<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(piece) = self.queue.front_mut() else { return Poll::Ready(Ok(())) };
        while let Some(rest) = piece.bytes.get(piece.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => {
                    piece.written += more;
                    self.held = self.held.saturating_sub(more);
                }
            }
        }
        self.queue.pop_front();
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(ROOM.saturating_sub(self.held));
        let due = self.last.max(Instant::now() + self.judge.late());
        self.last = due;
        self.held += count;
        self.queue.push_back(Piece { due, bytes: bytes.iter().copied().take(count).collect(), written: 0 });
        count
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Slow<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let _more = self.advance(cx);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let _more = self.advance(cx);
        let Some(line) = &mut self.line else { return Pin::new(&mut self.stream).poll_write(cx, bytes) };
        if let Some(error) = line.broken.take() {
            return Poll::Ready(Err(error));
        }
        if line.held >= ROOM {
            return Poll::Pending;
        }
        let count = line.take(bytes);
        // So that something wakes this task when the piece is due.
        let _more = self.advance(cx);
        Poll::Ready(Ok(count))
    }

    /// One call for all that TLS has to say, where the stream can.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.line {
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, pieces),
            Some(_) => {
                let first = pieces.iter().find(|piece| !piece.is_empty());
                self.poll_write(cx, first.map_or(&[][..], |piece| piece))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_none() && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _more = self.advance(cx);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.advance(cx));
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Slow<S> {
    /// Without the line all of it were the kernel's already: what it takes now it gets.
    fn drop(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut context = Context::from_waker(Waker::noop());
        while !line.queue.is_empty() {
            if !matches!(line.write_first(&mut self.stream, &mut context), Poll::Ready(Ok(()))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::types::NetworkFault;

    fn judge(latency: u64, jitter: u64) -> Option<Disturbance> {
        let ms = Duration::from_millis;
        Disturbance::new(NetworkFault::new().latency(ms(latency)).jitter(ms(jitter)), [3; 32]).for_stream()
    }

    #[tokio::test]
    async fn everything_comes_in_its_order_and_late() {
        let (near, mut far) = duplex(1_000);
        let mut near = Slow::new(near, judge(20, 20));
        let begun = Instant::now();
        let sent: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        for piece in sent.chunks(100) {
            near.write_all(piece).await.unwrap();
        }
        near.flush().await.unwrap();
        let mut heard = vec![0; sent.len()];
        let reading = async {
            far.read_exact(&mut heard).await.unwrap();
            far.write_all(b"done").await.unwrap();
        };
        let mut answer = [0; 4];
        // Reading moves the line.
        let (_, read) = tokio::join!(reading, near.read_exact(&mut answer));
        read.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!((heard, &answer), (sent, b"done"));
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_the_line_and_a_drop_empties_it() {
        let (near, mut far) = duplex(1_000);
        let mut near = Slow::new(near, judge(10, 0));
        near.write_all(b"leave").await.unwrap();
        near.shutdown().await.unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"leave");

        let (near, mut far) = duplex(1_000);
        let mut near = Slow::new(near, judge(1_000, 0));
        near.write_all(b"alert").await.unwrap();
        drop(near);
        heard.clear();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"alert");
    }

    #[tokio::test]
    async fn a_full_line_makes_the_writer_wait_and_a_broken_one_tells_it() {
        let (near, far) = duplex(16);
        let mut near = Slow::new(near, judge(1_000, 0));
        let (most, more) = (vec![0; ROOM], [0; 1]);
        near.write_all(&most).await.unwrap();
        let full = tokio::time::timeout(Duration::from_millis(20), near.write(&more)).await;
        assert!(full.is_err(), "{full:?}");

        drop(far);
        let (near, far) = duplex(16);
        let mut near = Slow::new(near, judge(1, 0));
        near.write_all(b"x").await.unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(near.write(b"y").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
