//! Messages in parts: cut on the way out, put together on the way in (protocol.md, "Frames").

use super::{HEADER, MAX_FRAME};
use crate::wire::bytes::Writer;
use crate::wire::{WireError, WireResult};

/// The header's flag for "more parts of this message follow".
const MORE: u8 = 1;

/// What a frame's header says: the payload's length, the kind, whether more parts follow.
pub(crate) fn header(bytes: [u8; HEADER]) -> (usize, u8, bool) {
    let [high, low, kind, flags] = bytes;
    (u16::from_be_bytes([high, low]).into(), kind, flags & MORE != 0)
}

/// A message as frames, headers included.
pub(crate) fn split(kind: u8, payload: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at_checked(MAX_FRAME).unwrap_or((rest, &[]));
        let mut frame = Writer::default();
        frame.u16(u16::try_from(part.len()).unwrap_or(u16::MAX)).u8(kind);
        frame.u8(if after.is_empty() { 0 } else { MORE }).bytes(part);
        frames.push(frame.into_bytes());
        if after.is_empty() {
            return frames;
        }
        rest = after;
    }
}

/// Puts the parts of one message together.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The kind and the parts so far, while more are to come.
    open: Option<(u8, Vec<u8>)>,
}

impl Assembler {
    /// Takes one frame; gives the message with its last part. After an error the connection is of no use any more.
    ///
    /// No part may be empty but the only one, so no peer keeps a message open for nothing; all parts together hold at
    /// most `limit` bytes.
    pub(crate) fn push(
        &mut self,
        kind: u8,
        more: bool,
        payload: Vec<u8>,
        limit: usize,
    ) -> WireResult<Option<(u8, Vec<u8>)>> {
        let before = self.open.take();
        if payload.is_empty() && (more || before.is_some()) {
            return Err(WireError::Value);
        }
        let all = match before {
            None => payload,
            Some((open, mut parts)) if open == kind => {
                if parts.len().saturating_add(payload.len()) > limit {
                    return Err(WireError::Bound);
                }
                parts.extend_from_slice(&payload);
                parts
            }
            Some(_) => return Err(WireError::Value),
        };
        if all.len() > limit {
            return Err(WireError::Bound);
        }
        if more {
            self.open = Some((kind, all));
            return Ok(None);
        }
        Ok(Some((kind, all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(frames: &[Vec<u8>], limit: usize) -> WireResult<Option<(u8, Vec<u8>)>> {
        let mut assembler = Assembler::default();
        let mut last = Ok(None);
        for frame in frames {
            assert_eq!(last, Ok(None));
            let (length, kind, more) = header(*frame.first_chunk().unwrap());
            assert_eq!(length, frame.len() - HEADER);
            last = assembler.push(kind, more, frame[HEADER..].to_vec(), limit);
        }
        last
    }

    #[test]
    fn what_is_cut_is_put_together() {
        for (size, frames) in [(0, 1), (1, 1), (MAX_FRAME, 1), (MAX_FRAME + 1, 2), (3 * MAX_FRAME, 3)] {
            let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let cut = split(18, &payload);
            assert_eq!(cut.len(), frames);
            assert_eq!(assemble(&cut, size), Ok(Some((18, payload))));
            assert!(size == 0 || assemble(&cut, size - 1) == Err(WireError::Bound));
        }
    }

    #[test]
    fn kinds_do_not_mix_and_empty_parts_hold_nothing_open() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(1, true, vec![1], 9), Ok(None));
        assert_eq!(assembler.push(2, false, vec![1], 9), Err(WireError::Value));
        assert_eq!(Assembler::default().push(1, true, vec![], 9), Err(WireError::Value));
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(1, true, vec![1], 9), Ok(None));
        assert_eq!(assembler.push(1, false, vec![], 9), Err(WireError::Value));
    }
}
