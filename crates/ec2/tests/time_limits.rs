//! What EC2 does not answer is given up within a function's time. The time is the test's own: nothing is waited for.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::time::Duration;

use runnersmith_aws::Session;
use runnersmith_ec2::{CALL_TIMEOUT, Ec2Machines};
use runnersmith_ports::{LaunchRequest, Machines as _, MachinesError};
use runnersmith_types::ec2::{Allocation, Capacity, Subnet};
use runnersmith_types::{
    Batch, BatchId, ControlPlaneId, Ec2Set, MachineId, RecordVersion, RunnerName, ScaleSetName, Timestamp,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The shortest function that makes passes has a minute, and gives half of it to other work.
const FOR_A_PASS: Duration = Duration::from_secs(28);

fn name() -> ScaleSetName {
    ScaleSetName::parse("linux").unwrap()
}

fn set() -> Ec2Set {
    Ec2Set {
        launch_template: "lt-1".into(),
        template_version: "1".into(),
        subnets: vec![Subnet { zone: "a".into(), id: "subnet-1".into() }],
        types: vec!["m5.large".into()],
        attributes: None,
        allocation: Allocation::LowestPrice,
        capacity: Capacity::OnDemand,
        max_price: None,
    }
}

async fn machines(server: &TcpListener) -> Ec2Machines {
    let url = format!("http://{}", server.local_addr().unwrap());
    let session = Session::with_key(&url, "us-east-1", "tester").await;
    Ec2Machines::new(&session, BTreeMap::from([(name(), set())]))
}

fn request() -> LaunchRequest {
    let batch = Batch {
        id: BatchId::parse("batch").unwrap(),
        set: name(),
        pool: set().fallback_order(Duration::ZERO).unwrap().pools.remove(0),
        runners: vec![RunnerName::parse("linux-p-1").unwrap()],
        stored_at: Timestamp::from_secs(1),
        hard_end_at: Timestamp::from_secs(2),
        settled: false,
        record_version: RecordVersion::CURRENT,
    };
    LaunchRequest { batch, control_plane: ControlPlaneId::parse("ours").unwrap() }
}

fn given_up(began: Instant, error: &MachinesError) {
    assert!(matches!(error, MachinesError::Failed { .. }), "what became of it is not known: {error:?}");
    assert!(began.elapsed() <= FOR_A_PASS, "{:?} for {error}", began.elapsed());
    assert!(began.elapsed() >= CALL_TIMEOUT / 2, "{:?} for {error}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_given_up_within_a_functions_time() {
    // Connections are made, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ec2 = machines(&silent).await;
    let began = Instant::now();
    given_up(began, &ec2.launch(&request()).await.unwrap_err());
    let began = Instant::now();
    given_up(began, &ec2.list(&name(), &request().control_plane).await.unwrap_err());
    let began = Instant::now();
    given_up(began, &ec2.terminate(&[MachineId::parse("i-1").unwrap()]).await.unwrap_err());
}

/// Answers each call after eight seconds with a page that is not the last.
async fn pages_without_end(server: TcpListener) {
    let mut page = 0;
    while let Ok((mut client, _)) = server.accept().await {
        let mut request = [0; 8192];
        while client.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(Duration::from_secs(8)).await;
            page += 1;
            let body = format!(
                "<DescribeInstancesResponse><nextToken>{page}</nextToken><reservationSet/></DescribeInstancesResponse>"
            );
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if client.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_slow_pages_is_given_up_within_a_functions_time() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ec2 = machines(&server).await;
    let serving = tokio::spawn(pages_without_end(server));
    let began = Instant::now();
    given_up(began, &ec2.list(&name(), &request().control_plane).await.unwrap_err());
    let began = Instant::now();
    given_up(began, &ec2.sets(&request().control_plane).await.unwrap_err());
    serving.abort();
}
