//! The syncer function: the newest release of actions/runner in the bucket, verified; nothing is uploaded twice.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runnersmith_aws::Session;
use runnersmith_aws::objects::Bucket;
use runnersmith_github::releases::{self, Archive};
use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_lambda::settings::ca_file_of_parameter;
use runnersmith_lambda::variable;
use runnersmith_ports::{Clock as _, SystemClock, chain};
use serde_json::{Value, json};

/// The operations that this function may use. S3 counts a look at an object (HeadObject) as GetObject.
const OPERATIONS: [&str; 4] = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "ssm:GetParameters"];
/// What an object says of itself: the checksum of the archive in it.
const SHA256: &str = "sha256";
/// The release it is from.
const VERSION: &str = "version";
/// GitHub gives no jobs to a runner when a newer release has been out for 30 days: an archive that was put since is good for a while.
const FRESH_FOR: Duration = Duration::from_secs(20 * 24 * 3600);

/// What is synchronised, from the function's variables.
struct Syncer {
    bucket: Bucket,
    prefix: String,
    architectures: Vec<String>,
    prerelease: bool,
    kms_key: Option<String>,
    client: GitHubClient,
}

impl Syncer {
    async fn from_environment() -> Result<Self, Error> {
        let bucket = variable("RUNNERSMITH_BUCKET")
            .ok_or("the environment variable RUNNERSMITH_BUCKET is not set; hint: the Terraform module sets it")?;
        let architectures = variable("RUNNERSMITH_ARCHITECTURES").unwrap_or_else(|| "x64".into());
        let architectures: Vec<String> =
            architectures.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect();
        if let Some(odd) = architectures.iter().find(|word| !["x64", "arm64"].contains(&word.as_str())) {
            return Err(format!("RUNNERSMITH_ARCHITECTURES: {:?} is neither x64 nor arm64", odd).into());
        }
        // Releases of the runner are on github.com, whatever server the runners serve.
        let server = variable("RUNNERSMITH_RELEASES_URL").unwrap_or_else(|| "https://github.com".into());
        let mut config = GitHubConfig::anonymous(&server);
        config.api_base = variable("RUNNERSMITH_RELEASES_API_URL");
        config.proxy = variable("RUNNERSMITH_PROXY");
        let session = Session::from_environment(None, None).await;
        if let Some(name) = variable("RUNNERSMITH_CA_PARAMETER") {
            let file = ca_file_of_parameter(&session, &name).await;
            config.ca_file = Some(file.map_err(|error| format!("RUNNERSMITH_CA_PARAMETER: {}", chain(&error)))?);
        }
        Ok(Self {
            bucket: Bucket::new(&session, &bucket),
            prefix: variable("RUNNERSMITH_PREFIX").unwrap_or_default(),
            architectures,
            prerelease: variable("RUNNERSMITH_PRERELEASE").is_some_and(|word| word == "true"),
            kms_key: variable("RUNNERSMITH_KMS_KEY_ID"),
            client: GitHubClient::new(config, Arc::new(SystemClock))?,
        })
    }

    fn key(&self, platform: &str) -> String {
        format!("{}actions-runner-{platform}.tar.gz", self.prefix)
    }

    async fn sync(&self) -> Result<Value, Error> {
        let release = match releases::newest(&self.client, self.prerelease).await {
            Ok(release) => release,
            Err(error) => match self.kept().await? {
                Some(kept) => {
                    tracing::warn!(error = %chain(&error), "the newest release is not known; what the bucket has is fresh enough");
                    return Ok(kept);
                }
                None => return Err(error.into()),
            },
        };
        let mut done = Vec::new();
        for architecture in &self.architectures {
            let platform = format!("linux-{architecture}");
            let archive = release.archive(&platform)?;
            let uploaded = self.archive(&archive, &platform).await?;
            done.push(json!({ "platform": platform, "version": archive.version, "uploaded": uploaded }));
        }
        Ok(Value::Array(done))
    }

    /// What the bucket has for all architectures, if machines can go on with it for a while. GitHub counts calls without a credential by
    /// address, and a function shares its address with others, so that a refusal now and then is no failure.
    async fn kept(&self) -> Result<Option<Value>, Error> {
        let mut kept = Vec::new();
        for architecture in &self.architectures {
            let platform = format!("linux-{architecture}");
            let head = self.bucket.head(&self.key(&platform)).await?;
            let Some(head) = head.filter(|head| SystemClock.now().since(head.put_at) < FRESH_FOR) else {
                return Ok(None);
            };
            kept.push(json!({ "platform": platform, "version": head.metadata.get(VERSION), "uploaded": false }));
        }
        Ok(Some(Value::Array(kept)))
    }

    /// `false` when the bucket has it already.
    async fn archive(&self, archive: &Archive, platform: &str) -> Result<bool, Error> {
        let key = self.key(platform);
        let head = self.bucket.head(&key).await?;
        if head.is_some_and(|head| head.metadata.get(SHA256) == Some(&archive.sha256)) {
            tracing::info!(key, version = archive.version, "the bucket has this release");
            return Ok(false);
        }
        // A directory of its own, so that a broken or foreign file is never taken for the archive.
        let directory = tempfile::tempdir()?;
        let file = archive.fetch(&self.client, directory.path()).await?;
        let says = [(SHA256, archive.sha256.as_str()), (VERSION, archive.version.as_str())];
        self.bucket.put_file(&key, &file, &says, self.kms_key.as_deref()).await?;
        tracing::info!(key, version = archive.version, "uploaded");
        Ok(true)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if !runnersmith_lambda::begin(|_| Ok(OPERATIONS))? {
        return Ok(());
    }
    let syncer = Arc::new(Syncer::from_environment().await?);
    lambda_runtime::run(service_fn(move |_event: LambdaEvent<Value>| {
        let syncer = syncer.clone();
        // An error is the function's: its alarm sees it, and the old object is as it was.
        async move { syncer.sync().await }
    }))
    .await
}
