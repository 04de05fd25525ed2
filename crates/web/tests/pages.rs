//! The routes, without a network.

#![allow(clippy::unwrap_used, reason = "a test fails by unwrapping")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use futures_util::StreamExt as _;
use runnersmith_controllers::faults::{Fault, FaultKind};
use runnersmith_types::{EventKind, HistoryEvent, JobStatus, RunnerName, RunnerState, ScaleSetName, WebhookPath};
use support::{World, fill, job, runner, world};
use tower::ServiceExt as _;

async fn send(world: &World, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = runnersmith_web::router(world.state.clone()).oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
    (status, headers, String::from_utf8_lossy(&body).into_owned())
}

async fn get(world: &World, path: &str) -> (StatusCode, String) {
    let (status, _, body) = send(world, Request::get(path).body(Body::empty()).unwrap()).await;
    (status, body)
}

#[tokio::test]
async fn a_delivery_reaches_the_intake_with_its_raw_bytes_and_is_answered_with_a_reason() {
    let world = world(Some("hunter2"));
    let request = |signature: &str| {
        let builder = Request::post("/webhook").header("X-Hub-Signature-256", signature);
        builder
            .header("X-GitHub-Event", "workflow_job")
            .header("X-GitHub-Delivery", "d-1")
            .body(Body::from(" {}\n"))
            .unwrap()
    };
    let (status, _, body) = send(&world, request("good")).await;
    assert_eq!((status.as_u16(), body.as_str()), (202, r#"{"reason":"accepted"}"#));
    let taken = world.receiver.0.lock().unwrap().clone();
    assert_eq!((taken[0].body.as_ref(), taken[0].id.as_deref()), (&b" {}\n"[..], Some("d-1")));
    assert_eq!(send(&world, request("bad")).await.0, 401);
    assert!(world.state.metrics.encode().contains(r#"event="workflow_job",answer="401"} 1"#));
}

/// The commonest first mistake.
#[tokio::test]
async fn deliveries_that_are_not_signed_with_our_secret_are_a_fault_until_one_is() {
    let world = world(None);
    let deliver = async |signature: &str| {
        let request =
            Request::post("/webhook").header("X-Hub-Signature-256", signature).body(Body::from("{}")).unwrap();
        send(&world, request).await.0.as_u16()
    };
    let lines = || {
        let now = world.state.clock.now();
        let faults = world.state.faults.all(&[], now);
        faults.iter().map(|fault| fault.line(now)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!((deliver("bad").await, deliver("bad").await), (401, 401));
    let said = lines();
    assert!(
        said.starts_with("FAULT deliveries are refused: ") && said.contains(", 2 times); make the webhook's secret"),
        "{said}"
    );
    let (_, page) = get(&world, "/").await;
    assert!(page.contains("deliveries are refused") && page.contains("1 fault"), "{page}");
    assert_eq!((deliver("good").await, lines().as_str()), (202, ""));
}

/// An organisation's webhook whose secret is wrong stays a fault while the App's deliveries come, and anyone's inventions push out nothing.
#[tokio::test]
async fn a_webhook_whose_secret_is_wrong_is_a_fault_until_its_own_deliveries_are_accepted() {
    let world = world(None);
    let deliver = async |hook: &str, signature: &str| {
        let request = Request::post("/webhook").header("X-Hub-Signature-256", signature);
        send(&world, request.header("X-GitHub-Hook-ID", hook).body(Body::from("{}")).unwrap()).await.0.as_u16()
    };
    let about = || {
        let faults = world.state.faults.all(&[], world.state.clock.now());
        faults.into_iter().map(|fault| fault.about).collect::<Vec<_>>()
    };
    assert_eq!((deliver("7", "bad").await, deliver("8", "good").await), (401, 202));
    assert_eq!(about(), ["webhook 7"]);
    assert_eq!(deliver("7", "good").await, 202);
    assert_eq!(about(), Vec::<String>::new());
    for hook in 0..200 {
        deliver(&hook.to_string(), "bad").await;
    }
    deliver("<b>", "bad").await;
    assert_eq!(about(), ["other webhooks", "webhook 0", "webhook 1", "webhook 2", "webhook 3"]);
    // A webhook that is wrong may be among the others: if it is, it says so again.
    assert_eq!(deliver("8", "good").await, 202);
    assert_eq!(about(), ["webhook 0", "webhook 1", "webhook 2", "webhook 3"]);
    deliver("9", "bad").await;
    assert_eq!(about()[0], "other webhooks");
}

/// Anybody can post without a signature and without a webhook's number, and GitHub's own deliveries all have one.
#[tokio::test]
async fn what_names_no_webhook_is_no_fault_any_more_when_a_delivery_of_any_webhook_is_accepted() {
    let world = world(None);
    let post = async |request: axum::http::request::Builder| {
        send(&world, request.body(Body::from("{}")).unwrap()).await.0.as_u16()
    };
    let faults = || world.state.faults.all(&[], world.state.clock.now()).len();
    assert_eq!((post(Request::post("/webhook")).await, faults()), (401, 1));
    let accepted = || Request::post("/webhook").header("X-Hub-Signature-256", "good").header("X-GitHub-Hook-ID", "8");
    assert_eq!((post(accepted()).await, faults()), (202, 0));
}

/// The overview and the set's page link the last machine that failed, whose page has what it said.
#[tokio::test]
async fn a_failed_machines_page_is_linked_and_shows_its_last_lines() {
    let world = world(None);
    fill(&world);
    let runner = RunnerName::parse("small-q7xk-41").unwrap();
    let now = world.state.clock.now();
    let mut line = HistoryEvent::new(now, EventKind::Seen, "machine_output", "No space <left>");
    line.runner = Some(runner.clone());
    world.ledger.0.lock().unwrap().history.push(line);
    let set = ScaleSetName::parse("small").unwrap();
    let mut level = world.state.levels.all()[&set].clone();
    let fault = Fault::new(FaultKind::BootFailures, "small", "1 machine(s) did not boot", now);
    level.faults = vec![Fault { runner: Some(runner), ..fault }];
    world.state.levels.put(level);
    for page in ["/", "/sets/small"] {
        let (_, body) = get(&world, page).await;
        assert!(body.contains(r#"did not boot <a href="/runners/small-q7xk-41">small-q7xk-41</a>"#), "{page}: {body}");
        assert!(!body.contains("No space"), "{page}: what machines say takes no decision's place");
    }
    let (_, body) = get(&world, "/runners/small-q7xk-41").await;
    assert!(body.contains("machine output") && body.contains("No space &#60;left&#62;"), "{body}");
}

#[tokio::test]
async fn a_get_of_the_webhook_is_405_and_a_delivery_beyond_25_mb_is_413() {
    let world = world(None);
    assert_eq!(get(&world, "/webhook").await.0, 405);
    let large = vec![b'x'; runnersmith_web::BODY_BYTES_MAX + 1];
    let (status, _, body) = send(&world, Request::post("/webhook").body(Body::from(large)).unwrap()).await;
    assert_eq!(status, 413);
    assert!(body.contains("larger than 26214400 bytes"), "{body}");
    assert!(world.receiver.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_configured_webhook_path_is_used_unless_it_would_hide_a_page() {
    let mut world = world(None);
    for configured in ["/hooks/github", "/webhook"] {
        world.state.webhook_path = WebhookPath::parse(configured).unwrap();
        assert_eq!(send(&world, Request::post(configured).body(Body::empty()).unwrap()).await.0, 401, "{configured}");
    }
    for taken in WebhookPath::TAKEN {
        assert!(WebhookPath::parse(&format!("/{taken}")).is_err(), "{taken}");
        // Every one of them is the server's own: itself, or a folder of pages with one name below.
        let mut own = Vec::new();
        for path in
            [format!("/{taken}"), format!("/{taken}/1"), format!("/{taken}/status"), format!("/{taken}/style.css")]
        {
            own.push(send(&world, Request::post(path).body(Body::empty()).unwrap()).await.0 == 405);
        }
        assert!(own.contains(&true), "{taken} is no page any more");
    }
}

#[tokio::test]
async fn health_is_open_and_readiness_says_why_not() {
    let world = world(Some("hunter2"));
    assert_eq!(get(&world, "/healthz").await, (StatusCode::OK, "ok\n".into()));
    let (status, body) = get(&world, "/readyz").await;
    assert_eq!((status.as_u16(), body.as_str()), (503, "not ready: no scale set was looked at\n"));
    fill(&world);
    assert_eq!(get(&world, "/readyz").await.0, 200);
}

#[tokio::test]
async fn with_a_token_every_page_asks_for_it_and_takes_it_as_bearer_or_password() {
    let world = world(Some("hunter2"));
    for path in
        ["/", "/jobs/1", "/sets/a", "/runners/a", "/api/status", "/api/plan", "/api/jobs/1", "/metrics", "/events"]
    {
        let (status, headers, body) = send(&world, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, 401, "{path}");
        assert!(headers.contains_key(header::WWW_AUTHENTICATE) && !body.contains("hunter2"));
    }
    // "x:hunter2", "x:hunter", "hunter2" without a colon
    let answers = [
        ("Bearer hunter2", 200),
        ("Basic eDpodW50ZXIy", 200),
        ("Basic eDpodW50ZXI=", 401),
        ("Basic aHVudGVyMg==", 401),
        ("Bearer ", 401),
        ("hunter2", 401),
    ];
    for (value, expected) in answers {
        let request = Request::get("/").header(header::AUTHORIZATION, value).body(Body::empty()).unwrap();
        assert_eq!(send(&world, request).await.0, expected, "{value}");
    }
}

#[tokio::test]
async fn the_overview_says_what_each_job_waits_for() {
    let world = world(None);
    fill(&world);
    let (status, body) = get(&world, "/").await;
    assert_eq!(status, 200);
    for text in [
        "the set is at its maximum of 2; place 1 in the line",
        "a runner is on its way (2 idle or booting)",
        "3 jobs waiting, 3 running, 7 runners, 1 fault",
        "2 busy, 1 idle, 1 booting, 1 ending, of at most 10",
        "rate limited",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
}

#[tokio::test]
async fn an_empty_world_has_a_page_that_says_so() {
    let (status, body) = get(&world(None), "/").await;
    assert_eq!(status, 200);
    for text in
        ["No job is waiting.", "No runner is alive.", "No scale set was looked at yet.", "Nothing was decided yet."]
    {
        assert!(body.contains(text), "{text}");
    }
}

#[tokio::test]
async fn every_page_can_be_read_by_a_screen_reader_and_needs_nobody_else() {
    let world = world(None);
    fill(&world);
    for path in ["/", "/jobs/4127", "/sets/small", "/runners/small-q7xk-41", "/nowhere"] {
        let (_, headers, body) = send(&world, Request::get(path).body(Body::empty()).unwrap()).await;
        let count = |text: &str| body.matches(text).count();
        assert!(body.contains("<html lang=\"en\">") && body.contains("class=\"skip\" href=\"#main\""), "{path}");
        assert_eq!((count("<main"), count("<h1")), (1, 1), "{path}");
        assert_eq!(count("<table>"), count("<caption"), "{path}");
        assert_eq!(count("<th "), count("scope="), "{path}");
        assert!(body.contains("aria-live=\"polite\""), "{path}");
        let mut ids: Vec<&str> = body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{path}: an id is there twice");
        for foreign in ["http://", "https://", "//cdn", " style=", "onclick", "<style"] {
            assert!(!body.contains(foreign), "{path}: {foreign}");
        }
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:"
        ));
    }
}

#[tokio::test]
async fn hostile_names_and_labels_are_only_text() {
    let world = world(None);
    fill(&world);
    let hostile = "</th><script>alert(1)</script>\" onmouseover=\"x\r\n&amp;";
    let mut bad = job(666, hostile, JobStatus::InProgress, 5, &["<img src=x onerror=alert(1)>"], Some(hostile));
    bad.fact.workflow = hostile.into();
    world.ledger.0.lock().unwrap().jobs.push(bad);
    for path in ["/", "/jobs/666"] {
        let (status, body) = get(&world, path).await;
        assert_eq!(status, 200);
        assert!(
            !body.contains("<script>alert") && !body.contains("<img src=x") && !body.contains("\" onmouseover"),
            "{path}: {body}"
        );
        assert!(body.contains("alert(1)"), "{path} shows it as text");
    }
}

#[tokio::test]
async fn the_pages_of_a_job_a_set_and_a_runner_show_their_story_and_unknown_ones_are_404() {
    let world = world(None);
    fill(&world);
    let (_, body) = get(&world, "/jobs/4127").await;
    assert!(body.contains("running on small-q7xk-41") && body.contains("GitHub assigned the job"), "{body}");
    let (_, body) = get(&world, "/sets/small").await;
    assert!(body.contains("withdraw small-q7xk-45") && body.contains("one more than is wanted"), "{body}");
    let (_, body) = get(&world, "/runners/small-q7xk-41").await;
    assert!(body.contains("JIT config handed over"), "{body}");
    for path in ["/jobs/1", "/jobs/x", "/sets/none", "/sets/%3Cb%3E", "/runners/none", "/x"] {
        assert_eq!(get(&world, path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_makes_a_503_with_words() {
    let world = world(None);
    world.ledger.0.lock().unwrap().broken = true;
    let (status, body) = get(&world, "/").await;
    assert_eq!(status, 503);
    assert!(body.contains("The ledger cannot be read"));
    assert_eq!(get(&world, "/api/status").await.0, 503);
}

#[tokio::test]
async fn the_same_facts_are_there_as_json_and_as_metrics() {
    let world = world(None);
    fill(&world);
    let task = world.state.tasks.register("sweep", "finds <jobs>", None);
    let now = world.state.clock.now();
    task.begin(now);
    task.end(now, Err("GitHub is down".into()));
    let status: serde_json::Value = serde_json::from_str(&get(&world, "/api/status").await.1).unwrap();
    assert_eq!(status["sets"][1]["maximum"], 10);
    assert_eq!(status["tasks"][0]["last"], "failed: GitHub is down, 0 s ago, took 0 s");
    let page = get(&world, "/").await.1;
    assert!(page.contains("finds &#60;jobs&#62;") && page.contains("failing"), "{page}");
    let plan: serde_json::Value = serde_json::from_str(&get(&world, "/api/plan").await.1).unwrap();
    assert_eq!(plan["sets"][1]["steps"][0]["action"], "withdraw");
    let job: serde_json::Value = serde_json::from_str(&get(&world, "/api/jobs/4127").await.1).unwrap();
    assert_eq!(job["verdict"], "running on small-q7xk-41");
    let metrics = get(&world, "/metrics").await.1;
    assert!(metrics.contains("runnersmith_runners{set=\"small\",state=\"busy\"} 2"), "{metrics}");
    assert!(metrics.contains("runnersmith_task_failing{task=\"sweep\"} 1"), "{metrics}");
    assert!(metrics.contains("runnersmith_jobs_waiting{set=\"large\",reason=\"maximum\"} 2"), "{metrics}");
}

#[tokio::test]
async fn an_event_stream_begins_with_the_page_and_streams_are_bounded() {
    let world = world(None);
    fill(&world);
    let router = runnersmith_web::router(world.state.clone());
    let open = async || router.clone().oneshot(Request::get("/events").body(Body::empty()).unwrap()).await.unwrap();
    let first = open().await;
    assert_eq!(first.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut first = first.into_body().into_data_stream();
    let event = first.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&event).starts_with("event: overview\ndata: {\"summary\":\"3 jobs waiting"));
    world.ledger.0.lock().unwrap().runners.push(runner("small", 99, RunnerState::Idle, 1, None));
    world.state.levels.touch();
    let event = tokio::time::timeout(std::time::Duration::from_secs(10), first.next()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&event).contains("small-q7xk-99"), "a change is sent");
    let mut others = Vec::new();
    for _ in 1..runnersmith_web::CONNECTIONS_MAX {
        let response = open().await;
        assert_eq!(response.status(), 200);
        others.push(response);
    }
    assert_eq!(open().await.status(), 503);
    others.pop();
    assert_eq!(open().await.status(), 200, "a place that is left is free again");
}

/// Anybody can post to the webhook; nothing may grow by it.
#[tokio::test]
async fn a_flood_of_unsigned_posts_makes_neither_records_nor_series() {
    let world = world(None);
    let series = || world.state.metrics.encode().lines().count();
    let post = async |n: usize| {
        let request = Request::post("/webhook")
            .header("X-Hub-Signature-256", "bad")
            .header("X-GitHub-Event", format!("event-{n}"))
            .header("X-GitHub-Delivery", format!("delivery-{n}"))
            .body(Body::from(format!("{{\"action\": \"{n}\"}}")))
            .unwrap();
        assert_eq!(send(&world, request).await.0, 401);
    };
    post(0).await;
    let (before, faults) = (series(), world.state.faults.all(&[], world.state.clock.now()).len());
    for n in 1..300 {
        post(n).await;
    }
    assert_eq!(series(), before, "one series for all events that GitHub does not have");
    assert_eq!(world.state.faults.all(&[], world.state.clock.now()).len(), faults);
}
