//! What a person asks about a job, as it was pasted: a number, an address of GitHub's, or the name of a runner or a job.
//!
//! It is apart from the story because it knows the forms of GitHub's addresses, and because the answer must be refused when the
//! address is of another repository than the job: a number alone does not say whose job was meant.

use runnersmith_types::{Job, JobId, RegistrationName, RepoFullName, RunId};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One job, by its number.
    Job(JobId),
    /// All jobs of a run.
    Run(RunId),
    /// The job of this name, or the job of the runner of this name.
    Name(String),
}

/// A question about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobQuestion {
    /// What is asked about.
    pub asked: Asked,
    /// The repository of the address, where an address was given.
    pub repo: Option<RepoFullName>,
}

/// Why a text names no job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse job {given:?}: {rule}")]
pub struct JobTextError {
    /// What was given, at most 120 characters.
    pub given: String,
    /// What it should have been.
    pub rule: &'static str,
}

const RULE: &str = "a job's number or its address in GitHub is needed";
const RULE_RUN: &str = "this is a run, which may have many jobs; open one of them and take its address";
const RULE_CHECKS: &str = "this lists checks; open the details of one and take its address";

impl JobQuestion {
    /// Reads what was pasted: a job's number (also `#1088`), the address of a job, a check run or a run on a page or in the API of
    /// GitHub, or a name.
    ///
    /// # Errors
    /// When it is a broken address, or empty.
    pub fn parse(text: &str) -> Result<Self, JobTextError> {
        let refuse = |rule| JobTextError { given: text.chars().take(120).collect(), rule };
        let trimmed = text.trim();
        if let Some(path) = address(trimmed) {
            return Self::of_address(path).map_err(refuse);
        }
        let plain = trimmed.strip_prefix('#').unwrap_or(trimmed);
        if !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = number(plain).ok_or_else(|| refuse(RULE))?;
            return Ok(Self { asked: Asked::Job(JobId(id)), repo: None });
        }
        match unquoted(trimmed) {
            "" => Err(refuse(RULE)),
            name => Ok(Self { asked: Asked::Name(name.to_owned()), repo: None }),
        }
    }

    /// Reads an address from behind its scheme.
    fn of_address(address: &str) -> Result<Self, &'static str> {
        let (address, _) = address.split_once('#').unwrap_or((address, ""));
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(20).collect();
        // A page is below the host, the API's resources below `repos`.
        let rest = match parts.as_slice() {
            [_, "api", "v3", "repos", rest @ ..] | [_, "repos", rest @ ..] | [_, rest @ ..] => rest,
            [] => return Err(RULE),
        };
        let [owner, name, rest @ ..] = rest else { return Err(RULE) };
        let repo = RepoFullName::parse(&format!("{owner}/{name}")).map_err(|_| RULE)?;
        let of_query = || query.split('&').find_map(|pair| pair.strip_prefix("check_run_id="));
        let id = match rest {
            ["actions", "runs", _, rest @ ..] if job_in(rest).is_some() => job_in(rest),
            ["actions", "runs", run, ..] => {
                let run = number(run).map(RunId).ok_or(RULE)?;
                return Ok(Self { asked: Asked::Run(run), repo: Some(repo) });
            }
            ["actions", "jobs", id, ..]
            | ["runs" | "check-runs", id, ..]
            | ["pull" | "commit", _, "checks", id, ..] => Some(*id),
            ["pull" | "commit", _, "checks"] => Some(of_query().ok_or(RULE_CHECKS)?),
            _ => of_query(),
        };
        let id = id.and_then(number).ok_or(RULE)?;
        Ok(Self { asked: Asked::Job(JobId(id)), repo: Some(repo) })
    }

    /// Returns why this job is not the one that the address names: it is another repository's. GitHub compares names without case.
    #[must_use]
    pub fn refusal(&self, id: JobId, repo: &RepoFullName) -> Option<String> {
        let named = self.repo.as_ref().filter(|named| !named.as_str().eq_ignore_ascii_case(repo.as_str()))?;
        Some(format!("job {id} in the ledger is a job of {repo}, and the address names {named}"))
    }

    /// Whether a job is one that is asked about. A job is found by its name, alone or with its workflow's as GitHub lists it
    /// (`ci / test (12)`), and by the runner that has or had it.
    #[must_use]
    pub fn asks_for(&self, job: &Job) -> bool {
        let fact = &job.fact;
        if self.refusal(job.id(), &fact.repo).is_some() {
            return false;
        }
        match &self.asked {
            Asked::Job(id) => job.id() == *id,
            Asked::Run(run) => fact.run == *run,
            Asked::Name(name) => {
                let of_runner = || {
                    let asked = RegistrationName::parse(name).map(RegistrationName::into_runner);
                    fact.runner_name.as_deref() == Some(name) || (asked.is_some() && asked == job.runner())
                };
                let of_workflow = || {
                    let rest = name.strip_prefix(fact.workflow.as_str());
                    rest.and_then(|rest| rest.strip_prefix(" / ")) == Some(fact.name.as_str())
                };
                fact.name == *name || of_workflow() || of_runner()
            }
        }
    }
}

