//! Every section but the scale sets.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runnersmith_types::{HookAddress, WebhookPath};

use crate::reader::{Reader, Unit};

/// Where a secret is: never in the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that holds it.
    File(PathBuf),
    /// An environment variable that holds it (a key: in Base64).
    Env(String),
    /// A parameter of AWS's Parameter Store that holds it.
    Parameter(String),
}

impl Source {
    pub(crate) fn resolve(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&*path);
        }
    }
}

/// The longest name of a host, by RFC 1035.
const HOST_CHARS_MAX: usize = 253;

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerSection {
    /// Where to listen. Default `127.0.0.1:8787`.
    pub listen: SocketAddr,
    /// The path of the App's webhook address. Default `/webhook`.
    pub webhook_path: WebhookPath,
    /// Where the dashboard's token is; needed when listening beyond this machine.
    pub dashboard_token: Option<Source>,
    /// Names under which a browser reaches the dashboard, in lower case, beside addresses and `localhost`. Without a token other names are
    /// refused; with one they are where names are listed. Default: none.
    pub hosts: Vec<String>,
    /// Connections at once. Default 512.
    pub connections_max: u32,
    /// Connections at once from one address that is not loopback; of IPv6 from one /64. Default 64, or all where those are fewer.
    pub connections_of_one_address_max: u32,
}

/// How many connections are open at once. Well below the 1,024 files that a process may have open by default.
const CONNECTIONS_MAX: u32 = 512;
/// How many of them one address has.
const CONNECTIONS_OF_ONE_ADDRESS_MAX: u32 = 64;

impl ServerSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8787));
        let listen = reader.string("listen").map_or(default, |text| {
            text.parse().unwrap_or_else(|_| {
                reader
                    .refuse("listen", "an address and a port are needed, such as \"127.0.0.1:8787\" or \"[::]:8787\"");
                default
            })
        });
        let webhook_path = reader.string("webhook_path").map(WebhookPath::parse).transpose().unwrap_or_else(|why| {
            reader.refuse("webhook_path", why);
            None
        });
        let dashboard_token = file(reader, "dashboard_token_file");
        if !listen.ip().is_loopback() && dashboard_token.is_none() {
            let what =
                "is reachable from other machines: name a dashboard_token_file, or listen on 127.0.0.1 behind a proxy";
            reader.refuse("listen", what);
        }
        let mut hosts = Vec::new();
        for host in reader.strings("hosts") {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if host.is_empty() || host.len() > HOST_CHARS_MAX || !host.chars().all(is_name) {
                reader.refuse("hosts", format!("{host:?} is no host's name; give it without scheme, port and path"));
            }
            hosts.push(host.trim_end_matches('.').to_ascii_lowercase());
        }
        let (connections_max, connections_of_one_address_max) = connections(reader);
        reader.finish();
        Self {
            listen,
            webhook_path: webhook_path.unwrap_or_default(),
            dashboard_token,
            hosts,
            connections_max,
            connections_of_one_address_max,
        }
    }
    pub(crate) fn resolve(&mut self, base: &Path) {
        self.dashboard_token.iter_mut().for_each(|source| source.resolve(base));
    }
}

/// All connections, and those of one address.
fn connections(reader: &Reader<'_>) -> (u32, u32) {
    let all = reader.number("connections_max", 16..=65_536, CONNECTIONS_MAX);
    let key = "connections_of_one_address_max";
    let of_one = reader.number(key, 1..=65_536, CONNECTIONS_OF_ONE_ADDRESS_MAX.min(all));
    if of_one > all {
        reader.refuse(key, format!("is more than connections_max, which is {all}"));
    }
    (all, of_one)
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct StoreSection {
    /// Where ledger and queue live. Default `data`.
    pub directory: PathBuf,
    /// How long ended jobs and runners are kept. Default 30 days.
    pub history: Duration,
}

impl StoreSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let directory = path(reader, "directory").unwrap_or_else(|| "data".into());
        let history = reader.time("history_days", Unit::Days, 1..=3_650).unwrap_or(Duration::from_secs(30 * 86_400));
        reader.finish();
        Self { directory, history }
    }
    pub(crate) fn resolve(&mut self, base: &Path) {
        self.directory = base.join(&self.directory);
    }
}

/// `[github]`
#[derive(Clone, Debug)]
pub struct GitHubSection {
    /// `https://github.com` (default), a ghe.com address, or a GitHub Enterprise Server.
    pub server_url: String,
    /// The REST API's address, if it does not follow from `server_url`.
    pub api_url: Option<String>,
    /// The App's number or client id.
    pub app_id: String,
    /// The App's private key.
    pub private_key: Source,
    /// The webhook's secret.
    pub webhook_secret: Source,
    /// The secret before it, while it is being changed.
    pub previous_webhook_secret: Option<Source>,
    /// The webhook that sends the deliveries, if it is an organisation's or a repository's own and not the App's.
    pub webhook: Option<HookAddress>,
    /// Accept `X-Hub-Signature` alone (very old GHES).
    pub allow_sha1: bool,
    /// More certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// A parameter of Parameter Store that holds them instead.
    pub ca_parameter: Option<String>,
    /// A proxy's address.
    pub proxy: Option<String>,
}

