//! The fixed texts. Each is whole and can be read as the file that it becomes.

use crate::words::{EnvironmentName, LabelName};

/// Stands for the module's address.
pub(super) const SOURCE: &str = "@MODULE_SOURCE@";

pub(super) const MAIN_OWN_STACK: &str = include_str!("main_own_stack.tf");
pub(super) const MAIN_SHARED_PLANE: &str = include_str!("main_shared_plane.tf");
pub(super) const VARIABLES_OWN_STACK: &str = include_str!("variables_own_stack.tf");
pub(super) const VARIABLES_SHARED_PLANE: &str = include_str!("variables_shared_plane.tf");
pub(super) const OUTPUTS_OWN_STACK: &str = include_str!("outputs_own_stack.tf");
pub(super) const OUTPUTS_SHARED_PLANE: &str = include_str!("outputs_shared_plane.tf");
pub(super) const VERSIONS: &str = include_str!("versions.tf");

/// The most jobs of the example workflow: enough to see a fleet grow, few enough to be cheap.
const JOBS_MAX: u32 = 10;

/// `self-hosted` and the labels, as a list that is the same in YAML, JSON and Markdown: labels are plain words.
fn runs_on(labels: &[LabelName]) -> String {
    let labels: Vec<&str> = std::iter::once("self-hosted").chain(labels.iter().map(LabelName::as_str)).collect();
    format!("[\"{}\"]", labels.join("\", \""))
}

/// A workflow that starts as many jobs as there may be runners (at most ten), to be pasted into a repository.
#[must_use]
pub fn example_workflow(labels: &[LabelName], maximum: u32) -> String {
    let jobs: Vec<String> = (1..=maximum.clamp(1, JOBS_MAX)).map(|n| n.to_string()).collect();
    format!(
        r#"# Starts several jobs at once, to see the runners come and go.
name: Scaling test

on: workflow_dispatch

permissions: {{}}

# One test at a time; a newer one ends the older.
concurrency:
  group: scaling-test
  cancel-in-progress: true

jobs:
  scale:
    name: Scale
    strategy:
      fail-fast: false
      matrix:
        job: [{}]
    runs-on: {}
    timeout-minutes: 15
    steps:
      - name: Say where this runs
        run: |
          uname -a
          docker version
      - name: Keep the runner busy
        run: sleep 60
"#,
        jobs.join(", "),
        runs_on(labels)
    )
}

/// The folder's README.
pub(super) fn readme(environment: &EnvironmentName, labels: &[LabelName]) -> String {
    let (runs_on, values) = (runs_on(labels), super::VALUES_FILE);
    format!(
        r#"# Runners: `{environment}`

This folder is written by Runnersmith from an issue. To change or delete these runners, file an issue; a change by hand in a
pull request is shown as such and needs an admin's approval.

Jobs reach these runners with

```yaml
runs-on: {runs_on}
```

`scaling-test.yml` is an example workflow that starts several jobs at once. `{values}` holds every value of the request.
"#
    )
}
