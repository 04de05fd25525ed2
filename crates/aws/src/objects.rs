//! Runner distributions in S3: looked at, and put whole or not at all.

use aws_sdk_s3::Client;

use crate::{AwsFailure, AwsFailureKind, Session};

/// What this module may call.
pub const OPERATIONS: [&str; 2] = ["s3:GetObject", "s3:PutObject"];

/// S3 as a session reaches it.
pub(crate) fn s3_config(session: &Session) -> aws_sdk_s3::config::Builder {
    // An emulator has one address for all buckets.
    let path_style = session.config().endpoint_url().is_some();
    aws_sdk_s3::config::Builder::from(session.config()).force_path_style(path_style)
}

/// A bucket.
#[derive(Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// A bucket of this name.
    #[must_use]
    pub fn new(session: &Session, name: &str) -> Self {
        Self { client: Client::from_conf(s3_config(session).build()), name: name.to_owned() }
    }

    /// What an object says of itself under `name` in its metadata. `None` when there is no such object, or it says nothing.
    ///
    /// # Errors
    /// When S3 refuses.
    pub async fn metadata(&self, key: &str, name: &str) -> Result<Option<String>, AwsFailure> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => Ok(found.metadata.and_then(|metadata| metadata.get(name).cloned())),
            Err(error) => {
                let failure = AwsFailure::new("s3", "HeadObject", &error);
                if failure.kind() == AwsFailureKind::NotFound { Ok(None) } else { Err(failure) }
            }
        }
    }

    /// Puts a file, streamed. The object appears whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be read or S3 refuses; an older object is then left as it is.
    pub async fn put_file(
        &self,
        key: &str,
        file: &std::path::Path,
        metadata: &[(&str, &str)],
        kms_key: Option<&str>,
    ) -> Result<(), PutError> {
        let body = aws_sdk_s3::primitives::ByteStream::from_path(file).await.map_err(PutError::File)?;
        let mut call = self.client.put_object().bucket(&self.name).key(key).body(body);
        for (name, value) in metadata {
            call = call.metadata(*name, *value);
        }
        if let Some(key) = kms_key {
            call = call.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        call.send().await.map(|_| ()).map_err(|error| PutError::Refused(AwsFailure::new("s3", "PutObject", &error)))
    }
}

/// Why a file could not be put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The file cannot be read.
    #[error("s3 PutObject: the file cannot be read")]
    File(#[source] aws_sdk_s3::primitives::ByteStreamError),
    /// S3 refused.
    #[error(transparent)]
    Refused(AwsFailure),
}
