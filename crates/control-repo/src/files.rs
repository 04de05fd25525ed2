//! Every file of a control repository, from the wishes and the policy that is in force.

use runnersmith_issueops::command::CommentCommand;
use runnersmith_issueops::policy::{self, EnvironmentShape, Policy, StateLock};
use runnersmith_issueops::request::{Field, RequestKind};

use crate::text::{fill, quoted};
use crate::{Cannot, GitHubKind, LaidOutFiles, VERSION, Wishes, forms, policy_file};

/// The workflow's path; the trust of the AWS roles names it.
pub const WORKFLOW_FILE: &str = ".github/workflows/runnersmith.yml";

/// Whose files are whose.
pub(crate) const CODE_OWNERS_FILE: &str = ".github/CODEOWNERS";

/// Actions of other people, by the commit and the version that its comment says. A tag can be moved, a commit cannot.
pub const PINS: [(&str, &str); 2] = [
    ("hashicorp/setup-terraform@5e8dbf3c6d9deaf4193ca7a8fb23f2ac83bb6c85", "v4.0.0"),
    ("aws-actions/configure-aws-credentials@ec61189d14ec14c8efccab744f656cffd0e33f37", "v6.1.0"),
];

/// The Terraform that the workflow runs. A state that a newer one wrote cannot be read by an older one, so it is one version
/// for all, and the one that the module is tested with.
const TERRAFORM: &str = "1.11.4";

/// What makes a label, by kind: the label's colour and meaning.
const LABELS: [(RequestKind, &str, &str); 2] =
    [(RequestKind::Set, "0e8a16", "Asks for runners"), (RequestKind::Delete, "b60205", "Asks for the end of runners")];

/// Commands that make the two labels; no file can.
#[must_use]
pub fn label_commands(repository: &str) -> Vec<String> {
    LABELS.iter().map(|(kind, ..)| label_command(*kind, repository)).collect()
}

/// The one of a kind.
pub(crate) fn label_command(kind: RequestKind, repository: &str) -> String {
    let made = LABELS.iter().filter(|(of, ..)| *of == kind);
    let command = |(kind, colour, about): &(RequestKind, &str, &str)| {
        let label = kind.label();
        format!("gh label create {label} --repo {repository} --color {colour} --description \"{about}\" --force")
    };
    made.map(command).collect()
}

/// A command that prints the options that say a repository's own spelling and its two numbers.
#[must_use]
pub fn identity_command(repository: &str) -> String {
    let options = r"--repository \(.full_name) --repository-id \(.id) --owner-id \(.owner.id)";
    format!("gh api repos/{repository} --jq '\"{options}\"'")
}

