//! What the Lambda programs share: settings from Parameter Store, logs, metrics, and the queue of one event.
//!
//! The programs are thin: an event comes in, a controller makes its pass, an answer goes out. Nothing here knows EC2, so
//! that the webhook function does not link it.

pub mod emf;
pub mod settings;

use std::time::{Duration, SystemTime};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use settings::{LambdaSettings, SettingsError};

/// Logs as JSON lines, which CloudWatch can filter by field. `RUNNERSMITH_LOG` is a filter such as `info`.
fn logs() {
    let level = variable("RUNNERSMITH_LOG").unwrap_or_else(|| "info".into());
    let filter: Targets = level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    // Lambda gives each line its time.
    let lines = tracing_subscriber::fmt().json().without_time().with_max_level(tracing::Level::TRACE);
    let _ = lines.with_writer(std::io::stdout).finish().with(filter).try_init();
    // It fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Begins a program. Called with `--operations` (and a word that says of what) it prints the AWS operations that it may use, one
/// on each line, for the tests that compare them with its role; `false` is returned then, because nothing is left to do. Otherwise
/// logs are set up.
///
/// # Errors
/// When `operations` does not know the word.
pub fn begin<I>(operations: impl FnOnce(&str) -> Result<I, String>) -> Result<bool, String>
where
    I: IntoIterator<Item = &'static str>,
{
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("--operations") {
        logs();
        return Ok(true);
    }
    operations(&arguments.next().unwrap_or_default())?.into_iter().for_each(emf::write);
    Ok(false)
}

/// Before its deadline a function stops beginning things: an answer takes its time too.
const SPARE: Duration = Duration::from_secs(2);

/// How long is left to an invocation.
#[must_use]
pub fn left(deadline_millis: u64) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is on this machine's clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_millis).saturating_sub(now).saturating_sub(SPARE).max(Duration::from_millis(100))
}

/// An environment variable that is not empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
