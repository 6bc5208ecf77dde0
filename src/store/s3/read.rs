//! Reading and looking at one object, of the version that is asked for: without one, of what its name answers with.

use super::behind::{Absent, Found};
use super::{S3Store, STANDSTILL, plain_etag, put, thaw, trouble, wall};
use crate::error::{Error, Result};
use crate::store::{MAX_OBJECT, ObjectInfo, ObjectName, access};
use crate::worker::Stop;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use std::ops::Range;

impl S3Store {
    /// As `read_into` of the trait; a range that is empty is not asked for.
    pub(super) fn read_version(
        &self,
        name: &ObjectName,
        version: Option<&str>,
        range: Option<&Range<u64>>,
        into: &mut Vec<u8>,
        stop: &Stop,
    ) -> Result<Found<()>> {
        into.clear();
        let doing = format!("read {}", self.key(name));
        let mut request = self.client.get_object().bucket(&self.bucket.name).key(self.key(name));
        request = request.set_version_id(version.map(str::to_owned));
        if let Some(range) = range {
            request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        }
        self.count(|r| r.get += 1);
        self.run_moving(stop, &doing, STANDSTILL, async {
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(e) if trouble::Answer::of(&e).is("InvalidObjectState") => return Err(access::frozen(name)),
                Err(e) => return Absent::or_error(doing.clone(), &e).map(Err),
            };
            self.met_version(answer.version_id());
            let told = answer.content_length().and_then(|n| u64::try_from(n).ok());
            let told = told.ok_or_else(|| Error::retry(doing.clone()).because("the answer tells no length"))?;
            let want = range.map_or(told, |range| range.end - range.start);
            if told < want || want > MAX_OBJECT {
                return Err(Error::damaged(format!("{doing}: {told} bytes are there, not {want}")));
            }
            if told > want {
                return Err(Error::operator(doing.clone()).because("this server does not know ranges"));
            }
            collect(answer.body, want, into).await.map_err(|e| e.during(&doing))?;
            Ok(Ok(()))
        })
    }

    /// What a HEAD tells.
    pub(super) fn look_at(&self, name: &ObjectName, version: Option<&str>) -> Result<Found<ObjectInfo>> {
        let doing = format!("look at {}", self.key(name));
        let request = self
            .client
            .head_object()
            .bucket(&self.bucket.name)
            .key(self.key(name))
            .set_version_id(version.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled);
        self.count(|r| r.head += 1);
        self.run(&Stop::new(), &doing, async {
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(e) => return Absent::or_error(doing.clone(), &e).map(Err),
            };
            self.met_version(answer.version_id());
            Ok(Ok(ObjectInfo {
                name: name.clone(),
                size: answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                etag: answer.e_tag().map(plain_etag),
                class: answer.storage_class().map(|class| class.as_str().to_owned()),
                sha256: answer.checksum_sha256().and_then(put::parse_sum),
                modified: answer.last_modified().and_then(wall),
                access: Some(thaw::looked_at(&answer)),
            }))
        })
    }
}

/// Exactly `want` bytes of a body; a connection that broke off is passing trouble.
async fn collect(mut body: ByteStream, want: u64, bytes: &mut Vec<u8>) -> Result<()> {
    let want = usize::try_from(want).expect("at most MAX_OBJECT");
    bytes.reserve_exact(want);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|e| Error::retry("receive").because(trouble::plain(&e)))?;
        if bytes.len() + piece.len() > want {
            return Err(Error::retry("receive").because("more bytes came than were told"));
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() == want { Ok(()) } else { Err(Error::retry("receive").because("the body was cut")) }
}