/// Reads a job's number, or its address on a page or in the API of GitHub.
///
/// # Errors
/// When the text is neither; a run's address says that a run has many jobs.
pub fn parse_job(text: &str) -> Result<JobId, JobTextError> {
    let refuse = |rule| Err(JobTextError { given: text.chars().take(120).collect(), rule });
    match JobQuestion::parse(text)?.asked {
        Asked::Job(id) => Ok(id),
        Asked::Run(_) => refuse(RULE_RUN),
        Asked::Name(_) => refuse(RULE),
    }
}

/// An address from behind its scheme, which a browser may have left out.
fn address(text: &str) -> Option<&str> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return scheme.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(rest);
    }
    let (host, path) = text.split_once('/')?;
    let is_host = host.contains('.') && !text.contains(char::is_whitespace);
    (is_host && path.split('/').count() > 3).then_some(text)
}

/// The job's number in the rest of a run's address: `job/42`, in the API `jobs/42`, maybe below an attempt.
fn job_in<'a>(rest: &[&'a str]) -> Option<&'a str> {
    rest.windows(2).find_map(|pair| match pair {
        ["job" | "jobs", id] => Some(*id),
        _ => None,
    })
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

/// A name without the quotes around it.
fn unquoted(text: &str) -> &str {
    let inside = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    inside.unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use runnersmith_types::{FactSource, JobFact, JobStatus, OwnerKind, Timestamp};

    use super::*;

    fn asked(text: &str) -> (Asked, Option<String>) {
        let question = JobQuestion::parse(text).unwrap_or_else(|error| panic!("{error}"));
        (question.asked, question.repo.map(|repo| repo.to_string()))
    }

    #[test]
    fn a_job_is_named_by_number_or_by_any_address_of_it() {
        for text in ["42", " 42 ", "#42"] {
            assert_eq!(asked(text), (Asked::Job(JobId(42)), None), "{text}");
            assert_eq!(parse_job(text), Ok(JobId(42)), "{text}");
        }
        for text in [
            "https://github.com/o/r/actions/runs/1/job/42",
            "https://github.com/o/r/actions/runs/1/job/42?pr=3#step:2:1",
            "https://github.com/o/r/actions/runs/1/attempts/2/job/42",
            "github.com/o/r/actions/runs/1/job/42",
            "https://github.com/o/r/runs/42",
            "https://github.com/o/r/runs/42?check_suite_focus=true",
            "https://github.com/o/r/pull/4/checks?check_run_id=42",
            "https://github.com/o/r/pull/4/checks?sha=c0ffee&check_run_id=42",
            "https://github.com/o/r/commit/c0ffee/checks/42",
            "https://github.com/o/r/commit/c0ffee/checks?check_run_id=42",
            "https://api.github.com/repos/o/r/actions/jobs/42",
            "https://api.github.com/repos/o/r/check-runs/42",
            "https://ghes.example/api/v3/repos/o/r/check-runs/42",
            "http://127.0.0.1:3000/o/r/actions/runs/1/job/42",
        ] {
            assert_eq!(asked(text), (Asked::Job(JobId(42)), Some("o/r".into())), "{text}");
            assert_eq!(parse_job(text), Ok(JobId(42)), "{text}");
        }
        let of_actions = asked("https://github.com/actions/runs/runs/42");
        assert_eq!(of_actions, (Asked::Job(JobId(42)), Some("actions/runs".into())), "the place decides, not the word");
    }

    #[test]
    fn a_run_is_named_by_its_address() {
        for text in [
            "https://github.com/o/r/actions/runs/7",
            "https://github.com/o/r/actions/runs/7/attempts/2?pr=3",
            "https://github.com/o/r/actions/runs/7/workflow",
            "https://api.github.com/repos/o/r/actions/runs/7",
        ] {
            assert_eq!(asked(text), (Asked::Run(RunId(7)), Some("o/r".into())), "{text}");
            assert!(parse_job(text).unwrap_err().to_string().contains("many jobs"), "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_name_and_a_broken_address_is_nothing() {
        for (text, name) in [
            ("test (12)", "test (12)"),
            ("\"test (12)\"", "test (12)"),
            ("'test (12)'", "test (12)"),
            ("linux-k3x9-12", "linux-k3x9-12"),
            ("build / test (12)", "build / test (12)"),
            ("v1.2 / a / b / c / d", "v1.2 / a / b / c / d"),
            ("-1", "-1"),
        ] {
            assert_eq!(asked(text), (Asked::Name(name.into()), None), "{text}");
            assert!(parse_job(text).is_err(), "{text}");
        }
        for text in [
            "",
            " ",
            "\"\"",
            "0",
            "#0",
            "99999999999999999999999",
            "https://github.com/o/r",
            "https://x/job/abc",
            "https://",
            "https://github.com/o/r/actions/runs/x",
            "https://github.com/o/r/actions/runs/1/job/abc",
            "https://github.com/o/r/issues/42",
        ] {
            assert!(JobQuestion::parse(text).is_err(), "{text}");
        }
        let checks = JobQuestion::parse("https://github.com/o/r/pull/4/checks").unwrap_err();
        assert!(
            checks.to_string().ends_with("this lists checks; open the details of one and take its address"),
            "{checks}"
        );
    }

    fn job(name: &str, runner: Option<&str>) -> Job {
        Job::first(JobFact {
            source: FactSource::Delivery,
            received_at: Timestamp::from_secs(100),
            delivery: None,
            id: JobId(42),
            run: RunId(7),
            run_attempt: 1,
            repo: RepoFullName::parse("acme/shop").unwrap(),
            owner_kind: OwnerKind::Organization,
            head_sha: String::new(),
            name: name.into(),
            workflow: "ci".into(),
            labels: Vec::new(),
            labels_cut: false,
            status: JobStatus::InProgress,
            conclusion: None,
            runner_name: runner.map(str::to_owned),
            runner_id: None,
            created_at: None,
            started_at: None,
            completed_at: None,
        })
    }

    #[test]
    fn a_job_is_asked_for_by_its_name_its_runner_or_its_run_and_only_in_the_addresss_repository() {
        let job = job("test (12)", Some("linux-k3x9-12.2"));
        let asks = |text: &str| JobQuestion::parse(text).unwrap().asks_for(&job);
        for text in [
            "42",
            "test (12)",
            "ci / test (12)",
            "linux-k3x9-12",
            "linux-k3x9-12.2",
            "https://github.com/ACME/shop/actions/runs/7",
        ] {
            assert!(asks(text), "{text}");
        }
        for text in [
            "43",
            "test",
            "cd / test (12)",
            "ci /test (12)",
            "linux-k3x9-1",
            "https://github.com/acme/web/actions/runs/7",
        ] {
            assert!(!asks(text), "{text}");
        }
    }

    #[test]
    fn the_address_of_another_repository_is_refused() {
        let of = |text: &str| {
            JobQuestion::parse(text).unwrap().refusal(JobId(42), &RepoFullName::parse("acme/shop").unwrap())
        };
        assert_eq!(
            of("https://github.com/acme/web/actions/runs/1/job/42").as_deref(),
            Some("job 42 in the ledger is a job of acme/shop, and the address names acme/web")
        );
        assert_eq!(of("https://github.com/Acme/Shop/actions/runs/1/job/42"), None, "GitHub compares without case");
        assert_eq!(of("42"), None);
    }
}
