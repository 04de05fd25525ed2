//! The list of jobs, past ones included: which are wanted, and what one line says of each.
//!
//! It is a function of the records and the policies, so that every place that lists jobs filters and measures alike.

use std::time::Duration;

use jiff::{SpanRelativeTo, Unit};
use runnersmith_types::{Job, JobId, JobStatus, RepoFullName, ScaleSet, ScaleSetName, Timestamp};

use crate::route;

/// How a job stands or ended, in the words of the list: GitHub's conclusions, and two of ours.
pub const OUTCOMES: [&str; 12] = [
    OPEN,
    "success",
    "failure",
    "cancelled",
    "skipped",
    "timed_out",
    "startup_failure",
    "action_required",
    "neutral",
    "stale",
    GONE,
    UNKNOWN,
];
/// It is not over.
const OPEN: &str = "open";
/// GitHub does not know it any more.
const GONE: &str = "gone";
/// It is over, and nobody said how.
const UNKNOWN: &str = "unknown";

/// Which jobs are wanted. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this repository, compared without case.
    pub repo: Option<RepoFullName>,
    /// Of this scale set, by [`set_of`].
    pub set: Option<ScaleSetName>,
    /// First seen then or later.
    pub since: Option<Timestamp>,
    /// With this [`outcome`].
    pub outcome: Option<String>,
}

impl JobFilter {
    /// Whether a job is wanted.
    #[must_use]
    pub fn wants(&self, job: &Job, policies: &[&ScaleSet]) -> bool {
        self.since.is_none_or(|since| job.first_seen_at >= since)
            && self.repo.as_ref().is_none_or(|repo| repo.as_str().eq_ignore_ascii_case(job.fact.repo.as_str()))
            && self.outcome.as_deref().is_none_or(|wanted| outcome(job) == wanted)
            && self.set.as_ref().is_none_or(|set| set_of(job, policies).as_ref() == Some(set))
    }
}

/// Returns how a job stands or ended: one of [`OUTCOMES`], or a newer word of GitHub's.
#[must_use]
pub fn outcome(job: &Job) -> &str {
    match job.fact.status {
        JobStatus::Waiting | JobStatus::Queued | JobStatus::InProgress => OPEN,
        JobStatus::Completed => job.fact.conclusion.as_ref().map_or(UNKNOWN, |conclusion| conclusion.0.as_str()),
        JobStatus::Gone => GONE,
    }
}

/// Returns the scale set that a job belongs to: its runner's, or without a runner of ours the one that would serve it first today.
#[must_use]
pub fn set_of(job: &Job, policies: &[&ScaleSet]) -> Option<ScaleSetName> {
    if job.fact.runner_name.is_some() {
        // One that a runner of another fleet has is no set's.
        return job.runner()?.set();
    }
    route::candidates(&job.fact, policies).ok()?.into_iter().next().map(|candidate| candidate.set)
}

/// What one line of the list says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    /// The job.
    pub id: JobId,
    /// `owner/name` of its repository.
    pub repo: String,
    /// Its workflow's name. Foreign text: anyone who shows it escapes it.
    pub workflow: String,
    /// Its name. Foreign text.
    pub name: String,
    /// Where it stands, in a word.
    pub status: &'static str,
    /// How it stands or ended, by [`outcome`]. Foreign text.
    pub outcome: String,
    /// The scale set that it belongs to.
    pub set: Option<ScaleSetName>,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// How long it waited or waits for a runner, from the news that it is queued; `None` where GitHub itself holds it back.
    pub waited: Option<Duration>,
    /// How long it ran or runs; `None` when it never did.
    pub ran: Option<Duration>,
    /// The runner that has or had it. Foreign text.
    pub runner: Option<String>,
    /// Its page at GitHub.
    pub url: String,
}

