//! Fixed-width fields, big-endian, read and written without a way to panic (protocol.md, "Notation").

use super::{WireError, WireResult};

/// What is still unread of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is left; reads nothing.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> WireResult<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> WireResult<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> WireResult<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> WireResult<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> WireResult<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> WireResult<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> WireResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// Bytes to be.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A length in one byte, then the bytes; what is over 255 was refused where it was set and is cut here.
    pub(crate) fn short(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.u8(length).bytes(bytes.get(..usize::from(length)).unwrap_or_default())
    }

    /// A length in two bytes, then the bytes.
    pub(crate) fn long(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length).bytes(bytes.get(..usize::from(length)).unwrap_or_default())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Zeros up to this size.
    pub(crate) fn pad(&mut self, size: usize) -> &mut Self {
        if self.0.len() < size {
            self.0.resize(size, 0);
        }
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_beyond() {
        let mut writer = Writer::default();
        writer.u8(1).u16(0x0203).u32(0x0405_0607).u64(8).short(b"ab").long(b"c").pad(24);
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len(), 24);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u8(), reader.u16(), reader.u32()), (Ok(1), Ok(0x0203), Ok(0x0405_0607)));
        assert_eq!(reader.u64(), Ok(8));
        assert_eq!(reader.u8().and_then(|n| reader.take(n.into())), Ok(&b"ab"[..]));
        assert_eq!(reader.take(9), Err(WireError::Short));
        assert_eq!(reader.len(), 6);
        assert_eq!(reader.end(), Err(WireError::Trailing));
    }
}
