//! Deliveries that did not reach us, asked for again, page by page of GitHub's log.
//!
//! GitHub does not try a delivery twice by itself. After an outage there may be thousands: how far they are worked off is stored, and
//! moves only past what was really asked for.

use std::collections::BTreeSet;

use runnersmith_ports::{DeliveryPage, GitHubError, LedgerError, chain};
use runnersmith_types::{DeliveryCursor, DeliveryId, Timestamp};

use crate::stored;
use crate::world::World;

/// Pages of the log that are read in one round.
const PAGES_MAX: usize = 30;
/// Deliveries that are asked for in one round. Each is five of the 900 points that GitHub grants a minute.
const ASKED_MAX: usize = 150;
const CURSOR: &str = "delivery_cursor";
/// What a program before this one stored of it.
const CURSOR_BEFORE: &str = "redelivered_until";
/// When deliveries that failed were last seen: what was not swept since then may lack a job.
const FAILED_AT: &str = "deliveries_failed_at";

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
    let (mut arrived, mut asked) = (BTreeSet::new(), 0);
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
        arrived.extend(page.delivered.iter().cloned());
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

/// When deliveries that failed were last seen.
///
/// # Errors
/// When the ledger fails.
pub(crate) async fn failed_at(world: &World) -> Result<Option<Timestamp>, LedgerError> {
    stored::read(world.ports.ledger.as_ref(), FAILED_AT).await
}

fn before(text: Option<String>, now: Timestamp) -> DeliveryCursor {
    let since = text.and_then(|text| text.parse().ok()).map(Timestamp);
    since.map_or_else(|| DeliveryCursor::first(now), |since| DeliveryCursor { since, ..DeliveryCursor::default() })
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
    let (mut asked, mut unfinished, mut is_new) = (0, None, true);
    for delivery in &page.failed {
        if !cursor.wants(&delivery.guid, delivery.at, arrived) {
            continue;
        }
        if std::mem::take(&mut is_new) {
            stored::write(world.ports.ledger.as_ref(), FAILED_AT, &world.ports.clock.now()).await?;
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
