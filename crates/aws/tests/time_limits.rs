//! A session for who has to answer in time itself. The time is the test's own: nothing is waited for.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::Duration;

use runnersmith_aws::{Parameters, Session, SqsQueue};
use runnersmith_ports::Queue as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn within_a_limit_a_call_is_given_up_with_all_its_attempts() {
    // Connections are made, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let session = Session::with_key(&url, "us-east-1", "tester").await;
    let took = async |session: &Session| {
        let began = Instant::now();
        let queue = SqsQueue::new(session, &format!("{url}/1/jobs"), None, Duration::from_secs(60));
        queue.send("{}", Duration::ZERO).await.unwrap_err();
        began.elapsed()
    };
    let (bounded, unbounded) = (took(&session.within(Duration::from_secs(8))).await, took(&session).await);
    assert!(bounded <= Duration::from_secs(9) && bounded >= Duration::from_secs(7), "{bounded:?}");
    assert!(unbounded > Duration::from_secs(10), "the other goes on: {unbounded:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_parameters_with_many_slow_pages_is_given_up() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut page = 0;
        while let Ok((mut client, _)) = server.accept().await {
            let mut request = [0; 8192];
            while client.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                tokio::time::sleep(Duration::from_secs(4)).await;
                page += 1;
                let body = format!(r#"{{"Parameters":[],"NextToken":"{page}"}}"#);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length";
                if client.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    let parameters = Parameters::new(&Session::with_key(&url, "us-east-1", "tester").await);
    let began = Instant::now();
    let error = parameters.below("/runnersmith/ci").await.unwrap_err().to_string();
    assert!(error.contains("not all of it came within 25s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(28), "{:?}", began.elapsed());
    serving.abort();
}
