//! The few shapes of call that the ledger makes, with their errors sorted into what the ledger asks of them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    Select, TransactWriteItem, Update, WriteRequest,
};
use runnersmith_ports::LedgerError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{AwsFailure, Session};

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Two transactions on one item cannot both go on; so often it is tried again.
const CONFLICTS_MAX: u32 = 12;
/// The pause before the first repetition; it doubles up to eight times.
const CONFLICT_PAUSE: Duration = Duration::from_millis(10);
/// DynamoDB writes at most 25 items in a batch.
const BATCH_MAX: usize = 25;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// A condition did not hold: of which of a transaction's items, and the one item of a plain write as it was.
    Condition(Vec<bool>, Option<Item>),
    /// A transaction is changing the item at this moment.
    InTransaction(Box<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    pub(super) fn ledger(self, operation: &'static str) -> LedgerError {
        match self {
            Self::Condition(..) => LedgerError::Conflict { operation, condition: "the record as it was read".into() },
            Self::InTransaction(source) | Self::Failed(source) => LedgerError::Failed { operation, source },
        }
    }
    pub(super) fn other(text: impl Into<String>) -> Self {
        Self::Failed(text.into().into())
    }
}

/// Returns the port's error for an operation.
pub(super) fn as_ledger(operation: &'static str) -> impl Fn(Fault) -> LedgerError {
    move |fault| fault.ledger(operation)
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    client: Client,
    name: String,
}

/// A query's page limits.
#[derive(Clone, Copy, Default)]
pub(super) struct Page {
    pub limit: Option<usize>,
    pub newest_first: bool,
}

/// The times of the items that the index is asked for, in milliseconds.
#[derive(Clone, Copy)]
pub(super) enum Times {
    All,
    Before(i64),
    At(i64),
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// An item's key.
pub(super) fn place(item: &Item) -> Item {
    item.iter()
        .filter(|(name, _)| *name == "pk" || *name == "sk")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Reads a number; absent ones are 0.
pub(super) fn read_number(item: &Item, name: &str) -> i64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(super) fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

/// An item's record.
pub(super) fn record<T: DeserializeOwned>(item: &Item) -> Result<T, Fault> {
    let text = read_text(item, "record").ok_or_else(|| Fault::other("an item has no record"))?;
    serde_json::from_str(text).map_err(|error| Fault::Failed(error.into()))
}

/// Adds a record to an item.
pub(super) fn with_record(mut item: Item, record: &impl Serialize) -> Result<Item, Fault> {
    let json = serde_json::to_string(record).map_err(|error| Fault::Failed(error.into()))?;
    item.insert("record".into(), text(json));
    Ok(item)
}

/// A random word, which distinguishes one writer from another.
pub(super) fn nonce() -> String {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0_u8; 8];
    // Without randomness two writers could only mistake each other's repetition of one call.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    hex::encode(bytes)
}

/// The conditions and values of a write.
#[derive(Clone, Default)]
pub(super) struct Terms {
    pub condition: Option<String>,
    pub values: HashMap<String, AttributeValue>,
    pub names: HashMap<String, String>,
}

impl Terms {
    pub(super) fn when(condition: &str) -> Self {
        Self { condition: Some(condition.into()), ..Self::default() }
    }
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.into(), value);
        self
    }
    pub(super) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.into(), name.into());
        self
    }
    fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
    fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }
}

impl Table {
    pub(super) fn new(session: &Session, name: &str) -> Self {
        Self { client: Client::new(session.config()), name: name.to_owned() }
    }

