//! What EC2 reports of machines, as EventBridge puts it into the queue: read as one of our messages.
//!
//! A rule of EventBridge could write our form itself. It is read here, so that no rule has to change when the form does.

use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use runnersmith_ports::{MachineEvent, Message};
use runnersmith_types::{MachineId, Timestamp};
use serde::Deserialize;

/// AWS takes a spot machine back two minutes after its warning.
const NOTICE: Duration = Duration::from_secs(120);
const WARNING: &str = "EC2 Spot Instance Interruption Warning";

#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
    #[serde(default)]
    time: String,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "instance-id")]
    instance: String,
}

/// The message in a body that is an event of EC2's; nothing for any other body.
pub(crate) fn message(body: &str) -> Option<Message> {
    let event: Event = serde_json::from_str(body).ok().filter(|event: &Event| event.source == "aws.ec2")?;
    let machine = MachineId::parse(&event.detail.instance).ok()?;
    let at = DateTime::from_str(&event.time, Format::DateTime).ok().and_then(|at| at.to_millis().ok());
    // Without a time the warning is taken as past: the machine goes any moment.
    let at = Timestamp::from_millis(at.unwrap_or_default());
    let taken_back_at = (event.kind == WARNING).then(|| at.plus(NOTICE));
    Some(Message::Machine(MachineEvent { machine, taken_back_at }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: &serde_json::Value) -> Option<(String, Option<i64>)> {
        let Some(Message::Machine(event)) = message(&event.to_string()) else { return None };
        Some((event.machine.to_string(), event.taken_back_at.map(Timestamp::as_millis)))
    }

    #[test]
    fn a_warning_names_its_machine_and_the_end() {
        let warning = json!({ "version": "0", "source": "aws.ec2", "detail-type": WARNING, "time": "2027-01-15T08:00:00Z",
            "detail": { "instance-id": "i-1", "instance-action": "terminate" } });
        assert_eq!(read(&warning), Some(("i-1".into(), Some(1_800_000_120_000))));
        let change = json!({ "source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification",
            "time": "2027-01-15T08:00:00Z", "detail": { "instance-id": "i-1", "state": "terminated" } });
        assert_eq!(read(&change), Some(("i-1".into(), None)));
        let untimed = json!({ "source": "aws.ec2", "detail-type": WARNING, "detail": { "instance-id": "i-1" } });
        assert_eq!(read(&untimed), Some(("i-1".into(), Some(120_000))));
    }

    #[test]
    fn what_is_no_event_of_ec2_is_left_as_it_is() {
        let other = json!({ "source": "aws.s3", "detail-type": WARNING, "detail": { "instance-id": "i-1" } });
        let nameless = json!({ "source": "aws.ec2", "detail-type": WARNING, "detail": {} });
        for event in [json!({}), json!("text"), other, nameless, json!({ "wake": { "set": "linux" } })] {
            assert_eq!(read(&event), None, "{event}");
        }
    }
}