/// The files, all of them. `own_policy` is the text of the policy file that is in force, when it is not the one that the wishes
/// make (see [`crate::policy_in_force`]); forms and secrets follow it.
///
/// # Errors
/// When something needed is not said, or a value cannot be used; all of them are listed.
pub fn lay_out(wishes: &Wishes, own_policy: Option<&str>) -> Result<LaidOutFiles, Cannot> {
    let missing = wishes.missing();
    if !missing.is_empty() {
        return Err(Cannot::Missing(missing));
    }
    let mut wrong = wishes.wrong();
    let laid_policy = policy_file(wishes);
    let policy = match Policy::parse(&laid_policy) {
        Ok(policy) => Some(policy),
        Err(policy::PolicyError::Values(values)) => {
            wrong.extend(values);
            None
        }
        Err(policy::PolicyError::Toml(error)) => {
            wrong.push(error.message().to_owned());
            None
        }
        Err(error @ policy::PolicyError::TooLarge(_)) => {
            wrong.push(error.to_string());
            None
        }
    };
    let Some(policy) = policy.filter(|_| wrong.is_empty()) else { return Err(Cannot::Values(wrong)) };
    let policy = match own_policy {
        Some(text) => Policy::parse(text).map_err(Cannot::Policy)?,
        None => policy,
    };
    let page = Page { wishes, policy: &policy };
    let mut files = LaidOutFiles::new();
    let mut add = |path: &str, text: String| drop(files.insert(path.to_owned(), text));
    for kind in RequestKind::ALL {
        add(&forms::path(kind), forms::form(kind, &policy));
    }
    add(".github/ISSUE_TEMPLATE/config.yml", page.fill(include_str!("files/config.yml")));
    add(WORKFLOW_FILE, page.workflow());
    if wishes.platform_team.is_some() {
        add(CODE_OWNERS_FILE, page.fill(include_str!("files/codeowners")));
    }
    add(".gitignore", include_str!("files/gitignore").to_owned());
    add(policy::FILE, laid_policy);
    add("README.md", page.fill(include_str!("files/README.md")));
    add("docs/requesting.md", page.fill(include_str!("files/docs/requesting.md")));
    add("docs/approving.md", page.fill(include_str!("files/docs/approving.md")));
    add("docs/operating.md", page.fill(include_str!("files/docs/operating.md")));
    add("bootstrap/main.tf", page.bootstrap(include_str!("files/bootstrap/main.tf")));
    add("bootstrap/variables.tf", include_str!("files/bootstrap/variables.tf").to_owned());
    add("bootstrap/outputs.tf", include_str!("files/bootstrap/outputs.tf").to_owned());
    add("bootstrap/versions.tf", include_str!("files/bootstrap/versions.tf").to_owned());
    add("bootstrap/backend.tf.example", page.backend());
    add("bootstrap/README.md", page.fill(include_str!("files/bootstrap/README.md")));
    Ok(files)
}

/// Where a module beside the main one is, as the bootstrap's folder says it. A relative source is one from an environment's folder.
fn beside(source: &str, module: &str, environments: &str) -> String {
    let (path, version) = match source.split_once('?') {
        Some((path, version)) => (path, format!("?{version}")),
        None => (source, String::new()),
    };
    let path = path.trim_end_matches('/');
    if !path.starts_with("./") && !path.starts_with("../") {
        // Terraform separates a package from a folder in it by two slashes.
        let has_folder = path.replacen("://", "", 1).contains("//");
        return format!("{path}{}{module}{version}", if has_folder { "/" } else { "//" });
    }
    let (mut parts, mut above): (Vec<&str>, usize) = (environments.split('/').chain(["environment"]).collect(), 0);
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.is_empty() => above += 1,
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.push(module);
    format!("../{}{}{version}", "../".repeat(above), parts.join("/"))
}

/// What every file is filled with.
struct Page<'a> {
    wishes: &'a Wishes,
    policy: &'a Policy,
}

