//! What the control repository's client makes of GitHub's answers: refusals, conflicts, lists that are cut, who is a person.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use runnersmith_github::{AppCredentials, ControlClient, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_ports::control::{FileChanges, IssueEditors, MergeError, Role, RunState};
use runnersmith_ports::{ControlRepository, GitHub, GitHubError, JitRequest, SystemClock};
use runnersmith_types::{Label, Owner, RepoFullName, RunnerGroupName, RunnerScope, Secret};
use serde_json::json;

const REPO: &str = "acme/control";

struct Bed {
    simulator: Simulator,
    app: Arc<GitHubClient>,
    /// By the App.
    control: ControlClient,
}

impl Bed {
    async fn new() -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        simulator.add_org("acme");
        simulator.add_repository(REPO);
        simulator.write_files(REPO, "main", &[("README.md", "hello"), ("envs/one/main.tf", "# one")]);
        let key = runnersmith_github_sim::app_key();
        let app =
            App { slug: "smith".into(), private_key_pem: key.clone(), webhook_secret: "s".into(), webhook_url: None };
        let app = simulator.add_app(app).unwrap();
        simulator.install(app, "acme");
        let app = AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) };
        let app = client(&simulator, GitHubConfig::new(&simulator.base_url(), app));
        let control = ControlClient::new(app.clone(), repo());
        Self { simulator, app, control }
    }

    fn by_token(&self, token: String) -> ControlClient {
        let config = GitHubConfig::with_token(&self.simulator.base_url(), Secret::new(token));
        ControlClient::new(client(&self.simulator, config), repo())
    }

    /// A branch with one change, and its pull request with its head.
    async fn proposed(&self, branch: &str, file: &str) -> (u64, String) {
        let head = self.simulator.push_as(REPO, branch, "author", &[(file, Some("changed"))], "a change");
        (self.control.open_pull("a change", "words", branch, "main").await.unwrap(), head)
    }
}

fn repo() -> RepoFullName {
    RepoFullName::parse(REPO).unwrap()
}

fn client(simulator: &Simulator, config: GitHubConfig) -> Arc<GitHubClient> {
    let config = GitHubConfig { api_base: Some(simulator.base_url()), ..config };
    Arc::new(GitHubClient::new(config, Arc::new(SystemClock)).unwrap())
}

fn refusal(error: MergeError) -> String {
    let MergeError::Refused(message) = error else { panic!("{error}") };
    message
}

#[tokio::test]
async fn a_merge_names_the_head_that_was_approved_and_is_refused_in_githubs_words() {
    let bed = Bed::new().await;
    let (number, approved) = bed.proposed("change", "envs/one/main.tf").await;
    let pushed = bed.simulator.push_as(REPO, "change", "author", &[("more", Some("x"))], "more");
    let refused = refusal(bed.control.merge(number, &approved, "t").await.unwrap_err());
    assert!(refused.contains("Head branch was modified"), "{refused}");
    bed.simulator.push_as(REPO, "main", "other", &[("envs/one/main.tf", Some("# theirs"))], "meanwhile");
    bed.control.pull(number).await.unwrap();
    let pull = bed.control.pull(number).await.unwrap();
    assert_eq!((pull.mergeable, pull.mergeable_state.as_str(), pull.head), (Some(false), "dirty", pushed.clone()));
    refusal(bed.control.merge(number, &pushed, "t").await.unwrap_err());
    assert!(bed.control.pull(number).await.unwrap().is_open);
    let gone = bed.control.merge(404, &pushed, "t").await.unwrap_err();
    assert!(matches!(gone, MergeError::GitHub(GitHubError::NotFound { .. })), "{gone}");
}

