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

/// The units are those of the DynamoDB guide: by what is stored, twice in a transaction, and once more for the index.
#[test]
fn dynamodb_is_metered_by_what_is_stored() {
    if skip_unless_available("DynamoDB's request units") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let call = |action: &str, body: serde_json::Value| {
        emulator.json("dynamodb", &format!("DynamoDB_20120810.{action}"), &body).map(drop)
    };
    let keys = |one: &str, two: &str| json!([{ "AttributeName": one, "KeyType": "HASH" }, { "AttributeName": two, "KeyType": "RANGE" }]);
    let table = json!({ "TableName": "ledger", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk", "sk"),
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" },
            { "AttributeName": "kind", "AttributeType": "S" }, { "AttributeName": "at", "AttributeType": "N" }],
        "GlobalSecondaryIndexes": [{ "IndexName": "by_kind", "KeySchema": keys("kind", "at"), "Projection": { "ProjectionType": "ALL" } }] });
    call("CreateTable", table).unwrap();
    let key = json!({ "pk": { "S": "set#web" }, "sk": { "S": "live#one" } });
    let item = |length: usize, at: &str, more: serde_json::Value| {
        let mut item = key.clone();
        item["record"] = json!({ "S": "x".repeat(length) });
        if !at.is_empty() {
            item["kind"] = json!({ "S": "runner" });
            item["at"] = json!({ "N": at });
        }
        let mut put = json!({ "TableName": "ledger", "Item": item });
        put.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        put
    };
    let mut before = emulator.units().unwrap();
    let mut news = || {
        let after = emulator.units().unwrap();
        let found: Vec<(String, f64)> = after
            .iter()
            .map(|(line, units)| (line.clone(), units - before.get(line).copied().unwrap_or_default()))
            .filter(|(_, units)| *units > 0.0)
            .collect();
        before = after;
        found
    };
    let line = |line: &str, units: f64| (line.to_owned(), units);

    // Two KB begun, without a place in the index.
    call("PutItem", item(1_100, "", json!({}))).unwrap();
    assert_eq!(news(), [line("write Put set/live", 2.0)]);
    // The larger of what was and what is; and the index has it now.
    call("PutItem", item(10, "5", json!({}))).unwrap();
    assert_eq!(news(), [line("write Put set/live", 2.0), line("write Put set/live, in the index", 1.0)]);
    // The same again changes nothing in the index.
    call("PutItem", item(10, "5", json!({}))).unwrap();
    assert_eq!(news(), [line("write Put set/live", 1.0)]);
    // Another place in the index is a deletion and a put.
    call("TransactWriteItems", json!({ "TransactItems": [{ "Put": item(10, "6", json!({})) }] })).unwrap();
    assert_eq!(
        news(),
        [line("write TransactPut set/live", 2.0), line("write TransactPut set/live, in the index", 4.0)]
    );
    // What is refused is charged all the same.
    call("PutItem", item(10, "7", json!({ "ConditionExpression": "attribute_not_exists(pk)" }))).unwrap_err();
    assert_eq!(news(), [line("write Put set/live", 1.0)]);
    let check = json!({ "TableName": "ledger", "Key": key, "ConditionExpression": "attribute_exists(pk)" });
    call("TransactWriteItems", json!({ "TransactItems": [{ "ConditionCheck": check }] })).unwrap();
    assert_eq!(news(), [line("write TransactConditionCheck set/live", 2.0)]);
    // Reads of what is there and of what is not; consistent ones cost twice as much.
    call("GetItem", json!({ "TableName": "ledger", "Key": key, "ConsistentRead": true })).unwrap();
    call("GetItem", json!({ "TableName": "ledger", "Key": { "pk": { "S": "wake" }, "sk": { "S": "wake" } } })).unwrap();
    let query = json!({ "TableName": "ledger", "IndexName": "by_kind", "KeyConditionExpression": "kind = :kind",
        "ExpressionAttributeValues": { ":kind": { "S": "runner" } } });
    call("Query", query).unwrap();
    let reads = [
        line("read GetItem set/live", 1.0),
        line("read GetItem wake/wake", 0.5),
        line("read Query index by_kind", 0.5),
    ];
    assert_eq!(news(), reads);
    // A deletion is charged by what it deletes, in the index too.
    call("DeleteItem", json!({ "TableName": "ledger", "Key": key })).unwrap();
    assert_eq!(news(), [line("write Delete set/live", 1.0), line("write Delete set/live, in the index", 1.0)]);
}