impl JobLine {
    /// The line of a job. `server_url` is where GitHub's pages are.
    #[must_use]
    pub fn of(job: &Job, policies: &[&ScaleSet], server_url: &str, now: Timestamp) -> Self {
        let fact = &job.fact;
        let over = job.ended_at.unwrap_or(now);
        // Where the delivery that said "queued" was lost, the wait begins with the first one that came.
        let begun = job.queued_at.or_else(|| (fact.status != JobStatus::Waiting).then_some(job.first_seen_at));
        Self {
            id: job.id(),
            repo: fact.repo.to_string(),
            workflow: fact.workflow.clone(),
            name: fact.name.clone(),
            status: fact.status.word(),
            outcome: outcome(job).to_owned(),
            set: set_of(job, policies),
            first_seen_at: job.first_seen_at,
            waited: begun.map(|begun| job.in_progress_at.unwrap_or(over).since(begun)),
            ran: job.in_progress_at.map(|begun| over.since(begun)),
            runner: fact.runner_name.clone(),
            url: format!(
                "{}/{}/actions/runs/{}/job/{}",
                server_url.trim_end_matches('/'),
                fact.repo,
                fact.run,
                fact.id
            ),
        }
    }
}

/// Why a text is no time to look back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no time: {rule}")]
pub struct SinceError {
    given: String,
    rule: &'static str,
}

/// Reads how far to look back: a duration such as `24h`, `90m` or `7d`, or a time by RFC 3339.
///
/// # Errors
/// When it is neither, or lies in the future.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, SinceError> {
    let refuse = |rule| SinceError { given: text.chars().take(60).collect(), rule };
    let wanted = "a duration such as 24h or 7d, or a time such as 2026-01-31T09:00:00Z is needed";
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        let at = Timestamp(at.as_millisecond());
        return if at > now { Err(refuse("it lies in the future")) } else { Ok(at) };
    }
    let span: jiff::Span = text.parse().map_err(|_| refuse(wanted))?;
    let millis = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours())).map_err(|_| refuse(wanted))?;
    if millis <= 0.0 {
        return Err(refuse("it does not lie in the past"));
    }
    let back = Duration::try_from_secs_f64(millis / 1000.0).map_err(|_| refuse(wanted))?;
    Ok(now.minus(back))
}

