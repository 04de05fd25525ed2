//! The Terraform module without any cloud: its inputs against the philips-labs module's table, its own tests with a mocked provider, its
//! format, and that its READMEs say what is there. `RUNNERSMITH_BLESS=1` writes the READMEs' tables again.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hcl::{Block, Body, Expression};
use runnersmith_aws_emulator::terraform;

/// The module.
fn root() -> PathBuf {
    support::root().join("terraform")
}

fn blocks(directory: &Path, kind: &str) -> BTreeMap<String, Block> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "tf") {
            continue;
        }
        let body: Body = hcl::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for block in body.into_blocks().filter(|block| block.identifier() == kind) {
            let name = block.labels().first().map(|label| label.as_str().to_owned()).unwrap_or_default();
            found.insert(name, block);
        }
    }
    found
}

fn attribute<'a>(block: &'a Block, name: &str) -> Option<&'a Expression> {
    block.body().attributes().find(|attribute| attribute.key() == name).map(|attribute| attribute.expr())
}

fn text(block: &Block, name: &str) -> String {
    match attribute(block, name) {
        Some(Expression::String(text)) => text.clone(),
        Some(other) => hcl::format::to_string(other).unwrap().trim().to_owned(),
        None => String::new(),
    }
}

/// A value without its spelling.
fn value(expression: &Expression) -> serde_json::Value {
    let evaluated: hcl::Value =
        hcl::from_str::<hcl::Map<String, hcl::Value>>(&format!("v = {}", hcl::format::to_string(expression).unwrap()))
            .unwrap()
            .swap_remove("v")
            .unwrap();
    serde_json::to_value(evaluated).unwrap()
}

#[test]
fn every_input_of_the_seed_is_there_with_its_type_and_default() {
    let table = std::fs::read_to_string(root().join("tests/fixtures/seed-inputs.tsv")).unwrap();
    let variables = blocks(&root(), "variable");
    let mut rows = 0;
    for line in table.lines().skip(1).filter(|line| !line.is_empty()) {
        let [name, kind, default, required] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let block = variables.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        let default = default.replace("<pre>", "").replace("</pre>", "").replace("<br>", "\n");
        let ours = attribute(block, "default");
        assert_eq!(required == "yes", ours.is_none(), "{name}: required or not");
        if let Some(ours) = ours {
            let theirs: hcl::Map<String, hcl::Value> =
                hcl::from_str(&format!("v = {}", default.trim().replace(": ", " = "))).unwrap();
            assert_eq!(value(ours), serde_json::to_value(&theirs["v"]).unwrap(), "{name}: the default");
        }
        // `any` is typed here, and an object may have optional fields.
        let ours = text(block, "type").split_whitespace().collect::<String>();
        let theirs = kind.replace("<pre>", "").replace("</pre>", "").replace("<br>", "\n");
        let theirs = theirs.split_whitespace().collect::<String>();
        if theirs != "any" && !theirs.contains("object") {
            assert_eq!(ours, theirs, "{name}: the type");
        }
        rows += 1;
    }
    assert_eq!(rows, 54);
}

#[test]
fn every_input_of_the_seed_has_a_test_of_its_effect_and_every_rule_one_that_breaks_it() {
    let runs = |file: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(root().join("tests").join(file)).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("run \"")?.split('"').next().map(str::to_owned)).collect()
    };
    let table = std::fs::read_to_string(root().join("tests/fixtures/seed-inputs.tsv")).unwrap();
    let effects = runs("inputs.tftest.hcl");
    for name in table.lines().skip(1).filter_map(|line| line.split('\t').next()).filter(|name| !name.is_empty()) {
        assert!(effects.contains(&format!("input_{name}")), "{name} has no test of its effect");
    }
    let refusals = runs("validations.tftest.hcl");
    for (name, block) in blocks(&root(), "variable") {
        let rules = block.body().blocks().filter(|inner| inner.identifier() == "validation").count();
        let broken = refusals.iter().filter(|run| run.starts_with(&format!("refuses_{name}"))).count();
        assert!(broken >= rules, "{name} has {rules} rules and {broken} tests that break one");
    }
}

