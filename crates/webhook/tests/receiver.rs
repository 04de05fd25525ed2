//! The one entry point: events for the queue and events of a control repository come in by the same call, each goes its own way,
//! and neither goes anywhere without a signature.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::{Arc, Mutex};

use ring::hmac;
use runnersmith_ports::{HistoryLedger as _, Message, Queue as _, SystemClock};
use runnersmith_sqlite::SqliteStore;
use runnersmith_types::{ChangeTrigger, EventKind, JobId, Secret};
use runnersmith_webhook::{
    Answer, ChangeEvent, DeliveryHandler as _, DeliveryListener, Intake, RawDelivery, WebhookReceiver,
};
use serde_json::{Value, json};

const CONTROL: &str = "acme/control";

/// Remembers where it was said to look.
#[derive(Default)]
struct Events(Mutex<Vec<ChangeTrigger>>);

impl DeliveryListener for Events {
    fn on_change(&self, event: &ChangeEvent) -> Option<String> {
        self.0.lock().unwrap().push(event.trigger(CONTROL).ok()?);
        Some("it is looked at".into())
    }
}

struct Bed {
    store: SqliteStore,
    events: Arc<Events>,
    receiver: WebhookReceiver,
    _home: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let store = SqliteStore::open(&home.path().join("ledger"), clock.clone()).unwrap();
        let events = Arc::new(Events::default());
        let receiver = WebhookReceiver {
            intake: Intake::new(Arc::new(store.queue()), Arc::new(store.ledger()), clock.clone(), Arc::default),
            secrets: vec![Secret::new("secret")],
            allow_sha1: false,
            clock,
            listener: Some(events.clone()),
        };
        Self { store, events, receiver, _home: home }
    }

    async fn deliver(&self, event: &str, body: &str, secret: &str) -> Answer {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let hex = hex::encode(hmac::sign(&key, body.as_bytes()));
        let delivery = RawDelivery {
            event: Some(event.to_owned()),
            id: None,
            signature_256: Some(format!("sha256={hex}")),
            signature_1: None,
            body: body.to_owned().into(),
        };
        self.receiver.deliver(delivery).await
    }

    async fn queued(&self) -> Vec<Message> {
        let received = self.store.queue().receive(10, std::time::Duration::from_secs(60)).await.unwrap();
        received.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }
}

fn accepted() -> Answer {
    Answer { stored: true, ..Answer::new(202, "accepted") }
}

fn job() -> Value {
    json!({"workflow_job": {"id": 1, "run_id": 2, "status": "queued", "labels": ["self-hosted"]},
        "repository": {"full_name": "acme/shop"}})
}

fn issue(repository: &str) -> Value {
    json!({"action": "opened", "issue": {"number": 5}, "repository": {"full_name": repository},
        "sender": {"login": "ann", "type": "User"}})
}

#[tokio::test]
async fn a_job_and_a_change_come_in_by_one_entry_point_and_each_goes_its_own_way() {
    let bed = Bed::new();
    assert_eq!(bed.deliver("workflow_job", &job().to_string(), "secret").await, accepted());
    let opened = bed.deliver("issues", &issue(CONTROL).to_string(), "secret").await;
    assert_eq!(opened, Answer::new(202, "it is looked at"));
    assert_eq!(*bed.events.0.lock().unwrap(), [ChangeTrigger::Issue { number: 5, editor: None }]);
    let queued = bed.queued().await;
    let [Message::Job(fact)] = queued.as_slice() else { panic!("{queued:?}") };
    assert_eq!(fact.id, JobId(1));
}

#[tokio::test]
async fn what_is_of_another_repository_or_cannot_be_read_or_is_not_signed_goes_nowhere() {
    let bed = Bed::new();
    let (job, change) = (job().to_string(), issue(CONTROL).to_string());
    for (event, body) in [("workflow_job", job.as_str()), ("issues", change.as_str())] {
        assert_eq!(bed.deliver(event, body, "another").await.status, 401, "{event}");
    }
    for body in [issue("acme/other").to_string(), "{".to_owned()] {
        assert_eq!(bed.deliver("issues", &body, "secret").await, Answer::new(202, "this event is not used"));
    }
    let broken = bed.deliver("workflow_job", "{", "secret").await;
    assert!(broken.status == 400 && broken.reason.contains("at line 1 column 1"), "{broken:?}");
    let run = bed.deliver("workflow_run", "{", "secret").await;
    assert_eq!(run, Answer::new(202, "workflow runs are followed by their jobs"), "it is not even read");
    assert!(bed.events.0.lock().unwrap().is_empty());
    assert!(bed.queued().await.is_empty());
}

#[tokio::test]
async fn a_delivery_that_names_a_job_and_is_not_used_is_in_the_jobs_history() {
    let bed = Bed::new();
    let mut unknown = job();
    unknown["workflow_job"]["status"] = "paused".into();
    let mut without_run = job();
    without_run["workflow_job"]["run_id"] = Value::Null;
    without_run["workflow_job"]["id"] = 2.into();
    let status = "the job's status \"paused\" is not one that we know";
    assert_eq!(bed.deliver("workflow_job", &unknown.to_string(), "secret").await, Answer::new(202, status));
    let refused = bed.deliver("workflow_job", &without_run.to_string(), "secret").await;
    assert_eq!(refused.status, 400);
    let history = async |id| bed.store.ledger().history_of_job(JobId(id), 10).await.unwrap();
    for (id, reason) in [(1, status), (2, refused.reason.as_str())] {
        let history = history(id).await;
        let [event] = history.as_slice() else { panic!("{history:?}") };
        assert_eq!((event.kind, event.text.as_str()), (EventKind::Dropped, reason));
    }

    // Who has no secret writes nothing.
    without_run["workflow_job"]["id"] = 3.into();
    assert_eq!(bed.deliver("workflow_job", &without_run.to_string(), "another").await.status, 401);
    assert!(history(3).await.is_empty());
}

/// R: GitHub's default content type of an organisation's or a repository's webhook.
#[tokio::test]
async fn a_delivery_in_a_form_is_read_as_its_payload_and_its_signature_is_over_the_form() {
    let bed = Bed::new();
    let mut job = job();
    job["workflow_job"]["name"] = json!("a+b & c=d é");
    let form: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("payload", &job.to_string()).finish();
    assert_eq!(bed.deliver("workflow_job", &form, "secret").await, accepted());
    let queued = bed.queued().await;
    let [Message::Job(fact)] = queued.as_slice() else { panic!("{queued:?}") };
    assert_eq!((fact.id, fact.name.as_str()), (JobId(1), "a+b & c=d é"));
    assert_eq!(bed.deliver("workflow_job", &form, "another").await.status, 401);
    for broken in ["payload=", "payload=%7B", "payload=%FF%FE", "payload"] {
        assert_eq!(bed.deliver("workflow_job", broken, "secret").await.status, 400, "{broken}");
    }
    assert!(bed.queued().await.is_empty());
}
