//! Runner distributions in S3: looked at, and put whole or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use runnersmith_types::Timestamp;

use crate::{AwsFailure, AwsFailureKind, Session};

/// What this module may call. `s3:ListBucket` is for no list: who has it is answered 404 for an object that is not there, and not 403
/// (S3 API reference, `HeadObject`).
pub const OPERATIONS: [&str; 3] = ["s3:GetObject", "s3:ListBucket", "s3:PutObject"];
/// A file may have some hundred megabytes, and a small function sends a few of them in a second; the session's five seconds are for calls
/// that carry a few KB.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(240);
/// S3's status for what the caller may not see, there or not.
const FORBIDDEN: u16 = 403;

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

    /// What is known of an object without its content; `None` when there is no such object.
    ///
    /// # Errors
    /// When S3 refuses. To who may not list the bucket it does not say whether the object is there: taken for absent, it would be put again
    /// each time.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectHead>, AwsFailure> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(found) => {
                let put_at = found.last_modified.and_then(|at| at.to_millis().ok()).unwrap_or_default();
                let metadata = found.metadata.unwrap_or_default().into_iter().collect();
                Ok(Some(ObjectHead { metadata, put_at: Timestamp::from_millis(put_at) }))
            }
            Err(error) => {
                let status = error.raw_response().map(|answer| answer.status().as_u16());
                let failure = AwsFailure::new("s3", "HeadObject", &error);
                // A HEAD's answer has no body, and so no code: the status is all that is known.
                match failure.kind() {
                    AwsFailureKind::NotFound => Ok(None),
                    _ if status == Some(FORBIDDEN) => Err(failure.denied(&format!(
                        "s3:GetObject on {key} or s3:ListBucket on {} is not allowed; hint: the Terraform module grants both to the function's role",
                        self.name
                    ))),
                    _ => Err(failure),
                }
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
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(UPLOAD_TIMEOUT)
            .operation_timeout(UPLOAD_TIMEOUT)
            .build();
        let slow = aws_sdk_s3::config::Builder::new().timeout_config(timeouts);
        let sent = call.customize().config_override(slow).send().await;
        sent.map(|_| ()).map_err(|error| {
            let failure = AwsFailure::new("s3", "PutObject", &error);
            let is_denied = failure.kind() == AwsFailureKind::Denied;
            let hint =
                || format!("the role needs s3:PutObject on {key} in {}, which the Terraform module grants", self.name);
            PutError::Refused(if is_denied { failure.hinted(&hint()) } else { failure })
        })
    }
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// What it says of itself.
    pub metadata: BTreeMap<String, String>,
    /// When it was put.
    pub put_at: Timestamp,
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
