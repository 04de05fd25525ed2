//! Who opens connections and says nothing, or a byte at a time, or takes no answer; who keeps one for long; and who comes under another name.

#![allow(clippy::unwrap_used, reason = "a test fails by unwrapping")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runnersmith_web::{Answer, BoundedListener, ConnectionLimits, DeliveryHandler, RawDelivery};
use support::{World, world};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const WITHIN: Duration = Duration::from_millis(400);
/// What is over by then never ends by itself.
const MUCH_LATER: Duration = Duration::from_secs(10);

async fn serve(world: &World, connections_max: u32) -> SocketAddr {
    let limits = ConnectionLimits::default();
    serve_with(world, ConnectionLimits { connections_max, idle_max: WITHIN, answered_within: WITHIN, ..limits }).await
}

async fn serve_with(world: &World, limits: ConnectionLimits) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let router = runnersmith_web::router(world.state.clone());
    tokio::spawn(axum::serve(BoundedListener::new(socket, limits), router).into_future());
    address
}

/// Everything that comes until the other side closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(MUCH_LATER, stream.read_to_end(&mut said)).await;
    // A reset is a way to close.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&said).into_owned()
}

async fn healthy(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    until_closed(&mut stream).await
}

#[tokio::test]
async fn half_a_head_and_half_a_body_are_given_up() {
    let world = world(None);
    let address = serve(&world, 10).await;
    for half in [
        "",
        "POST /webhook HTTP/1.1\r\nHost: x\r\n",
        "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        assert!(!said.contains(" 202 "), "{half:?}: {said}");
    }
    assert!(healthy(address).await.contains(" 200 "));
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_is_given_up_all_the_same() {
    let world = world(None);
    let address = serve(&world, 10).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /webhook HTTP/1.1\r\n").await.unwrap();
    let drips = tokio::time::timeout(MUCH_LATER, async {
        // Each byte comes in time; together they do not.
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(WITHIN / 8).await;
        }
    });
    drips.await.expect("the server closes the connection");
}

/// Three hundred of these held three hundred files for as long as they wanted.
#[tokio::test]
async fn many_that_say_nothing_keep_others_waiting_no_longer_than_their_time() {
    let world = world(None);
    let address = serve(&world, 20).await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST /webhook HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    let answered = tokio::time::timeout(MUCH_LATER, healthy(address)).await.expect("an answer");
    assert!(answered.contains(" 200 "), "{answered}");
}

#[tokio::test]
async fn a_connection_that_is_answered_on_may_stay() {
    let world = world(None);
    let address = serve(&world, 10).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..6 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut said = [0; 1024];
        let read = tokio::time::timeout(MUCH_LATER, stream.read(&mut said)).await.unwrap().unwrap();
        assert!(
            String::from_utf8_lossy(&said[..read]).contains(" 200 "),
            "longer than its time, and answered each time"
        );
        tokio::time::sleep(WITHIN / 3).await;
    }
}

/// Takes its time, as a slow disk does.
struct Slow(Duration);

#[async_trait]
impl DeliveryHandler for Slow {
    async fn deliver(&self, _: RawDelivery) -> Answer {
        tokio::time::sleep(self.0).await;
        Answer::new(202, "accepted")
    }
}

/// A proxy keeps a connection for a minute, and the next delivery comes near its end.
#[tokio::test]
async fn a_request_on_a_connection_that_was_idle_for_long_has_its_whole_time() {
    let times = |seconds: f64| Duration::from_secs_f64(seconds);
    let (idle_max, pause, work) = (times(3.0), times(2.2), times(1.2));
    let mut world = world(None);
    world.state.handler = Arc::new(Slow(work));
    let limits = ConnectionLimits { idle_max, answered_within: MUCH_LATER, ..ConnectionLimits::default() };
    let mut stream = TcpStream::connect(serve_with(&world, limits).await).await.unwrap();
    for is_first in [true, false] {
        // A new connection may be opened ahead, too.
        tokio::time::sleep(pause).await;
        stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        let mut said = [0; 1024];
        let read = tokio::time::timeout(MUCH_LATER, stream.read(&mut said)).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&said[..read]);
        assert!(said.contains(" 202 "), "first: {is_first}, said: {said:?}");
    }
}

/// Requests that wait in the server's buffer keep it from reading, so that no read ends such a connection.
#[tokio::test]
async fn who_asks_and_takes_no_answer_is_given_up() {
    let world = world(None);
    let address = serve(&world, 1).await;
    let mut greedy = TcpStream::connect(address).await.unwrap();
    let many = "GET /assets/style.css HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000);
    // It stops reading, so that this is never all written.
    let _ = tokio::time::timeout(WITHIN * 2, greedy.write_all(many.as_bytes())).await;
    let answered = tokio::time::timeout(MUCH_LATER, healthy(address)).await.expect("the one place is free again");
    assert!(answered.contains(" 200 "), "{answered}");
}

/// A page in an operator's browser leads a name of its own to 127.0.0.1.
#[tokio::test]
async fn the_dashboard_is_not_served_under_a_name_of_somebody_elses() {
    async fn status(address: SocketAddr, path: &str, host: &str) -> u16 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        said.split(' ').nth(1).unwrap().parse().unwrap()
    }
    let open = world(None);
    let address = serve(&open, 10).await;
    for path in ["/", "/api/status", "/metrics", "/events", "/jobs/1"] {
        assert_eq!(status(address, path, "evil.example:8787").await, 421, "{path}");
    }
    for host in ["127.0.0.1:8787", "localhost:8787", "[::1]"] {
        assert_eq!(status(address, "/metrics", host).await, 200, "{host}");
    }
    // What GitHub and a load balancer reach is served under any name.
    assert_eq!(status(address, "/healthz", "evil.example").await, 200);
    assert_eq!(status(address, "/webhook", "evil.example").await, 405);

    let mut listed = world(None);
    listed.state.hosts = vec!["runners.acme.example".into()];
    let address = serve(&listed, 10).await;
    assert_eq!(status(address, "/metrics", "Runners.acme.example").await, 200);
    assert_eq!(status(address, "/metrics", "evil.example").await, 421);

    // No other page has the token.
    let mut with_token = world(Some("t"));
    let address = serve(&with_token, 10).await;
    assert_eq!(status(address, "/metrics", "behind-a-proxy.example").await, 401);
    with_token.state.hosts = vec!["runners.acme.example".into()];
    let address = serve(&with_token, 10).await;
    assert_eq!(status(address, "/metrics", "behind-a-proxy.example").await, 421);
}
