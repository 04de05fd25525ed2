//! The only source of time for controllers: what time it is, and waiting.

use std::time::Duration;

use async_trait::async_trait;
use runnersmith_types::Timestamp;

/// The time, and waiting for it to pass.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Returns after so long. It is tokio's timer, which a paused runtime moves on by itself: a clock that is virtual keeps the
    /// same time by reading tokio's.
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until a test advances it; for contract suites and simulations.
#[cfg(feature = "contract")]
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

#[cfg(feature = "contract")]
impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(std::sync::atomic::AtomicI64::new(now.as_millis()))
    }
    /// Moves it on.
    pub fn advance(&self, by: std::time::Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(feature = "contract")]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// A clock that a test moves; one that stands still, or one that an emulated service keeps.
#[cfg(feature = "contract")]
pub trait TestClock: Send + Sync {
    /// Moves it on.
    fn advance(&self, by: std::time::Duration);
}

#[cfg(feature = "contract")]
impl TestClock for ManualClock {
    fn advance(&self, by: std::time::Duration) {
        Self::advance(self, by);
    }
}
