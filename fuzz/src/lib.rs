//! What every target asks of its decoder: bytes are refused, or understood in the one way in which they are written.

/// Panics when the decoder understood bytes that it would not write.
pub fn withstands(decode: fn(&[u8]) -> Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(again) = decode(bytes) {
        assert!(again == bytes, "understood bytes that it would not write");
    }
}
