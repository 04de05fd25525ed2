//! The configuration file: read, checked, explained.
//!
//! One TOML file says everything. A field that is not known is refused with what was probably meant, a version that is
//! newer than the program is refused, and all problems are told at once. Secrets are not in the file: it names the files
//! or environment variables that hold them.

mod aws;
mod ec2;
mod issueops;
mod parameters;
mod problem;
mod reader;
mod scale_set;
mod sections;

use std::path::Path;

use std::collections::BTreeMap;

use runnersmith_types::{Ec2Set, ScaleSet, ScaleSetName};
use toml::de::DeTable;

pub use aws::Aws;
pub use issueops::{IssueOps, Provisioning};
pub use problem::{ConfigError, Problem};
pub use sections::{Distribution, GitHub, Limits, Local, Log, Otel, Server, Source, Store, Timer};

use crate::reader::{Reader, Sink};

/// The newest version of the file's format that this program knows.
pub const VERSION: i64 = 1;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The web server.
    pub server: Server,
    /// The embedded store.
    pub store: Store,
    /// GitHub and the App.
    pub github: GitHub,
    /// Budgets.
    pub limits: Limits,
    /// Machines on this host.
    pub local: Local,
    /// What happens without a signal.
    pub timer: Timer,
    /// Logs.
    pub log: Log,
    /// OpenTelemetry export, if configured.
    pub otel: Option<Otel>,
    /// Requests by issues, if a control repository is named.
    pub issueops: Option<IssueOps>,
    /// The scale sets, with distinct names; at least one where requests make none.
    pub scale_sets: Vec<ScaleSet>,
    /// Sets whose machines are on EC2, with how they are bought.
    pub ec2: BTreeMap<ScaleSetName, Ec2Set>,
    /// What is on AWS, if anything is.
    pub aws: Option<Aws>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

/// Whether a configuration without scale sets is one. A file without any is a mistake; a control plane on AWS finds its sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sets {
    Needed,
    MayBeNone,
}

impl Config {
    /// Reads a file. Relative paths in it are taken from the file's own directory.
    ///
    /// # Errors
    /// When it cannot be read or is not valid; the error lists every problem with its line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text)?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.server.resolve(base);
        config.store.resolve(base);
        config.github.resolve(base);
        config.local.resolve(base);
        config.issueops.iter_mut().for_each(|issueops| issueops.resolve(base));
        Ok(config)
    }

    /// Parses a text.
    ///
    /// # Errors
    /// When it is not valid; the error lists every problem with its line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, Sets::Needed)
    }

    fn parse_with(text: &str, sets: Sets) -> Result<Self, ConfigError> {
        let sink = Sink::new(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| sink.line(span.start));
            sink.add(line, "", format!("not TOML: {}", error.message()));
        }
        let problems = sink.take();
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let root = Reader::new(&sink, &table);
        match root.integer("version", 1..=i64::MAX) {
            Some(VERSION) => {}
            Some(newer) => {
                // Nothing else of a newer format can be judged.
                let what =
                    format!("{newer} is newer than this program knows ({VERSION}); a newer runnersmith is needed");
                root.refuse("version", what);
                return Err(ConfigError::Invalid(sink.take()));
            }
            None => root
                .refuse("version", format!("write `version = {VERSION}`, so that a later program knows what is meant")),
        }
        let config = Self::sections(&root, sets);
        root.finish();
        let problems = sink.take();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    fn sections(root: &Reader<'_>, sets: Sets) -> Self {
        let mut scale_sets: Vec<ScaleSet> = Vec::new();
        let mut ec2 = BTreeMap::new();
        let tables = root.tables("scale_set");
        let requests = root.table("issueops");
        if tables.is_empty() && sets == Sets::Needed && !requests.is_there() {
            root.refuse("scale_set", "at least one [[scale_set]] is needed");
        }
        for mut table in tables {
            let Some((set, on_ec2)) = scale_set::read(&mut table) else { continue };
            ec2.extend(on_ec2.map(|on_ec2| (set.name.clone(), on_ec2)));
            if scale_sets.iter().any(|other| other.name.as_str().eq_ignore_ascii_case(set.name.as_str())) {
                table.refuse("name", "another scale set has this name");
            }
            scale_sets.push(set);
        }
        let (server, github, otel) =
            (Server::read(&root.table("server")), GitHub::read(&root.table("github")), root.table("otel"));
        let aws = root.table("aws");
        let aws = aws.is_there().then(|| Aws::read(&aws));
        if aws.is_none() {
            if let Some(set) = ec2.keys().next() {
                root.refuse("aws", format!("scale_set.{set} is on EC2: an [aws] section with hand_off_path is needed"));
            }
        } else if aws.as_ref().is_some_and(|aws| aws.hand_off_path.is_none()) && !ec2.is_empty() {
            root.refuse("aws", "machines on EC2 read their configuration there: hand_off_path is needed");
        }
        let warnings = warnings(&github, &scale_sets, &ec2);
        Self {
            server,
            store: Store::read(&root.table("store")),
            github,
            limits: Limits::read(&root.table("limits")),
            local: Local::read(&root.table("local")),
            timer: Timer::read(&root.table("timer")),
            log: Log::read(&root.table("log")),
            otel: otel.is_there().then(|| Otel::read(&otel)),
            issueops: if requests.is_there() { IssueOps::read(&requests) } else { None },
            scale_sets,
            ec2,
            aws,
            warnings,
        }
    }
}

fn warnings(github: &GitHub, sets: &[ScaleSet], ec2: &BTreeMap<ScaleSetName, Ec2Set>) -> Vec<String> {
    let mut warnings = Vec::new();
    if github.allow_sha1 {
        warnings.push("[github] allow_sha1: SHA-1 signatures are weak; only very old GHES needs them".into());
    }
    for set in sets {
        if !set.ephemeral {
            let text = "reusable runners keep what a job leaves behind; use them for trusted repositories only";
            warnings.push(format!("scale_set.{}: {text}", set.name));
        }
        if !set.min_idle.is_empty() && set.scope.at.is_none() {
            let text = "without `at` the minimum of idle runners only keeps runners that are there; it launches none, since they would have to register somewhere, for example at = \"acme\"";
            warnings.push(format!("scale_set.{}: {text}", set.name));
        }
        if !ec2.contains_key(&set.name) && set.scope.allowed.is_empty() && !github.server_url.contains(".ghe.com") {
            let text = "serves every repository in which the App is installed; machines are processes of this host, so name trusted ones in allowed_repositories";
            warnings.push(format!("scale_set.{}: {text}", set.name));
        }
    }
    warnings
}