impl GitHubSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let missing = || Source::Env(String::new());
        let github = Self {
            server_url: address(reader, "server_url").unwrap_or_else(|| "https://github.com".into()),
            api_url: address(reader, "api_url"),
            app_id: app_id(reader),
            private_key: source(reader, ["private_key_file", "private_key_base64_env", "private_key_parameter"])
                .unwrap_or_else(missing),
            webhook_secret: source(reader, ["webhook_secret_file", "webhook_secret_env", "webhook_secret_parameter"])
                .unwrap_or_else(missing),
            previous_webhook_secret: previous(reader),
            webhook: webhook(reader),
            allow_sha1: reader.boolean("allow_sha1", false),
            ca_file: path(reader, "ca_file"),
            ca_parameter: match parameter(reader, "ca_parameter") {
                Some(Source::Parameter(name)) => Some(name),
                _ => None,
            },
            proxy: address(reader, "proxy"),
        };
        reader.finish();
        github
    }
    pub(crate) fn resolve(&mut self, base: &Path) {
        self.private_key.resolve(base);
        self.webhook_secret.resolve(base);
        self.previous_webhook_secret.iter_mut().for_each(|source| source.resolve(base));
        self.ca_file.iter_mut().for_each(|path| *path = base.join(&*path));
    }
}

/// `[limits]`: what the App may use of GitHub, for all loops together.
#[derive(Clone, Copy, Debug)]
pub struct LimitsSection {
    /// JIT configs in a minute. Default 150: GitHub's secondary limits allow about 180 writes.
    pub jit_per_minute: u32,
    /// Other calls of passes in a minute. Default 900, GitHub's points for REST. Sweeps, lists and logs are not counted here: they keep to
    /// the hourly limit that GitHub's answers report, and leave a reserve of it.
    pub calls_per_minute: u32,
}

impl LimitsSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let limits = Self {
            jit_per_minute: reader.number("jit_per_minute", 1..=10_000, 150),
            calls_per_minute: reader.number("calls_per_minute", 10..=100_000, 900),
        };
        reader.finish();
        limits
    }
}

/// Where the runner distribution comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The newest release of `actions/runner`.
    Latest {
        /// Prereleases too.
        prerelease: bool,
    },
    /// An extracted directory, or a `tar.gz` of it.
    Path(PathBuf),
}

/// `[local]`: machines that are processes of this host.
#[derive(Clone, Debug)]
pub struct LocalSection {
    /// The runner distribution. Default: the newest release.
    pub distribution: Distribution,
    /// The REST API where releases of `actions/runner` are, of a mirror. Default: github.com's, whatever server the runners serve.
    pub releases_api_url: Option<String>,
    /// Where machines live. Default `machines`.
    pub machines: PathBuf,
}

impl LocalSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let prerelease = reader.boolean("allow_prerelease", false);
        let distribution = match reader.string("runner_distribution") {
            None | Some("latest") => Distribution::Latest { prerelease },
            Some("") => {
                reader.refuse("runner_distribution", "\"latest\", or the path of a directory or tar.gz");
                Distribution::Latest { prerelease }
            }
            Some(path) => Distribution::Path(path.into()),
        };
        let releases_api_url = address(reader, "releases_api_url");
        let machines = path(reader, "machines_directory").unwrap_or_else(|| "machines".into());
        reader.finish();
        Self { distribution, releases_api_url, machines }
    }
    pub(crate) fn resolve(&mut self, base: &Path) {
        self.machines = base.join(&self.machines);
        if let Distribution::Path(path) = &mut self.distribution {
            *path = base.join(&*path);
        }
    }
}

/// `[timer]`: what happens without a message.
#[derive(Clone, Copy, Debug)]
pub struct TimerSection {
    /// A full look at every set. Default 60 s.
    pub full_pass: Duration,
    /// The round of sweeps, and of the delivery log. Default 300 s: repositories with a job in the last day are swept every second
    /// time, all others in a slow round.
    pub sweep: Duration,
    /// How long a crashed server or function stops a set. Default 20 s.
    pub lease: Duration,
}

impl TimerSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let seconds = |key, default| reader.time(key, Unit::Seconds, 1..=3_600).unwrap_or(Duration::from_secs(default));
        let timer = Self {
            full_pass: seconds("full_pass_seconds", 60),
            sweep: seconds("sweep_seconds", 300),
            lease: reader.time("lease_seconds", Unit::Seconds, 2..=120).unwrap_or(Duration::from_secs(20)),
        };
        reader.finish();
        timer
    }
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSection {
    /// JSON lines (default) or text.
    pub json: bool,
    /// `error`, `warn`, `info` (default), `debug`, `trace`, or a filter such as `info,runnersmith_github=debug`.
    pub level: String,
}

