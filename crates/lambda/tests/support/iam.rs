//! What an IAM policy says of one request: effect, action, resource and conditions, as AWS's documentation defines them
//! (IAM User Guide, "Policy evaluation logic" and "Condition operators"). What it does not know fails the test.

use std::collections::BTreeMap;

use serde_json::Value;

/// A request's context: condition keys and their values.
pub type Context<'a> = BTreeMap<&'a str, &'a str>;

/// Whether the document allows it: some statement does, and none denies it.
pub fn allows(document: &str, action: &str, resource: &str, context: &Context<'_>) -> bool {
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["Version"], "2012-10-17", "older policies have no variables");
    let mut allowed = false;
    for statement in document["Statement"].as_array().unwrap() {
        for key in statement.as_object().unwrap().keys() {
            let known = ["Sid", "Effect", "Action", "Resource", "Condition"].contains(&key.as_str());
            assert!(known, "an element that is not known: {key}");
        }
        let matches =
            list(&statement["Action"]).iter().any(|pattern| like(&pattern.to_lowercase(), &action.to_lowercase()))
                && list(&statement["Resource"])
                    .iter()
                    .filter_map(|pattern| filled(pattern, context))
                    .any(|pattern| like(&pattern, resource))
                && holds(&statement["Condition"], context);
        match statement["Effect"].as_str() {
            Some("Allow") => allowed |= matches,
            Some("Deny") if matches => return false,
            Some("Deny") => {}
            other => panic!("an effect that is not known: {other:?}"),
        }
    }
    allowed
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        other => panic!("neither a text nor a list: {other}"),
    }
}

/// A text with its policy variables; none when one of them has no value, and then nothing matches.
fn filled(text: &str, context: &Context<'_>) -> Option<String> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(context.get(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

fn holds(conditions: &Value, context: &Context<'_>) -> bool {
    let Some(conditions) = conditions.as_object() else { return true };
    conditions.iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let wanted: Vec<String> = list(wanted).iter().filter_map(|one| filled(one, context)).collect();
            let given = context.get(key.as_str()).copied();
            match operator.as_str() {
                "StringEquals" => given.is_some_and(|given| wanted.iter().any(|wanted| wanted == given)),
                "StringLike" | "ArnLike" => given.is_some_and(|given| wanted.iter().any(|wanted| like(wanted, given))),
                "Bool" => given.is_some_and(|given| wanted.iter().any(|wanted| wanted == given)),
                // Without any value it holds; a request's values are joined by commas here.
                "ForAllValues:StringEquals" => {
                    given.is_none_or(|given| given.split(',').all(|one| wanted.iter().any(|wanted| wanted == one)))
                }
                other => panic!("a condition operator that is not known: {other}"),
            }
        })
    })
}

/// `*` is any text, `?` any character.
pub fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for part in pattern {
        if part == '*' {
            let first = reached.iter().position(|at| *at).unwrap_or(reached.len());
            reached.iter_mut().skip(first).for_each(|at| *at = true);
        } else {
            for n in (0..text.len()).rev() {
                reached[n + 1] = reached[n] && (part == '?' || part == text[n]);
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

/// The names of statements that are about every resource.
pub fn about_everything(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let statements = document["Statement"].as_array().unwrap().iter();
    let all = statements.filter(|statement| list(&statement["Resource"]).iter().any(|resource| resource == "*"));
    all.map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect()
}
