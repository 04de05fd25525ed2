//! Metrics by CloudWatch's embedded format: a log line that CloudWatch reads as numbers, so that no call is made for them.

use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Runnersmith";

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
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), Value::from(*value))));
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
