//! The configuration file: read, checked, explained.
//!
//! One TOML file says everything. A field that is not known is refused with what was probably meant, a version that is
//! newer than the program is refused, and all problems are reported at once. Secrets are not in the file: it names the files
//! or environment variables that hold them.

mod aws;
mod ec2;
mod issueops;
mod node;
mod parameters;
mod problem;
mod reader;
mod scale_set;
mod sections;

use std::path::Path;

use std::collections::BTreeMap;

use runnersmith_types::{Ec2Set, ScaleSet, ScaleSetName};
use toml::de::DeTable;

pub use aws::AwsSection;
pub use issueops::{IssueOpsSection, Provisioning};
pub use problem::{ConfigError, ConfigProblem, Place};
pub use sections::{
    Distribution, GitHubSection, LimitsSection, LocalSection, LogSection, OtelSection, ServerSection, Source,
    StoreSection, TimerSection,
};

use crate::reader::{Reader, Sink};

/// The newest version of the file's format that this program knows.
pub const VERSION: i64 = 1;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The web server.
    pub server: ServerSection,
    /// The embedded store.
    pub store: StoreSection,
    /// GitHub and the App.
    pub github: GitHubSection,
    /// Budgets.
    pub limits: LimitsSection,
    /// Machines on this host.
    pub local: LocalSection,
    /// What happens without a message.
    pub timer: TimerSection,
    /// Logs.
    pub log: LogSection,
    /// OpenTelemetry export, if configured.
    pub otel: Option<OtelSection>,
    /// Requests by issues, if a control repository is named.
    pub issueops: Option<IssueOpsSection>,
    /// The scale sets, with distinct names; at least one where requests make none.
    pub scale_sets: Vec<ScaleSet>,
    /// Sets whose machines are on EC2, with how they are bought.
    pub ec2: BTreeMap<ScaleSetName, Ec2Set>,
    /// What is on AWS, if anything is.
    pub aws: Option<AwsSection>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
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
        let sink = Sink::of_file(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let place = sink.place(error.span().map_or(0, |span| span.start));
            sink.add(place, "", format!("not TOML: {}", error.message()));
        }
        let problems = sink.take();
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let root = Reader::of_file(&sink, table.get_ref());
        if !is_known_version(&root) {
            // Nothing else of a newer format can be checked.
            return Err(ConfigError::Invalid(sink.take()));
        }
        let tables = root.tables("scale_set");
        let mut config = Self::without_sets(&root);
        if tables.is_empty() && !root.has("issueops") {
            root.refuse("scale_set", "at least one [[scale_set]] is needed");
        }
        for mut table in tables {
            if let Some(found) = config.read_set(&mut table) {
                config.add(found);
            }
        }
        config.warnings = config.warnings();
        root.finish();
        let problems = sink.take();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Everything but the scale sets.
    fn without_sets(root: &Reader<'_>) -> Self {
        let (requests, aws, otel) = (root.table("issueops"), root.table("aws"), root.table("otel"));
        Self {
            server: ServerSection::read(&root.table("server")),
            store: StoreSection::read(&root.table("store")),
            github: GitHubSection::read(&root.table("github")),
            limits: LimitsSection::read(&root.table("limits")),
            local: LocalSection::read(&root.table("local")),
            timer: TimerSection::read(&root.table("timer")),
            log: LogSection::read(&root.table("log")),
            otel: otel.is_there().then(|| OtelSection::read(&otel)),
            issueops: if requests.is_there() { IssueOpsSection::read(&requests) } else { None },
            scale_sets: Vec::new(),
            ec2: BTreeMap::new(),
            aws: aws.is_there().then(|| AwsSection::read(&aws)),
            warnings: Vec::new(),
        }
    }

    /// Reads one more scale set. What is wrong with it, also beside the others, is reported to the table's sink.
    fn read_set(&self, table: &mut Reader<'_>) -> Option<(ScaleSet, Option<Ec2Set>)> {
        let (set, on_ec2) = scale_set::read(table)?;
        if on_ec2.is_some() {
            match &self.aws {
                None => table.refuse_elsewhere(
                    "aws",
                    format!("scale_set.{} is on EC2: an [aws] section with hand_off_path is needed", set.name),
                ),
                Some(aws) if aws.hand_off_path.is_none() => table
                    .refuse_elsewhere("aws", "machines on EC2 read their configuration there: hand_off_path is needed"),
                Some(_) => {}
            }
        }
        if self.scale_sets.iter().any(|other| other.name.as_str().eq_ignore_ascii_case(set.name.as_str())) {
            table.refuse("name", "another scale set has this name");
        }
        Some((set, on_ec2))
    }

    fn add(&mut self, (set, on_ec2): (ScaleSet, Option<Ec2Set>)) {
        self.ec2.extend(on_ec2.map(|on_ec2| (set.name.clone(), on_ec2)));
        self.scale_sets.push(set);
    }

    /// What is allowed and probably not meant.
    fn warnings(&self) -> Vec<String> {
        let Self { github, scale_sets, ec2, .. } = self;
        let mut warnings = Vec::new();
        if github.allow_sha1 {
            warnings.push("[github] allow_sha1: SHA-1 signatures are weak; only very old GHES needs them".into());
        }
        for set in scale_sets {
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
}

/// Whether the format is one that this program knows. A version that is missing or wrong is reported.
fn is_known_version(root: &Reader<'_>) -> bool {
    match root.integer("version", 1..=i64::MAX) {
        Some(VERSION) => {}
        Some(newer) => {
            root.refuse(
                "version",
                format!("{newer} is newer than this program knows ({VERSION}); a newer runnersmith is needed"),
            );
            return false;
        }
        None => {
            root.refuse("version", format!("write `version = {VERSION}`, so that a later program knows what is meant"));
        }
    }
    true
}
