//! Fields that a reader need not know: what version 2 of a structure keeps for later writers, so that their additions
//! are not refused.

use minicbor::{Decode, Encode, data::Type};

/// No structure has more such fields.
pub const MAX_FIELDS: usize = 64;
/// All their values together are not longer.
pub const MAX_FIELD_BYTES: usize = 64 * 1024;

/// Numbered fields, each a byte string whose content is the matter of whoever knows the number. Readers keep what they
/// do not know and do nothing with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Further(Vec<(u64, Vec<u8>)>);

impl Further {
    /// Fields, given in any order.
    ///
    /// # Errors
    /// [`FurtherError`] when a number comes twice, there is none, or there is too much.
    pub fn new(mut fields: Vec<(u64, Vec<u8>)>) -> Result<Self, FurtherError> {
        fields.sort_unstable_by_key(|(number, _)| *number);
        let further = Self(fields);
        further.check()?;
        Ok(further)
    }

    /// A field's value.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&[u8]> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.0[at].1)
    }

    /// Whether there is something, ascending, within the limits.
    pub(crate) fn check(&self) -> Result<(), FurtherError> {
        let bytes: usize = self.0.iter().map(|(_, value)| value.len()).sum();
        let is_sound = !self.0.is_empty()
            && self.0.len() <= MAX_FIELDS
            && bytes <= MAX_FIELD_BYTES
            && self.0.is_sorted_by(|(a, _), (b, _)| a < b);
        if is_sound { Ok(()) } else { Err(FurtherError) }
    }
}

/// Further fields that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("further fields are empty, too many, too long, or out of order")]
pub struct FurtherError;

impl<C> Encode<C> for Further {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.map(self.0.len() as u64)?;
        for (number, value) in &self.0 {
            encoder.u64(*number)?.bytes(value)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Further {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if decoder.datatype()? != Type::Map {
            return Err(minicbor::decode::Error::message("further fields are no map"));
        }
        let count = decoder.map()?.unwrap_or_default();
        let mut fields = Vec::new();
        for _ in 0..count {
            let number = decoder.u64()?;
            fields.push((number, decoder.bytes()?.to_vec()));
            if fields.len() > MAX_FIELDS {
                return Err(minicbor::decode::Error::message("too many further fields"));
            }
        }
        Ok(Self(fields))
    }
}
