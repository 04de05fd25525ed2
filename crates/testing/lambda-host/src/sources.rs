//! What invokes functions: queues, schedules and events, as they are deployed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::function::Function;

type Functions = Arc<BTreeMap<String, Arc<Function>>>;

/// Pollers of one queue, unless the mapping says fewer. Lambda begins with five.
const POLLERS: u64 = 5;

/// Polls the queues that are mapped to functions.
pub(crate) async fn mappings(
    account: &Account,
    functions: &Functions,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<(), String> {
    let found = account.rest("lambda", "GET", "/2015-03-31/event-source-mappings/".into(), Value::Null).await?;
    for mapping in found["EventSourceMappings"].as_array().into_iter().flatten() {
        let text = |name: &str| mapping[name].as_str().unwrap_or_default().to_owned();
        let (source, function) = (text("EventSourceArn"), text("FunctionArn"));
        let name = function.split(":function:").nth(1).unwrap_or_default().split(':').next().unwrap_or_default();
        let Some(function) = functions.get(name).cloned() else { continue };
        let queue = source.rsplit(':').next().unwrap_or_default().to_owned();
        let url = account.json("sqs", "AmazonSQS.GetQueueUrl", json!({ "QueueName": queue })).await?;
        let poller = Poller {
            account: account.clone(),
            url: url["QueueUrl"].as_str().unwrap_or_default().to_owned(),
            source,
            function,
            batch: mapping["BatchSize"].as_u64().unwrap_or(10),
            partial: mapping["FunctionResponseTypes"]
                .as_array()
                .is_some_and(|types| types.iter().any(|kind| kind.as_str() == Some("ReportBatchItemFailures"))),
        };
        let pollers = mapping["ScalingConfig"]["MaximumConcurrency"].as_u64().unwrap_or(POLLERS).min(POLLERS);
        for _ in 0..pollers {
            let (poller, stopped) = (poller.clone(), stopped.clone());
            tasks.spawn(async move { poller.run(stopped).await });
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Poller {
    account: Account,
    url: String,
    source: String,
    function: Arc<Function>,
    batch: u64,
    partial: bool,
}

impl Poller {
    async fn run(&self, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let mut messages = self.account.receive(&self.url, self.batch).await.unwrap_or_default();
            let lineage = |message: &Value| {
                self.function.lineage(message["Attributes"]["AWSTraceHeader"].as_str().unwrap_or_default())
            };
            // They stay in the queue, and are dead letters when they were received too often.
            messages.retain(|message| !self.function.is_loop(lineage(message)));
            let after = messages.iter().map(lineage).max().unwrap_or(0);
            if messages.is_empty() {
                // An emulator that is gone answers at once.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
            let records: Vec<Value> = messages
                .iter()
                .map(|message| {
                    json!({
                        "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"],
                        "body": message["Body"], "attributes": message["Attributes"], "messageAttributes": {},
                        "md5OfBody": message["MD5OfBody"], "eventSource": "aws:sqs",
                        "eventSourceARN": self.source, "awsRegion": "us-east-1",
                    })
                })
                .collect();
            let answer = self.function.invoke_after(after, &json!({ "Records": records })).await;
            // A function that fails as a whole keeps its whole batch: it comes again.
            let Ok(answer) = answer else {
                tracing::warn!(function = self.function.name, error = ?answer, "a batch failed");
                continue;
            };
            let failed: Vec<String> = if self.partial {
                let failures = answer["batchItemFailures"].as_array();
                failures.into_iter().flatten().map(|failure| text(failure, "itemIdentifier")).collect()
            } else {
                Vec::new()
            };
            let entries: Vec<Value> = messages
                .iter()
                .filter(|message| !failed.contains(&text(message, "MessageId")))
                .enumerate()
                .map(|(n, message)| json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] }))
                .collect();
            if !entries.is_empty() {
                let body = json!({ "QueueUrl": self.url, "Entries": entries });
                if let Err(error) = self.account.json("sqs", "AmazonSQS.DeleteMessageBatch", body).await {
                    tracing::warn!(error, "handled messages could not be deleted; they come again");
                }
            }
        }
    }
}

/// A rule of the event bus.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    every: Option<Duration>,
    pattern: Option<Value>,
    /// Where to, and fixed input.
    targets: Vec<(Target, Option<Value>)>,
}

/// What a rule's events go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The function of this name.
    Function(String),
    /// The queue at this address.
    Queue(String),
}

/// A rule's target. A queue must let the rule send: EventBridge drops what it may not send, and says so nowhere but in a metric (EventBridge
/// guide, "Resource-based policies"), which a test would not see.
async fn target(account: &Account, rule: &Value, target: &Value) -> Result<Option<Target>, String> {
    let arn = target["Arn"].as_str().unwrap_or_default();
    if let Some(function) = arn.split(":function:").nth(1) {
        return Ok(Some(Target::Function(function.split(':').next().unwrap_or_default().to_owned())));
    }
    let Some(queue) = arn.strip_prefix("arn:aws:sqs:").and_then(|rest| rest.rsplit(':').next()) else {
        return Ok(None);
    };
    let url = account.json("sqs", "AmazonSQS.GetQueueUrl", json!({ "QueueName": queue })).await?["QueueUrl"].clone();
    let asked = json!({ "QueueUrl": url, "AttributeNames": ["Policy"] });
    let found = account.json("sqs", "AmazonSQS.GetQueueAttributes", asked).await?;
    let policy: Value =
        serde_json::from_str(found["Attributes"]["Policy"].as_str().unwrap_or("{}")).unwrap_or_default();
    if !lets_send(&policy, arn, rule["Arn"].as_str().unwrap_or_default()) {
        return Err(format!("{queue} lets {} send nothing: {policy}", rule["Name"]));
    }
    Ok(url.as_str().map(|url| Target::Queue(url.to_owned())))
}