#[cfg(test)]
mod tests {
    use runnersmith_types::{Conclusion, FactSource, JobFact, Label, OwnerKind, RunId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn fact(status: JobStatus, at: i64, conclusion: Option<&str>, runner: Option<&str>) -> JobFact {
        JobFact {
            source: FactSource::Delivery,
            received_at: Timestamp::from_secs(at),
            delivery: None,
            id: JobId(42),
            run: RunId(7),
            run_attempt: 1,
            repo: RepoFullName::parse("acme/shop").unwrap(),
            owner_kind: OwnerKind::Organization,
            head_sha: String::new(),
            name: "test (12)".into(),
            workflow: "ci".into(),
            labels: vec![Label::of_job("self-hosted"), Label::of_job("linux")],
            labels_cut: false,
            status,
            conclusion: conclusion.map(|word| Conclusion(word.into())),
            runner_name: runner.map(str::to_owned),
            runner_id: None,
            created_at: None,
            started_at: None,
            completed_at: None,
        }
    }

    /// Queued at 100, running from 160, over at 400.
    fn done(conclusion: &str) -> Job {
        let mut job = Job::first(fact(JobStatus::Queued, 100, None, None));
        job.merge(fact(JobStatus::InProgress, 160, None, Some("linux-k3x9-12")));
        job.merge(fact(JobStatus::Completed, 400, Some(conclusion), None));
        job
    }

    #[test]
    fn a_line_says_how_long_a_job_waited_and_ran_and_where_it_is_at_github() {
        let line = |job: &Job| JobLine::of(job, &[], "https://github.com/", NOW);
        let over = line(&done("failure"));
        assert_eq!((over.waited, over.ran), (Some(Duration::from_secs(60)), Some(Duration::from_secs(240))));
        assert_eq!(over.url, "https://github.com/acme/shop/actions/runs/7/job/42");
        assert_eq!((over.status, over.outcome.as_str()), ("completed", "failure"));
        assert_eq!(over.set.unwrap().as_str(), "linux");
        let queued = line(&Job::first(fact(JobStatus::Queued, 100, None, None)));
        assert_eq!((queued.waited, queued.ran), (Some(Duration::from_secs(900)), None), "it waits still");
        let held = line(&Job::first(fact(JobStatus::Waiting, 100, None, None)));
        assert_eq!((held.waited, held.ran), (None, None), "GitHub holds it back");
        let mut cancelled = Job::first(fact(JobStatus::Queued, 100, None, None));
        cancelled.merge(fact(JobStatus::Completed, 130, Some("cancelled"), None));
        let cancelled = line(&cancelled);
        assert_eq!((cancelled.waited, cancelled.ran), (Some(Duration::from_secs(30)), None), "it never ran");
    }

    #[test]
    fn each_part_of_a_filter_counts() {
        let job = done("failure");
        let wants = |filter: JobFilter| filter.wants(&job, &[]);
        assert!(wants(JobFilter::default()));
        let repo = |name| JobFilter { repo: RepoFullName::parse(name).ok(), ..JobFilter::default() };
        assert_eq!([wants(repo("Acme/Shop")), wants(repo("acme/web"))], [true, false]);
        let set = |name| JobFilter { set: ScaleSetName::parse(name).ok(), ..JobFilter::default() };
        assert_eq!([wants(set("linux")), wants(set("gpu"))], [true, false]);
        let since = |at| JobFilter { since: Some(Timestamp::from_secs(at)), ..JobFilter::default() };
        assert_eq!([wants(since(100)), wants(since(101))], [true, false]);
        let ended = |word: &str| JobFilter { outcome: Some(word.into()), ..JobFilter::default() };
        assert_eq!([wants(ended("failure")), wants(ended("success")), wants(ended("open"))], [true, false, false]);
        let outcome_of = |status, word| outcome(&Job::first(fact(status, 100, word, None))).to_owned();
        assert_eq!(outcome_of(JobStatus::Waiting, None), "open");
        assert_eq!(outcome_of(JobStatus::InProgress, None), "open");
        assert_eq!(outcome_of(JobStatus::Completed, None), "unknown");
        assert_eq!(outcome_of(JobStatus::Gone, None), "gone");
    }

    #[test]
    fn how_far_to_look_back_is_a_duration_or_a_time() {
        let now = Timestamp::from_secs(1_800_000_000);
        for (text, seconds) in [("24h", 86_400), ("90m", 5_400), ("7d", 604_800), ("1h 30m", 5_400), ("2w", 1_209_600)]
        {
            assert_eq!(since(text, now), Ok(now.minus(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(since("2026-01-31T09:00:00Z", now), Ok(Timestamp::from_secs(1_769_850_000)));
        assert_eq!(since("2026-01-31T10:00:00+01:00", now), Ok(Timestamp::from_secs(1_769_850_000)));
        for (text, said) in [
            (
                "yesterday",
                "\"yesterday\" is no time: a duration such as 24h or 7d, or a time such as 2026-01-31T09:00:00Z is needed",
            ),
            ("2999-01-01T00:00:00Z", "\"2999-01-01T00:00:00Z\" is no time: it lies in the future"),
            ("-1h", "\"-1h\" is no time: it does not lie in the past"),
            ("24", "\"24\" is no time: a duration such as 24h or 7d, or a time such as 2026-01-31T09:00:00Z is needed"),
            (
                "1 month",
                "\"1 month\" is no time: a duration such as 24h or 7d, or a time such as 2026-01-31T09:00:00Z is needed",
            ),
        ] {
            assert_eq!(since(text, now).unwrap_err().to_string(), said);
        }
    }
}
