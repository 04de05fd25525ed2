//! Records on S3, beside Terraform's state: a record store whose writes name what they expect.
//!
//! S3 compares on its own side (`If-None-Match: *`, `If-Match: <ETag>`), so no lock is needed. But an ETag is a hash of the
//! content (or, with a KMS key, need not be one, which S3 does not promise either), so that a record that was changed to
//! and fro would have its old version back. Therefore each writing begins with a line of its own, `HEADER` and a random
//! number, which a read takes off again. What people see in the bucket stays readable, and a record that a person wrote
//! by hand, without such a line, is read as it is. The number has a second use: a write whose answer was lost is made again
//! by the SDK and then refused because of itself; who is refused looks whether what is there is its own.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use ring::rand::SecureRandom as _;
use runnersmith_ports::record_store::{KEY_BYTES_MAX, RECORD_BYTES_MAX, Unfit, check_key, check_size};
use runnersmith_ports::{Expect, RecordStore, RecordStoreError, StoredRecord, Version};

use crate::objects::s3_config;
use crate::{AwsFailure, AwsFailureKind, Session};

/// What this module may call. Conditional writes need no more than these. With a KMS key S3 itself asks for `kms:Decrypt` and
/// `kms:GenerateDataKey` on that key, in the caller's name.
pub const OPERATIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"];
/// What each record begins with; 32 hexadecimal digits and a line's end follow.
const HEADER: &[u8] = b"runnersmith-record ";
const NONCE_BYTES: usize = 16;
const HEADER_BYTES: usize = HEADER.len() + 2 * NONCE_BYTES + 1;
/// A record may have 64 MiB; the session's five seconds are for calls that carry a few KB.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// S3 lists at most 1,000 keys in a page.
const PAGE: i32 = 1000;
/// A bound for what no bucket of ours has: 100,000 records.
const PAGES_MAX: usize = 100;

/// Records in a bucket, below a prefix.
#[derive(Clone)]
pub struct ObjectRecordStore {
    client: Client,
    bucket: String,
    prefix: String,
    kms_key: Option<String>,
    page: i32,
}

impl ObjectRecordStore {
    /// Records in `bucket` (in the session's region), whose keys begin with `prefix` and a slash; an empty prefix is none.
    /// They are encrypted by `kms_key` (an id, ARN or alias) if it is given, otherwise as the bucket says, which is by a key of
    /// S3's at the least: to ask for that one by name would undo a bucket's own key.
    #[must_use]
    pub fn new(session: &Session, bucket: &str, prefix: &str, kms_key: Option<&str>) -> Self {
        let config = s3_config(session)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .build();
        let prefix = prefix.trim_matches('/');
        Self {
            client: Client::from_conf(config),
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            kms_key: kms_key.map(str::to_owned),
            page: PAGE,
        }
    }

