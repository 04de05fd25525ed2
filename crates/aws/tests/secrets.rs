//! A secret is stored once, encrypted, whatever its length, and never overwritten. Against the emulator.

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