#[tokio::test]
async fn a_merge_keeps_what_others_have_merged_meanwhile() {
    let bed = Bed::new().await;
    let (number, head) = bed.proposed("change", "envs/two/main.tf").await;
    bed.simulator.push_as(REPO, "main", "other", &[("envs/one/main.tf", Some("# theirs"))], "meanwhile");
    // Whether it can still be merged is found out again, when somebody asks.
    let early = bed.control.merge(number, &head, "a title").await.unwrap_err();
    assert!(matches!(&early, MergeError::NotYet(why) if why.contains("Base branch was modified")), "{early}");
    bed.control.pull(number).await.unwrap();
    let merged = bed.control.merge(number, &head, "a title").await.unwrap();
    assert_eq!(bed.control.branch("main").await.unwrap().as_ref(), Some(&merged));
    let files = bed.simulator.files(REPO, "main");
    assert_eq!(files["envs/one/main.tf"], b"# theirs");
    assert_eq!(files["envs/two/main.tf"], b"changed");
    let pull = bed.control.pull(number).await.unwrap();
    assert!(pull.is_merged && !pull.is_open);
    refusal(bed.control.merge(number, &head, "a title").await.unwrap_err());
}

#[tokio::test]
async fn where_merge_commits_are_not_allowed_it_is_squashed() {
    let bed = Bed::new().await;
    bed.simulator.allow_squash_only(REPO);
    let (number, head) = bed.proposed("change", "new").await;
    bed.control.merge(number, &head, "a title").await.unwrap();
    assert_eq!(bed.simulator.files(REPO, "main")["new"], b"changed");
}

