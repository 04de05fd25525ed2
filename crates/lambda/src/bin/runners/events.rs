//! The events of SQS, as far as they matter.

use runnersmith_aws::sqs;
use runnersmith_ports::ReceivedMessage;
use runnersmith_types::Timestamp;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(default)]
    approximate_receive_count: Option<String>,
    #[serde(default)]
    sent_timestamp: Option<String>,
}

/// Whether a batch is of the queue with this address.
pub(crate) fn is_of_queue(event: &Value, url: Option<&str>) -> bool {
    let source = event["Records"][0]["eventSourceARN"].as_str().and_then(|arn| arn.rsplit(':').next());
    source.is_some() && source == url.and_then(|url| url.rsplit('/').next())
}

/// The messages of a batch, each with the id by which Lambda wants its failure reported.
pub(crate) fn messages(event: Value) -> Result<Vec<(String, ReceivedMessage)>, serde_json::Error> {
    let batch: Batch = serde_json::from_value(event)?;
    let read = |record: Record| {
        let body = sqs::decode(&record.body);
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<i64>().ok());
        let message = ReceivedMessage {
            receipt: sqs::receipt(&record.receipt_handle, &body),
            body,
            receives: number(&record.attributes.approximate_receive_count)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            sent_at: Timestamp::from_millis(number(&record.attributes.sent_timestamp).unwrap_or(0)),
        };
        (record.message_id, message)
    };
    Ok(batch.records.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_batch_is_read_and_each_message_keeps_its_id() {
        let event = json!({ "Records": [{ "messageId": "m-1", "receiptHandle": "h", "body": "base64:YQA=",
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "5" }, "eventSource": "aws:sqs" }] });
        let messages = messages(event).unwrap_or_default();
        assert_eq!(
            (messages[0].1.body.as_str(), messages[0].1.receives, messages[0].1.sent_at.as_millis()),
            ("a\u{0}", 3, 5)
        );
        assert_eq!(messages[0].0, "m-1");
    }

    #[test]
    fn a_batch_tells_its_queue() {
        let url = Some("https://sqs.us-east-1.amazonaws.com/123456789012/acme-lookups");
        let event = |queue: &str| json!({ "Records": [{ "eventSourceARN": format!("arn:aws:sqs:us-east-1:123456789012:{queue}") }] });
        assert!(is_of_queue(&event("acme-lookups"), url));
        assert!(!is_of_queue(&event("acme-jobs"), url));
        assert!(!is_of_queue(&event("acme-lookups"), None));
        assert!(!is_of_queue(&json!({}), None));
    }
}
