//! The default branch's rows: what protects it, whom that does not bind, and what is in the way of a merge.

use super::settings::{BranchFacts, Bypass, RuleSource};
use super::{Fault, Health, Table};

/// Something that must protect the branch.
struct Rule {
    setting: &'static str,
    why: &'static str,
    has: fn(&RuleSource) -> bool,
    /// The name of its switch on the page of a ruleset.
    switch: &'static str,
}

const RULES: [Rule; 5] = [
    Rule {
        setting: "pull requests required",
        why: "without it a writer pushes a workflow or a policy to the default branch alone",
        has: |source| source.needs_pull,
        switch: "Require a pull request before merging",
    },
    Rule {
        setting: "review by code owners",
        why: "without it a writer merges a workflow or a policy of their own, and it runs with the role that applies",
        has: |source| source.needs_code_owners,
        switch: "Require review from Code Owners",
    },
    Rule {
        setting: "reviews after a push",
        why: "without it a writer pushes more after the review, and merges what no code owner saw",
        has: |source| source.dismisses_stale,
        switch: "Dismiss stale pull request approvals when new commits are pushed",
    },
    Rule {
        setting: "force pushes",
        why: "who can rewrite the default branch can take back what was approved",
        has: |source| source.refuses_force_pushes,
        switch: "Block force pushes",
    },
    Rule {
        setting: "deletion",
        why: "everything is planned from it",
        has: |source| source.refuses_deletion,
        switch: "Restrict deletions",
    },
];

/// How well a rule of one source protects: by whom it does not bind.
fn held(source: &RuleSource) -> (Health, String) {
    match &source.bypass {
        Err(because) => (Health::Unknown, because.clone()),
        Ok(bypass) if bypass.is_empty() => (Health::Good, String::new()),
        Ok(bypass) => {
            let health = if bypass.iter().all(|one| one.is_admin) { Health::Advice } else { Health::Missing };
            let names: Vec<&str> = bypass.iter().map(|one: &Bypass| one.who.as_str()).collect();
            (health, format!("does not bind {}", names.join(", ")))
        }
    }
}

impl Table<'_> {
    pub(super) fn branch(&mut self) {
        let page = self.settings_page("/rules");
        let methods_why = "a request is merged when it is applied, by a way that repository and branch allow";
        let facts = match self.found.protection.clone() {
            Ok(facts) => facts,
            Err(because) => {
                self.unknown("protection of the default branch", "what keeps a writer from merging alone", &because);
                return;
            }
        };
        let branch = self.found.branch.clone();
        let ruleset = |what: &str| format!("{page}: a ruleset for {branch}: {what}");
        let methods = facts.methods.join(", ");
        let bad = "none that both repository and branch allow";
        let is_any = !facts.methods.is_empty();
        self.needs("ways of merging", methods_why, is_any, (&methods, bad), &ruleset("allow merge or squash"));
        for rule in RULES {
            self.rule(&rule, &facts, &ruleset);
        }
        self.in_the_way(
            &facts,
            &ruleset("0 required approvals, no approval of the last push, no required checks, no merge queue"),
        );
    }

    /// All sources hold together: a rule is as good as the best that has it.
    fn rule(&mut self, rule: &Rule, facts: &BranchFacts, ruleset: &dyn Fn(&str) -> String) {
        let having = facts.sources.iter().filter(|source| (rule.has)(source));
        let best = having.map(held).min_by_key(|(health, _)| *health);
        match (best, facts.unread.clone()) {
            (Some((Health::Good, _)), _) => self.row(rule.setting, rule.why, "as it must be", None),
            (Some((Health::Unknown, because)), _) | (Some((Health::Missing, _)) | None, Some(because)) => {
                self.unknown(rule.setting, rule.why, &because);
            }
            (Some((health, is)), _) => {
                let fix = ruleset(&format!("{}, with a bypass list that is empty", rule.switch));
                self.row(rule.setting, rule.why, "", Some(Fault { health, is, fix: &fix }));
            }
            (None, None) => self.needs(rule.setting, rule.why, false, ("", "not protected"), &ruleset(rule.switch)),
        }
    }

    fn in_the_way(&mut self, facts: &BranchFacts, fix: &str) {
        let why = "the workflow merges what was approved by its digest, as rules let it; what it cannot merge stays applied and not merged";
        let mut in_the_way = Vec::new();
        if facts.approvals > 0 {
            in_the_way.push(format!("{} required approval(s)", facts.approvals));
        }
        if facts.needs_last_push_approval {
            in_the_way.push("an approval of the last push".to_owned());
        }
        if facts.needs_queue {
            in_the_way.push("a merge queue".to_owned());
        }
        if !facts.checks.is_empty() {
            in_the_way.push(format!("required checks: {}", facts.checks.join(", ")));
        }
        let bad = in_the_way.join("; ");
        match (in_the_way.is_empty(), &facts.unread) {
            (true, Some(because)) => self.unknown("nothing in the way of a merge", why, because),
            (is_free, _) => self.needs("nothing in the way of a merge", why, is_free, ("nothing", &bad), fix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Known;
    use super::super::tests::{good, health_of};
    use super::*;

    fn source(bypass: Known<Vec<Bypass>>) -> RuleSource {
        RuleSource {
            needs_pull: true,
            needs_code_owners: true,
            dismisses_stale: true,
            refuses_force_pushes: true,
            refuses_deletion: true,
            bypass,
        }
    }

    fn one(who: &str, is_admin: bool) -> Known<Vec<Bypass>> {
        Ok(vec![Bypass { who: who.into(), is_admin }])
    }

    #[test]
    fn a_rule_is_as_good_as_the_source_that_binds_most() {
        let nobody = || source(Ok(Vec::new()));
        for (sources, unread, expected) in [
            (vec![nobody()], None, Health::Good),
            (vec![source(one("team 7", false))], None, Health::Missing),
            (vec![source(one("admins of the repository", true))], None, Health::Advice),
            (vec![source(Err("not shown".into()))], None, Health::Unknown),
            (vec![source(one("team 7", false)), nobody()], None, Health::Good),
            (vec![source(one("team 7", false)), source(Err("not shown".into()))], None, Health::Unknown),
            (vec![source(one("team 7", false))], Some("may not be read"), Health::Unknown),
            (Vec::new(), Some("may not be read"), Health::Unknown),
            (Vec::new(), None, Health::Missing),
        ] {
            let mut found = good();
            let facts = BranchFacts { sources, unread: unread.map(str::to_owned), ..BranchFacts::default() };
            found.protection = Ok(facts.clone());
            for rule in RULES {
                assert_eq!(health_of(&found, rule.setting).0, expected, "{}: {facts:?}", rule.setting);
            }
        }
        let mut found = good();
        found.protection = Ok(BranchFacts { sources: vec![source(one("team 7", false))], ..BranchFacts::default() });
        assert_eq!(health_of(&found, "force pushes").1, "does not bind team 7");
    }

    #[test]
    fn reviews_that_outlive_a_push_and_an_approval_of_the_last_push_are_named() {
        let mut found = good();
        let stale = RuleSource { dismisses_stale: false, ..source(Ok(Vec::new())) };
        found.protection =
            Ok(BranchFacts { sources: vec![stale], needs_last_push_approval: true, ..BranchFacts::default() });
        assert_eq!(health_of(&found, "reviews after a push"), (Health::Missing, "not protected".to_owned()));
        assert_eq!(health_of(&found, "review by code owners").0, Health::Good);
        let way = (Health::Missing, "an approval of the last push".to_owned());
        assert_eq!(health_of(&found, "nothing in the way of a merge"), way);
    }
}
