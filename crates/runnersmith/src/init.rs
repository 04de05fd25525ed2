//! `runnersmith init`: a control repository's files, laid out or upgraded. What becomes of each file is decided by the pure
//! package `control-repo`; here it is read, shown and written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum as _;
use runnersmith_control_repo::{
    Cannot, Existing, LaidOutFiles, LayoutStep, MANIFEST_FILE, Manifest, VERSION, What, Wishes, compare,
    identity_command, label_commands, lay_out, policy_in_force,
};
use runnersmith_github::{ControlClient, GitHubConfig, RepositoryIdentity};
use runnersmith_issueops::policy;
use runnersmith_ports::{SystemClock, chain};
use runnersmith_types::{RepoFullName, Secret};
use serde::Serialize;

use crate::exit::{CommandFailure, ExitStatus};
use crate::report;
use crate::{cli, credentials};

/// The most bytes of a file that is compared; GitHub takes no policy or workflow of this size.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is shown.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// Whether something was, or with `--check` would be, written or deleted.
    changes: bool,
    files: Vec<LayoutStep>,
    /// What is left to do, in sentences.
    next: Vec<String>,
}

/// `runnersmith init`. GitHub is asked only for what tokens name the repository by, only if that is not known yet, and only with a token of
/// the caller's; everything else is done without it.
pub async fn command(options: cli::Init) -> Result<ExitStatus, CommandFailure> {
    let found = match asked_for(&options)? {
        Some(name) => Some(ask(&options, name).await?),
        None => None,
    };
    run(options, found)
}

/// The repository that GitHub is to be asked for.
fn asked_for(options: &cli::Init) -> Result<Option<RepoFullName>, CommandFailure> {
    let earlier = Home(options.directory.clone()).manifest()?.map(|last| last.wishes).unwrap_or_default();
    let wishes = wishes_of(options).over(earlier, true);
    if wishes.repository_id.is_some() {
        return Ok(None);
    }
    // One that cannot be a name is refused where the others are.
    Ok(wishes.repository.and_then(|name| RepoFullName::parse(&name).ok()))
}

/// What GitHub says of the repository, or why it does not.
async fn ask(options: &cli::Init, name: RepoFullName) -> Result<Result<RepositoryIdentity, String>, CommandFailure> {
    let Some(token) = credentials::variable("GH_TOKEN").or_else(|| credentials::variable("GITHUB_TOKEN")) else {
        return Ok(Err("neither GH_TOKEN nor GITHUB_TOKEN is set".to_owned()));
    };
    let earlier = Home(options.directory.clone()).manifest()?.and_then(|last| last.wishes.server_url);
    let server = credentials::server_url(options.server_url.as_deref().or(earlier.as_deref()))?;
    let mut config = GitHubConfig::with_token(&server, Secret::new(token));
    config.api_base.clone_from(&options.api_url);
    let hint = "check --server-url and --api-url";
    let client = crate::client::github(config, Arc::new(SystemClock), hint)?;
    Ok(ControlClient::new(Arc::new(client), name).identity().await.map_err(|error| chain(&error)))
}

/// Lays out, or upgrades. [`ExitStatus::RequestFailed`] when somebody has to look at a file, and with `--check` when something would
/// change.
fn run(options: cli::Init, found: Option<Result<RepositoryIdentity, String>>) -> Result<ExitStatus, CommandFailure> {
    let home = Home(options.directory.clone());
    let last = home.manifest()?;
    let is_first = last.is_none();
    let earlier = last.as_ref().map(|last| last.wishes.clone()).unwrap_or_default();
    let is_same_version = last.as_ref().is_some_and(|last| last.version == VERSION);
    let mut wishes = wishes_of(&options).over(earlier, is_same_version);
    if let Some(Ok(found)) = &found {
        wishes.repository = Some(found.full_name.clone());
        (wishes.repository_id, wishes.owner_id) = (Some(found.id), Some(found.owner_id));
    }
    let replace: BTreeSet<String> =
        options.replace.iter().map(|path| path.trim_start_matches("./").to_owned()).collect();

    let own = home.read([policy::FILE])?;
    let own_policy = policy_in_force(&own, last.as_ref(), &replace);
    let wanted = lay_out(&wishes, own_policy.as_deref()).map_err(|error| cannot(&error))?;
    let before = last.iter().flat_map(|last| last.files.keys());
    let existing = home.read(wanted.keys().chain(before).map(String::as_str))?;
    let mut steps = compare(&existing, &wanted, last.as_ref(), &replace);
    if let Some(unknown) = replace.iter().find(|path| !steps.iter().any(|step| step.path == **path)) {
        let what = format!("replace {unknown}: it is no file of `init`");
        return Err(CommandFailure { status: ExitStatus::Usage, what, hint: Some("`--check` lists them".to_owned()) });
    }
    let manifest = Manifest::of(&wishes, &wanted);
    if last.as_ref() != Some(&manifest) {
        let what = if is_first { What::Create } else { What::Update };
        steps.push(LayoutStep { path: MANIFEST_FILE.to_owned(), what, diff: String::new() });
    }
    let changes = steps.iter().any(|step| step.what.is_change());
    let by_hand = steps.iter().any(|step| step.what.is_by_hand());
    if changes && !options.check {
        home.write(&steps, &wanted, &manifest)?;
    }
    let shown = Report {
        version: VERSION,
        changes,
        next: next(&wishes, &steps, is_first, found.and_then(Result::err)),
        files: steps,
    };
    if options.json {
        report::json(&shown)?;
    } else {
        report::line(text(&shown, options.check).trim_end());
    }
    Ok(if by_hand || (options.check && changes) { ExitStatus::RequestFailed } else { ExitStatus::Success })
}

