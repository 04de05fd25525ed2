//! What the emulator's answers promise to clients that are faster or more numerous than moto was made for.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use serde_json::json;

/// A client that gives up its request when it has seen an answer's head must find the body with it.
#[test]
fn the_head_and_the_body_of_an_answer_come_together() {
    if skip_unless_available("answers that come in one piece") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let at = emulator.url().trim_start_matches("http://");
    for turn in 0..200 {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(format!("GET /_emulator/calls HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains("\r\n\r\n{"), "answer {turn} came without its body: {answer}");
    }
}

/// A table that grows while another request reads it is no error on AWS, and one in moto.
#[test]
fn requests_at_once_do_not_disturb_each_other() {
    if skip_unless_available("requests at once") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let put = |name: &str| {
        let parameter = json!({ "Name": format!("/at-once/{name}"), "Value": "1", "Type": "String" });
        emulator.json("ssm", "AmazonSSM.PutParameter", &parameter).unwrap();
    };
    let list = || emulator.json("ssm", "AmazonSSM.DescribeParameters", &json!({})).unwrap();
    // Enough of them that a list is not read in one go.
    for number in 0..300 {
        put(&number.to_string());
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..100).for_each(|turn| put(&format!("{thread}/{turn}"))));
            scope.spawn(move || (0..100).for_each(|_| drop(list())));
        }
    });
}

/// Bytes that come in chunks are not lost, and neither are many.
#[test]
fn large_bodies_and_bodies_in_chunks_arrive_whole() {
    if skip_unless_available("large bodies") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    emulator.rest("s3", "PUT", "/large-bodies", b"").unwrap();
    let large = vec![b'x'; 3_000_000];
    emulator.rest("s3", "PUT", "/large-bodies/one", &large).unwrap();
    assert!(emulator.rest("s3", "GET", "/large-bodies/one", b"").unwrap() == large);

    let mut stream = put(&emulator, "two", "Transfer-Encoding: chunked");
    stream.write_all(b"4\r\nrunn\r\n8\r\nersmith!\r\n0\r\n\r\n").unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 200"));
    assert_eq!(emulator.rest("s3", "GET", "/large-bodies/two", b"").unwrap(), b"runnersmith!");

    // A client that asks first is asked to go on, once.
    let mut stream = put(&emulator, "three", "Content-Length: 2\r\nExpect: 100-continue");
    let mut first = [0; 25];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"it").unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 200"));

    // One that is gone in the middle of a body asked for nothing.
    let mut stream = put(&emulator, "four", "Content-Length: 2000000");
    stream.write_all(b"half").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answer(&mut stream), "");
    emulator.rest("s3", "GET", "/large-bodies/four", b"").unwrap_err();
}

/// Begins to put an object.
fn put(emulator: &Emulator, name: &str, headers: &str) -> TcpStream {
    let at = emulator.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "PUT /large-bodies/{name} HTTP/1.1\r\nHost: {at}\r\n{headers}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
