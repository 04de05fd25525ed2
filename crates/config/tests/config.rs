//! The configuration as operators write it: the example is true, mistakes are reported all at once, and with a hint.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use runnersmith_config::{Config, ConfigError, Distribution, Source};
use runnersmith_types::{ScopeLevel, Timing};

const EXAMPLE: &str = include_str!("../../../runnersmith.example.toml");

/// The smallest valid file.
fn least(more: &str) -> String {
    format!(
        "version = 1\n[github]\napp_id = \"1\"\nprivate_key_file = \"k\"\nwebhook_secret_file = \"s\"\n[[scale_set]]\nname = \"linux\"\nlabels = [\"linux\"]\n{more}"
    )
}

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text) {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// The example with every commented-out field switched on.
fn everything_on() -> String {
    let on = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = EXAMPLE.lines().map(on).collect();
    // Of things that exclude each other only one may be given.
    let either = [
        "private_key_file",
        "private_key_parameter",
        "webhook_secret_file",
        "webhook_secret_parameter",
        "previous_webhook_secret_parameter",
        "instance_types",
    ];
    text.into_iter().filter(|line| !either.iter().any(|key| line.starts_with(key))).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_valid_as_it_stands_and_with_every_field_switched_on() {
    let plain = Config::parse(EXAMPLE).unwrap();
    assert_eq!(plain.scale_sets.len(), 1);
    let all = Config::parse(&everything_on()).unwrap();
    assert_eq!(all.scale_sets[0].min_idle.len(), 2);
    assert_eq!(all.github.private_key, Source::Env("APP_KEY_BASE64".into()));
    assert_eq!(all.otel.unwrap().endpoint, "http://127.0.0.1:4318");
}

#[test]
fn a_commented_out_default_in_the_example_is_the_default() {
    let plain = Config::parse(EXAMPLE).unwrap();
    let keep = ["version", "app_id", "name", "labels", "level", "at =", "private_key_file", "webhook_secret_file", "["];
    let defaults = [
        "runner_group",
        "serves_unlabelled",
        "ephemeral",
        "runners_max",
        "priority",
        "token_when",
        "rerun_",
        "tell",
        "only_fleet",
        "_seconds",
        "_minutes",
        "_hours",
        "history_days",
        "_per_minute",
        "listen",
        "webhook_path",
        "connections_",
        "directory",
        "format",
        "level",
        "allow_",
        "runner_distribution",
        "server_url",
        "machines_directory",
    ];
    let text: Vec<String> = EXAMPLE
        .lines()
        .filter_map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if defaults.iter().any(|key| {
                    rest.split(" = ").next().is_some_and(|name| {
                        name.contains(key)
                            && !name.contains(' ')
                            && !["cool_down_seconds", "tick_seconds", "drift_hours"].contains(&name)
                    })
                }) =>
            {
                Some(rest.to_owned())
            }
            Some(_) => None,
            None => keep.iter().any(|key| line.starts_with(key)).then(|| line.to_owned()),
        })
        .collect();
    let set = Config::parse(&text.join("\n")).unwrap();
    assert_eq!(set.scale_sets, plain.scale_sets);
    assert_eq!(
        format!("{:?}{:?}{:?}{:?}{:?}", set.server, set.store, set.limits, set.timer, set.log),
        format!("{:?}{:?}{:?}{:?}{:?}", plain.server, plain.store, plain.limits, plain.timer, plain.log)
    );
    assert_eq!(format!("{:?}{:?}", set.github, set.local), format!("{:?}{:?}", plain.github, plain.local));
    assert!(text.len() > 45, "the filter above no longer finds the fields: {}", text.len());
}

#[test]
fn the_examples_section_for_requests_shows_its_defaults() {
    let section =
        EXAMPLE.lines().skip_while(|line| !line.starts_with("# [issueops]")).take_while(|line| !line.is_empty());
    let shown: Vec<&str> =
        section.filter_map(|line| line.strip_prefix("# ")).filter(|line| !line.starts_with("plan_key")).collect();
    assert_eq!(shown.len(), 6, "{shown:?}");
    let shown = Config::parse(&format!("{EXAMPLE}\n{}\n", shown.join("\n"))).unwrap();
    let least = Config::parse(&format!("{EXAMPLE}\n[issueops]\nrepository = \"acme/runners\"\n")).unwrap();
    assert!(least.issueops.is_some());
    assert_eq!(shown.issueops, least.issueops);
}