fn wishes_of(options: &cli::Init) -> Wishes {
    let options = options.clone();
    Wishes {
        repository: options.repository,
        repository_id: options.repository_id,
        owner_id: options.owner_id,
        default_branch: options.default_branch,
        // As the policy file says it.
        shape: options.shape.and_then(|shape| Some(shape.to_possible_value()?.get_name().to_owned())),
        plane_path: options.plane_path,
        organizations: options.organization,
        region: options.region,
        vpc: options.vpc,
        subnets: options.subnet,
        bucket: options.bucket,
        lock_table: options.lock_table,
        plan_role_arn: options.plan_role_arn,
        apply_role_arn: options.apply_role_arn,
        platform_team: options.platform_team,
        server_url: options.server_url,
        source: options.source,
        module_source: options.module_source,
        binary_url: options.binary_url,
        binary_sha256: options.binary_sha256,
        runs_on: options.runs_on,
    }
}

fn cannot(error: &Cannot) -> CommandFailure {
    let file = policy::FILE;
    let (status, hint) = match error {
        Cannot::Missing(_) => (
            ExitStatus::Usage,
            "runnersmith init . --repository acme/runner-control --organization acme --region eu-west-1 --vpc vpc-0a1b2c3d \
             --subnet subnet-0a1b2c3d --bucket acme-runner-states --source <owner/name of Runnersmith's releases>"
                .to_owned(),
        ),
        Cannot::Values(_) => (ExitStatus::Usage, "`runnersmith init --help` says what each option is".to_owned()),
        Cannot::Policy(_) => (ExitStatus::Config, format!("fix {file}, or take ours by --replace {file}")),
    };
    CommandFailure { status, what: chain(error), hint: Some(hint) }
}

/// What is left to do after a first run, and what the files that were laid out cannot do yet.
fn next(wishes: &Wishes, steps: &[LayoutStep], is_first: bool, not_asked: Option<String>) -> Vec<String> {
    let mut next = Vec::new();
    if steps.iter().any(|step| step.what.is_by_hand()) {
        next.push(
            "files that say `kept, look` were edited, and ours changed: take over what you want, or --replace <path>; this is \
             said once"
                .to_owned(),
        );
    }
    if wishes.binary_sha256.is_none() {
        next.push(format!(
            "the SHA-256 of the program {VERSION} is not known, so the workflow refuses to run: --binary-sha256 <sum>"
        ));
    }
    let repository = wishes.repository.as_deref().unwrap_or_default();
    if wishes.github().has_immutable_subjects() && wishes.repository_id.is_none() {
        let why = not_asked.map(|why| format!(" ({why})")).unwrap_or_default();
        next.push(format!(
            "the repository's numbers are not known{why}: AWS refuses the roles to one that was made, renamed or transferred after \
             15 July 2026. Add the options that this prints: {}",
            identity_command(repository)
        ));
    }
    if wishes.platform_team.is_none() {
        next.push(
            "nobody owns workflow, policy, module and zips: anybody who may write can change alone what runs with the role that \
             applies. --platform-team <organisation/team>, and a ruleset that requires a review from code owners"
                .to_owned(),
        );
    }
    if wishes.plan_role_arn.is_none() {
        next.push("AWS is reached by static keys: bootstrap/README.md makes roles, which need none".to_owned());
    }
    if is_first {
        next.extend(label_commands(repository));
        next.push("docs/operating.md has the rest: environments, secrets, branch protection".to_owned());
    }
    next
}

