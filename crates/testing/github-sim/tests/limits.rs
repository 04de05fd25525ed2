//! Pages, limits and suspended installations as GitHub shows them, asked for by hand.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::Duration;

use reqwest::Response;
use runnersmith_github_sim::{App, Options, Simulator};

async fn simulator() -> (Simulator, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let app = App {
        slug: "app".into(),
        private_key_pem: runnersmith_github_sim::app_key(),
        webhook_secret: "s".into(),
        webhook_url: None,
    };
    let app = simulator.add_app(app).unwrap();
    for owner in ["acme", "globex"] {
        simulator.add_org(owner);
        simulator.install(app, owner);
    }
    for n in 0..250 {
        simulator.add_repository(&format!("acme/r-{n}"));
    }
    let token = simulator.installation_token("acme").unwrap();
    (simulator, token)
}

async fn get(simulator: &Simulator, token: &str, path: &str, etag: Option<&str>) -> Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(format!("{}{path}", simulator.base_url())).bearer_auth(token);
    if let Some(etag) = etag {
        request = request.header("If-None-Match", etag);
    }
    request.send().await.unwrap()
}

fn header(answer: &Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().unwrap().to_owned())
}

fn remaining(answer: &Response) -> u64 {
    header(answer, "x-ratelimit-remaining").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_list_has_at_most_a_hundred_items_a_page_and_links_to_the_others() {
    let (simulator, token) = simulator().await;
    let base = simulator.base_url();
    for (query, count, links) in [
        ("", 30, vec![("page=2", "next"), ("page=9", "last")]),
        ("?per_page=500", 100, vec![("page=2", "next"), ("page=3", "last")]),
        ("?per_page=100&page=3", 50, vec![("page=2", "prev"), ("page=1", "first")]),
        ("?per_page=100&page=4", 0, vec![("page=3", "prev"), ("page=1", "first")]),
    ] {
        let answer = get(&simulator, &token, &format!("/installation/repositories{query}"), None).await;
        let link = header(&answer, "link").unwrap();
        let shown: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(
            (shown["repositories"].as_array().unwrap().len(), shown["total_count"].as_u64()),
            (count, Some(250))
        );
        let parts: Vec<&str> = link.split(", ").collect();
        assert_eq!(parts.len(), links.len(), "{query}: {link}");
        for (part, (page, word)) in parts.iter().zip(links) {
            assert!(part.starts_with(&format!("<{base}/installation/repositories?")), "{link}");
            assert!(part.contains(page) && part.ends_with(&format!("rel=\"{word}\"")), "{query}: {link}");
        }
    }
}

#[tokio::test]
async fn an_hour_is_used_up_by_who_calls_and_not_by_what_has_not_changed() {
    let (simulator, token) = simulator().await;
    let other = simulator.installation_token("globex").unwrap();
    simulator.set_limit("acme", 3, 0);
    // Nothing in this list changes by itself.
    let path = "/orgs/acme/actions/runners";
    let first = get(&simulator, &token, path, None).await;
    assert_eq!((remaining(&first), header(&first, "x-ratelimit-limit").as_deref()), (2, Some("3")));
    let etag = header(&first, "etag").unwrap();
    let unchanged = get(&simulator, &token, path, Some(&etag)).await;
    assert_eq!((unchanged.status().as_u16(), remaining(&unchanged)), (304, 2));
    for left in [1, 0] {
        assert_eq!(remaining(&get(&simulator, &token, path, None).await), left);
    }
    let refused = get(&simulator, &token, path, None).await;
    assert_eq!((refused.status().as_u16(), remaining(&refused), header(&refused, "retry-after")), (403, 0, None));
    assert!(refused.text().await.unwrap().contains("API rate limit exceeded for installation ID"));
    assert_eq!(get(&simulator, &other, "/orgs/globex/actions/runners", None).await.status().as_u16(), 200);
    simulator.advance(Duration::from_secs(3_601));
    assert_eq!(remaining(&get(&simulator, &token, path, None).await), 2, "the next hour");
}

#[tokio::test]
async fn secondary_limits_and_suspended_installations_answer_in_githubs_words() {
    let (simulator, token) = simulator().await;
    let other = simulator.installation_token("globex").unwrap();
    let path = "/installation/repositories";
    for status in [403, 429] {
        simulator.block("acme", Duration::from_secs(90), status, false);
        let refused = get(&simulator, &token, path, None).await;
        let seconds: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
        assert_eq!(refused.status().as_u16(), status);
        assert!((60..=90).contains(&seconds), "{seconds}");
        assert!(refused.text().await.unwrap().contains("secondary rate limit"));
    }
    assert_eq!(get(&simulator, &other, path, None).await.status().as_u16(), 200);
    simulator.suspend("globex", true);
    let refused = get(&simulator, &other, path, None).await;
    assert_eq!(refused.status().as_u16(), 403);
    assert!(refused.text().await.unwrap().contains("This installation has been suspended"));
    simulator.suspend("globex", false);
    assert_eq!(get(&simulator, &other, path, None).await.status().as_u16(), 200);
}