/// The inputs and outputs as a README has them.
fn tables(directory: &Path) -> String {
    let mut table = String::from("| input | type | default | what it is |\n| --- | --- | --- | --- |\n");
    for (name, block) in blocks(directory, "variable") {
        let kind = text(&block, "type").split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = if kind.starts_with("object") || kind.contains("(object") {
            kind.split('(').next().unwrap_or_default().to_owned() + "(object)"
        } else {
            kind
        };
        let kind = kind.replace("object(object)", "object");
        let default = match attribute(&block, "default") {
            None => "needed".to_owned(),
            Some(default) => {
                let text = value(default).to_string();
                if text.len() > 60 { "see variables.tf".to_owned() } else { format!("`{text}`") }
            }
        };
        let what = text(&block, "description").replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(table, "| `{name}` | {kind} | {default} | {what} |");
    }
    table.push_str("\n| output | what it is |\n| --- | --- |\n");
    for (name, block) in blocks(directory, "output") {
        let _ = writeln!(table, "| `{name}` | {} |", text(&block, "description").replace('<', "&lt;"));
    }
    table
}

#[test]
fn readmes_say_what_is_there() {
    const BEGIN: &str = "<!-- inputs and outputs: generated -->\n";
    let mut directories = vec![root()];
    directories.extend(std::fs::read_dir(root().join("modules")).unwrap().map(|entry| entry.unwrap().path()));
    for directory in directories {
        let file = directory.join("README.md");
        let readme = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (head, old) = readme.split_once(BEGIN).unwrap_or_else(|| panic!("{} has no {BEGIN}", file.display()));
        let new = tables(&directory);
        if std::env::var_os("RUNNERSMITH_BLESS").is_some() {
            std::fs::write(&file, format!("{head}{BEGIN}{new}")).unwrap();
        } else {
            assert_eq!(old, new, "{} is old; hint: RUNNERSMITH_BLESS=1", file.display());
        }
    }
}

#[test]
fn the_module_is_formatted_valid_and_passes_its_own_tests() {
    if terraform::skip_unless_there("terraform fmt, validate and test") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for part in ["terraform", "crates/ec2/user-data"] {
        terraform::copy(&support::root().join(part), &home.path().join(part)).unwrap();
    }
    let here = home.path().join("terraform");
    let provider = terraform::Provider::start(&here);
    let run = |directory: &Path, arguments: &[&str]| {
        let mut command = terraform::command(directory, home.path(), None).unwrap();
        if let Some(provider) = &provider {
            provider.attach(&mut command);
        }
        let output = command.args(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} in {}\n{said}", arguments.join(" "), directory.display());
        said
    };
    run(&here, &["fmt", "-check", "-recursive", "-diff"]);
    let mut directories = Vec::new();
    for kind in ["modules", "examples"] {
        directories.extend(std::fs::read_dir(here.join(kind)).unwrap().map(|entry| entry.unwrap().path()));
    }
    for directory in directories {
        run(&directory, &["init", "-backend=false", "-input=false", "-no-color"]);
        run(&directory, &["validate", "-no-color"]);
        if directory.join("tests").exists() {
            let said = run(&directory, &["test", "-no-color"]);
            assert!(said.contains(" passed, 0 failed."), "{}\n{said}", directory.display());
        }
    }
    run(&here, &["init", "-backend=false", "-input=false", "-no-color"]);
    let said = run(&here, &["test", "-no-color"]);
    assert!(said.contains(" passed, 0 failed."), "{said}");
}

/// The module itself and the modules below it that have rules.
fn modules() -> Vec<PathBuf> {
    let mut modules = vec![root()];
    modules.extend(std::fs::read_dir(root().join("modules")).unwrap().map(|entry| entry.unwrap().path()));
    modules.sort();
    modules
}