    /// The same with smaller pages of lists, so that a few records are many pages.
    #[must_use]
    pub fn with_page(self, page: i32) -> Self {
        Self { page: page.clamp(1, PAGE), ..self }
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What is there, with its header.
    async fn read(&self, operation: &'static str, key: &str) -> Result<Option<(Vec<u8>, Version)>, RecordStoreError> {
        let found = match self.client.get_object().bucket(&self.bucket).key(self.path(key)).send().await {
            Ok(found) => found,
            Err(error) => {
                let failure = AwsFailure::new("s3", "GetObject", &error);
                // A missing bucket is no missing record: a record that seems absent would be written again elsewhere.
                return if failure.code == "NoSuchKey" { Ok(None) } else { Err(folded(operation, key, failure)) };
            }
        };
        let other = |source: Box<dyn std::error::Error + Send + Sync>| RecordStoreError::Failed {
            operation,
            key: key.to_owned(),
            source,
        };
        let version = found.e_tag.ok_or_else(|| other("S3 gave no ETag".into()))?;
        let length = found.content_length.ok_or_else(|| other("S3 gave no length".into()))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > RECORD_BYTES_MAX + HEADER_BYTES {
            return Err(Unfit::Size { bytes: length }.error(operation, key));
        }
        let bytes = found.body.collect().await.map_err(|error| other(error.into()))?.to_vec();
        Ok(Some((bytes, Version(version))))
    }

    async fn write(&self, key: &str, bytes: Vec<u8>, expect: &Expect) -> Result<Version, AwsFailure> {
        let mut call = self.client.put_object().bucket(&self.bucket).key(self.path(key)).body(ByteStream::from(bytes));
        call = match expect {
            Expect::Absent => call.if_none_match("*"),
            Expect::Version(version) => call.if_match(&version.0),
            Expect::Any => call,
        };
        if let Some(id) = &self.kms_key {
            call = call.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(id);
        }
        let put = call.send().await.map_err(|error| AwsFailure::new("s3", "PutObject", &error))?;
        Ok(Version(put.e_tag.unwrap_or_default()))
    }

    /// The version of what is there, if it begins with this header: then a refused write had been done before.
    async fn own(&self, key: &str, header: &[u8]) -> Result<Option<Version>, RecordStoreError> {
        let found = self.read("put", key).await?;
        Ok(found.filter(|(bytes, _)| bytes.starts_with(header)).map(|(_, version)| version))
    }
}

/// A line that no other writing has.
fn header() -> Result<Vec<u8>, ring::error::Unspecified> {
    let mut nonce = [0; NONCE_BYTES];
    ring::rand::SystemRandom::new().fill(&mut nonce)?;
    let mut header = HEADER.to_vec();
    header.extend(hex::encode(nonce).into_bytes());
    header.push(b'\n');
    Ok(header)
}

/// A record without its header; one that has none is whole.
fn content(mut bytes: Vec<u8>) -> Vec<u8> {
    let has_header = bytes.len() >= HEADER_BYTES
        && bytes.starts_with(HEADER)
        && bytes[HEADER.len()..HEADER_BYTES - 1].iter().all(u8::is_ascii_hexdigit)
        && bytes[HEADER_BYTES - 1] == b'\n';
    if has_header {
        bytes.drain(..HEADER_BYTES);
    }
    bytes
}

/// Whether S3 says that a condition does not hold: it did not (412), another conditional write was faster (409), or the
/// record that `If-Match` names is gone (404).
fn is_conflict(failure: &AwsFailure, expect: &Expect) -> bool {
    match failure.code.as_str() {
        "PreconditionFailed" | "ConditionalRequestConflict" | "412" | "409" => true,
        "NoSuchKey" => matches!(expect, Expect::Version(_)),
        _ => false,
    }
}

fn folded(operation: &'static str, key: &str, failure: AwsFailure) -> RecordStoreError {
    let key = key.to_owned();
    match failure.kind() {
        AwsFailureKind::Denied => RecordStoreError::Denied { operation, key, source: failure.into() },
        AwsFailureKind::Throttled | AwsFailureKind::NotFound | AwsFailureKind::Other => {
            RecordStoreError::Failed { operation, key, source: failure.into() }
        }
    }
}

#[async_trait]
impl RecordStore for ObjectRecordStore {
    async fn get(&self, key: &str) -> Result<Option<StoredRecord>, RecordStoreError> {
        check_key("get", key)?;
        let Some((bytes, version)) = self.read("get", key).await? else { return Ok(None) };
        let bytes = content(bytes);
        // What a person wrote has no header; it could be read, and then not be written again.
        check_size("get", key, &bytes)?;
        Ok(Some(StoredRecord { bytes, version }))
    }

    async fn put(&self, key: &str, bytes: &[u8], expect: &Expect) -> Result<Version, RecordStoreError> {
        check_key("put", key)?;
        check_size("put", key, bytes)?;
        let header = header().map_err(|_unspecified| RecordStoreError::Failed {
            operation: "put",
            key: key.to_owned(),
            source: "the system gives no random numbers".into(),
        })?;
        let whole = [header.as_slice(), bytes].concat();
        match self.write(key, whole, expect).await {
            Ok(version) => Ok(version),
            Err(failure) if is_conflict(&failure, expect) => self
                .own(key, &header)
                .await?
                .ok_or_else(|| RecordStoreError::Conflict { operation: "put", key: key.to_owned() }),
            Err(failure) => Err(folded("put", key, failure)),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), RecordStoreError> {
        check_key("delete", key)?;
        match self.client.delete_object().bucket(&self.bucket).key(self.path(key)).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = AwsFailure::new("s3", "DeleteObject", &error);
                if failure.code == "NoSuchKey" { Ok(()) } else { Err(folded("delete", key, failure)) }
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, RecordStoreError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.path(prefix))
            .max_keys(self.page)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(page) = pages.next().await else {
                // S3 lists in this order, but a directory bucket does not.
                keys.sort_unstable();
                return Ok(keys);
            };
            let page = page.map_err(|error| folded("list", prefix, AwsFailure::new("s3", "ListObjectsV2", &error)))?;
            let found = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            keys.extend(found.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)));
        }
        let source = format!("there are more than {PAGES_MAX} pages of keys").into();
        Err(RecordStoreError::Failed { operation: "list", key: prefix.chars().take(KEY_BYTES_MAX).collect(), source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails panics")]

    use super::*;

    #[test]
    fn a_header_comes_off_and_nothing_else_does() {
        let first = header().unwrap();
        assert_eq!(first.len(), HEADER_BYTES);
        assert_ne!(first, header().unwrap(), "each writing has its own");
        let content_of = |bytes: &[u8]| content(bytes.to_vec());
        assert_eq!(content_of(&[first.as_slice(), b"{}"].concat()), b"{}");
        assert_eq!(content_of(&first), b"");
        assert_eq!(content_of(&[first.as_slice(), first.as_slice()].concat()), first, "one header, not all");
        for foreign in
            [b"".as_slice(), b"{}", HEADER, b"runnersmith-record not a number at all, not a bit, no", &first[1..]]
        {
            assert_eq!(content_of(foreign), foreign, "what a person wrote is read as it is");
        }
    }
}
