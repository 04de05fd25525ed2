//! Which path template a concrete path belongs to.
//!
//! Apart from the documents because the rules are not written there: literal segments win over parameters, a
//! GitHub Enterprise Server prefix is no part of a template, and two parameters may hold slashes.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// Parameters that may hold slashes: a file's path and a git reference. Only as the last segment.
const SLASHED: [&str; 2] = ["{path}", "{ref}"];

/// One template, split.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    segments: Vec<String>,
}

impl Template {
    pub(crate) fn new(template: &str) -> Self {
        Self { segments: split(template).map(str::to_owned).collect() }
    }

    /// The parameters of a path that matches, and how specific the match is (greater is more).
    pub(crate) fn matches(&self, path: &str) -> Option<(Vec<bool>, BTreeMap<String, String>)> {
        let given: Vec<&str> = split(path).collect();
        let slashed = self.segments.last().is_some_and(|last| SLASHED.contains(&last.as_str()));
        if given.len() != self.segments.len() && !(slashed && given.len() > self.segments.len()) {
            return None;
        }
        let mut parameters = BTreeMap::new();
        let mut literal = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let last = index + 1 == self.segments.len();
            let value = if last { given[index..].join("/") } else { given[index].to_owned() };
            match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) if !value.is_empty() => {
                    parameters.insert(name.to_owned(), value);
                    literal.push(false);
                }
                None if *segment == value => literal.push(true),
                Some(_) | None => return None,
            }
        }
        Some((literal, parameters))
    }
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('/').split('/')
}

/// The path without the server's prefix, and the query.
pub(crate) fn without_prefix(path: &str) -> (&str, &str) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_prefix("/api/v3").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    (path, query)
}

/// The pairs of a query, decoded.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let present = query.split('&').filter(|pair| !pair.is_empty());
    present
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_matches_whole_paths_only() {
        let template = Template::new("/repos/{owner}/{repo}/actions/runners/{runner_id}");
        let (_, parameters) = template.matches("/repos/o/r/actions/runners/7").expect("matches");
        assert_eq!(parameters["runner_id"], "7");
        assert!(template.matches("/repos/o/r/actions/runners").is_none());
        assert!(template.matches("/repos/o/r/actions/runners/7/labels").is_none());
        assert!(template.matches("/repos/o//actions/runners/7").is_none());
    }

    #[test]
    fn a_file_path_may_hold_slashes() {
        let template = Template::new("/repos/{owner}/{repo}/contents/{path}");
        let (_, parameters) = template.matches("/repos/o/r/contents/a/b.yml").expect("matches");
        assert_eq!(parameters["path"], "a/b.yml");
    }

    #[test]
    fn the_server_prefix_and_the_query_are_cut_off() {
        assert_eq!(without_prefix("/api/v3/app?x=1"), ("/app", "x=1"));
        assert_eq!(without_prefix("/api/v3x"), ("/api/v3x", ""));
        assert_eq!(pairs("name=a%20b+c&page=2"), [("name".into(), "a b c".into()), ("page".into(), "2".into())]);
    }
}
