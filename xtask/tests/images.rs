//! The image's template: judged by Packer, its script by shellcheck, and that what it makes is what the module selects.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use runnersmith_aws_emulator::find;
use support::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn shellcheck() -> PathBuf {
    let beside = find::python().ok().and_then(|python| Some(python.parent()?.join("shellcheck")));
    beside.filter(|program| program.exists()).unwrap_or_else(|| "shellcheck".into())
}

/// Packer, and whether it has the Amazon builder in itself (before 1.7) or takes it from a plugin that is not here.
fn packer() -> Option<(String, bool)> {
    for program in ["packer", "/usr/bin/packer"] {
        let Ok(said) = Command::new(program).arg("version").env("CHECKPOINT_DISABLE", "1").output() else { continue };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        // Another program of this name is part of cracklib.
        let Some(number) = said.trim().strip_prefix("Packer v") else { continue };
        let mut numbers = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        return Some((program.to_owned(), version < (1, 7)));
    }
    None
}

/// The template as a Packer before 1.7 takes it: its builder does not know how a machine is asked for its metadata.
fn for_old_packer(template: &str) -> String {
    let (before, rest) = template.split_once("  metadata_options {").expect("the template has metadata_options");
    let (options, after) = rest.split_once("\n  }\n").unwrap();
    assert!(options.contains("\"required\""), "the building machine answers only to version 2");
    format!("{before}{after}")
}

#[test]
fn the_template_is_valid() {
    let Some((program, has_builder)) = packer() else {
        find::cannot_run("the image's template by Packer", "packer is not on the PATH; hint: apt-get install packer");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let template = read("images/runner.pkr.hcl");
    let template = if has_builder { for_old_packer(&template) } else { template };
    for (name, text) in [("runner.pkr.hcl", template), ("provision.sh", read("images/provision.sh"))] {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let validate = |more: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(home.path()).env("CHECKPOINT_DISABLE", "1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.arg("validate");
        if !has_builder {
            command.arg("-syntax-only");
        }
        let said = command.args(more).arg("runner.pkr.hcl").output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        (said.status.success(), text)
    };
    let good: [&[&str]; 3] = [
        &[],
        &[
            "-var=architecture=arm64",
            "-var=regions=[\"us-east-1\", \"eu-central-1\"]",
            "-var=encrypt=true",
            "-var=kms_key_id=alias/a",
        ],
        &["-var=packages=[]", "-var=kernel=6.12", "-var=subnet_id=subnet-1", "-var=ami_users=[\"123456789012\"]"],
    ];
    for more in good {
        let (valid, text) = validate(more);
        assert!(valid, "{more:?}\n{text}");
    }
    // A plugin that is not here cannot be asked for its values; the variables' own rules are Packer's.
    if has_builder {
        for (bad, why) in [
            ("-var=architecture=mips", "x86_64 or arm64"),
            ("-var=packages=[\"git; reboot\"]", "A package's name"),
            ("-var=packages=[\"-y\"]", "A package's name"),
            ("-var=kernel=default", "two numbers"),
            ("-var=kernel=", "two numbers"),
        ] {
            let (valid, text) = validate(&[bad]);
            assert!(!valid && text.contains(why), "{bad}\n{text}");
        }
    }
    let formatted = Command::new(&program).args(["fmt", "-check", "-diff"]).arg(root().join("images")).output();
    let formatted = formatted.unwrap();
    assert!(formatted.status.success(), "packer fmt images\n{}", String::from_utf8_lossy(&formatted.stdout));
}

#[test]
fn the_script_is_clean() {
    let script = root().join("images/provision.sh");
    match Command::new(shellcheck()).arg(&script).output() {
        Ok(judged) => assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout)),
        Err(error) => find::skip("the image's script by shellcheck", &error.to_string()),
    }
}

/// The names that the template gives, the example's filter, and what the README tells are one.
#[test]
fn what_is_built_is_what_the_example_selects() {
    let template = read("images/runner.pkr.hcl");
    assert!(
        template.contains("default     = \"runnersmith-runner\"")
            && template.contains("ami_name        = \"${var.name}-")
    );
    for file in ["terraform/examples/own-ami/main.tf", "images/README.md"] {
        let text = read(file);
        assert!(text.contains("runnersmith-runner-*") && text.contains("\"self\""), "{file} selects the image");
    }
    // It starts from the system that the module takes when no image is named; the line of its kernel can be chosen.
    assert!(template.contains("\"al2023-ami-2023.*-kernel-${var.kernel}-${var.architecture}\""));
    assert!(
        read("terraform/modules/scale-set/main.tf")
            .contains("/al2023-ami-kernel-default-${local.machine_architecture}\"")
    );
}

/// Every package that the user data installs when it is missing is in the image, so that a boot installs nothing.
#[test]
fn a_boot_from_the_image_installs_nothing() {
    let user_data = read("crates/ec2/user-data/user-data.sh.tftpl");
    let dnf = user_data.split_once("if may dnf; then").unwrap().1.split_once("elif").unwrap().0;
    let wanted = dnf.split("packages").filter_map(|part| part.trim_start_matches('+').strip_prefix("=("));
    let wanted: Vec<&str> = wanted.flat_map(|part| part.split(')').next().unwrap().split_whitespace()).collect();
    assert!(wanted.contains(&"docker") && wanted.contains(&"amazon-cloudwatch-agent"), "{wanted:?}");
    let script = read("images/provision.sh");
    let installed = script.split_once("needed=(").unwrap().1.split(')').next().unwrap();
    let installed: Vec<&str> = installed.split_whitespace().collect();
    for package in wanted {
        assert!(installed.contains(&package), "{package} is not in images/provision.sh");
    }
}