impl LogSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let json = match reader.string("format") {
            None | Some("json") => true,
            Some("text") => false,
            Some(_) => {
                reader.refuse("format", "\"json\" or \"text\" is allowed");
                true
            }
        };
        let level = reader.string("level").unwrap_or("info").to_owned();
        reader.finish();
        Self { json, level }
    }
}

/// `[otel]`: traces to an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtelSection {
    /// The collector's OTLP/HTTP address, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
}

impl OtelSection {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let endpoint = match reader.required("endpoint", "the collector's OTLP/HTTP address, \"http://127.0.0.1:4318\"")
        {
            Some(_) => address(reader, "endpoint").unwrap_or_default(),
            None => String::new(),
        };
        reader.finish();
        Self { endpoint }
    }
}

pub(crate) fn path(reader: &Reader<'_>, key: &'static str) -> Option<PathBuf> {
    let text = reader.string(key)?;
    if text.is_empty() {
        reader.refuse(key, "a path is needed");
    }
    Some(text.into())
}

fn file(reader: &Reader<'_>, key: &'static str) -> Option<Source> {
    path(reader, key).map(Source::File)
}

fn parameter(reader: &Reader<'_>, key: &'static str) -> Option<Source> {
    let name = reader.string(key)?;
    if !is_parameter(name) {
        reader.refuse(key, "the name or ARN of a parameter is needed, such as \"/runnersmith/webhook-secret\"");
    }
    Some(Source::Parameter(name.to_owned()))
}

/// A name has letters, digits, and `.-_/` (API reference, PutParameter). The full ARN of it is the only name that another account's
/// parameter has.
fn is_parameter(text: &str) -> bool {
    let of_arn = || text.strip_prefix("arn:")?.split_once(":parameter/");
    let name = if text.starts_with("arn:") { of_arn().map_or("", |(_, name)| name) } else { text };
    let is_known = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '-' | '_' | '/');
    name.chars().all(is_known) && name.chars().any(|sign| sign.is_ascii_alphanumeric())
}

pub(crate) fn variable(reader: &Reader<'_>, key: &'static str) -> Option<Source> {
    let name = reader.string(key)?;
    if name.is_empty() {
        reader.refuse(key, "the name of an environment variable is needed");
    }
    Some(Source::Env(name.to_owned()))
}

/// A file or something else, or neither.
pub(crate) fn file_or(
    reader: &Reader<'_>,
    file_key: &'static str,
    (other, other_key): (Option<Source>, &'static str),
) -> Option<Source> {
    let file = file(reader, file_key);
    if file.is_some() && other.is_some() {
        reader.refuse(file_key, format!("give it or {other_key}, not both"));
    }
    file.or(other)
}

fn previous(reader: &Reader<'_>) -> Option<Source> {
    let key = "previous_webhook_secret_parameter";
    file_or(reader, "previous_webhook_secret_file", (parameter(reader, key), key))
}

/// Exactly one of a file, an environment variable and a parameter.
fn source(reader: &Reader<'_>, [file_key, env_key, parameter_key]: [&'static str; 3]) -> Option<Source> {
    let mut given =
        [file(reader, file_key), variable(reader, env_key), parameter(reader, parameter_key)].into_iter().flatten();
    let (first, more) = (given.next(), given.next().is_some());
    if first.is_none() {
        reader.refuse(file_key, format!("is missing: give {file_key}, {env_key} or {parameter_key}"));
    } else if more {
        reader.refuse(file_key, format!("give either {file_key}, {env_key} or {parameter_key}, not two of them"));
    }
    first
}

fn app_id(reader: &Reader<'_>) -> String {
    let hint = "the App's id or client id, in quotes, from its settings page";
    let Some(text) = reader.required("app_id", hint) else { return String::new() };
    if text.is_empty() || text.len() > 64 || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        reader.refuse("app_id", "letters, digits and dots are allowed, such as \"123456\" or \"Iv23li…\"");
    }
    text.to_owned()
}

fn webhook(reader: &Reader<'_>) -> Option<HookAddress> {
    let text = reader.string("webhook")?;
    HookAddress::parse(text).map_err(|why| reader.refuse("webhook", why)).ok()
}

fn address(reader: &Reader<'_>, key: &'static str) -> Option<String> {
    let text = reader.string(key)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if !host.is_some_and(|host| !host.is_empty() && !host.chars().any(|c| c.is_whitespace() || c.is_control())) {
        reader.refuse(key, "an address that begins with https:// or http:// is needed");
    }
    Some(text.trim_end_matches('/').to_owned())
}
