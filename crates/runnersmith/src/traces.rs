//! OpenTelemetry export, if configured. Without the feature `traces` it is nothing, and a configuration that wants it is refused.

#[cfg(feature = "traces")]
mod otlp;

#[cfg(feature = "traces")]
pub use otlp::Traces;

#[cfg(not(feature = "traces"))]
pub use none::NoTraces as Traces;

#[cfg(not(feature = "traces"))]
mod none {
    use runnersmith_controllers::JobObserver;
    use runnersmith_types::{Job, Runner};

    use crate::exit::CommandFailure;

    /// There are none: it is never made.
    pub enum NoTraces {}

    impl NoTraces {
        /// Refuses.
        ///
        /// # Errors
        /// Always: the feature is missing.
        pub fn new(_endpoint: &str) -> Result<Self, CommandFailure> {
            Err(CommandFailure::config(
                "the configuration has [otel], and this program was built without the feature `traces`",
                "build it with `cargo build --profile dist --features traces`, or take a released program",
            ))
        }

        /// Nothing is left to send.
        pub fn stop(&self) {
            match *self {}
        }
    }

    impl JobObserver for NoTraces {
        fn ended(&self, _job: &Job, _runner: Option<&Runner>) {
            match *self {}
        }
    }
}
