//! Extensions: fields that a later minor version adds (protocol.md, "Extensions").
//!
//! Each is id 2, length 2, bytes; ids ascend strictly; bit 15 of an id means "who does not know me must not go on".
//! Id 0 begins the padding: only zeros follow.

use super::bytes::Reader;
use super::{WireError, WireResult};

/// Who does not know this extension must not go on.
const CRITICAL: u16 = 0x8000;

/// What the extensions said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions<'a> {
    /// Those that the caller knows, by ascending id.
    pub(crate) known: Vec<(u16, &'a [u8])>,
    /// The first critical one that the caller does not know.
    pub(crate) critical: Option<u16>,
}

impl<'a> Extensions<'a> {
    pub(crate) fn get(&self, id: u16) -> Option<&'a [u8]> {
        self.known.iter().find(|(known, _)| *known == id).map(|&(_, bytes)| bytes)
    }
}

/// Reads all that is left as extensions and padding.
pub(crate) fn read<'a>(reader: &mut Reader<'a>, known: &[u16]) -> WireResult<Extensions<'a>> {
    let mut found = Extensions::default();
    let mut last = 0;
    while !reader.rest().iter().all(|&byte| byte == 0) {
        let (id, length) = (reader.u16()?, reader.u16()?);
        let bytes = reader.take(length.into())?;
        if id <= last {
            return Err(WireError::Value);
        }
        last = id;
        if known.contains(&id) {
            found.known.push((id, bytes));
        } else if id & CRITICAL != 0 {
            found.critical.get_or_insert(id);
        }
    }
    *reader = Reader::new(&[]);
    Ok(found)
}

/// As [`read`] where no extension is known and a critical one is an error.
pub(crate) fn skip(reader: &mut Reader<'_>) -> WireResult<()> {
    read(reader, &[])?.critical.map_or(Ok(()), |id| Err(WireError::Critical(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ones_are_skipped_critical_ones_told_and_the_order_is_kept() {
        let skipped = |bytes: &[u8]| skip(&mut Reader::new(bytes));
        assert_eq!(skipped(&[]), Ok(()));
        assert_eq!(skipped(&[0; 7]), Ok(()));
        assert_eq!(skipped(&[0, 9, 0, 1, 7, 0, 0, 0]), Ok(()));
        assert_eq!(skipped(&[0x80, 9, 0, 0]), Err(WireError::Critical(0x8009)));
        assert_eq!(skipped(&[0, 9, 0, 0, 0, 9, 0, 0]), Err(WireError::Value));
        assert_eq!(skipped(&[0, 0, 0, 1, 7]), Err(WireError::Value));
        assert_eq!(skipped(&[0, 9, 0, 2, 7]), Err(WireError::Short));
        let bytes = [0, 2, 0, 1, 7, 0, 3, 0, 0];
        let mut reader = Reader::new(&bytes);
        let found = read(&mut reader, &[2]).unwrap();
        assert_eq!((found.get(2), found.get(3), reader.len()), (Some(&[7_u8][..]), None, 0));
    }
}
