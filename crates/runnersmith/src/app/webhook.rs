//! `runnersmith app webhook`: where deliveries go, and with which secret.

use runnersmith_github::webhook_admin::{HookTarget, PointError, point_webhook};
use runnersmith_github_app::{AppProfile, AppRunners, Needs};
use runnersmith_ports::chain;
use runnersmith_types::Secret;
use serde_json::json;

use crate::app::options::{WebhookOptions, Who};
use crate::app::{Known, client, outside};
use crate::credentials::{WEBHOOK_SECRET, variable};
use crate::exit::{CommandFailure, ExitStatus};
use crate::report;

/// Points it.
///
/// # Errors
/// Without a secret, or when GitHub refuses or does not show the address afterwards.
pub async fn command(options: WebhookOptions) -> Result<ExitStatus, CommandFailure> {
    let who: &Who = &options.who;
    let known = Known::find(who).await?;
    let issueops = options.issueops || known.config.is_some_and(|config| config.issueops.is_some());
    let secret = secret(&options, known.webhook_secret)?;
    let client = client(known.github)?;
    let target = match &options.organization {
        Some(org) => HookTarget::Organization(org.clone()),
        None => HookTarget::App,
    };
    let needs = Needs { issueops, ..Needs::new(AppProfile::Full, AppRunners::Organization) };
    let events: Vec<&str> = needs.events().into_iter().collect();
    let pointed = point_webhook(&client, &target, &options.url, &secret, &events).await;
    let pointed = pointed.map_err(|error| match error {
        PointError::GitHub(error) => outside(&error),
        PointError::Address(_) | PointError::Secret => CommandFailure {
            status: ExitStatus::Usage,
            what: error.to_string(),
            hint: Some("--url https://<host>/webhook, and a secret that is not empty".into()),
        },
        PointError::NotTaken { .. } => {
            CommandFailure::outside(chain(&error), "somebody else may be changing it at the same time; try again")
        }
    })?;
    let hook = pointed.hook.as_ref().map(ToString::to_string);
    if options.json {
        report::json(&json!({"url": options.url, "moved": pointed.moved, "hook": hook}))?;
        return Ok(ExitStatus::Success);
    }
    let change = if pointed.moved { "goes there now" } else { "went there already" };
    let whose = options.organization.as_ref().map_or_else(|| "the App's".to_owned(), |org| format!("{org}'s"));
    report::line(&format!("{whose} webhook {change}: {} (its secret is set)", options.url));
    if let Some(hook) = hook {
        report::line(&format!("name it in the configuration: webhook = \"{hook}\""));
    }
    Ok(ExitStatus::Success)
}

fn secret(options: &WebhookOptions, known: Option<Secret>) -> Result<Secret, CommandFailure> {
    let name = options.secret_env.as_deref().unwrap_or(WEBHOOK_SECRET);
    let read = || variable(name).map(Secret::new);
    let found = match &options.secret_env {
        Some(_) => read(),
        None => known.or_else(read),
    };
    found.ok_or_else(|| {
        CommandFailure::config(
            format!("the webhook's secret: the variable {name} is not set"),
            "set it to the secret that the control plane verifies deliveries with; --secret-env names another variable",
        )
    })
}
