//! The dashboard in a real browser, driven through chromedriver.

#![allow(clippy::unwrap_used, reason = "a test fails by unwrapping")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use runnersmith_types::{JobStatus, RunnerState};
use serde_json::{Value, json};
use support::{fill, job, runner, world};

/// Looks at a condition, each after [`LOOK_EVERY`], before it is given up.
const LOOKS_MAX: usize = 150;
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn chromedriver() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("RUNNERSMITH_CHROMEDRIVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("chromedriver")).find(|file| file.is_file())
}

/// Says and counts that a test did not run.
#[expect(clippy::print_stdout, reason = "a skipped test has no other way to say so")]
fn skipped(what: &str) {
    println!("SKIPPED: {what}");
    if let Some(list) = std::env::var_os("RUNNERSMITH_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(list).unwrap();
        std::io::Write::write_all(&mut file, format!("{what}\n").as_bytes()).unwrap();
    }
}

struct Browser {
    client: reqwest::Client,
    session: String,
}

impl Browser {
    async fn call(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = self.client.post(url).json(&body).send().await.unwrap().json::<Value>().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }

    async fn script(&self, script: &str) -> Value {
        self.call("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    async fn chrome(&self, command: &str, params: Value) {
        self.call("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    async fn until(&self, script: &str) {
        for _ in 0..LOOKS_MAX {
            if self.script(script).await == Value::Bool(true) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("never true in the browser: {script}");
    }

    /// Emulates a width (the height follows the page) and a colour scheme, and keeps a picture.
    async fn picture(&self, name: &str, width: u32, scheme: &str, height_max: u64) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chrome("Emulation.setEmulatedMedia", features).await;
        let metrics =
            |height: u64| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chrome("Emulation.setDeviceMetricsOverride", metrics(800)).await;
        let height = self.script("return document.documentElement.scrollHeight").await.as_u64().unwrap();
        self.chrome("Emulation.setDeviceMetricsOverride", metrics(height.min(height_max))).await;
        let url = format!("{}/screenshot", self.session);
        let answer = self.client.get(url).send().await.unwrap().json::<Value>().await.unwrap();
        let png = base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{name} is a picture of something");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), png).unwrap();
    }
}

async fn start(driver: &Path, profile: &Path) -> (Driver, Browser) {
    // A port that was free a moment ago; chromedriver cannot be asked for one and report it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(driver)
        .arg(format!("--port={port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Driver(child);
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let mut up = false;
    for _ in 0..LOOKS_MAX {
        if let Ok(answer) = client.get(format!("{base}/status")).send().await {
            up = answer.json::<Value>().await.is_ok_and(|status| status["value"]["ready"] == true);
            if up {
                break;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(up, "chromedriver did not come up on port {port}");
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let wanted = json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    } } });
    let answer =
        client.post(format!("{base}/session")).json(&wanted).send().await.unwrap().json::<Value>().await.unwrap();
    let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
    (child, Browser { client, session: format!("{base}/session/{id}") })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_updates_itself_in_a_browser_in_light_and_dark() {
    let Some(driver) = chromedriver() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "chromedriver must be installed in CI");
        skipped("the browser test: chromedriver is neither in PATH nor named by RUNNERSMITH_CHROMEDRIVER");
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = world(None);
    fill(&world);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, runnersmith_web::router(world.state.clone())).into_future());
    let profile = tempfile::tempdir().unwrap();
    let (child, browser) = start(&driver, profile.path()).await;

    browser.call("/url", json!({ "url": format!("{site}/") })).await;
    browser.until("return document.getElementById('live').textContent === 'live'").await;
    browser.picture("overview-light", 1200, "light", 4000).await;
    let light = browser.script("return getComputedStyle(document.body).backgroundColor").await;
    browser.picture("dashboard", 1100, "light", 1000).await;
    browser.picture("overview-dark", 1200, "dark", 4000).await;
    let dark = browser.script("return getComputedStyle(document.body).backgroundColor").await;
    assert_ne!(light, dark, "dark mode has its own colours");
    browser.picture("overview-narrow", 400, "light", 4000).await;
    let wide = "return document.documentElement.scrollWidth <= 400";
    assert_eq!(browser.script(wide).await, true, "a narrow page does not scroll sideways");

    // An update arrives without a reload, keeps the focus, and is announced.
    browser.script("window.same = true; document.querySelector('a[href=\"/jobs/4130\"]').focus()").await;
    {
        let mut shown = world.ledger.0.lock().unwrap();
        shown.jobs.push(job(4140, "fresh <b>job</b>", JobStatus::Queued, 1, &["small"], None));
        shown.runners.push(runner("small", 46, RunnerState::Booting, 1, None));
    }
    world.state.levels.touch();
    browser.until("return document.getElementById('main').textContent.includes('fresh <b>job</b>')").await;
    assert_eq!(browser.script("return window.same").await, true, "the page was not loaded again");
    let focus = browser.script("return document.activeElement.getAttribute('href')").await;
    assert_eq!(focus, "/jobs/4130", "the focus stays where it was");
    let summary = browser.script("return document.getElementById('summary').textContent").await;
    assert_eq!(summary, "4 jobs waiting, 3 running, 8 runners, 1 fault");

    for (name, path) in [("job", "/jobs/4127"), ("set", "/sets/small"), ("runner", "/runners/small-q7xk-41")] {
        browser.call("/url", json!({ "url": format!("{site}{path}") })).await;
        browser.picture(name, 1200, "light", 4000).await;
    }
    let log = browser.call("/se/log", json!({ "type": "browser" })).await;
    assert_eq!(log, json!([]), "nothing is wrong in the console");
    let _ = browser.client.delete(&browser.session).send().await;
    drop(child);
    server.abort();
}