#[test]
fn the_least_file_has_the_designs_defaults() {
    let config = Config::parse(&least("")).unwrap();
    let set = &config.scale_sets[0];
    assert_eq!(set.timing, Timing::default());
    assert!(set.ephemeral && set.notify && set.token_when_jit_exhausted && !set.rerun_interrupted);
    assert!(!set.only_fleet, "others may serve what no set here does");
    assert!(Config::parse(&least("only_fleet = true")).unwrap().scale_sets[0].only_fleet);
    assert_eq!((set.runners_max, set.scope.level), (3, ScopeLevel::Organization));
    assert_eq!(config.local.distribution, Distribution::Latest { prerelease: false });
    assert!(config.server.listen.ip().is_loopback());
    let reusable = Config::parse(&least("ephemeral = false")).unwrap();
    assert_eq!(reusable.scale_sets[0].timing.delay.as_secs(), 30);
    assert!(reusable.warnings.iter().any(|warning| warning.contains("trusted")), "{:?}", reusable.warnings);
}

#[test]
fn a_misspelt_field_is_refused_with_what_was_probably_meant_and_its_line() {
    let reported = problems(&least("runner_max = 4"));
    assert_eq!(reported, ["line 9: scale_set.linux.runner_max: there is no such field; did you mean `runners_max`?"]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let reported = problems(
        r#"
version = 1
[server]
listen = "everywhere"
webhook_path = "hook"
[github]
app_id = 5
server_url = "github.com"
webhook_secret_file = "a"
webhook_secret_env = "B"
[[scale_set]]
name = "has space"
[[scale_set]]
name = "b"
labels = ["x", "a,b"]
runners_max = 0
level = "planet"
[[scale_set.idle_config]]
cron = "* 9-17 * * 1-5"
timeZone = "Mars/Olympus"
[[scale_set.idle_window]]
from = "8:00"
to = "24:00"
time_zone = "UTC"
days = ["Monday"]
"#,
    );
    for part in [
        "line 4: server.listen",
        "line 5: server.webhook_path",
        "line 7: github.app_id: a text in quotes is needed",
        "line 8: github.server_url",
        "private_key_file: is missing",
        "not two of them",
        "scale set name \"has space\" is not valid",
        "scale_set.b.labels: label \"a,b\" is not valid",
        "1 to 10000 is allowed",
        "\"organization\" or \"repository\" is allowed",
        "six are needed",
        "\"Monday\" is not a day",
        "from \"00:00\" to \"23:59\"",
    ] {
        assert!(reported.iter().any(|line| line.contains(part)), "{part}\n{}", reported.join("\n"));
    }
}

#[test]
fn names_of_the_dashboard_are_names_and_nothing_else() {
    let with = |hosts: &str| least("").replace("[github]", &format!("[server]\nhosts = {hosts}\n[github]"));
    let read = Config::parse(&with(r#"["Runners.acme.example.", "localhost"]"#)).unwrap();
    assert_eq!(read.server.hosts, ["runners.acme.example", "localhost"]);
    for wrong in [r#"["https://x"]"#, r#"["x:80"]"#, r#"["x/y"]"#, r#"[""]"#] {
        assert!(problems(&with(wrong))[0].contains("is no host's name"), "{wrong}");
    }
}

#[test]
fn one_address_has_no_more_connections_than_there_are() {
    let with = |lines: &str| least("").replace("[github]", &format!("[server]\n{lines}\n[github]"));
    let read = |lines: &str| {
        let server = Config::parse(&with(lines)).unwrap().server;
        (server.connections_max, server.connections_of_one_address_max)
    };
    assert_eq!(read(""), (512, 64));
    assert_eq!(read("connections_max = 2000\nconnections_of_one_address_max = 2000"), (2_000, 2_000));
    assert_eq!(read("connections_max = 32"), (32, 32));
    for (wrong, why) in [
        ("connections_max = 8", "16 to 65536 is allowed"),
        ("connections_of_one_address_max = 0", "1 to 65536 is allowed"),
        ("connections_of_one_address_max = 513", "is more than connections_max, which is 512"),
    ] {
        let reported = problems(&with(wrong));
        assert!(reported.len() == 1 && reported[0].contains(why), "{wrong}: {reported:?}");
    }
}

/// GitHub lets no App register an enterprise's runners: that is said before the first job waits for one.
#[test]
fn runners_of_an_enterprise_are_refused_with_the_reason_and_what_works_instead() {
    let text = least("level = \"enterprise\"\nat = \"big-corp\"");
    let reported = problems(&text).join("\n");
    assert!(reported.contains("GitHub lets no App register an enterprise's runners"), "{reported}");
    assert!(reported.contains("Install the App in each organisation and use \"organization\""), "{reported}");
}

#[test]
fn a_newer_format_and_a_missing_version_are_refused() {
    assert!(problems("version = 2\nnew_things = true")[0].contains("newer than this program knows"));
    assert!(problems(&least("").replace("version = 1", "")).iter().any(|line| line.contains("write `version = 1`")));
}

#[test]
fn what_is_not_toml_is_reported_with_its_line() {
    let reported = problems("version = 1\n[github\n");
    assert!(reported[0].starts_with("line 2: not TOML"), "{reported:?}");
    assert!(problems("\u{0}\u{feff}\u{1b}[31m")[0].contains("not TOML"));
}

#[test]
fn listening_beyond_this_machine_needs_a_token_for_the_dashboard() {
    let open = least("").replace("[github]", "[server]\nlisten = \"0.0.0.0:80\"\n[github]");
    assert!(problems(&open)[0].contains("dashboard_token_file"));
    let closed = open.replace("0.0.0.0:80\"", "0.0.0.0:80\"\ndashboard_token_file = \"t\"");
    assert!(Config::parse(&closed).is_ok());
}

#[test]
fn relative_paths_are_taken_from_the_files_directory() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("runnersmith.toml");
    std::fs::write(&file, least("")).unwrap();
    let config = Config::read(&file).unwrap();
    assert_eq!(config.store.directory, home.path().join("data"));
    assert_eq!(config.github.private_key, Source::File(home.path().join("k")));
    assert!(matches!(Config::read(&home.path().join("none")), Err(ConfigError::Read { .. })));
    let section = |more: &str| format!("[issueops]\nrepository = \"acme/runners\"\n{more}\n");
    for (program, resolved) in [("tofu", "tofu".into()), ("bin/tofu", home.path().join("bin/tofu"))] {
        let more = format!("terraform_program = \"{program}\"\nplan_key_file = \"key\"");
        std::fs::write(&file, least(&section(&more))).unwrap();
        let issueops = Config::read(&file).unwrap().issueops.unwrap();
        assert_eq!(issueops.terraform, resolved, "it is started in a directory of its own");
        assert_eq!(issueops.plan_key, Some(Source::File(home.path().join("key"))));
    }
}

#[test]
fn where_the_plan_key_is_must_be_said_once_and_not_by_nothing() {
    for (more, part) in [
        ("plan_key_file = \"\"", "a path is needed"),
        ("plan_key_env = \"\"", "the name of an environment variable is needed"),
        ("plan_key_file = \"k\"\nplan_key_env = \"K\"", "give it or plan_key_env, not both"),
        ("terraform_program = \"\"", "a path is needed"),
    ] {
        let reported = problems(&least(&format!("[issueops]\nrepository = \"acme/runners\"\n{more}\n")));
        assert!(reported.iter().any(|problem| problem.contains(part)), "{more}: {reported:?}");
    }
}

#[test]
fn two_sets_of_one_name_are_refused() {
    let reported = problems(&least("[[scale_set]]\nname = \"LINUX\"\nlabels = [\"x\"]"));
    assert!(reported[0].contains("another scale set has this name"), "{reported:?}");
}