impl Page<'_> {
    fn repository(&self) -> &str {
        self.wishes.repository.as_deref().unwrap_or_default()
    }

    fn runs_on(&self) -> &str {
        self.wishes.runs_on.as_deref().unwrap_or("ubuntu-latest")
    }

    /// The lock table of the policy in force: what environments lock with is what the bootstrap must make.
    fn lock_table(&self) -> Option<&str> {
        match &self.policy.backend.lock {
            StateLock::DynamoDb(table) => Some(table.as_str()),
            StateLock::S3 => None,
        }
    }

    fn fill(&self, template: &str) -> String {
        let field = |field: &Field| format!("   - **{}**: {}\n", field.title(), meaning(*field));
        let fields: String = Field::ALL.iter().map(field).collect();
        let command = |(form, what): &(&str, &str)| format!("| `{form}` | {what} |");
        let commands: Vec<String> = CommentCommand::FORMS.iter().map(command).collect();
        let labels: Vec<String> =
            label_commands(self.repository()).into_iter().map(|command| format!("   {command}")).collect();
        let team = format!("@{}", self.wishes.platform_team.as_deref().unwrap_or_default());
        let branch = self.wishes.branch();
        // Others' tokens are not compared so far by AWS.
        let trust = match self.wishes.github() {
            GitHubKind::DotCom => format!(", and only `{WORKFLOW_FILE}` on `{branch}`"),
            GitHubKind::DataResidency(_) | GitHubKind::Server => String::new(),
        };
        let mirrored = match self.wishes.github() {
            GitHubKind::DotCom | GitHubKind::DataResidency(_) => String::new(),
            GitHubKind::Server => format!(
                "\n\n   The server must offer the actions that the workflow uses, {}: by GitHub Connect, or by\n   `actions-sync`. Machines with the label `{}` must be there.",
                PINS.map(|(action, _)| format!("`{}`", action.split('@').next().unwrap_or(action))).join(" and "),
                self.runs_on(),
            ),
        };
        let identity = identity_command(self.repository());
        let app = &self.policy.app;
        fill(
            template,
            &[
                ("REPOSITORY", self.repository()),
                ("SERVER", self.wishes.server()),
                ("VERSION", VERSION),
                ("FOLDER", &self.policy.folder),
                ("ARCHIVE", &self.policy.archive_folder),
                ("LABEL_SET", RequestKind::Set.label()),
                ("LABEL_DELETE", RequestKind::Delete.label()),
                ("FIELDS", fields.trim_end()),
                ("COMMANDS", &commands.join("\n")),
                ("LABELS", &labels.join("\n")),
                ("TEAM", &team),
                ("BRANCH", branch),
                ("TRUST", &trust),
                ("MIRRORED", &mirrored),
                ("IDENTITY", &identity),
                ("RUNS_ON", self.runs_on()),
                ("APP_ID", &app.id),
                ("APP_KEY_BASE64", &app.key_base64),
                ("APP_CLIENT_ID", &app.client_id),
                ("APP_CLIENT_SECRET", &app.client_secret),
            ],
        )
    }

    fn workflow(&self) -> String {
        let [setup_terraform, configure_aws] = PINS.map(|(action, version)| format!("{action} # {version}"));
        let install = fill(
            include_str!("files/install.yml"),
            &[("SETUP_TERRAFORM", &setup_terraform), ("TERRAFORM", &quoted(TERRAFORM))],
        );
        let region = quoted(self.policy.backend.region.as_str());
        let aws = |role: &Option<String>| match role {
            Some(role) => fill(
                include_str!("files/aws_role.yml"),
                &[("CONFIGURE_AWS", &configure_aws), ("REGION", &region), ("ROLE", &quoted(role))],
            ),
            None => fill(include_str!("files/aws_keys.yml"), &[("CONFIGURE_AWS", &configure_aws), ("REGION", &region)]),
        };
        let (plan, apply) = (aws(&self.wishes.plan_role_arn), aws(&self.wishes.apply_role_arn));
        let secrets = self.fill(include_str!("files/secrets.yml"));
        let id_token = match self.wishes.plan_role_arn {
            Some(_) => "      id-token: write # the AWS role, without any key\n",
            None => "",
        };
        fill(
            include_str!("files/workflow.yml"),
            &[
                ("VERSION", VERSION),
                ("BINARY_URL", &self.wishes.binary()),
                ("BINARY_SHA256", &self.wishes.binary_sha256.as_deref().unwrap_or_default().to_ascii_lowercase()),
                ("BRANCH", self.wishes.branch()),
                ("LABEL_SET", RequestKind::Set.label()),
                ("LABEL_DELETE", RequestKind::Delete.label()),
                ("RUNS_ON", self.runs_on()),
                ("ID_TOKEN", id_token),
                ("INSTALL", install.trim_end()),
                ("AWS_PLAN", plan.trim_end()),
                ("AWS_APPLY", apply.trim_end()),
                ("SECRETS", secrets.trim_end()),
            ],
        )
    }

    fn bootstrap(&self, template: &str) -> String {
        let source = |module: &str| quoted(&beside(&self.policy.module_source, module, &self.policy.folder));
        let github = self.wishes.github();
        // AWS compares the workflow for github.com's tokens only.
        let workflow = if github == GitHubKind::DotCom { quoted(WORKFLOW_FILE) } else { "null".to_owned() };
        let id = |id: Option<u64>| match id.filter(|_| github.has_immutable_subjects()) {
            Some(id) => id.to_string(),
            None => "null".to_owned(),
        };
        let control_plane = match &self.policy.shape {
            EnvironmentShape::OwnStack => "/runnersmith/*",
            EnvironmentShape::SharedPlane { plane_path } => plane_path.as_str(),
        };
        fill(
            template,
            &[
                ("REGION", &quoted(self.policy.backend.region.as_str())),
                ("STATE_SOURCE", &source("modules/state")),
                ("OIDC_SOURCE", &source("modules/github-oidc")),
                ("BUCKET", &quoted(&self.policy.backend.bucket)),
                ("LOCK_TABLE", &self.lock_table().map_or_else(|| "null".to_owned(), quoted)),
                ("REPOSITORY", &quoted(self.repository())),
                ("BRANCH", &quoted(self.wishes.branch())),
                ("REPOSITORY_ID", &id(self.wishes.repository_id)),
                ("OWNER_ID", &id(self.wishes.owner_id)),
                ("ISSUER", &quoted(&self.wishes.token_issuer())),
                ("WORKFLOW", &workflow),
                ("KEY_PREFIX", &quoted(&self.policy.backend.key_prefix)),
                ("OWN_STACKS", if matches!(self.policy.shape, EnvironmentShape::OwnStack) { "true" } else { "false" }),
                ("PLANE_PATH", &quoted(control_plane)),
            ],
        )
    }

    fn backend(&self) -> String {
        let lock = match self.lock_table() {
            None => ("use_lockfile", "true".to_owned()),
            Some(table) => ("dynamodb_table", quoted(table)),
        };
        let lines = [
            ("bucket", quoted(&self.policy.backend.bucket)),
            ("key", quoted("bootstrap/terraform.tfstate")),
            ("region", quoted(self.policy.backend.region.as_str())),
            ("encrypt", "true".to_owned()),
            lock,
        ];
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines: String = lines.iter().map(|(name, value)| format!("    {name:width$} = {value}\n")).collect();
        fill(include_str!("files/bootstrap/backend.tf.example"), &[("LINES", lines.trim_end())])
    }
}

