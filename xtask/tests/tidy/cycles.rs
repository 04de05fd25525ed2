//! Modules of one package do not use each other in circles: what is below can be read, tested and changed without what is above.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, files, ratchet};

/// Packages with circles today, and how many of their modules are in one. The figures only fall.
const IN_CIRCLES: &[(&str, usize)] = &[
    ("crates/control-repo", 2),
    ("crates/controllers", 2),
    ("crates/ec2", 2),
    ("crates/issueops", 10),
    ("crates/ports", 6),
    ("crates/provision-embedded", 2),
    ("crates/provision-terraform", 2),
    ("crates/runnersmith", 10),
    ("crates/web", 7),
    ("xtask", 2),
];

/// A package's modules by their paths (`a::b`; the crate's root is empty), and which others each of them names.
#[derive(Default)]
struct Package {
    modules: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    /// The paths in its text that begin with `crate`, `super`, `self` or the name of a module below it.
    paths: BTreeSet<Vec<String>>,
    /// What a `use` here brings in: the name, and the path behind it.
    names: BTreeMap<String, Vec<String>>,
}

/// The package's folder and the module's path, for a source below `src/`.
fn place(path: &str) -> Option<(String, String)> {
    let (package, rest) = path.split_once("/src/")?;
    let module = rest.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    // A program of several files has its own root; a program beside a library is apart from it.
    let module = match module {
        "lib" => "",
        "main" => "main",
        other => other.strip_suffix("/main").unwrap_or(other),
    };
    Some((package.to_owned(), module.replace('/', "::")))
}

/// The text without comments, texts and unit tests, as words: names and `::`, `{`, `}`, `,`, `*`, and `.` for all else.
fn words(text: &str) -> Vec<String> {
    let shipped: Vec<&str> = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let (text, mut found) = (shipped.join("\n"), Vec::new());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphabetic() || c == '_' {
            let mut word = String::from(c);
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(c);
            }
            found.push(word);
        } else if c == '"' {
            while let Some(c) = rest.next() {
                match c {
                    '\\' => drop(rest.next()),
                    '"' => break,
                    _ => {}
                }
            }
            found.push(".".into());
        } else if c == ':' && rest.next_if_eq(&':').is_some() {
            found.push("::".into());
        } else if matches!(c, '{' | '}' | ',' | '*') {
            found.push(c.into());
        } else if !c.is_whitespace() {
            found.push(".".into());
        }
    }
    found
}