/// Whether a queue's policy lets EventBridge send for this rule, and for no other.
fn lets_send(policy: &Value, queue: &str, rule: &str) -> bool {
    let names = |value: &Value, wanted: &str| {
        value.as_str() == Some(wanted) || value.as_array().is_some_and(|all| all.contains(&json!(wanted)))
    };
    policy["Statement"].as_array().into_iter().flatten().any(|statement| {
        statement["Effect"] == "Allow"
            && names(&statement["Principal"]["Service"], "events.amazonaws.com")
            && names(&statement["Action"], "sqs:SendMessage")
            && names(&statement["Resource"], queue)
            && names(&statement["Condition"]["ArnEquals"]["aws:SourceArn"], rule)
    })
}

/// All enabled rules.
pub(crate) async fn rules(account: &Account) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    let found = account.json("events", "AWSEvents.ListRules", json!({})).await?;
    for rule in found["Rules"].as_array().into_iter().flatten() {
        if rule["State"].as_str() == Some("DISABLED") {
            continue;
        }
        let name = rule["Name"].clone();
        let listed = account.json("events", "AWSEvents.ListTargetsByRule", json!({ "Rule": name })).await?;
        let mut targets = Vec::new();
        for one in listed["Targets"].as_array().into_iter().flatten() {
            let input = one["Input"].as_str().and_then(|text| serde_json::from_str(text).ok());
            targets.extend(target(account, rule, one).await?.map(|target| (target, input)));
        }
        rules.push(Rule {
            every: rule["ScheduleExpression"].as_str().and_then(every),
            pattern: rule["EventPattern"].as_str().and_then(|text| serde_json::from_str(text).ok()),
            targets,
        });
    }
    Ok(rules)
}

/// `rate(5 minutes)`, or a cron of every so many minutes (`cron(*/5 * * * ? *)`); other crons do not come in a test's time.
fn every(expression: &str) -> Option<Duration> {
    if let Some(rate) = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')) {
        let (count, unit) = rate.split_once(' ')?;
        let seconds = match unit.trim_end_matches('s') {
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            _ => return None,
        };
        return Some(Duration::from_secs(count.parse::<u64>().ok()? * seconds));
    }
    let cron = expression.strip_prefix("cron(")?.strip_suffix(')')?;
    let minutes = cron.split_whitespace().next()?.strip_prefix("*/")?;
    Some(Duration::from_secs(minutes.parse::<u64>().ok()? * 60))
}

/// Starts the schedules.
pub(crate) fn schedules(
    rules: &[Rule],
    functions: &Functions,
    speed: u32,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    for rule in rules {
        let Some(every) = rule.every else { continue };
        for (target, input) in &rule.targets {
            let Target::Function(name) = target else { continue };
            let Some(function) = functions.get(name).cloned() else { continue };
            let (input, mut stopped) = (input.clone().unwrap_or_else(|| json!({})), stopped.clone());
            let period = every / speed.max(1);
            tasks.spawn(async move {
                let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ = ticks.tick() => {
                            if let Err(error) = function.invoke(&input).await {
                                tracing::warn!(function = function.name, error = ?error, "a scheduled event failed");
                            }
                        }
                        () = async { let _ = stopped.wait_for(|stop| *stop).await; } => return,
                    }
                }
            });
        }
    }
}

/// Where an event goes to, with what arrives there.
pub(crate) fn matching(rules: &[Rule], event: &Value) -> Vec<(Target, Value)> {
    let hit = rules.iter().filter(|rule| rule.pattern.as_ref().is_some_and(|pattern| matches(pattern, event)));
    hit.flat_map(|rule| &rule.targets)
        .map(|(target, input)| (target.clone(), input.clone().unwrap_or_else(|| event.clone())))
        .collect()
}

/// Lists of plain values and nested objects: what our rules use. Anything else matches nothing.
fn matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, pattern)| matches(pattern, &event[name.as_str()])),
        Value::Array(allowed) => allowed.contains(event),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_names() {
        let pattern = json!({ "source": ["aws.ec2"], "detail": { "state": ["terminated", "stopped"] } });
        assert!(matches(
            &pattern,
            &json!({ "source": "aws.ec2", "detail": { "state": "stopped", "instance-id": "i" } })
        ));
        assert!(!matches(&pattern, &json!({ "source": "aws.ec2", "detail": { "state": "running" } })));
        assert!(!matches(&pattern, &json!({ "source": "aws.s3" })));
    }

    #[test]
    fn a_queue_lets_the_rules_send_that_it_names() {
        let (queue, rule) =
            ("arn:aws:sqs:us-east-1:123456789012:jobs", "arn:aws:events:us-east-1:123456789012:rule/ours");
        let policy = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage", "Resource": queue, "Condition": { "ArnEquals": { "aws:SourceArn": [rule] } } }] });
        assert!(lets_send(&policy, queue, rule));
        assert!(!lets_send(&policy, queue, "arn:aws:events:us-east-1:123456789012:rule/another"));
        assert!(!lets_send(&policy, "arn:aws:sqs:us-east-1:123456789012:other", rule));
        assert!(!lets_send(&json!({}), queue, rule));
    }

    #[test]
    fn schedules_are_read() {
        assert_eq!(every("rate(1 minute)"), Some(Duration::from_secs(60)));
        assert_eq!(every("rate(2 hours)"), Some(Duration::from_secs(7_200)));
        assert_eq!(every("cron(*/5 * * * ? *)"), Some(Duration::from_secs(300)));
        assert_eq!(every("cron(0 12 * * ? *)"), None);
    }
}