#[tokio::test]
async fn a_branch_moves_forward_only_unless_it_is_forced() {
    let bed = Bed::new().await;
    let main = bed.control.branch("main").await.unwrap().unwrap();
    let commit = |text: &str| -> FileChanges { [("file".to_owned(), Some(text.as_bytes().to_vec()))].into() };
    let one = bed.control.commit(&main, "one", &commit("1")).await.unwrap();
    let two = bed.control.commit(&main, "two", &commit("2")).await.unwrap();
    bed.control.create_branch("some/branch", &one).await.unwrap();
    let kind = |result: Result<(), GitHubError>| result.unwrap_err().kind();
    assert_eq!(kind(bed.control.create_branch("some/branch", &two).await), "conflict");
    assert_eq!(kind(bed.control.create_branch("other", &"0".repeat(40)).await), "refused");
    assert_eq!(kind(bed.control.move_branch("some/branch", &two, false).await), "conflict");
    assert_eq!(kind(bed.control.move_branch("nowhere", &two, true).await), "not_found");
    assert_eq!(bed.control.branch("some/branch").await.unwrap(), Some(one));
    bed.control.move_branch("some/branch", &two, true).await.unwrap();
    assert_eq!(bed.control.branch("some/branch").await.unwrap(), Some(two), "a read after a write sees it");
    bed.control.delete_branch("some/branch").await.unwrap();
    bed.control.delete_branch("some/branch").await.unwrap();
    assert_eq!(bed.control.branch("some/branch").await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_has_the_files_of_its_parent_with_the_changes_and_nobody_sees_it_yet() {
    let bed = Bed::new().await;
    let main = bed.control.branch("main").await.unwrap().unwrap();
    let binary: Vec<u8> = (0..=255).collect();
    let changes: FileChanges = [
        ("envs/one/main.tf".to_owned(), None),
        ("archive/one/main.tf".to_owned(), Some(b"# one".to_vec())),
        ("b in".to_owned(), Some(binary.clone())),
        ("nul".to_owned(), Some(b"a\0b".to_vec())),
        ("empty".to_owned(), Some(Vec::new())),
    ]
    .into();
    let commit = bed.control.commit(&main, "several", &changes).await.unwrap();
    let tree = bed.control.tree(&commit).await.unwrap();
    let paths: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(paths, ["README.md", "archive/one/main.tf", "b in", "empty", "nul"]);
    assert!(tree.values().all(|file| file.mode == "100644"));
    assert_eq!(tree["empty"].sha, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "git's hash of nothing");
    assert_eq!(bed.control.blob(&tree["b in"].sha).await.unwrap(), binary);
    assert_eq!(bed.control.blob(&tree["nul"].sha).await.unwrap(), b"a\0b");
    assert_eq!(bed.control.branch("main").await.unwrap(), Some(main.clone()));
    let empty = bed.control.commit(&main, "nothing", &FileChanges::new()).await.unwrap();
    assert_eq!(bed.control.tree(&empty).await.unwrap(), bed.control.tree(&main).await.unwrap());
    let missing = [("never there".to_owned(), None)].into();
    let refused = bed.control.commit(&main, "deletes", &missing).await.unwrap_err();
    assert!(matches!(refused, GitHubError::Refused { status: 422, .. }), "{refused}");
}

#[tokio::test]
async fn a_list_that_was_cut_is_an_error_and_a_long_one_is_read_to_its_end() {
    let bed = Bed::new().await;
    let main = bed.control.branch("main").await.unwrap().unwrap();
    bed.simulator.set_faults(|faults| faults.truncate_trees = true);
    assert!(bed.control.tree(&main).await.unwrap_err().to_string().contains("failed"));
    for n in 0..250 {
        bed.simulator.push_as(REPO, "long", "author", &[("n", Some(&n.to_string()))], "one more");
    }
    assert_eq!(bed.control.compare("main", "long").await.unwrap().commits.len(), 250);
    bed.simulator.push_as(REPO, "long", "author", &[("n", Some("last"))], "one too many");
    bed.control.compare("main", "long").await.unwrap_err();
    let issue = bed.simulator.open_issue(REPO, "author", "t", "b", &[]).unwrap();
    let ids: Vec<u64> = (0..205).map(|n| bed.simulator.comment_as(REPO, issue, "author", &n.to_string())).collect();
    let found = bed.control.comments(issue, None).await.unwrap();
    assert_eq!(found.iter().map(|comment| comment.id).collect::<Vec<_>>(), ids);
    for n in 0..101 {
        bed.simulator.open_issue(REPO, "author", &n.to_string(), "", &["set"]).unwrap();
    }
    assert_eq!(bed.control.open_issues("set").await.unwrap().len(), 101);
    let names: Vec<String> = (0..101).map(|n| format!("acme/r{n}")).collect();
    names.iter().for_each(|name| bed.simulator.add_repository(name));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let _ = bed.simulator.add_group("acme", "Large", "selected", &all, false);
    let group = bed.control.runner_group("acme", "large").await.unwrap().unwrap();
    assert_eq!(group.selected.unwrap().len(), 101);
}

#[tokio::test]
async fn people_are_accounts_of_people_that_act_themselves() {
    let bed = Bed::new().await;
    let issue = bed.simulator.open_issue(REPO, "author", "t", "b", &[]).unwrap();
    bed.simulator.comment_as(REPO, issue, "author", "by hand");
    bed.simulator.set_role(REPO, "writer", "write");
    let person = bed.by_token(bed.simulator.user_token("writer"));
    person.add_comment(issue, "by a token of their own").await.unwrap();
    let workflow = bed.by_token(bed.simulator.actions_token(REPO));
    workflow.add_comment(issue, "by a workflow").await.unwrap();
    bed.control.add_comment(issue, "by an App").await.unwrap();
    let found = bed.control.comments(issue, None).await.unwrap();
    let seen: Vec<(&str, bool)> = found.iter().map(|one| (one.author.login.as_str(), one.is_person)).collect();
    let wanted = [("author", true), ("writer", true), ("github-actions[bot]", false), ("smith[bot]", false)];
    assert_eq!(seen, wanted);
    assert!(found.iter().all(|one| one.issue == issue));
}

#[tokio::test]
async fn people_between_two_commits_are_accounts_or_unknown_addresses() {
    let bed = Bed::new().await;
    bed.simulator.push_as(REPO, "change", "author", &[("a", Some("1"))], "one");
    bed.simulator.push_as(REPO, "change", "someone@example.org", &[("a", Some("2"))], "two");
    let main = bed.control.branch("main").await.unwrap().unwrap();
    let (made, head) = (FileChanges::from([("b".to_owned(), Some(b"3".to_vec()))]), "change");
    let tip = bed.control.branch(head).await.unwrap().unwrap();
    let ours = bed.control.commit(&tip, "three", &made).await.unwrap();
    bed.control.move_branch(head, &ours, false).await.unwrap();
    bed.simulator.push_as(REPO, "main", "other", &[("elsewhere", Some("4"))], "meanwhile");
    let compared = bed.control.compare("main", head).await.unwrap();
    assert_eq!(compared.merge_base, main, "where their ways part");
    let found = compared.commits;
    let author = |n: usize| found[n].accounts.first().cloned().flatten().map(|account| account.login);
    assert_eq!(found.len(), 3);
    assert_eq!((author(0).as_deref(), author(1), author(2).as_deref()), (Some("author"), None, Some("smith[bot]")));
}

#[tokio::test]
async fn roles_and_teams_are_githubs_and_unknown_people_have_none() {
    let bed = Bed::new().await;
    for (role, permission) in [
        ("admin", "admin"),
        ("maintain", "write"),
        ("write", "write"),
        ("triage", "read"),
        ("read", "read"),
        ("none", "none"),
    ] {
        bed.simulator.set_role(REPO, "somebody", role);
        let wanted = Role { permission: permission.into(), role_name: role.into() };
        assert_eq!(bed.control.role("SomeBody").await.unwrap(), wanted, "compared without case");
    }
    for login in ["outsider", "no/body", "../../orgs/acme"] {
        assert_eq!(bed.control.role(login).await.unwrap().permission, "none", "{login}");
    }
    bed.simulator.add_user("outsider");
    assert_eq!(bed.control.role("outsider").await.unwrap().permission, "none");
    bed.simulator.add_team("acme", "platform", &["member"]);
    bed.simulator.invite_to_team("acme", "platform", "invited");
    assert!(bed.control.is_in_team("platform", "Member").await.unwrap());
    assert!(!bed.control.is_in_team("platform", "invited").await.unwrap(), "who was invited is not in it yet");
    assert!(!bed.control.is_in_team("none", "member").await.unwrap());
}

#[tokio::test]
async fn who_may_use_a_runner_group_is_said_by_its_visibility() {
    let bed = Bed::new().await;
    let _ = bed.simulator.add_group("acme", "Private", "private", &[], false);
    let _ = bed.simulator.add_group("acme", "None", "selected", &[], true);
    let group = async |name: &str| bed.control.runner_group("acme", name).await.unwrap();
    assert_eq!(group("PRIVATE").await.unwrap().selected, None);
    let none = group("none").await.unwrap();
    assert_eq!((none.selected, none.allows_public), (Some(Vec::new()), true), "selected and empty is nobody, not all");
    assert_eq!(group("absent").await, None);
}

/// Whether a runner of a group gets a job of a repository.
async fn gets_a_job(bed: &Bed, group: &str, repository: &str) -> bool {
    let request = JitRequest {
        at: RunnerScope::Organization(Owner::parse("acme").unwrap()),
        name: format!("{group}-{}", repository.replace('/', "-")),
        labels: vec![Label::of_set("linux").unwrap()],
        group: RunnerGroupName::parse(group).unwrap(),
    };
    let config = bed.app.jit_config(&request).await.unwrap();
    let config = base64::engine::general_purpose::STANDARD.decode(config.encoded.expose()).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let call = async |what: &str, body: serde_json::Value| -> serde_json::Value {
        let url = format!("{}/_runner/{what}", bed.simulator.base_url());
        reqwest::Client::new().post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let job = JobSpec { name: "build".into(), labels: vec!["linux".into()], ..JobSpec::default() };
    let run = bed.simulator.dispatch(repository, WorkflowSpec { name: "ci".into(), jobs: vec![job] }).unwrap();
    let session = call("session", json!({"runner_id": config["runner_id"], "key": config["key"]})).await;
    let polled = call("poll", json!({"session": session["session"], "wait_ms": 0})).await;
    bed.simulator.cancel_run(run);
    polled["job"].is_object()
}

#[tokio::test]
async fn a_groups_runners_get_jobs_of_its_repositories_only() {
    let bed = Bed::new().await;
    for name in ["acme/chosen", "acme/other", "acme/open"] {
        bed.simulator.add_repository(name);
    }
    bed.simulator.make_public("acme/open");
    let _ = bed.simulator.add_group("acme", "few", "selected", &["acme/chosen"], false);
    let _ = bed.simulator.add_group("acme", "closed", "private", &[], false);
    let _ = bed.simulator.add_group("acme", "every", "all", &[], true);
    for (group, repository, gets) in [
        ("few", "acme/chosen", true),
        ("few", "acme/other", false),
        ("closed", "acme/other", true),
        ("closed", "acme/open", false),
        ("every", "acme/open", true),
        ("Default", "acme/other", true),
    ] {
        assert_eq!(gets_a_job(&bed, group, repository).await, gets, "{group}: {repository}");
    }
}

#[tokio::test]
async fn a_workflows_token_is_used_as_it_is_and_reads_no_organisation() {
    let bed = Bed::new().await;
    let workflow = bed.by_token(bed.simulator.actions_token(REPO));
    assert_eq!(workflow.default_branch().await.unwrap(), "main");
    let refused = workflow.is_in_team("platform", "member").await.unwrap_err();
    assert!(matches!(refused, GitHubError::Unauthorized { .. }), "{refused}");
    bed.simulator.add_team("acme", "platform", &["member"]);
    let workflow = workflow.with_organization_reader(bed.app.clone());
    assert!(workflow.is_in_team("platform", "member").await.unwrap());
    let config = GitHubConfig::with_token(&bed.simulator.base_url(), Secret::new("ghs_ended"));
    let ended = client(&bed.simulator, config);
    let asked = |simulator: &Simulator| simulator.calls().get("GET /repos/{owner}/{repo}").copied().unwrap_or(0);
    let before = asked(&bed.simulator);
    let error = ControlClient::new(ended.clone(), repo()).default_branch().await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthorized { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("ghs_ended"));
    assert_eq!(asked(&bed.simulator), before + 1, "a token that ended cannot be renewed");
    let error = ended.whoami().await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn comments_are_asked_for_by_when_they_were_changed() {
    let bed = Bed::new().await;
    let issue = bed.simulator.open_issue(REPO, "author", "t", "b", &[]).unwrap();
    let first = bed.simulator.comment_as(REPO, issue, "author", "first");
    bed.simulator.advance(Duration::from_secs(90));
    let second = bed.simulator.comment_as(REPO, issue, "author", "second");
    let all = bed.control.comments(issue, None).await.unwrap();
    let apart = all[1].created_at.since(all[0].created_at);
    assert!((Duration::from_secs(89)..Duration::from_secs(95)).contains(&apart), "{apart:?}");
    let ids = async |since| -> Vec<u64> {
        bed.control.comments(issue, Some(since)).await.unwrap().iter().map(|comment| comment.id).collect()
    };
    assert_eq!(ids(all[0].updated_at).await, [first, second], "at or after");
    assert_eq!(ids(all[0].updated_at.plus(Duration::from_secs(2))).await, [second]);
    assert_eq!(ids(all[1].updated_at.plus(Duration::from_millis(900))).await, [second], "GitHub stamps whole seconds");
    bed.simulator.advance(Duration::from_secs(90));
    bed.simulator.edit_comment_as(REPO, first, "author", "/approve");
    let found = bed.control.comments(issue, Some(all[1].updated_at.plus(Duration::from_secs(60)))).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].updated_at > found[0].created_at, "an edited comment says so");
    bed.simulator.delete_comment_as(REPO, first, "author");
    assert_eq!(bed.control.comment(first).await.unwrap(), None);
    bed.control.react(first, "eyes").await.unwrap();
    bed.control.delete_comment(first).await.unwrap();
    assert_eq!(bed.control.edit_comment(first, "x").await.unwrap_err().kind(), "not_found");
    bed.control.react(second, "eyes").await.unwrap();
    bed.control.react(second, "eyes").await.unwrap();
    assert_eq!(bed.simulator.issue(REPO, issue).comments[0].reactions, ["eyes"]);
}

#[tokio::test]
async fn a_closed_pull_request_comes_back_unless_its_branch_was_forced_or_is_gone() {
    let bed = Bed::new().await;
    let (number, _) = bed.proposed("change", "new").await;
    assert_eq!(bed.control.open_pull("again", "", "change", "main").await.unwrap(), number);
    bed.control.close_pull(number).await.unwrap();
    bed.simulator.push_as(REPO, "change", "author", &[("more", Some("x"))], "forward");
    bed.simulator.reopen_pull_as(REPO, number, "author").unwrap();
    bed.control.close_pull(number).await.unwrap();
    bed.simulator.force_push_as(REPO, "change", "author", &[("other", Some("x"))], "forced");
    let refused = bed.simulator.reopen_pull_as(REPO, number, "author").unwrap_err();
    assert!(refused.contains("force-pushed"), "{refused}");
    let again = bed.control.open_pull("another", "", "change", "main").await.unwrap();
    assert_ne!(again, number);
    bed.control.delete_branch("change").await.unwrap();
    let pull = bed.control.pull(again).await.unwrap();
    assert!(!pull.is_open && !pull.is_merged, "without its branch it is closed");
    bed.simulator.reopen_pull_as(REPO, again, "author").unwrap_err();
}

#[tokio::test]
async fn a_branch_that_is_pushed_back_to_its_base_closes_its_pull_request() {
    let bed = Bed::new().await;
    let (number, _) = bed.proposed("change", "new").await;
    let main = bed.control.branch("main").await.unwrap().unwrap();
    bed.control.move_branch("change", &main, true).await.unwrap();
    assert!(!bed.control.pull(number).await.unwrap().is_open);
    let nothing = bed.control.open_pull("nothing", "", "change", "main").await.unwrap_err();
    assert!(nothing.to_string().contains("No commits between"), "{nothing}");
}

#[tokio::test]
async fn a_pull_request_from_a_fork_is_one_even_when_the_fork_is_gone() {
    let bed = Bed::new().await;
    let number = bed.simulator.open_fork_pull(REPO, "outsider", &[("evil", Some("x"))], "t", "b");
    assert!(bed.control.pull(number).await.unwrap().is_fork);
    bed.simulator.delete_repository("outsider/control");
    assert!(bed.control.pull(number).await.unwrap().is_fork);
}

#[tokio::test]
async fn whether_it_can_be_merged_may_not_be_known_yet() {
    let bed = Bed::new().await;
    let (number, _) = bed.proposed("change", "new").await;
    bed.simulator.push_as(REPO, "main", "other", &[("envs/one/main.tf", Some("# theirs"))], "meanwhile");
    let pull = bed.control.pull(number).await.unwrap();
    assert_eq!((pull.mergeable, pull.mergeable_state.as_str()), (None, "unknown"));
    assert_eq!(bed.control.pull(number).await.unwrap().mergeable, Some(true));
    bed.simulator.protect(REPO, "main", true);
    let pull = bed.control.pull(number).await.unwrap();
    assert_eq!((pull.mergeable, pull.mergeable_state.as_str()), (Some(true), "blocked"));
}

#[tokio::test]
async fn a_run_says_how_far_it_is_and_which_attempt() {
    let bed = Bed::new().await;
    bed.simulator.add_workflow_run(REPO, 42, "queued");
    let state = |status: &str, attempt| Some(RunState { status: status.into(), attempt });
    assert_eq!(bed.control.workflow_run(42).await.unwrap(), state("queued", 1));
    bed.simulator.set_workflow_run_status(42, "completed");
    assert_eq!(bed.control.workflow_run(42).await.unwrap(), state("completed", 1));
    bed.simulator.rerun_workflow_run(42);
    assert_eq!(bed.control.workflow_run(42).await.unwrap(), state("in_progress", 2));
    assert_eq!(bed.control.workflow_run(43).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_person_may_not_do_is_refused() {
    let bed = Bed::new().await;
    bed.simulator.set_role(REPO, "reader", "read");
    let reader = bed.by_token(bed.simulator.user_token("reader"));
    let (number, head) = bed.proposed("change", "new").await;
    let issue = reader.open_issue("a request", "please", &["set"]).await.unwrap();
    assert!(reader.issue(issue).await.unwrap().labels.is_empty(), "a reader's labels are dropped silently");
    reader.edit_issue(issue, "a request", "please, now").await.unwrap();
    // A merge that GitHub does not allow is an answer, as a rule's refusal is one: the change says so and waits.
    assert!(matches!(reader.merge(number, &head, "t").await, Err(MergeError::Refused(_))));
    let main = reader.branch("main").await.unwrap().unwrap();
    assert_eq!(reader.create_branch("theirs", &main).await.unwrap_err().kind(), "unauthorized");
    let outsider = bed.by_token(bed.simulator.user_token("outsider"));
    assert_eq!(outsider.issue(issue).await.unwrap_err().kind(), "not_found");
    bed.simulator.forbid_pulls_by_actions(REPO);
    bed.simulator.push_as(REPO, "another", "author", &[("x", Some("y"))], "m");
    let workflow = bed.by_token(bed.simulator.actions_token(REPO));
    let refused = workflow.open_pull("t", "b", "another", "main").await.unwrap_err();
    assert!(refused.to_string().contains("not permitted to create"), "{refused}");
}

#[tokio::test]
async fn an_issue_that_was_transferred_is_not_here_any_more() {
    let bed = Bed::new().await;
    bed.simulator.add_repository("acme/elsewhere");
    let issue = bed.simulator.open_issue(REPO, "author", "runners", "please", &[]).unwrap();
    assert_eq!(bed.control.issue(issue).await.unwrap().body, "please");
    bed.simulator.transfer_issue_as(REPO, issue, "walt", "acme/elsewhere");
    let gone = bed.control.issue(issue).await.unwrap_err();
    assert!(matches!(gone, GitHubError::NotFound { .. }), "what is there now is nobody's request here: {gone}");
}

#[tokio::test]
async fn who_edited_an_issue_is_known_with_their_numbers_or_it_is_said_that_it_is_not() {
    let bed = Bed::new().await;
    let issue = bed.simulator.open_issue(REPO, "author", "runners", "please", &[]).unwrap();
    let edit = |login: &str, n: usize| bed.simulator.edit_issue_as(REPO, issue, login, &n.to_string());
    assert_eq!(bed.control.editors(issue).await.unwrap(), IssueEditors { is_whole: true, ..IssueEditors::default() });
    edit("wanda", 0);
    edit("github-actions[bot]", 1);
    let logins = |editors: &IssueEditors| editors.accounts.iter().map(|one| one.login.clone()).collect::<Vec<_>>();
    let found = bed.control.editors(issue).await.unwrap();
    assert_eq!(
        (logins(&found), found.is_whole),
        (vec!["author".into(), "github-actions[bot]".into(), "wanda".into()], true)
    );
    let comment = bed.simulator.comment_as(REPO, issue, "wanda", "it is me");
    let wanda = bed.control.comment(comment).await.unwrap().unwrap().author;
    assert!(
        wanda.id.is_some() && found.accounts.contains(&wanda),
        "one number in both interfaces: {wanda:?} {found:?}"
    );
    // Who put a label on it, took one off or reopened it had a part in it as well, and nobody who only closed or wrote.
    bed.simulator.label_issue_as(REPO, issue, "tom", "set");
    bed.simulator.unlabel_issue_as(REPO, issue, "tim", "set");
    bed.simulator.close_issue_as(REPO, issue, "carl");
    bed.simulator.reopen_issue_as(REPO, issue, "rosa");
    let found = bed.control.editors(issue).await.unwrap();
    let wanted = ["author", "github-actions[bot]", "rosa", "tim", "tom", "wanda"].map(str::to_owned).to_vec();
    assert_eq!((logins(&found), found.is_whole), (wanted, true));
    bed.simulator.set_faults(|faults| faults.refuse_timelines = Some("FORBIDDEN"));
    let found = bed.control.editors(issue).await.unwrap();
    assert!(!found.is_whole && logins(&found).contains(&"wanda".to_owned()), "what can be read is known: {found:?}");
    bed.simulator.set_faults(|faults| faults.refuse_timelines = None);
    for n in 0..60 {
        bed.simulator.label_issue_as(REPO, issue, "tom", "set");
        bed.simulator.unlabel_issue_as(REPO, issue, if n == 59 { "last" } else { "tom" }, "set");
    }
    let found = bed.control.editors(issue).await.unwrap();
    assert!(found.is_whole && logins(&found).contains(&"last".to_owned()), "the second page too: {found:?}");
    // What cannot be read, now or ever, is no error.
    bed.simulator.set_faults(|faults| faults.refuse_timelines = Some(""));
    bed.simulator.set_faults(|faults| faults.hide_edits = true);
    assert_eq!(bed.control.editors(issue).await.unwrap(), IssueEditors::default());
    for kind in ["FORBIDDEN", "SOMETHING_NEW", ""] {
        bed.simulator.set_faults(|faults| (faults.hide_edits, faults.refuse_edits) = (false, Some(kind)));
        assert_eq!(bed.control.editors(issue).await.unwrap(), IssueEditors::default(), "{kind}");
    }
    bed.simulator.set_faults(|faults| faults.refuse_timelines = None);
    // An outage ends, and an issue that is not there is another matter.
    bed.simulator.set_faults(|faults| faults.refuse_edits = Some("SERVICE_UNAVAILABLE"));
    assert_eq!(bed.control.editors(issue).await.unwrap_err().kind(), "transient");
    bed.simulator.set_faults(|faults| faults.refuse_edits = None);
    assert_eq!(bed.control.editors(404).await.unwrap_err().kind(), "not_found");
    // GraphQL finds nothing where it may not be asked, too: an issue is gone when REST does not find it either.
    bed.simulator.set_faults(|faults| {
        (faults.refuse_edits, faults.refuse_timelines) = (Some("NOT_FOUND"), Some("NOT_FOUND"));
    });
    assert_eq!(bed.control.editors(issue).await.unwrap(), IssueEditors::default());
    assert_eq!(bed.control.editors(404).await.unwrap_err().kind(), "not_found");
    bed.simulator.set_faults(|faults| (faults.refuse_edits, faults.refuse_timelines) = (None, None));
    for n in 2..1_005 {
        edit("walt", n);
    }
    let many = bed.control.editors(issue).await.unwrap();
    assert!(!many.is_whole && logins(&many).contains(&"walt".to_owned()), "a thousand are read: {many:?}");
}

/// GitHub filters by the owner of a branch, and a fork may be in the same organisation.
#[tokio::test]
async fn the_pull_request_of_a_fork_is_not_taken_for_that_of_a_branch_of_ours() {
    let bed = Bed::new().await;
    let main = bed.control.branch("main").await.unwrap().unwrap();
    bed.control.create_branch("change", &main).await.unwrap();
    let fork = ("acme/control-fork", "change");
    let theirs = bed.simulator.open_pull_of_fork(REPO, fork, "walt", &[("x", Some("y"))], ("t", "b"));
    assert!(bed.control.pull(theirs).await.unwrap().is_fork);
    // Ours has nothing to merge, so that GitHub refuses; the fork's is open, has the same owner and the same branch.
    let refused = bed.control.open_pull("t", "b", "change", "main").await.unwrap_err();
    assert!(matches!(refused, GitHubError::Refused { status: 422, .. }), "{refused}");
}
