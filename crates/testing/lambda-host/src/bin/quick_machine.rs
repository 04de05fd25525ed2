//! A machine for tests with many of them: what the user data does, in the same order and with the same role, without the AWS
//! CLI, which takes most of a second for each call. One test runs the real user data; the others may run this.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use runnersmith_aws_emulator::Emulator;
use serde_json::json;

/// As the template's `boot_deadline_seconds`.
const BOOT_DEADLINE: Duration = Duration::from_secs(120);

struct Quick {
    cloud: Emulator,
    machine: String,
    /// Its environment: where its hand-off is.
    environment: String,
    root: PathBuf,
}
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}

impl Quick {
    fn status(&self, says: &str) {
        let parameters =
            [("ResourceId.1", self.machine.as_str()), ("Tag.1.Key", "runnersmith:voice"), ("Tag.1.Value", says)];
        // A tag that cannot be set is never fatal.
        let _ = self.cloud.query("ec2", "CreateTags", &parameters);
    }

    fn hand_off(&self) -> Result<Vec<String>, String> {
        let name = format!("/runnersmith/{}/hand-off/{}", self.environment, self.machine);
        let until = Instant::now() + BOOT_DEADLINE;
        let mut last = String::new();
        loop {
            let body = json!({ "Name": name, "WithDecryption": true });
            let found = self.cloud.json("ssm", "AmazonSSM.GetParameter", &body);
            if let Err(error) = &found
                && error.to_string() != last
            {
                last = error.to_string();
                let _ = writeln!(std::io::stderr(), "not yet: {last}");
            }
            if let Ok(found) = found {
                self.cloud
                    .json("ssm", "AmazonSSM.DeleteParameter", &json!({ "Name": name }))
                    .map_err(|error| error.to_string())?;
                let value = found["Parameter"]["Value"].as_str().unwrap_or_default();
                return Ok(value.split('\n').map(str::to_owned).collect());
            }
            if Instant::now() > until {
                return Err("nothing was handed over".into());
            }
            // As the user data between two looks: Parameter Store has no call that waits.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// How the runner ended: whether a job ran, and its exit code.
    fn run(&self) -> Result<String, String> {
        self.status("booting");
        let runner = self.root.join("actions-runner");
        let program = find("runnersmith")?;
        runnersmith_fake_runner::write_distribution(&runner, &program).map_err(|error| error.to_string())?;
        let lines = self.hand_off()?;
        self.status("configured");
        let start = |script: &str, arguments: &[&str]| {
            Command::new(runner.join(script))
                .args(arguments)
                .current_dir(&runner)
                .status()
                .map_err(|error| format!("{script}: {error}"))
        };
        // A job's hooks would say that it ran; its line on the runner's output does so here.
        let listen = |arguments: &[&str]| {
            let output = Command::new(runner.join("run.sh")).args(arguments).current_dir(&runner).output();
            let output = output.map_err(|error| format!("run.sh: {error}"))?;
            let said = String::from_utf8_lossy(&output.stdout);
            let _ = writeln!(std::io::stdout(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            let code = output.status.code().unwrap_or(1);
            Ok::<String, String>(if said.contains("Running job") { format!("job {code}") } else { code.to_string() })
        };
        let status = match lines.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["jit", config] => listen(&["--jitconfig", config])?,
            ["token", url, token, name, labels, group, ephemeral] => {
                let mut arguments = vec![
                    "--unattended",
                    "--url",
                    url,
                    "--token",
                    token,
                    "--name",
                    name,
                    "--no-default-labels",
                    "--labels",
                    labels,
                ];
                if !group.is_empty() {
                    arguments.extend(["--runnergroup", group]);
                }
                if *ephemeral == "true" {
                    arguments.push("--ephemeral");
                }
                if !start("config.sh", &arguments)?.success() {
                    return Err("config.sh failed".into());
                }
                listen(&[])?
            }
            _ => return Err("the hand-off is of no known kind".into()),
        };
        Ok(status)
    }
}

fn find(name: &str) -> Result<PathBuf, String> {
    let path = variable("PATH")?;
    let found = path.split(':').map(|directory| Path::new(directory).join(name)).find(|file| file.exists());
    found.ok_or_else(|| format!("{name} is not on the path"))
}

fn main() -> Result<(), String> {
    let quick = Quick {
        cloud: Emulator::attach(
            &variable("AWS_ENDPOINT_URL")?,
            &variable("AWS_ACCESS_KEY_ID")?,
            &variable("AWS_SESSION_TOKEN")?,
        ),
        machine: variable("RUNNERSMITH_MACHINE")?,
        environment: Some(variable("RUNNERSMITH_ENVIRONMENT")?)
            .filter(|name| !name.is_empty())
            .unwrap_or("test".into()),
        root: variable("RUNNERSMITH_ROOT")?.into(),
    };
    match quick.run() {
        Ok(code) => quick.status(&format!("ended:{code}")),
        Err(why) => quick.status(&format!("ended:failed at {why}")),
    }
    let _ = Command::new("shutdown").args(["-h", "now"]).status();
    Ok(())
}
