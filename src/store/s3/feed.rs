//! The body of a PUT: the worker's own thread reads and hashes it, the network takes it at the pace of the wire.
//!
//! The thread that called `create` reads small slices and hands them over through a channel of one as the connection
//! takes them, so a disk that sleeps never blocks the network's threads, and what is in memory is two slices. The bytes are hashed as they pass; the last slice leaves only when the whole
//! is what was sealed, so wrong bytes never become an object, even on a server that checks nothing.

use crate::error::Result;
use crate::model::Rate;
use crate::store::body::BodyReader;
use crate::store::proof::Hashing;
use crate::store::throttle::{Throttle, Way};
use crate::worker::Stop;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Largest slice, bytes.
const SLICE: usize = 128 << 10;
/// Smallest, under a low limit: what is called sent runs ahead of the wire by two of them, bytes.
const SLICE_MIN: u64 = 4096;

/// What became of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// All were taken; the MD5 of them as hex.
    All { md5: String },
    /// The other side stopped listening: its answer says why.
    Refused,
}

/// The two ends of one body of `size` bytes.
pub(super) fn channel(size: u64) -> (mpsc::Sender<Bytes>, Slices) {
    let (to, from) = mpsc::channel(1);
    (to, Slices { from, left: size })
}

/// What flows in about an eighth of a second, at the pace that limits and manners allow.
fn slice_under(limit: Option<Rate>) -> usize {
    let most = SLICE as u64;
    let bytes = limit.map_or(most, |rate| (rate.get() / 8).clamp(SLICE_MIN, most));
    usize::try_from(bytes).expect("at most a slice")
}

/// Reads the body to its end as the network takes it, and counts it as sent.
pub(super) fn feed(
    mut reader: BodyReader<'_>,
    to: &mpsc::Sender<Bytes>,
    throttle: &Throttle,
    stop: &Stop,
) -> Result<Fed> {
    let mut hashing = Hashing::default();
    let mut slice = vec![0; SLICE];
    while reader.left() > 0 {
        stop.check()?;
        let most = slice_under(throttle.pace(Way::Up)).min(usize::try_from(reader.left()).unwrap_or(SLICE));
        let bytes = reader.fill(&mut slice[..most])?;
        hashing.update(bytes);
        let bytes = Bytes::copy_from_slice(bytes);
        let length = bytes.len() as u64;
        if reader.left() == 0 {
            reader.proved(hashing.clone().finish().0)?;
        }
        if to.blocking_send(bytes).is_err() {
            return Ok(Fed::Refused);
        }
        throttle.count_body(length);
    }
    let (sum, md5) = hashing.finish();
    reader.proved(sum)?;
    Ok(Fed::All { md5 })
}

/// The network's end.
#[derive(Debug)]
pub(super) struct Slices {
    from: mpsc::Receiver<Bytes>,
    left: u64,
}

/// The reading side gave up; its own error says why.
#[derive(Debug, thiserror::Error)]
#[error("the body was given up")]
pub(super) struct GivenUp;

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, GivenUp>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.from.poll_recv(cx).map(|slice| {
            let Some(slice) = slice else { return Some(Err(GivenUp)) };
            self.left = self.left.saturating_sub(slice.len() as u64);
            Some(Ok(Frame::data(slice)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::proof::Sum;
    use crate::store::{Body, NewObject, ObjectName};

    fn object(bytes: &[u8], sealed: &[u8]) -> NewObject {
        NewObject {
            name: ObjectName::new("data_1").unwrap(),
            body: Body::Bytes(bytes.to_vec()),
            size: bytes.len() as u64,
            sha256: Sum::of(sealed),
        }
    }

    fn fed(object: &NewObject) -> (Result<Fed>, u64) {
        let throttle = Throttle::new(None, SystemClock::shared());
        let (to, mut slices) = channel(object.size);
        std::thread::scope(|s| {
            let feeding = s.spawn(move || feed(BodyReader::open(object).unwrap(), &to, &throttle, &Stop::new()));
            let mut took = 0;
            while let Some(slice) = slices.from.blocking_recv() {
                took += slice.len() as u64;
            }
            (feeding.join().unwrap(), took)
        })
    }

    #[test]
    fn the_last_slice_of_wrong_bytes_never_leaves() {
        let right = vec![7; SLICE * 3 + 5];
        let mut wrong = right.clone();
        wrong[SLICE + 1] ^= 1;
        let (ended, took) = fed(&object(&wrong, &right));
        assert!(crate::store::is_body_damage(&ended.unwrap_err()) && took == 3 * SLICE as u64);
        let (ended, took) = fed(&object(&right, &right));
        assert!(matches!(ended.unwrap(), Fed::All { .. }) && took == right.len() as u64);
        assert!(crate::store::is_body_damage(&fed(&object(b"", b"x")).0.unwrap_err()));
    }
}
