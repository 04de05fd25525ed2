//! Deliveries that did not reach us, asked for again, page by page of GitHub's log.
//!
//! GitHub does not try a delivery twice by itself. After an outage there may be thousands: how far they are worked off is stored, and
//! moves only past what was really asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use runnersmith_ports::{DeliveryPage, GitHubError, LedgerError, chain};
use runnersmith_types::{DeliveryCursor, DeliveryId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::stored;
use crate::world::World;

/// Pages of the log that are read in one round.
const PAGES_MAX: usize = 30;
/// Deliveries that are asked for in one round. Each is five of the 900 points that GitHub grants a minute.
const ASKED_MAX: usize = 150;
/// How many of these may be for what failed again: news comes first.
const AGAIN_MAX: usize = 50;
/// After so many it is stored which they were: a function that has no time left asks for no more than these again.
const STORED_EVERY: usize = 10;
const CURSOR: &str = "delivery_cursor";
/// What a program before this one stored of it.
const CURSOR_BEFORE: &str = "redelivered_until";
/// Where [`Failures`] are stored.
const FAILURES: &str = "delivery_failures";

/// What failed of late: where a sweep should look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    /// When the last delivery failed that did not arrive later: what was not swept since then may lack a job.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// When the last one failed that had been asked for again: only a sweep finds its job.
    #[serde(default)]
    pub lost_at: Option<Timestamp>,
}

impl Failures {
    /// Takes in a page of the log.
    fn learn(&mut self, cursor: &DeliveryCursor, page: &DeliveryPage, arrived: &BTreeSet<DeliveryId>) {
        // The log has whole seconds.
        let moment = |at: Timestamp| Some(at.plus(Duration::from_secs(1)));
        for delivery in page.failed.iter().filter(|delivery| !arrived.contains(&delivery.guid)) {
            self.failed_at = self.failed_at.max(moment(delivery.at));
            if cursor.is_lost(&delivery.guid, delivery.at) {
                self.lost_at = self.lost_at.max(moment(delivery.at));
            }
        }
    }
}

/// Asks GitHub again for deliveries that did not reach us. Returns how many.
///
/// # Errors
/// When the ledger fails; GitHub's failures are logged, and the next round goes on where this one ended.
pub async fn redeliver(world: &World) -> Result<usize, LedgerError> {
    let ledger = world.ports.ledger.as_ref();
    let now = world.ports.clock.now();
    let mut cursor = match stored::read(ledger, CURSOR).await? {
        Some(cursor) => cursor,
        None => before(ledger.get(CURSOR_BEFORE).await?, now),
    };
    cursor.begin(now);
    let mut known = failures(world).await?;
    let mut failures = known;
    let (mut asked, may_go_on) = ask_again(world, &mut cursor, now).await?;
    if !may_go_on {
        stored::write(ledger, CURSOR, &cursor).await?;
        return Ok(asked);
    }
    let mut arrived = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let page = match world.ports.github.deliveries(cursor.page.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                log("the delivery log could not be read", &error);
                let is_lost = matches!(error, GitHubError::NotFound { .. } | GitHubError::Refused { .. });
                if is_lost && cursor.page.is_some() {
                    cursor.page_lost();
                }
                break;
            }
        };
        cursor.arrived(&page.delivered);
        arrived.extend(page.delivered.iter().cloned());
        failures.learn(&cursor, &page, &arrived);
        if failures != known {
            // At once: a sweep must know it also when the time is over before all are asked for.
            stored::write(ledger, FAILURES, &failures).await?;
            known = failures;
        }
        let (count, unfinished) = ask(world, &mut cursor, &page, &arrived, ASKED_MAX - asked).await?;
        asked += count;
        let goes_on = match unfinished {
            None => true,
            Some(Unfinished::Limit) => false,
            Some(Unfinished::Failed) => cursor.gives_page_up(),
        };
        if !goes_on || cursor.page_done(page.next, page.oldest_at) {
            break;
        }
        stored::write(ledger, CURSOR, &cursor).await?;
    }
    stored::write(ledger, CURSOR, &cursor).await?;
    Ok(asked)
}