fn text(shown: &Report, is_check: bool) -> String {
    let mut text = String::new();
    let same = shown.files.iter().filter(|step| step.what == What::Same).count();
    for step in shown.files.iter().filter(|step| step.what != What::Same) {
        let _ = writeln!(text, "{:<13} {}", step.what.word(), step.path);
    }
    if same > 0 {
        let _ = writeln!(text, "{same} as {} should be", if same == 1 { "it" } else { "they" });
    }
    for step in shown.files.iter().filter(|step| !step.diff.is_empty()) {
        let _ = write!(text, "\n{}: {}\n{}", step.what.word(), step.path, step.diff);
    }
    if is_check && shown.changes {
        text.push_str("\nNothing was written.\n");
    }
    if !shown.next.is_empty() {
        text.push_str("\nNext:\n");
    }
    for one in &shown.next {
        let _ = writeln!(text, "- {one}");
    }
    text
}

/// The repository's directory.
struct Home(PathBuf);

impl Home {
    /// A file's place. Paths are ours or were checked; what could still lead out is a link, and none of ours is one.
    fn place(&self, path: &str) -> Result<PathBuf, CommandFailure> {
        let mut place = self.0.clone();
        for part in path.split('/') {
            place.push(part);
            if std::fs::symlink_metadata(&place).is_ok_and(|there| there.file_type().is_symlink()) {
                let what = format!("read {}: it is a symbolic link", place.display());
                return Err(CommandFailure::outside(what, "put a file or a directory in its place"));
            }
        }
        Ok(place)
    }

    fn one(&self, path: &str) -> Result<Option<Vec<u8>>, CommandFailure> {
        let place = self.place(path)?;
        let failed =
            |what: String| CommandFailure::outside(format!("read {}: {what}", place.display()), "look at that file");
        match std::fs::metadata(&place) {
            Ok(there) if !there.is_file() => Err(failed("it is no file".to_owned())),
            Ok(there) if there.len() > FILE_BYTES_MAX => {
                Err(failed(format!("it has {} bytes; {FILE_BYTES_MAX} are read", there.len())))
            }
            Ok(_) => std::fs::read(&place).map(Some).map_err(|error| failed(error.to_string())),
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn read<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Result<Existing, CommandFailure> {
        let mut existing = BTreeMap::new();
        for path in paths {
            if let Some(content) = self.one(path)? {
                existing.insert(path.to_owned(), content);
            }
        }
        Ok(existing)
    }

    fn manifest(&self) -> Result<Option<Manifest>, CommandFailure> {
        let Some(content) = self.one(MANIFEST_FILE)? else { return Ok(None) };
        let manifest = Manifest::parse(&String::from_utf8_lossy(&content)).map_err(|error| {
            let hint = "use the version of runnersmith that wrote it or a newer one, or take it back from git";
            CommandFailure::config(chain(&error), hint)
        })?;
        Ok(Some(manifest))
    }

    /// Writes what changes; the manifest last, so that an interrupted run is simply repeated.
    fn write(&self, steps: &[LayoutStep], wanted: &LaidOutFiles, manifest: &Manifest) -> Result<(), CommandFailure> {
        for step in steps.iter().filter(|step| step.what.is_change()) {
            match wanted.get(&step.path) {
                Some(content) => self.put(&step.path, content)?,
                None if step.what == What::Remove => {
                    let place = self.place(&step.path)?;
                    std::fs::remove_file(&place).map_err(|error| failed_write(&place, &error))?;
                }
                None => {}
            }
        }
        let content =
            manifest.text().map_err(|error| CommandFailure::internal(format!("write the manifest: {error}")))?;
        self.put(MANIFEST_FILE, &content)
    }

    fn put(&self, path: &str, content: &str) -> Result<(), CommandFailure> {
        let place = self.place(path)?;
        let directory = place.parent().unwrap_or(&self.0);
        std::fs::create_dir_all(directory).map_err(|error| failed_write(directory, &error))?;
        std::fs::write(&place, content).map_err(|error| failed_write(&place, &error))
    }
}

fn failed_write(place: &Path, error: &std::io::Error) -> CommandFailure {
    CommandFailure::outside(
        format!("write {}: {error}", place.display()),
        "free the place, then run it again: it goes on from here",
    )
}