/// Rules of a module by what they are about, and runs that break one by the same.
fn rules_and_runs(module: &Path) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut rules, mut runs) = (BTreeMap::new(), BTreeMap::new());
    for (name, block) in blocks(module, "variable") {
        let count = block.body().blocks().filter(|block| block.identifier() == "validation").count();
        if count > 0 {
            rules.insert(format!("var.{name}"), count);
        }
    }
    for entry in std::fs::read_dir(module).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "tf") {
            continue;
        }
        let body: Body = hcl::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for block in body.blocks().filter(|block| ["resource", "data"].contains(&block.identifier())) {
            let lifecycles = block.body().blocks().filter(|block| block.identifier() == "lifecycle");
            let conditions = lifecycles.flat_map(|block| block.body().blocks());
            let count = conditions.filter(|block| block.identifier().ends_with("condition")).count();
            if count > 0 {
                let labels: Vec<&str> = block.labels().iter().map(|label| label.as_str()).collect();
                rules.insert(labels.join("."), count);
            }
        }
    }
    for entry in std::fs::read_dir(module.join("tests")).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".tftest.hcl") {
            let body: Body = hcl::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            for block in body.blocks().filter(|block| block.identifier() == "run") {
                if let Some(Expression::Array(expected)) = attribute(block, "expect_failures") {
                    for one in expected {
                        let one = hcl::format::to_string(one).unwrap().trim().to_owned();
                        *runs.entry(one).or_default() += 1;
                    }
                }
            }
        }
    }
    (rules, runs)
}

/// A rule that no value breaks in a test may not be one.
#[test]
fn every_rule_of_every_module_is_broken_by_a_test() {
    let mut all = 0;
    for module in modules() {
        let (rules, runs) = rules_and_runs(&module);
        for (what, rules) in rules {
            all += rules;
            let tried = runs.get(&what).copied().unwrap_or(0);
            assert!(tried >= rules, "{}: {what} has {rules} rules, and {tried} runs break one", module.display());
        }
    }
    assert!(all > 40, "rules are found: {all}");
}

/// Checkov's findings are fixed or excepted in place, each with its reason.
#[test]
fn checkov_finds_nothing_that_is_not_argued() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| support::root().join("target"), PathBuf::from);
    let own = target.join("python-checkov/bin/checkov");
    let program = if own.exists() { own } else { "checkov".into() };
    let home = tempfile::tempdir().unwrap();
    terraform::copy(&root(), &home.path().join("terraform")).unwrap();
    let mut command = std::process::Command::new(&program);
    command.current_dir(home.path()).args(["-d", "terraform", "--framework", "terraform", "--compact", "--quiet"]);
    command.args(["--skip-download", "--download-external-modules", "false", "--output", "json"]);
    let said = match command.output() {
        Ok(said) => said,
        Err(error) => {
            runnersmith_aws_emulator::find::skip("the Terraform module by checkov", &error.to_string());
            return;
        }
    };
    let text = String::from_utf8_lossy(&said.stdout);
    let found: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}\n{text}{}", String::from_utf8_lossy(&said.stderr)));
    let summary = &found["summary"];
    assert!(summary["passed"].as_u64() > Some(500) && summary["parsing_errors"] == 0, "{summary}");
    let failed = found["results"]["failed_checks"].as_array().into_iter().flatten();
    let failed: BTreeSet<String> = failed
        .map(|one| format!("{} {} {} {}", one["check_id"], one["check_name"], one["file_path"], one["resource"]))
        .collect();
    assert!(failed.is_empty(), "fix it, or add #checkov:skip=<id>:<why> to the resource\n{failed:#?}");
    // A reason is words.
    let mut argued = 0;
    for module in modules().into_iter().chain([root().join("examples/own-key-and-boundary")]) {
        for entry in std::fs::read_dir(module).unwrap() {
            let path = entry.unwrap().path();
            let text = if path.extension().is_some_and(|end| end == "tf") {
                std::fs::read_to_string(&path).unwrap()
            } else {
                continue;
            };
            for line in text.lines().filter_map(|line| line.trim().strip_prefix("#checkov:skip=")) {
                let why = line.split_once(':').map_or("", |(_, why)| why);
                assert!(why.split_whitespace().count() >= 3, "{}: {line:?} gives no reason", path.display());
                argued += 1;
            }
        }
    }
    assert!(argued > 20, "the exceptions are read: {argued}");
}