/// Reads one path, with its groups, from a word that begins one. Each full path comes with the name that it gets.
fn path(words: &[String], at: &mut usize, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let mut path = before.to_vec();
    loop {
        let Some(word) = words.get(*at) else { return };
        *at += 1;
        match word.as_str() {
            "{" => {
                while words.get(*at).is_some_and(|word| word != "}") {
                    if words[*at] == "," {
                        *at += 1;
                    } else {
                        let start = *at;
                        self::path(words, at, &path, found);
                        *at = (*at).max(start + 1);
                    }
                }
                *at += 1;
                return;
            }
            "*" => {
                found.push(("*".into(), path));
                return;
            }
            "::" | "}" | "," | "." => return,
            name => path.push(name.to_owned()),
        }
        if words.get(*at).is_some_and(|word| word == "::") {
            *at += 1;
            continue;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if name == "self" {
            path.pop();
            name = path.last().cloned().unwrap_or_default();
        }
        if words.get(*at).is_some_and(|word| word == "as") {
            name = words.get(*at + 1).cloned().unwrap_or_default();
            *at += 2;
        }
        found.push((name, path));
        return;
    }
}

impl Package {
    fn read(sources: &[(&str, String)]) -> Self {
        let mut package = Self::default();
        for (_, module) in sources {
            package.modules.entry(module.clone()).or_default();
        }
        for (text, module) in sources {
            let words = words(text);
            let mut read = Module::default();
            let mut at = 0;
            while at < words.len() {
                let is_use = words[at] == "use";
                let is_start = is_use || at == 0 || words[at - 1] != "::";
                let begins = |word: &String| {
                    ["crate", "super", "self"].contains(&word.as_str()) || package.has(&below(module, word))
                };
                let first = if is_use { at + 1 } else { at };
                if !is_start
                    || !words.get(first).is_some_and(begins)
                    || words.get(first + 1).is_none_or(|word| word != "::")
                {
                    at += 1;
                    continue;
                }
                let mut found = Vec::new();
                at = first;
                path(&words, &mut at, &[], &mut found);
                for (name, path) in found {
                    // What is only shown again is no use of it: its name is not written a second time.
                    let is_used = words.iter().filter(|word| **word == name).count() > 1;
                    if is_use && name != "*" {
                        read.names.insert(name, path.clone());
                    }
                    if !is_use || is_used || !path.first().is_some_and(|first| package.has(&below(module, first))) {
                        read.paths.insert(path);
                    }
                }
            }
            package.modules.insert(module.clone(), read);
        }
        package
    }

    fn has(&self, module: &str) -> bool {
        self.modules.contains_key(module)
    }

    /// The root that a module belongs to: the library's, or its program's.
    fn root(&self, module: &str) -> String {
        let mut parts = module.split("::");
        match (parts.next(), parts.next()) {
            (Some("bin"), Some(name)) => format!("bin::{name}"),
            (Some(_), _) if self.has("main") && !self.has("") => "main".into(),
            _ => String::new(),
        }
    }

    /// The module that a path leads to, through what other modules show again.
    fn resolve(&self, from: &str, path: &[String], depth: usize) -> String {
        let mut here = from.to_owned();
        for (at, part) in path.iter().enumerate() {
            let child = below(&here, part);
            match part.as_str() {
                "crate" => here = self.root(from),
                "self" => {}
                "super" => {
                    here = match here.rsplit_once("::") {
                        Some((above, _)) => above.to_owned(),
                        None => self.root(&here),
                    }
                }
                _ if self.has(&child) => here = child,
                name => {
                    let behind = self.modules.get(&here).and_then(|module| module.names.get(name));
                    return match behind {
                        // What it was brought in as, and what comes after it.
                        Some(behind) if depth < 8 => {
                            let whole: Vec<String> = behind.iter().chain(&path[at + 1..]).cloned().collect();
                            self.resolve(&here, &whole, depth + 1)
                        }
                        _ => here,
                    };
                }
            }
        }
        here
    }

    /// Which modules each module names.
    fn arrows(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let target = |from: &str, path: &Vec<String>| {
            let target = self.resolve(from, path, 0);
            (target != from && self.has(&target)).then_some(target)
        };
        self.modules
            .iter()
            .map(|(from, module)| (from.as_str(), module.paths.iter().filter_map(|path| target(from, path)).collect()))
            .collect()
    }

    /// Each circle: modules that reach each other.
    fn circles(&self) -> Vec<Vec<String>> {
        let arrows = self.arrows();
        let reach = |from: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(here) = next.pop() {
                for to in arrows.get(here.as_str()).into_iter().flatten() {
                    if seen.insert(to.clone()) {
                        next.push(to.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<&str, BTreeSet<String>> = arrows.keys().map(|from| (*from, reach(from))).collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (from, seen) in &reached {
            if seen.contains(*from) {
                let back = |to: &&String| reached.get(to.as_str()).is_some_and(|seen| seen.contains(*from));
                circles.insert(seen.iter().filter(back).cloned().collect());
            }
        }
        circles.into_iter().collect()
    }
}

/// The path of a module's child; those of a root are named without it.
fn below(module: &str, name: &str) -> String {
    if module.is_empty() || module == "main" { name.to_owned() } else { format!("{module}::{name}") }
}

fn packages(files: &[File]) -> BTreeMap<String, Vec<(&str, String)>> {
    let mut packages: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("crates/") || file.path.starts_with("xtask/src/")) {
        let is_test = file.is(&["_tests.rs", "/tests.rs"]);
        if let Some((package, module)) = place(&file.path).filter(|_| !is_test) {
            packages.entry(package).or_default().push((&file.text, module));
        }
    }
    packages
}

#[test]
fn modules_of_a_package_do_not_use_each_other_in_circles() {
    let mut in_circles = BTreeMap::new();
    for (package, sources) in packages(files()) {
        let package_read = Package::read(&sources);
        let arrows = package_read.arrows();
        let circles = package_read.circles();
        for circle in &circles {
            println!("{package}: {}", circle.join(", "));
            for from in circle {
                let to: Vec<&str> =
                    arrows[from.as_str()].iter().filter(|to| circle.contains(to)).map(String::as_str).collect();
                println!("    {from} -> {}", to.join(", "));
            }
        }
        in_circles.insert(package, circles.iter().map(Vec::len).sum());
    }
    ratchet("modules in circles:", "IN_CIRCLES", &in_circles, IN_CIRCLES, 0);
}

#[test]
fn a_circle_is_found_through_groups_reexports_and_children() {
    let read = |sources: &[(&str, &str)]| {
        let sources: Vec<(&str, String)> = sources.iter().map(|(text, module)| (*text, (*module).to_owned())).collect();
        Package::read(&sources).circles()
    };
    let circle = |names: &[&str]| vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    assert_eq!(
        read(&[("use crate::b::B;", "a"), ("use super::{c, a::{A, D as E}};", "b"), ("", "c")]),
        circle(&["a", "b"])
    );
    assert_eq!(
        read(&[("mod a;\nmod b;\npub use a::A;", ""), ("fn f() { crate::b::g() }", "a"), ("use crate::A;", "b")]),
        circle(&["a", "b"])
    );
    assert_eq!(
        read(&[("mod child;\nfn f() { child::g() }", "a"), ("use super::T;", "a::child")]),
        circle(&["a", "a::child"])
    );
    assert_eq!(
        read(&[("use crate::b::B;", "a"), ("// crate::a\n#[cfg(test)]\nuse crate::a;", "b")]),
        Vec::<Vec<String>>::new()
    );
    assert_eq!(
        read(&[("mod a;\npub use a::A;", ""), ("use crate::b::B;", "a"), ("struct B;", "b")]),
        Vec::<Vec<String>>::new()
    );
}
