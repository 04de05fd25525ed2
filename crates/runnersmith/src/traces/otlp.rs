//! The export itself: one trace for each job of ours that has ended, with a span for each stage of its way.
//!
//! Spans are made from the ledger's times when a job ends, not while code runs: a job's way leads through webhooks, loops and
//! restarts, and its times are all in one record then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use runnersmith_controllers::{JobObserver, why};
use runnersmith_types::{Job, Runner, Timestamp};

use crate::exit::CommandFailure;

/// Sends traces to a collector.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Prepares the export to a collector's OTLP/HTTP address. A collector that does not answer is never waited for.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(endpoint: &str) -> Result<Self, CommandFailure> {
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        // The exporter has a blocking HTTP client of its own, which may not be made on a thread of the runtime.
        let built =
            std::thread::spawn(move || SpanExporter::builder().with_http().with_endpoint(address).build()).join();
        let exporter = built
            .map_err(|_| "the exporter could not be made".to_owned())
            .and_then(|built| built.map_err(|error| error.to_string()))
            .map_err(|error| {
                CommandFailure::config(format!("prepare the export to {endpoint}: {error}"), "check [otel] endpoint")
            })?;
        let resource = Resource::builder()
            .with_service_name("runnersmith")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("runnersmith");
        Ok(Self { provider, tracer })
    }

    /// Sends what is left.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(error = %error, "the last traces could not be sent");
        }
    }
}

impl JobObserver for Traces {
    fn ended(&self, job: &Job, runner: Option<&Runner>) {
        let stages = why::stages(job, runner);
        let (Some(first), Some(ended)) = (stages.iter().map(|stage| stage.from).min(), job.ended_at) else { return };
        let number = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        let mut attributes = vec![
            KeyValue::new("github.job.id", number(job.id().0)),
            KeyValue::new("github.run.id", number(job.fact.run.0)),
            KeyValue::new("github.repository", job.fact.repo.to_string()),
            KeyValue::new("github.job.name", job.fact.name.clone()),
            KeyValue::new(
                "github.job.conclusion",
                job.fact.conclusion.as_ref().map_or("", |c| c.0.as_str()).to_owned(),
            ),
        ];
        if let Some(runner) = runner {
            attributes.push(KeyValue::new("runnersmith.runner", runner.name.to_string()));
            attributes.push(KeyValue::new("runnersmith.scale_set", runner.target.set.to_string()));
        }
        let root = self.tracer.span_builder("job").with_start_time(time(first)).with_attributes(attributes);
        let root = Context::new().with_span(root.start_with_context(&self.tracer, &Context::new()));
        for stage in stages {
            let span = self.tracer.span_builder(stage.name.word()).with_start_time(time(stage.from));
            let mut span = span.start_with_context(&self.tracer, &root);
            span.end_with_timestamp(time(stage.from) + stage.took);
        }
        root.span().end_with_timestamp(time(ended));
    }
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0))
}