/// What a field is, in a few words; the form says the limits.
const fn meaning(field: Field) -> &'static str {
    match field {
        Field::Environment => "the set's name, and a label of its runners; an existing name edits that set",
        Field::Organization => "the organisation whose repositories use them",
        Field::MinRunners => "how many wait idle at all times; each costs money while it waits",
        Field::MaxRunners => "how many there may be at one time; further jobs wait",
        Field::RunnerGroup => "which repositories may use them",
        Field::AmiFilter => "which machine image they boot; empty: the default one",
        Field::AmiOwner => "whose images the filter is about",
        Field::Labels => "further labels for `runs-on`, if the policy allows some",
        Field::InstanceType => "how large each machine is",
        Field::Region => "where they run",
        Field::Reason => "why, for the approver",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_beside_the_main_one_are_found_from_the_bootstrap() {
        for (source, wanted) in [
            (
                "git::https://github.com/acme/r.git//terraform?ref=v1",
                "git::https://github.com/acme/r.git//terraform/modules/state?ref=v1",
            ),
            ("git::https://github.com/acme/r.git?ref=v1", "git::https://github.com/acme/r.git//modules/state?ref=v1"),
            ("acme/runners/aws", "acme/runners/aws//modules/state"),
            ("../../terraform/", "../terraform/modules/state"),
            ("../../../r/terraform", "../../r/terraform/modules/state"),
            ("./m", "../envs/environment/m/modules/state"),
        ] {
            assert_eq!(beside(source, "modules/state", "envs"), wanted, "{source}");
        }
        assert_eq!(beside("../../../t", "m", "a/b"), "../t/m");
    }
}