/// What failed of late.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn failures(world: &World) -> Result<Failures, LedgerError> {
    Ok(stored::read(world.ports.ledger.as_ref(), FAILURES).await?.unwrap_or_default())
}

fn before(text: Option<String>, now: Timestamp) -> DeliveryCursor {
    let since = text.and_then(|text| text.parse().ok()).map(Timestamp);
    since.map_or_else(|| DeliveryCursor::first(now), |since| DeliveryCursor { since, ..DeliveryCursor::default() })
}

/// Asks once more for what failed again long enough ago. Returns how many were asked for, and whether GitHub's limit lets the round go on.
async fn ask_again(world: &World, cursor: &mut DeliveryCursor, now: Timestamp) -> Result<(usize, bool), LedgerError> {
    let mut asked = 0;
    for (delivery, id) in cursor.due_again(now, AGAIN_MAX) {
        match world.ports.github.redeliver(id).await {
            Ok(()) => asked += 1,
            Err(error @ GitHubError::RateLimited { .. }) => {
                log("a delivery could not be asked for once more", &error);
                return Ok((asked, false));
            }
            Err(error @ (GitHubError::NotFound { .. } | GitHubError::Refused { .. })) => {
                log("a delivery cannot be asked for once more", &error);
            }
            Err(error) => {
                log("a delivery could not be asked for once more", &error);
                continue;
            }
        }
        cursor.asked_again(&delivery, now);
        if asked % STORED_EVERY == 0 {
            stored::write(world.ports.ledger.as_ref(), CURSOR, cursor).await?;
        }
    }
    Ok((asked, true))
}

/// Why not everything on a page was asked for.
enum Unfinished {
    /// GitHub's limit, or as many as are asked for at once.
    Limit,
    /// GitHub did not take it.
    Failed,
}

/// Asks for what failed on a page, at most so many. Returns how many were asked for, and whether that was not all.
async fn ask(
    world: &World,
    cursor: &mut DeliveryCursor,
    page: &DeliveryPage,
    arrived: &BTreeSet<DeliveryId>,
    most: usize,
) -> Result<(usize, Option<Unfinished>), LedgerError> {
    let (mut asked, mut unfinished) = (0, None);
    for delivery in &page.failed {
        if cursor.is_lost(&delivery.guid, delivery.at) && !arrived.contains(&delivery.guid) {
            cursor.failed_again(&delivery.guid, delivery.id, delivery.at);
        }
        if !cursor.wants(&delivery.guid, delivery.at, arrived) {
            continue;
        }
        if asked == most {
            return Ok((asked, Some(Unfinished::Limit)));
        }
        match world.ports.github.redeliver(delivery.id).await {
            Ok(()) => asked += 1,
            Err(error @ GitHubError::RateLimited { .. }) => {
                log("a delivery could not be asked for", &error);
                return Ok((asked, Some(Unfinished::Limit)));
            }
            // GitHub does not have it any more, or will not send it: there is nothing to ask for.
            Err(error @ (GitHubError::NotFound { .. } | GitHubError::Refused { .. })) => {
                log("a delivery cannot be asked for", &error);
            }
            Err(error) => {
                log("a delivery could not be asked for", &error);
                unfinished = Some(Unfinished::Failed);
                continue;
            }
        }
        cursor.asked(delivery.guid.clone(), delivery.at);
        if asked % STORED_EVERY == 0 {
            stored::write(world.ports.ledger.as_ref(), CURSOR, cursor).await?;
        }
    }
    Ok((asked, unfinished))
}

fn log(what: &str, error: &GitHubError) {
    if matches!(error, GitHubError::RateLimited { .. }) {
        tracing::info!(error = %chain(error), "{what}; the next round goes on");
    } else {
        tracing::warn!(error = %chain(error), "{what}");
    }
}
