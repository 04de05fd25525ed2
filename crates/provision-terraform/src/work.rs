//! What is done with Terraform, step by step, in the thread of one run. Nothing here awaits anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use runnersmith_issueops::render::BACKEND_FILE;
use runnersmith_issueops::summary::Summary;
use runnersmith_issueops_engine::{
    Applied, LeftBy, MadePlan, PlanOptions, ProvisionError, StateBackend, StateId, Workspace,
};
use runnersmith_ports::chain;

use crate::TerraformConfig;
use crate::child::{Ended, Output, Runner, Stop};
use crate::directory::{Directory, write_private};
use crate::environment::Environment;
use crate::hide::Hide;
use crate::plan_file::{self, LOCK_FILE};
use crate::said::{LOCK_NOT_TAKEN, LockInfo, end_of};

/// How long a command that changes nothing and holds no lock has to end after it was asked to: killing it loses nothing.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(5);
/// How long what must be done even after a stop may take: to store a state that could not be stored, to read what was made.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// How long it has to end after that.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// How long a run may go on after [`TerraformConfig::stop_within`](crate::TerraformConfig::stop_within) is over.
pub const AFTER_STOP: Duration = LAST_WORDS.saturating_add(LAST_PATIENCE);
/// No lock has this id, so that asking to release it answers with the one that is held, and changes nothing.
const NO_LOCK: &str = "00000000-0000-0000-0000-000000000000";
/// How often a state that Terraform could not store is tried to be stored.
const RESCUES_MAX: u32 = 3;
/// How often we look whether the cache of providers is free. `File::lock` would wait without asking, but nothing can interrupt it,
/// so that it would not notice that we are asked to stop.
const CACHE_EVERY: Duration = Duration::from_millis(100);

/// What all runs share.
pub(crate) struct Setup {
    pub(crate) config: TerraformConfig,
    pub(crate) environment: Environment,
    pub(crate) hide: Hide,
}

/// What one run has of its own.
pub(crate) struct Run<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) stop: &'a Stop,
    pub(crate) show: &'a dyn Fn(String),
}

/// A run with its directory.
struct Work<'a> {
    run: &'a Run<'a>,
    directory: &'a Directory,
    environment: Environment,
    hide: Hide,
}

impl Run<'_> {
    /// Does something in a directory of its own, which is gone afterwards, however it ended.
    fn within<T>(
        &self,
        folder: &str,
        files: &BTreeMap<String, Vec<u8>>,
        work: impl FnOnce(&Work<'_>) -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        if self.stop.is_requested() {
            return Err(ProvisionError::Cancelled);
        }
        let directory = Directory::lay(&self.setup.config.scratch, folder, files)?;
        let mut environment = self.setup.environment.clone();
        environment.variables.insert("TF_DATA_DIR".into(), directory.data().into());
        let hide = self.setup.hide.with_directory(directory.root());
        let done = work(&Work { run: self, directory: &directory, environment, hide });
        directory.remove();
        done
    }

    pub(crate) fn version(&self) -> Result<String, ProvisionError> {
        self.within("", &BTreeMap::new(), |work| {
            let said = work.read(&["version", "-json"])?;
            let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
            let version = said.get("terraform_version").and_then(serde_json::Value::as_str);
            let version =
                version.ok_or_else(|| ProvisionError::Unable("the program does not say its version".into()))?;
            // OpenTofu counts its own versions under the same name.
            Ok(match self.setup.config.program.file_stem().and_then(|stem| stem.to_str()) {
                Some("terraform") | None => version.to_owned(),
                Some(other) => format!("{other} {version}"),
            })
        })
    }

    pub(crate) fn plan(&self, workspace: &Workspace, options: PlanOptions) -> Result<MadePlan, ProvisionError> {
        self.within(workspace.folder(), workspace.files(), |work| {
            work.init(false)?;
            work.save_plan(options.destroy.then_some("-destroy"), options.without_lock)?;
            let file = std::fs::read(work.directory.plan())
                .map_err(|error| ProvisionError::Unable(format!("cannot read the plan file: {error}")))?;
            let summary = work.summary()?;
            let text = work.read(&["show", "-no-color", &work.plan_path()])?;
            let state = plan_file::made_from(&file)?;
            let lock_file = std::fs::read(work.directory.lock_file()).ok();
            let text = work.hide.text(&String::from_utf8_lossy(&text));
            Ok(MadePlan { file, summary, text, lock_file, state })
        })
    }

    pub(crate) fn drift(&self, workspace: &Workspace) -> Result<Summary, ProvisionError> {
        self.within(workspace.folder(), workspace.files(), |work| {
            work.init(false)?;
            work.save_plan(Some("-refresh-only"), true)?;
            work.summary()
        })
    }

    pub(crate) fn apply(&self, workspace: &Workspace, plan: &[u8]) -> Result<Applied, ProvisionError> {
        let mut files = workspace.files().clone();
        // The versions that were planned with are those that are applied with, even when nobody committed them.
        if let Some(lock_file) = plan_file::lock_file(plan)? {
            files.insert(format!("{}/{LOCK_FILE}", workspace.folder()), lock_file);
        }
        self.within(workspace.folder(), &files, |work| {
            write_private(&work.directory.plan(), plan)?;
            let ready = work.init(true);
            // Whatever it says: nothing is applied yet.
            if self.stop.is_requested() {
                return Err(ProvisionError::NotBegun);
            }
            ready?;
            work.apply()
        })
    }

    pub(crate) fn state(&self, backend: &StateBackend) -> Result<StateId, ProvisionError> {
        self.at_the_state(backend, |work| work.state())
    }

    pub(crate) fn release_left_lock(
        &self,
        backend: &StateBackend,
        left_by: &LeftBy,
    ) -> Result<Option<String>, ProvisionError> {
        self.at_the_state(backend, |work| work.release(left_by))
    }

    /// Does something for which the place of the state is enough: neither a module nor a provider is fetched.
    fn at_the_state<T>(
        &self,
        backend: &StateBackend,
        then: impl FnOnce(&Work<'_>) -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        let alone = BTreeMap::from([(BACKEND_FILE.to_owned(), backend.settings().as_bytes().to_vec())]);
        self.within("", &alone, |work| {
            work.init(false)?;
            then(work)
        })
    }
}