    /// One item, as it is now.
    pub(super) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, Fault> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key(pk, sk))).consistent_read(true);
        let answer = call.send().await.map_err(|error| fault("GetItem", &error))?;
        Ok(answer.item)
    }

    /// Items of a partition whose sort key begins so, as they are now.
    pub(super) async fn query(&self, pk: &str, prefix: &str, page: Page) -> Result<Vec<Item>, Fault> {
        let base =
            self.client.query().table_name(&self.name).consistent_read(true).scan_index_forward(!page.newest_first);
        let base = base.expression_attribute_values(":pk", text(pk));
        let base = if prefix.is_empty() {
            base.key_condition_expression("pk = :pk")
        } else {
            base.key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix))
        };
        self.pages(base, page.limit).await
    }

    /// How many items of a partition have a sort key that begins so, as they are now.
    pub(super) async fn count(&self, pk: &str, prefix: &str) -> Result<usize, Fault> {
        let (mut count, mut start) = (0, None);
        loop {
            let call = self.client.query().table_name(&self.name).consistent_read(true).select(Select::Count);
            let call = call.key_condition_expression("pk = :pk AND begins_with(sk, :prefix)");
            let call =
                call.expression_attribute_values(":pk", text(pk)).expression_attribute_values(":prefix", text(prefix));
            let answer = call.set_exclusive_start_key(start).send().await.map_err(|error| fault("Query", &error))?;
            count += usize::try_from(answer.count).unwrap_or(0);
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(count);
            }
        }
    }

    /// Items of a kind from the index, by time: history, which may lag behind.
    pub(super) async fn by_kind(&self, kind: &str, times: Times, page: Page) -> Result<Vec<Item>, Fault> {
        let base = self.client.query().table_name(&self.name).index_name("by_kind");
        let base = base.expression_attribute_values(":kind", text(kind)).scan_index_forward(!page.newest_first);
        let (condition, time) = match times {
            Times::All => ("kind = :kind", None),
            Times::Before(time) => ("kind = :kind AND #at < :time", Some(time)),
            Times::At(time) => ("kind = :kind AND #at = :time", Some(time)),
        };
        let base = base.key_condition_expression(condition);
        let base = match time {
            None => base,
            Some(time) => {
                base.expression_attribute_names("#at", "at").expression_attribute_values(":time", number(time))
            }
        };
        self.pages(base, page.limit).await
    }

    async fn pages(
        &self,
        base: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
        limit: Option<usize>,
    ) -> Result<Vec<Item>, Fault> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let mut call = base.clone().set_exclusive_start_key(start);
            if let Some(limit) = limit {
                call = call.limit(i32::try_from(limit - found.len()).unwrap_or(i32::MAX));
            }
            let answer = call.send().await.map_err(|error| fault("Query", &error))?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || limit.is_some_and(|limit| found.len() >= limit) {
                return Ok(found);
            }
        }
    }

    /// Puts an item.
    pub(super) async fn put(&self, item: Item, terms: Terms) -> Result<(), Fault> {
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .set_condition_expression(terms.condition);
        past_conflicts(|| async { call.clone().send().await.map(|_| ()).map_err(|error| fault("PutItem", &error)) })
            .await
    }

    /// Changes an item and returns it as it is then. When the condition does not hold, the fault has it as it was.
    pub(super) async fn update(&self, key: Item, change: &str, terms: Terms) -> Result<Item, Fault> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(change)
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .set_condition_expression(terms.condition)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let once = || async {
            let answer = call.clone().send().await.map_err(|error| {
                use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
                match error.as_service_error() {
                    Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                        Fault::Condition(vec![true], failed.item.clone())
                    }
                    _ => fault("UpdateItem", &error),
                }
            })?;
            Ok(answer.attributes.unwrap_or_default())
        };
        past_conflicts(once).await
    }

    /// Deletes an item, if it is there.
    pub(super) async fn delete(&self, pk: &str, sk: &str) -> Result<(), Fault> {
        let call = self.client.delete_item().table_name(&self.name).set_key(Some(key(pk, sk)));
        past_conflicts(|| async { call.clone().send().await.map(|_| ()).map_err(|error| fault("DeleteItem", &error)) })
            .await
    }

    pub(super) fn putting(&self, item: Item, terms: Terms) -> Result<TransactWriteItem, Fault> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .set_condition_expression(terms.condition);
        Ok(TransactWriteItem::builder().put(put.build().map_err(|error| Fault::Failed(error.into()))?).build())
    }

    pub(super) fn updating(&self, key: Item, change: &str, terms: Terms) -> Result<TransactWriteItem, Fault> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(change)
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .set_condition_expression(terms.condition);
        Ok(TransactWriteItem::builder().update(update.build().map_err(|error| Fault::Failed(error.into()))?).build())
    }

    pub(super) fn checking(&self, key: Item, terms: Terms) -> Result<TransactWriteItem, Fault> {
        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(key))
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .condition_expression(terms.condition.unwrap_or_default());
        let check = check.build().map_err(|error| Fault::Failed(error.into()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    pub(super) fn deleting(&self, key: Item) -> Result<TransactWriteItem, Fault> {
        self.deleting_when(key, Terms::default())
    }

    pub(super) fn deleting_when(&self, key: Item, terms: Terms) -> Result<TransactWriteItem, Fault> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key))
            .set_expression_attribute_names(terms.names())
            .set_expression_attribute_values(terms.values())
            .set_condition_expression(terms.condition);
        let delete = delete.build().map_err(|error| Fault::Failed(error.into()))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// All or none, at most 100. The SDK's own token makes its repetition harmless.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<(), Fault> {
        use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
        let mut pause = CONFLICT_PAUSE;
        for attempt in 1.. {
            let Err(error) = self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await
            else {
                return Ok(());
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
                return Err(fault("TransactWriteItems", &error));
            };
            let codes: Vec<&str> =
                canceled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None")).collect();
            if codes.contains(&"ConditionalCheckFailed") {
                return Err(Fault::Condition(
                    codes.iter().map(|code| *code == "ConditionalCheckFailed").collect(),
                    None,
                ));
            }
            let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            if attempt >= CONFLICTS_MAX || !codes.iter().any(|code| passing.contains(code)) {
                return Err(fault("TransactWriteItems", &error));
            }
            // The other transaction needs a moment; there is nothing to wait on but time.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(CONFLICT_PAUSE * 32);
        }
        Ok(())
    }

    /// Puts and deletes without conditions, in any order.
    pub(super) async fn write_all(&self, puts: Vec<Item>, deletes: Vec<Item>) -> Result<(), Fault> {
        let mut requests = Vec::with_capacity(puts.len() + deletes.len());
        for item in puts {
            let put = aws_sdk_dynamodb::types::PutRequest::builder().set_item(Some(item));
            let put = put.build().map_err(|error| Fault::Failed(error.into()))?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        for key in deletes {
            let delete = DeleteRequest::builder().set_key(Some(key));
            let delete = delete.build().map_err(|error| Fault::Failed(error.into()))?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        for chunk in requests.chunks(BATCH_MAX) {
            let mut left = chunk.to_vec();
            let mut pause = CONFLICT_PAUSE;
            for _ in 0..CONFLICTS_MAX {
                let call = self.client.batch_write_item().request_items(&self.name, left);
                let answer = call.send().await.map_err(|error| fault("BatchWriteItem", &error))?;
                left = answer.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
                // DynamoDB asks for a growing pause before what it left over.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(CONFLICT_PAUSE * 32);
            }
            if !left.is_empty() {
                return Err(Fault::other(format!("dynamodb BatchWriteItem: {} items were not written", left.len())));
            }
        }
        Ok(())
    }
}

fn fault<E, R>(operation: &'static str, error: &aws_smithy_runtime_api::client::result::SdkError<E, R>) -> Fault
where
    E: std::error::Error + aws_smithy_types::error::metadata::ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let failure = AwsFailure::new("dynamodb", operation, error);
    if failure.code == "ConditionalCheckFailedException" {
        return Fault::Condition(vec![true], None);
    }
    if failure.code == "TransactionConflictException" {
        return Fault::InTransaction(failure.into());
    }
    Fault::Failed(failure.into())
}

/// Makes a plain write again while a transaction changes its item, as a transaction does that meets another: DynamoDB refuses it with
/// `TransactionConflictException`, which the SDK does not retry.
async fn past_conflicts<T, F: Future<Output = Result<T, Fault>>>(call: impl Fn() -> F) -> Result<T, Fault> {
    let mut pause = CONFLICT_PAUSE;
    for _ in 1..CONFLICTS_MAX {
        match call().await {
            Err(Fault::InTransaction(_)) => {}
            done => return done,
        }
        // There is nothing to wait on but time.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(CONFLICT_PAUSE * 32);
    }
    call().await
}
