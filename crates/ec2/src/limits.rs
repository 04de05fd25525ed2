//! How long a call to EC2 may take, so that the function which makes it comes to its own end.

use std::time::Duration;

use aws_sdk_ec2::config::timeout::TimeoutConfig;

/// So long a call may take with all its attempts, and a list with all its pages: the shortest function that makes passes has a minute, and
/// gives half of it to what heals lost deliveries. An instant fleet of a batch is made while the caller waits. What became of a launch that
/// was given up is not known: its batch stays stored, and the next pass makes the same call with the same token, which launches nothing
/// twice.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// So long may be asked about reported machines: the deliveries of jobs come by the same queue and wait for it. It comes again.
pub(crate) const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// One attempt of a call that may be made again at once. A page of a thousand machines has some megabytes; the session's five seconds are
/// for calls that carry a few KB. A launch has one attempt: the next one would find the first still at work.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(12);

/// An attempt may take so long, and all of them together [`CALL_TIMEOUT`].
pub(crate) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(CALL_TIMEOUT).build()
}