/// Opens the file that is locked by the process that fills a cache. A cache that can only be read, that of a container's image for example, may
/// have one, which can be locked all the same, or none: then we cannot fill it either.
fn open_lock(path: &Path) -> std::io::Result<Option<File>> {
    let error = match File::options().create(true).truncate(false).write(true).open(path) {
        Ok(file) => return Ok(Some(file)),
        Err(error) => error,
    };
    if !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        return Err(error);
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Work<'_> {
    fn config(&self) -> &TerraformConfig {
        &self.run.setup.config
    }

    /// What the saved plan would do.
    fn summary(&self) -> Result<Summary, ProvisionError> {
        let shown = self.read(&["show", "-json", &self.plan_path()])?;
        Summary::of_show_json(&shown).map_err(|error| ProvisionError::Failed { resource: None, message: chain(&error) })
    }

    fn plan_path(&self) -> String {
        self.directory.plan().display().to_string()
    }

    fn raw(
        &self,
        arguments: &[&str],
        output: Output,
        patience: Duration,
        stop: &Stop,
    ) -> Result<Ended, ProvisionError> {
        let runner = Runner {
            program: &self.config().program,
            environment: &self.environment,
            hide: &self.hide,
            stop,
            show: self.run.show,
        };
        runner.run(&self.directory.work(), arguments, output, patience)
    }

    /// Runs a command that may change something and returns how it ended if it did well.
    fn command(&self, arguments: &[&str]) -> Result<Ended, ProvisionError> {
        let ended = self.raw(arguments, Output::Lines, self.config().stop_within, self.run.stop)?;
        if ended.status.success() { Ok(ended) } else { Err(self.why(&ended, arguments)) }
    }

    /// Runs a command that changes nothing and holds no lock: killing it loses nothing.
    fn look(&self, arguments: &[&str], output: Output) -> Result<Ended, ProvisionError> {
        let ended = self.raw(arguments, output, PATIENCE_WITH_READERS, self.run.stop)?;
        match (ended.status.success(), ended.killed) {
            (true, _) => Ok(ended),
            (false, true) => Err(ProvisionError::Cancelled),
            (false, false) => Err(self.why(&ended, arguments)),
        }
    }

    fn why(&self, ended: &Ended, arguments: &[&str]) -> ProvisionError {
        let what = arguments.first().copied().unwrap_or_default();
        if ended.killed {
            let seconds = self.config().stop_within.as_secs_f32();
            let message = format!(
                "terraform {what} was interrupted, did not end within {seconds} s, and was killed; what it did last may \
                 not be in the state, and the state may be locked"
            );
            return ProvisionError::Failed { resource: None, message };
        }
        if self.run.stop.is_requested() {
            return ProvisionError::Cancelled;
        }
        ended.said.failure(&self.hide, &format!("terraform {what} ended without a word ({})", ended.status))
    }

    /// What a command that changes nothing returns.
    fn read(&self, arguments: &[&str]) -> Result<Vec<u8>, ProvisionError> {
        Ok(self.look(arguments, Output::Whole)?.output)
    }

    fn init(&self, readonly: bool) -> Result<(), ProvisionError> {
        let _cache = self.hold_cache()?;
        let mut arguments = vec!["init", "-input=false", "-no-color", "-json"];
        if readonly {
            arguments.push("-lockfile=readonly");
        }
        self.look(&arguments, Output::Lines).map(drop)
    }

    /// Terraform does not promise that two can fill the cache of providers at once
    /// (<https://developer.hashicorp.com/terraform/cli/config/config-file#provider-plugin-cache>), so that one waits.
    fn hold_cache(&self) -> Result<Option<File>, ProvisionError> {
        let Some(cache) = &self.config().plugin_cache else { return Ok(None) };
        let unable = |error: std::io::Error| ProvisionError::Unable(format!("cannot use {}: {error}", cache.display()));
        std::fs::create_dir_all(cache).map_err(unable)?;
        let Some(file) = open_lock(&cache.join(".runnersmith.lock")).map_err(unable)? else { return Ok(None) };
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                // Where files cannot be locked, nobody else waits either.
                Err(std::fs::TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(None),
                Err(std::fs::TryLockError::WouldBlock) if self.run.stop.is_requested() => {
                    return Err(ProvisionError::Cancelled);
                }
                Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(CACHE_EVERY),
                Err(std::fs::TryLockError::Error(error)) => return Err(unable(error)),
            }
        }
    }

    fn lock_timeout(&self) -> String {
        format!("-lock-timeout={}s", self.config().lock_timeout.as_secs())
    }

    fn save_plan(&self, mode: Option<&str>, without_lock: bool) -> Result<(), ProvisionError> {
        let out = format!("-out={}", self.plan_path());
        let lock = if without_lock { "-lock=false".to_owned() } else { self.lock_timeout() };
        let mut arguments = vec!["plan", "-input=false", "-no-color", "-json", out.as_str(), lock.as_str()];
        arguments.extend(mode);
        self.command(&arguments).map(drop)
    }

    fn apply(&self) -> Result<Applied, ProvisionError> {
        let (plan, lock) = (self.plan_path(), self.lock_timeout());
        let arguments = ["apply", "-input=false", "-no-color", "-json", lock.as_str(), plan.as_str()];
        let done = self.command(&arguments);
        let rescued = self.rescue_state();
        let ended = match (done, rescued) {
            (Ok(ended), _) => ended,
            (Err(error), None) => return Err(error),
            (Err(ProvisionError::Failed { resource, message }), Some(rescued)) => {
                return Err(ProvisionError::Failed { resource, message: end_of(&format!("{message}\n\n{rescued}")) });
            }
            (Err(_), Some(rescued)) => return Err(ProvisionError::Failed { resource: None, message: rescued }),
        };
        let mut log = ended.said.log;
        // It is done. That what it gives cannot be read must not look as if it were not.
        let outputs = match self.raw(&["output", "-json"], Output::Whole, PATIENCE_WITH_READERS, &self.last_words()) {
            Ok(ended) if ended.status.success() => self.outputs(&ended.output),
            Ok(_) | Err(_) => None,
        };
        if outputs.is_none() {
            log.push("the outputs could not be read".into());
        }
        Ok(Applied { outputs: outputs.unwrap_or_default(), log: log.text() })
    }

    /// When what must be done even after a stop is asked to end: soon, if the stop has come.
    fn last_words(&self) -> Stop {
        Stop::after(if self.run.stop.is_requested() { LAST_WORDS } else { self.config().stop_within })
    }

    fn outputs(&self, said: &[u8]) -> Option<BTreeMap<String, serde_json::Value>> {
        let all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(said).ok()?;
        let open =
            all.into_iter().filter(|(_, output)| output.get("sensitive") == Some(&serde_json::Value::Bool(false)));
        Some(open.map(|(name, mut output)| (name, self.hide.value(output["value"].take()))).collect())
    }

    /// Terraform writes a state that it cannot store into its directory, which is about to go: what it made would be lost. So it
    /// is tried again, and else kept. Returns what became of it, if there is one.
    fn rescue_state(&self) -> Option<String> {
        let path = self.directory.errored_state();
        if !path.exists() {
            return None;
        }
        let (file, lock) = (path.display().to_string(), self.lock_timeout());
        let arguments = ["state", "push", lock.as_str(), file.as_str()];
        for _ in 0..RESCUES_MAX {
            // Even when we are asked to stop: this is the stopping in order.
            let pushed = self.raw(&arguments, Output::Lines, LAST_PATIENCE, &self.last_words());
            if pushed.is_ok_and(|ended| ended.status.success()) {
                return Some(
                    "The state could not be stored at first; it was stored afterwards, so nothing is lost.".into(),
                );
            }
            if self.run.stop.is_requested() {
                break;
            }
        }
        Some(match self.keep(&path) {
            Ok(kept) => format!(
                "The state could not be stored. It is in the file {kept} of the machine that this ran on; hint: \
                 `terraform state push` that file before anything else is planned."
            ),
            Err(error) => format!("The state could not be stored, and not be kept either: {error}"),
        })
    }

    fn keep(&self, path: &Path) -> std::io::Result<String> {
        let (mut kept, place) = tempfile::Builder::new()
            .prefix("errored-")
            .suffix(".tfstate")
            .tempfile_in(&self.config().scratch)?
            .keep()
            .map_err(|error| error.error)?;
        std::io::copy(&mut File::open(path)?, &mut kept)?;
        kept.sync_all()?;
        Ok(place.display().to_string())
    }

    fn state(&self) -> Result<StateId, ProvisionError> {
        plan_file::state_id(&self.read(&["state", "pull"])?)
    }

    fn release(&self, left_by: &LeftBy) -> Result<Option<String>, ProvisionError> {
        let Some(lock) = self.held_lock()? else { return Ok(None) };
        let since = left_by.since.as_millis();
        let left = lock.who == left_by.who && lock.since().is_some_and(|taken| taken.as_millisecond() >= since);
        // The id is foreign text; what begins with a dash would be an option.
        let plain = lock.id.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
        if !left || !plain || lock.id.starts_with('-') {
            return Err(lock.refusal(&self.hide));
        }
        let arguments = ["force-unlock", "-no-color", "-force", lock.id.as_str()];
        match self.command(&arguments) {
            Ok(_) => Ok(Some(lock.id)),
            // Somebody may have been faster, and a run that died while it took two locks has left one.
            Err(error) => match self.held_lock()? {
                Some(still) if still.id == lock.id => Err(error),
                Some(_) | None => Ok(Some(lock.id)),
            },
        }
    }

    /// The lock that is held. First a lock that does not exist is asked to be released: that reads the lock file or the table's
    /// item, answers what is there, takes nothing and needs no right to write. When nothing is there the answer cannot be known
    /// from other failures, so that a command proves it that needs the lock and changes nothing.
    fn held_lock(&self) -> Result<Option<LockInfo>, ProvisionError> {
        let stop = self.run.stop;
        let asked = ["force-unlock", "-no-color", "-force", NO_LOCK];
        let asked = self.raw(&asked, Output::Lines, PATIENCE_WITH_READERS, stop)?;
        if let Some(lock) = LockInfo::find(&asked.said.other()) {
            return Ok(Some(lock));
        }
        let needs_lock = ["state", "rm", "-dry-run", "-lock-timeout=0s", "terraform_data.runnersmith_looks_for_a_lock"];
        let tried = self.raw(&needs_lock, Output::Lines, self.config().stop_within, stop)?;
        if tried.status.success() {
            return Ok(None);
        }
        let said = tried.said.other();
        if let Some(lock) = LockInfo::find(&said) {
            return Ok(Some(lock));
        }
        // It fails without a state as well, after it had the lock.
        if !tried.killed
            && !stop.is_requested()
            && !said.contains(LOCK_NOT_TAKEN)
            && self.state()? == StateId::default()
        {
            return Ok(None);
        }
        Err(self.why(&tried, &needs_lock))
    }
}
