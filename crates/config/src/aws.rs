//! `[aws]`: what of the control plane is on AWS. What is not named there is embedded, in any mix.

use runnersmith_types::Encryption;

use crate::reader::Reader;

/// `[aws]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aws {
    /// The region; the environment's (`AWS_REGION`) if it is not given.
    pub region: Option<String>,
    /// Another endpoint for every service, such as an emulator's.
    pub endpoint_url: Option<String>,
    /// The SQS queue; embedded if it is not given.
    pub queue_url: Option<String>,
    /// Its dead-letter queue.
    pub dead_letter_queue_url: Option<String>,
    /// The DynamoDB table of the ledger; embedded if it is not given.
    pub table: Option<String>,
    /// The path of hand-offs in Parameter Store; needed for machines on EC2.
    pub hand_off_path: Option<String>,
    /// How they are encrypted.
    pub encryption: Encryption,
}

impl Aws {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let text = |key: &'static str| {
            let text = reader.string(key)?;
            if text.is_empty() {
                reader.refuse(key, "is empty; leave it out instead");
            }
            Some(text.to_owned())
        };
        let path = text("hand_off_path");
        if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            reader.refuse("hand_off_path", "a path of Parameter Store is needed, such as \"/runnersmith/hand-off\"");
        }
        let encrypted = reader.boolean("encrypt_hand_off", true);
        let encryption = match (encrypted, text("kms_key_id")) {
            (true, Some(key)) => Encryption::Key(key),
            (true, None) => Encryption::Managed,
            (false, None) => Encryption::Plain,
            (false, Some(_)) => {
                reader.refuse("kms_key_id", "a key is given and encrypt_hand_off is false; one of them is not meant");
                Encryption::Plain
            }
        };
        let aws = Self {
            region: text("region"),
            endpoint_url: text("endpoint_url"),
            queue_url: text("queue_url"),
            dead_letter_queue_url: text("dead_letter_queue_url"),
            table: text("table"),
            hand_off_path: path,
            encryption,
        };
        reader.finish();
        aws
    }
}
