//! `runnersmith app create`: the manifest flow. A person confirms once; everything else is done here.

use std::process::{Command, Stdio};

use runnersmith_github::app_admin::NewApp;
use runnersmith_github::webhook_admin::is_hook_address;
use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_app::{AppOwner, ManifestText, NAME_CHARS_MAX, Needs, form_address, label, manifest};
use runnersmith_ports::GitHubError;
use runnersmith_ports::chain;
use runnersmith_types::Secret;
use serde::Serialize;

use crate::app::keep::{Kept, Places};
use crate::app::options::Create;
use crate::app::page::{Form, Page, Returned, random};
use crate::app::{client, outside, plain};
use crate::credentials;
use crate::exit::{CommandFailure, ExitStatus};
use crate::report;

#[derive(Serialize)]
struct Made {
    id: u64,
    slug: String,
    name: String,
    client_id: String,
    url: String,
    install_url: String,
    webhook_url: Option<String>,
    #[serde(flatten)]
    kept: Kept,
}

/// Makes the App.
///
/// # Errors
/// When a place for the secrets is not to be had, the browser does not come back in time, or GitHub refuses.
pub async fn command(options: Create) -> Result<ExitStatus, CommandFailure> {
    let owner = match (&options.organization, &options.user) {
        (Some(org), _) => AppOwner::Organization(org.clone()),
        (None, Some(user)) => AppOwner::User(user.clone()),
        (None, None) => return Err(CommandFailure::internal("an owner is asked for by the command line")),
    };
    let needs = options.wanted.needs(None);
    let server_url = credentials::server_url(options.server_url.as_deref())?;
    let mut github = GitHubConfig::anonymous(&server_url);
    github.ca_file.clone_from(&options.ca_file);
    let nobody = client(github.clone())?;
    let name = name(&options, &owner)?;
    check_webhook_url(&options, &needs)?;
    let places = Places::reserve(&options).await?;
    let page = Page::bind(options.port).await?;
    let (address, callback) = (page.address(), page.callback());
    let text = ManifestText {
        name: &name,
        url: &format!("{server_url}/{owner}"),
        redirect_url: &callback,
        webhook_url: options.webhook_url.as_deref(),
    };
    let form = Form {
        action: &form_address(&server_url, &owner, &page.state),
        manifest: &manifest(&needs, &text).to_string(),
        owner: &owner.to_string(),
        asks: &asks(&needs),
    };
    let mut served = page.serve(&form)?;
    report::note(&format!("open this page as an owner of {owner}: {address}"));
    if !options.no_browser {
        open(&address);
    }
    let outcome = tokio::select! {
        returned = &mut served.returned => match returned {
            Ok(returned) => Ok(returned),
            Err(_) => Err(CommandFailure::internal("the page ended by itself")),
        },
        () = tokio::time::sleep(options.timeout_minutes) => Err(CommandFailure {
            status: ExitStatus::RequestFailed,
            what: format!("no browser came back within {} s; no key or secret was received", options.timeout_minutes.as_secs()),
            hint: Some(format!("if GitHub made the App nevertheless, delete it in the settings of {owner}; then try again")),
        }),
        _ = tokio::signal::ctrl_c() => Err(CommandFailure {
            status: ExitStatus::RequestFailed,
            what: "interrupted; no key or secret was received".into(),
            hint: None,
        }),
    };
    let finished = match outcome {
        Ok(Returned { code, notify }) => {
            let finished = finish(&nobody, github, &code, places, &options, &needs).await;
            let shown = match &finished {
                Ok(made) => (true, format!("{} is made. Go on in the terminal; this page can be closed.", made.name)),
                Err(_) => (false, "It did not go well; the terminal says why.".to_owned()),
            };
            // A browser that is gone does not matter any more.
            let _ = notify.send(shown);
            finished
        }
        Err(failure) => Err(failure),
    };
    served.end().await;
    let made = finished?;
    if options.json {
        report::json(&made)?
    } else {
        next_steps(&made, &needs)
    }
    Ok(ExitStatus::Success)
}

fn name(options: &Create, owner: &AppOwner) -> Result<String, CommandFailure> {
    let default = || format!("runnersmith-{owner}").chars().take(NAME_CHARS_MAX).collect();
    let name: String = options.name.clone().unwrap_or_else(default);
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(CommandFailure {
            status: ExitStatus::Usage,
            what: format!("--name: GitHub takes 1 to {NAME_CHARS_MAX} characters"),
            hint: Some("it can be changed on GitHub's page, too".into()),
        });
    }
    Ok(name)
}

