//! What becomes of one argument: by its name, and by its value where that is written out.

use crate::finding::InputChange::{self, Differs, Kept, NotNeeded, Renamed, Rewritten, Unknown, Unsupported};
use crate::literal::Literal;
use crate::tables;

/// What becomes of an argument, and why or what to do.
pub(crate) type Advice = (InputChange, String);

/// Advice on an argument of the module.
pub(crate) fn argument(name: &str, value: &Literal) -> Advice {
    by_value(name, value).unwrap_or_else(|| by_name(name, value))
}

/// Advice on an argument of the module or of an entry of several kinds of runners.
fn by_name(name: &str, value: &Literal) -> Advice {
    if let Some(input) = tables::INPUTS.iter().find(|input| input.name == name) {
        return (if input.note.is_empty() { Kept } else { Differs }, input.note.to_owned());
    }
    // Every module block of Terraform may have these.
    if ["count", "for_each", "providers", "depends_on"].contains(&name) {
        return (Kept, String::new());
    }
    let named = |table: &[(&str, &'static str)]| table.iter().find(|(old, _)| *old == name).map(|(_, text)| *text);
    if let Some(new) = named(tables::RENAMED) {
        return (Renamed, new.to_owned());
    }
    if let Some(why) = named(tables::NOT_NEEDED) {
        return (NotNeeded, why.to_owned());
    }
    if let Some(why) = named(tables::UNSUPPORTED) {
        let says = !value.is_nothing();
        return (if says { Unsupported } else { NotNeeded }, why.to_owned());
    }
    (Unknown, nearest(name).map_or_else(String::new, |near| format!("is {near} meant?")))
}

/// The name that somebody may have meant: only one that differs by a slip, so that no name stands for one of another meaning.
fn nearest(name: &str) -> Option<&'static str> {
    let ours = tables::INPUTS.iter().map(|input| input.name);
    let theirs = [tables::RENAMED, tables::NOT_NEEDED, tables::UNSUPPORTED].into_iter().flatten().map(|(old, _)| *old);
    let far = ours.chain(theirs).map(|known| (strsim::damerau_levenshtein(known, name), known));
    far.filter(|(far, known)| *far <= 2 && known.len() > 5).min().map(|(_, known)| known)
}

fn text(name: &str, value: &str) -> String {
    format!("{name} = \"{value}\"")
}

/// Advice that follows from the value; `None` where the name says it all.
fn by_value(name: &str, value: &Literal) -> Option<Advice> {
    let rewritten = |note: String| Some((Rewritten, note));
    let renamed = |note: String| Some((Renamed, note));
    match (name, value) {
        ("webhook_lambda_zip" | "runners_lambda_zip" | "runner_binaries_syncer_lambda_zip", value) => {
            if *value == Literal::Null { Some((Kept, String::new())) } else { rewritten(tables::ZIP.to_owned()) }
        }
        ("webhook_lambda_s3_key" | "runners_lambda_s3_key" | "syncer_lambda_s3_key", _) => {
            rewritten(tables::ZIP_KEY.to_owned())
        }
        (
            "webhook_lambda_s3_object_version" | "runners_lambda_s3_object_version" | "syncer_lambda_s3_object_version",
            value,
        ) if *value != Literal::Null => rewritten("the new zip's version, or leave it out".to_owned()),
        ("runner_os", Literal::Text(system)) if system != "linux" => {
            Some((Unsupported, "only Linux is supported; Windows and macOS are not".to_owned()))
        }
        ("github_app", value) => Some(github_app(value)),
        ("block_device_mappings", value) => block_devices(value),
        ("runner_extra_labels", Literal::Text(_)) => Some((Kept, String::new())),
        ("runner_extra_labels", Literal::List(labels)) => {
            let labels: Option<Vec<&str>> = labels.iter().map(as_text).collect();
            rewritten(match labels {
                Some(labels) => text("runner_extra_labels", &labels.join(",")),
                None => "a string with commas: write join(\",\", ...) around the list".to_owned(),
            })
        }
        ("runners_maximum_count" | "runners_maxiumum_count", Literal::Number(count)) if *count < 1.0 => {
            rewritten("a number from 1 to 10000: there is always a maximum".to_owned())
        }
        ("log_level", Literal::Text(level)) if !["error", "warn", "info", "debug", "trace"].contains(&level.as_str()) => {
            rewritten("error, warn, info, debug or trace".to_owned())
        }
        ("idle_config", value) => idle_config(value),
        ("runner_log_files", value) => runner_log_files(value),
        ("runner_metadata_options", value) => Some(metadata_options(value)),
        ("ami", value) => ami(value),
        ("enable_userdata" | "enabled_userdata", Literal::Bool(true)) => {
            Some((NotNeeded, "our user data always runs".to_owned()))
        }
        ("enable_userdata" | "enabled_userdata", Literal::Bool(false)) => renamed(
            "image_has_runner = true: our user data still runs, and starts the runner in /home/<runner_run_as>/actions-runner"
                .to_owned(),
        ),
        ("enable_runner_binaries_syncer" | "enable_event_rule_binaries_syncer", Literal::Bool(true)) => {
            Some((NotNeeded, "the syncer always runs".to_owned()))
        }
        ("enable_ephemeral_runners", Literal::Bool(true)) => {
            Some((NotNeeded, "a runner serves one job here; ephemeral = false is the other way".to_owned()))
        }
        ("enable_ephemeral_runners", Literal::Bool(false)) => renamed("ephemeral = false".to_owned()),
        ("ghes_ssl_verify", Literal::Bool(true)) => Some((NotNeeded, "nothing is left unverified".to_owned())),
        ("pool_config", Literal::List(list)) if list.is_empty() => Some((NotNeeded, "it is empty".to_owned())),
        _ => capacity(name, value).map(|inside| {
            if inside.is_empty() {
                return (NotNeeded, "that is the default here".to_owned());
            }
            (Renamed, format!("capacity = {{ {inside} }}"))
        }),
    }
}

fn as_text(value: &Literal) -> Option<&str> {
    match value {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// What an argument about buying says inside of `capacity`, or in an entry of `scale_sets`; empty: nothing that is not so anyway.
pub(crate) fn capacity(name: &str, value: &Literal) -> Option<String> {
    Some(match (name, value) {
        ("instance_target_capacity_type" | "market_options", Literal::Text(market)) if market == "spot" => {
            String::new()
        }
        ("instance_target_capacity_type", Literal::Text(market)) => text("market", market),
        ("market_options", Literal::Null) => text("market", "on-demand"),
        // In the fleet of one type and zone that a call asks for, these two are the same for spot; on demand it is the order.
        ("instance_allocation_strategy", Literal::Text(strategy)) => match strategy.as_str() {
            "price-capacity-optimized" => String::new(),
            "capacity-optimized-prioritized" => text("allocation_strategy", "prioritized"),
            strategy => text("allocation_strategy", strategy),
        },
        ("instance_max_spot_price", Literal::Text(price)) => text("spot_max_price", price),
        ("instance_max_spot_price" | "instance_type_priorities", Literal::Null) => String::new(),
        ("enable_on_demand_failover_for_errors" | "enable_runner_on_demand_failover_for_errors", value) => {
            if value.is_nothing() { String::new() } else { text("market", "spot-then-on-demand") }
        }
        _ => return None,
    })
}

fn github_app(value: &Literal) -> Advice {
    const MAY_GO: &str = "client_id and client_secret may go";
    let Literal::Object(entries) = value else { return (Differs, MAY_GO.to_owned()) };
    let has = |key: &str| entries.iter().any(|(name, _)| name == key);
    let lacks: Vec<&str> = ["key_base64", "id", "webhook_secret"]
        .into_iter()
        .filter(|key| !entries.is_empty() && !has(key) && !has(&format!("{key}_ssm")))
        .collect();
    if !lacks.is_empty() {
        return (Rewritten, format!("it needs {}, or the same with _ssm for a parameter", lacks.join(", ")));
    }
    if has("client_id") || has("client_secret") { (Differs, MAY_GO.to_owned()) } else { (Kept, String::new()) }
}

fn block_devices(value: &Literal) -> Option<Advice> {
    let Literal::List(disks) = value else {
        return matches!(value, Literal::Object(_)).then(|| (Kept, String::new()));
    };
    let more = if disks.len() > 1 { "; further disks are not made: an image that has them brings them" } else { "" };
    let first = match disks.first() {
        None => return Some((NotNeeded, "it is empty".to_owned())),
        Some(Literal::Object(entries)) => {
            let known =
                entries.iter().filter(|(key, value)| *value != Literal::Null && key != "volume_initialization_rate");
            Literal::Object(known.cloned().collect()).written()
        }
        Some(_) => None,
    };
    let first = first.map_or_else(
        || "the first disk as a map, without volume_initialization_rate".to_owned(),
        |first| format!("block_device_mappings = {first}"),
    );
    Some((Rewritten, format!("{first}{more}")))
}

fn idle_config(value: &Literal) -> Option<Advice> {
    let Literal::List(entries) = value else { return None };
    if entries.is_empty() {
        return Some((Kept, String::new()));
    }
    let crons = entries.iter().filter_map(|entry| as_text(entry.get("cron")?));
    let wrong = crons.clone().find(|cron| cron.contains('(') || cron.split_whitespace().count() != 6)?;
    Some((Rewritten, format!("cron {wrong:?}: six fields are needed, seconds first, without cron(…)")))
}

fn runner_log_files(value: &Literal) -> Option<Advice> {
    let Literal::List(files) = value else {
        return (*value == Literal::Null)
            .then(|| (NotNeeded, "null is no list; without it the usual files are sent".to_owned()));
    };
    let mut paths = files.iter().filter_map(|file| as_text(file.get("file_path")?));
    if files.len() != paths.clone().count() {
        return None;
    }
    let elsewhere = paths.any(|path| path.starts_with("/opt/actions-runner") || path.starts_with("/home/runners"));
    Some(if elsewhere { (Rewritten, tables::RUNNER_LOG.to_owned()) } else { (Kept, String::new()) })
}

fn metadata_options(value: &Literal) -> Advice {
    const REST: &str = "the metadata service is always on, answers only to its version 2, and has no tags";
    let limit = match value.get("http_put_response_hop_limit") {
        Some(Literal::Number(limit)) if *limit >= 2.0 => "metadata_hop_limit = 2; ",
        Some(Literal::Number(_)) => "",
        None if matches!(value, Literal::Object(_)) => "",
        _ => return (Renamed, "metadata_hop_limit, 1 or 2; ".to_owned() + REST),
    };
    (if limit.is_empty() { NotNeeded } else { Renamed }, format!("{limit}{REST}"))
}

fn ami(value: &Literal) -> Option<Advice> {
    let Literal::Object(entries) = value else {
        return (*value == Literal::Null).then(|| (NotNeeded, "without it the image is Amazon Linux 2023".to_owned()));
    };
    let mut parts = Vec::new();
    for (key, value) in entries.iter().filter(|(_, value)| *value != Literal::Null) {
        let ours = match key.as_str() {
            "filter" => "ami_filter",
            "owners" => "ami_owners",
            "id_ssm_parameter_arn" | "id_ssm_parameter_name" => "ami_id_ssm_parameter_name",
            _ => continue,
        };
        parts.push(
            value.written().map_or_else(|| format!("{ours}, from ami's {key}"), |value| format!("{ours} = {value}")),
        );
    }
    let key = if entries.iter().any(|(key, value)| key == "kms_key_arn" && *value != Literal::Null) {
        "; its key's ARN into disk_kms_key_arns, of the module"
    } else {
        ""
    };
    if parts.is_empty() {
        return Some((NotNeeded, "without it the image is Amazon Linux 2023".to_owned()));
    }
    Some((Renamed, format!("{}{key}", parts.join(", "))))
}
