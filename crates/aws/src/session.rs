//! Who we are to AWS and where it is: credentials, region, endpoint and the HTTP client, made once and shared.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls;

/// A call that takes longer than this is made again. Lambda gives a webhook's answer 10 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts of one call, the first included: bounded at the edge, because the next pass retries anyway.
const ATTEMPTS_MAX: u32 = 3;

/// A session with AWS.
#[derive(Clone, Debug)]
pub struct Session {
    config: SdkConfig,
}

impl Session {
    /// From the environment: the standard variables, profiles and roles (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, …).
    pub async fn from_environment(region: Option<&str>, endpoint: Option<&str>) -> Self {
        let mut loader = base();
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Self { config: loader.load().await }
    }

    /// With a fixed key, for tests against an emulator.
    pub async fn with_key(endpoint: &str, region: &str, key: &str) -> Self {
        let credentials = aws_credential_types::Credentials::new(key, "secret", None, None, "given");
        let loader =
            base().region(Region::new(region.to_owned())).endpoint_url(endpoint).credentials_provider(credentials);
        Self { config: loader.load().await }
    }

    /// With a role's temporary key, for tests against an emulator.
    pub async fn with_token(endpoint: &str, region: &str, key: &str, token: &str) -> Self {
        let token = Some(token.to_owned());
        let credentials = aws_credential_types::Credentials::new(key, "secret", token, None, "given");
        let loader =
            base().region(Region::new(region.to_owned())).endpoint_url(endpoint).credentials_provider(credentials);
        Self { config: loader.load().await }
    }

    /// The same, but that no call takes longer than this with all its attempts: for who has to answer in time itself.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let timeouts = self.config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts.operation_timeout(limit).build();
        Self { config: self.config.to_builder().timeout_config(timeouts).build() }
    }

    /// The SDK's form of it.
    #[must_use]
    pub const fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region, if one is known.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }
}

fn base() -> aws_config::ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
}