fn check_webhook_url(options: &Create, needs: &Needs) -> Result<(), CommandFailure> {
    let Some(url) = &options.webhook_url else { return Ok(()) };
    let wrong = |what: &str, hint: &str| {
        Err(CommandFailure {
            status: ExitStatus::Usage,
            what: format!("--webhook-url: {what}"),
            hint: Some(hint.into()),
        })
    };
    if !needs.app_webhook {
        return wrong("the App is to have no webhook of its own", "leave it out, or leave --webhook out");
    }
    if !is_hook_address(url) {
        return wrong("it is not an address", "an address such as https://runners.acme.example/webhook is needed");
    }
    Ok(())
}

fn asks(needs: &Needs) -> Vec<String> {
    let permissions = needs.permissions().into_iter().map(|(name, access)| format!("{}: {access}", label(name)));
    permissions.chain(needs.events().into_iter().map(|name| format!("events: {name}"))).collect()
}

/// Opens a browser if there is one. That it did not open is seen by the person, who has the address.
fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if cfg!(target_os = "macos") || screen {
        let quiet = || Stdio::null();
        let _ = Command::new(program).arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    }
}

/// From the code to what is kept.
async fn finish(
    nobody: &GitHubClient,
    github: GitHubConfig,
    code: &str,
    places: Places,
    options: &Create,
    needs: &Needs,
) -> Result<Made, CommandFailure> {
    let made = nobody.convert_manifest(code).await.map_err(|error| match error {
        GitHubError::NotFound { .. } => CommandFailure::outside(
            "GitHub does not know the code that came back",
            "a code works once and for an hour; delete the App that was made, and try again",
        ),
        error => outside(&error),
    })?;
    let server_url = github.server_url.clone();
    let secret = match &made.webhook_secret {
        Some(secret) => secret.clone(),
        None => Secret::new(random()?),
    };
    let kept = places.fill(&made, &secret, &server_url).await?;
    if made.webhook_secret.is_none() && needs.app_webhook {
        set_secret(&made, github, &secret, options).await;
    }
    let wanted = options.organization.as_ref().or(options.user.as_ref()).map(ToString::to_string).unwrap_or_default();
    if let Some(found) = made.view.owner.as_ref().filter(|found| !found.login.eq_ignore_ascii_case(&wanted)) {
        // A person's App belongs to the user who is signed in, whatever was said here.
        report::note(&format!("the App belongs to {}, not to {wanted}: that is who is signed in", plain(&found.login)));
    }
    let url = plain(&made.view.html_url);
    Ok(Made {
        id: made.view.id,
        slug: plain(&made.view.slug),
        name: plain(&made.view.name),
        client_id: plain(&made.client_id),
        install_url: format!("{url}/installations/new"),
        url,
        webhook_url: options.webhook_url.clone(),
        kept,
    })
}

/// GitHub gave the webhook no secret: it gets ours. Everything is kept already, so a failure is only reported.
async fn set_secret(made: &NewApp, github: GitHubConfig, secret: &Secret, options: &Create) {
    let Some(url) = &options.webhook_url else { return };
    let app = AppCredentials { app_id: made.view.id.to_string(), private_key_pem: made.private_key_pem.clone() };
    let set = match client(GitHubConfig { app: Some(app), ..github }) {
        Ok(client) => client.set_hook_config(url, secret).await.map(|_| ()).map_err(|error| chain(&error)),
        Err(failure) => Err(failure.what),
    };
    if let Err(why) = set {
        report::note(&format!("the webhook has no secret yet ({why}); set it with `runnersmith app webhook`"));
    }
}

fn next_steps(made: &Made, needs: &Needs) {
    report::line(&format!("The App {} is made: {}", made.name, made.url));
    report::line(&format!("  App ID      {}", made.id));
    report::line(&format!("  client id   {}", made.client_id));
    if let Some(file) = &made.kept.key_file {
        report::line(&format!("  key         {file}"));
    }
    if let Some(file) = &made.kept.env_file {
        report::line(&format!("  secrets     {file} (readable by you alone; do not commit it)"));
    }
    for name in &made.kept.parameters {
        report::line(&format!("  parameter   {name}"));
    }
    report::line("Next:");
    let mut steps = vec![format!("install it: {}", made.install_url)];
    if needs.app_webhook && made.webhook_url.is_none() {
        steps
            .push("when the control plane has an address: runnersmith app webhook --url https://<host>/webhook".into());
    }
    if needs.organization_webhook {
        steps.push("runnersmith app webhook --organization <org> --url https://<host>/webhook".into());
    }
    steps.push("see whether all is well: runnersmith app check".into());
    for (n, step) in steps.iter().enumerate() {
        report::line(&format!("  {}. {step}", n + 1));
    }
    if let Some(file) = &made.kept.env_file {
        report::line(&format!("The commands read the App from the environment: set -a; . ./{file}; set +a"));
    }
}
