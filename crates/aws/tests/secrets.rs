//! A secret is stored once, encrypted, whatever its length, and never overwritten, and read by name or by ARN. Against the emulator.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use runnersmith_aws::{Parameters, Session};
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_types::Secret;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_stored_encrypted_and_never_overwritten() {
    if skip_unless_available("a_secret_is_stored_encrypted_and_never_overwritten") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let parameters = Parameters::new(&Session::with_key(emulator.url(), "us-east-1", "tester").await);
    for (name, length) in [("/runnersmith/acme/webhook-secret", 40), ("/runnersmith/acme/private-key", 5000)] {
        let value = Secret::new("x".repeat(length));
        parameters.put_secret(name, &value).await.unwrap();
        let found = parameters.named(&[name.to_owned()]).await.unwrap();
        assert_eq!(found[name].expose(), value.expose());
        let again = parameters.put_secret(name, &Secret::new("other")).await.unwrap_err();
        assert_eq!(again.code, "ParameterAlreadyExists");
        let body = serde_json::json!({ "Name": name });
        let raw = emulator.json("ssm", "AmazonSSM.GetParameter", &body).unwrap();
        assert_eq!(raw["Parameter"]["Type"], "SecureString");
        assert_ne!(raw["Parameter"]["Value"].as_str(), Some(value.expose()), "it is shown decrypted only when asked");
    }
}

/// A secret with a name that both accounts have.
#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_secret_is_read_by_its_arn_and_not_taken_for_one_of_this_account() {
    if skip_unless_available("another account's secret") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let (name, shared) = ("/app/key".to_owned(), "arn:aws:ssm:us-east-1:210987654321:parameter/app/key".to_owned());
    let put = |account: &Emulator, value: &str| {
        let secret = serde_json::json!({ "Name": name, "Value": value, "Type": "SecureString" });
        account.json("ssm", "AmazonSSM.PutParameter", &secret).unwrap();
    };
    put(&emulator.account("210987654321"), "theirs");
    let parameters = Parameters::new(&Session::with_key(emulator.url(), "us-east-1", "tester").await);
    let asked = [name.clone(), shared.clone()];
    let found = parameters.named(&asked).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&shared], "a name is this account's");
    assert_eq!(found[&shared].expose(), "theirs");
    put(&emulator, "ours");
    let found = parameters.named(&asked).await.unwrap();
    assert_eq!((found[&name].expose(), found[&shared].expose()), ("ours", "theirs"));
    // One's own, by its ARN.
    let own = "arn:aws:ssm:us-east-1:123456789012:parameter/app/key".to_owned();
    assert_eq!(parameters.named(std::slice::from_ref(&own)).await.unwrap()[&own].expose(), "ours");
}
