//! What the webhook function declares is what its role is granted: it must be little, and nothing of EC2.

use std::process::Command;

#[test]
fn the_function_declares_its_few_operations() {
    let output = Command::new(env!("CARGO_BIN_EXE_lambda-webhook")).arg("--operations").output().unwrap();
    let declared = String::from_utf8(output.stdout).unwrap();
    let declared: Vec<&str> = declared.lines().collect();
    assert!(declared.contains(&"sqs:SendMessage"), "{declared:?}");
    assert!(
        declared.iter().all(|operation| !operation.starts_with("ec2:") && !operation.contains('*')),
        "{declared:?}"
    );
}

#[test]
fn the_function_links_no_ec2_code() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "runnersmith-lambda",
            "--no-default-features",
            "--features",
            "webhook",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("aws-sdk-sqs"), "the tree is read: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!tree.contains("aws-sdk-ec2"), "the webhook function depends on EC2's SDK");
}
