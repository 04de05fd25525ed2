//! Metrics by CloudWatch's embedded format: a log line that CloudWatch reads as numbers, so that no call is made for them.

use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Runnersmith";

/// The variable that says whether numbers are metrics: each of them costs money every month. `false`: they are in the log alone.
pub const METRICS: &str = "RUNNERSMITH_METRICS";

/// The same numbers as a line of the log, which CloudWatch Logs Insights reads and nobody pays for as a metric.
#[must_use]
pub fn plain(dimensions: &[(&str, &str)], metrics: &[(&str, &str, f64)]) -> String {
    let mut line = Map::new();
    line.insert("level".into(), "INFO".into());
    line.insert("fields".into(), numbers(dimensions, metrics).into());
    Value::Object(line).to_string()
}

/// Writes numbers as metrics, unless [`METRICS`] says otherwise: then into the log alone.
pub fn measure(variable: Option<&str>, at_millis: i64, dimensions: &[(&str, &str)], metrics: &[(&str, &str, f64)]) {
    let are_metrics = variable != Some("false");
    write(&if are_metrics { line(at_millis, dimensions, metrics) } else { plain(dimensions, metrics) });
}

fn numbers(dimensions: &[(&str, &str)], metrics: &[(&str, &str, f64)]) -> Map<String, Value> {
    let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    dimensions.chain(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), Value::from(*value)))).collect()
}

/// A line for CloudWatch: numbers with their units under one set of dimensions.
#[must_use]
pub fn line(at_millis: i64, dimensions: &[(&str, &str)], metrics: &[(&str, &str, f64)]) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let units: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({
            "Timestamp": at_millis,
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": units }],
        }),
    );
    line.extend(numbers(dimensions, metrics));
    Value::Object(line).to_string()
}

/// Writes a line to the log.
pub fn write(line: &str) {
    use std::io::Write as _;
    // A log that cannot be written is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_that_are_no_metrics_are_a_line_of_the_log() {
        let line = super::plain(&[("ScaleSet", "linux")], &[("Demand", "Count", 3.0)]);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!((&read["fields"]["Demand"], &read["fields"]["ScaleSet"]), (&3.0.into(), &"linux".into()));
        assert!(read.get("_aws").is_none(), "CloudWatch makes no metric of it: {line}");
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let line = super::line(5, &[("ScaleSet", "linux")], &[("Demand", "Count", 3.0)]);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(read["Demand"], 3.0);
        assert_eq!(read["ScaleSet"], "linux");
        let metrics = &read["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Dimensions"][0][0], "ScaleSet");
        assert_eq!(metrics["Metrics"][0]["Name"], "Demand");
    }
}
