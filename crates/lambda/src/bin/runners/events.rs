//! The events of SQS and EventBridge, as far as they matter.

use std::time::Duration;

use runnersmith_aws::sqs;
use runnersmith_ports::ReceivedMessage;
use runnersmith_types::{MachineId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::MachineEvent;

/// AWS takes a spot machine back two minutes after its warning.
const NOTICE: Duration = Duration::from_secs(120);

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

/// What an event of EventBridge says of a machine.
pub(crate) fn machine(event: &Value) -> Option<MachineEvent> {
    let machine = MachineId::parse(event["detail"]["instance-id"].as_str()?).ok()?;
    let warned = event["detail-type"].as_str() == Some("EC2 Spot Instance Interruption Warning");
    let at = event["time"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    // Without a time the warning is taken as past: the machine goes any moment.
    let at = at.map_or(Timestamp(0), |at| Timestamp::from_millis(at.as_millisecond()));
    let interrupted_at = warned.then(|| at.plus(NOTICE));
    Some(MachineEvent { machine, interrupted_at })
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

    #[test]
    fn a_warning_names_its_machine_and_the_end() {
        let warning = json!({ "detail-type": "EC2 Spot Instance Interruption Warning", "time": "2027-01-15T08:00:00Z",
            "detail": { "instance-id": "i-1", "instance-action": "terminate" } });
        let event = machine(&warning);
        assert!(event.is_some_and(|event| event.machine.as_str() == "i-1"
            && event.interrupted_at == Some(Timestamp::from_millis(1_800_000_120_000))));
        let change = json!({ "detail-type": "EC2 Instance State-change Notification", "detail": { "instance-id": "i-1", "state": "terminated" } });
        assert!(machine(&change).is_some_and(|event| event.interrupted_at.is_none()));
        assert!(machine(&json!({})).is_none());
    }
}
