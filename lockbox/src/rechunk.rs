//! aws-chunked bodies in small chunks.
//!
//! s3s gathers a chunk in memory before it passes it on, and some SDKs (aws-sdk-go-v2) send a whole
//! object of known length as one unsigned chunk. Unsigned chunks carry no signature, so they can be
//! cut anywhere; signed ones cannot and are limited in size instead. Format: "Sigv4 streaming"
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use hyper::body::{Body, Frame};
use s3s::StdError;

use crate::body::Shared;

/// The longest signed chunk; SDKs send 64 KiB to 1 MiB.
const SIGNED_CHUNK_BYTES: u64 = 16 * 1024 * 1024;
const HEAD_BYTES: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("RechunkError: FormatError")]
    Format,
    #[error("RechunkError: ChunkTooLarge")]
    TooLarge,
}

#[derive(Debug)]
pub(crate) struct Rechunk {
    inner: Shared,
    cutter: ChunkParser,
    ready: VecDeque<Bytes>,
}

#[derive(Debug)]
struct ChunkParser {
    unsigned: bool,
    state: ParserState,
}

#[derive(Debug)]
enum ParserState {
    /// The line before a chunk's data, as far as it has come.
    Head(Vec<u8>),
    Data {
        left: u64,
    },
    /// The line end behind a chunk's data.
    End {
        left: usize,
    },
    /// Behind the last chunk: trailers.
    Rest,
}

impl Rechunk {
    pub(crate) fn new(inner: Shared, unsigned: bool) -> Self {
        Self {
            inner,
            cutter: ChunkParser {
                unsigned,
                state: ParserState::Head(Vec::new()),
            },
            ready: VecDeque::new(),
        }
    }
}

impl Body for Rechunk {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    let this = &mut *self;
                    if let Ok(data) = frame.into_data()
                        && let Err(error) = this.cutter.feed(data, &mut this.ready)
                    {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                }
            }
        }
    }
}

impl ChunkParser {
    fn feed(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), ChunkError> {
        while !bytes.is_empty() {
            match &mut self.state {
                ParserState::Head(head) => {
                    let end = bytes
                        .iter()
                        .position(|b| *b == b'\n')
                        .map_or(bytes.len(), |at| at + 1);
                    head.extend_from_slice(&bytes.split_to(end));
                    if head.len() > HEAD_BYTES {
                        return Err(ChunkError::Format);
                    }
                    if head.ends_with(b"\n") {
                        let head = std::mem::take(head);
                        let size = chunk_size(&head, self.unsigned)?;
                        if !self.unsigned || size == 0 {
                            out.push_back(head.into());
                        }
                        self.state = if size == 0 {
                            ParserState::Rest
                        } else {
                            ParserState::Data { left: size }
                        };
                    }
                }
                ParserState::Data { left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let data = bytes.split_to(here);
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = ParserState::End { left: 2 };
                    }
                    if self.unsigned {
                        out.push_back(format!("{here:x}\r\n").into());
                        out.push_back(data);
                        out.push_back(Bytes::from_static(b"\r\n"));
                    } else {
                        out.push_back(data);
                    }
                }
                ParserState::End { left } => {
                    let expected = if *left == 2 { b'\r' } else { b'\n' };
                    if bytes.get_u8() != expected {
                        return Err(ChunkError::Format);
                    }
                    *left -= 1;
                    if *left == 0 {
                        if !self.unsigned {
                            out.push_back(Bytes::from_static(b"\r\n"));
                        }
                        self.state = ParserState::Head(Vec::new());
                    }
                }
                ParserState::Rest => out.push_back(bytes.split_off(0)),
            }
        }
        Ok(())
    }
}

/// `SIZE-IN-HEX[;chunk-signature=…]\r\n`
fn chunk_size(head: &[u8], unsigned: bool) -> Result<u64, ChunkError> {
    let line = head
        .strip_suffix(b"\r\n")
        .and_then(|l| std::str::from_utf8(l).ok())
        .ok_or(ChunkError::Format)?;
    let (size, extension) = line
        .split_once(';')
        .map_or((line, None), |(size, rest)| (size, Some(rest)));
    if size.is_empty() || !size.bytes().all(|b| b.is_ascii_hexdigit()) || (unsigned && extension.is_some()) {
        return Err(ChunkError::Format);
    }
    let size = u64::from_str_radix(size, 16).map_err(|_| ChunkError::TooLarge)?;
    if !unsigned && size > SIGNED_CHUNK_BYTES {
        Err(ChunkError::TooLarge)
    } else {
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(unsigned: bool, input: &[u8], step: usize) -> Result<Vec<u8>, ChunkError> {
        let mut cutter = ChunkParser {
            unsigned,
            state: ParserState::Head(Vec::new()),
        };
        let mut out = VecDeque::new();
        for piece in input.chunks(step) {
            cutter.feed(Bytes::copy_from_slice(piece), &mut out)?;
        }
        Ok(out.into_iter().flatten().collect())
    }

    #[test]
    fn unsigned_chunks_are_cut_where_bytes_arrive() {
        let input = b"A\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let whole = run(true, input, 1000).unwrap();
        assert_eq!(
            whole,
            b"a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"
        );
        let cut = String::from_utf8(run(true, input, 8).unwrap()).unwrap();
        assert_eq!(
            cut,
            "5\r\n01234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"
        );
    }

    #[test]
    fn signed_chunks_pass_unchanged() {
        let input = b"3;chunk-signature=ab\r\nabc\r\n0;chunk-signature=cd\r\n\r\n";
        for step in 1..input.len() {
            assert_eq!(run(false, input, step).unwrap(), input);
        }
    }

    #[test]
    fn bad_forms() {
        for input in [
            &b"zz\r\n"[..],
            b"3\nabc",
            b"2\r\nabc\r\n",
            b"\r\n",
            b"+3\r\nabc\r\n",
        ] {
            assert!(run(true, input, 1000).is_err(), "{input:?}");
        }
        assert!(run(false, b"FFFFFFFF;chunk-signature=ab\r\n", 1000).is_err());
    }
}
