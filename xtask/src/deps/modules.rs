//! Circles among a crate's modules: which module names an item of which other one, read from its paths. A name that a module
//! re-exports counts as an item of the module that defines it, and naming a module alone counts as nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

/// A module's path below the crate's root, which is empty itself.
type Name = Vec<String>;

/// A crate's modules, and for each those whose items it names.
#[derive(Debug, Default)]
pub struct Modules {
    texts: BTreeMap<Name, ModulePaths>,
}

#[derive(Debug, Default)]
struct ModulePaths {
    /// What is imported: the name in the module, the path behind it, and whether it is re-exported.
    imports: Vec<Import>,
    /// Every other path of two names or more.
    paths: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    name: String,
    path: Name,
    is_public: bool,
}

impl Modules {
    /// Adds a file: its path below the crate's `src`, and its code without comments and tests.
    pub fn add(&mut self, path: &Path, code: &str) {
        let mut name: Name = path
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if matches!(name.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            name.pop();
        }
        // A program and a library in one folder are taken as one crate: each has its own modules.
        let source = self.texts.entry(name).or_default();
        let (imports, rest) = imports(code);
        source.imports.extend(imports);
        source.paths.extend(paths(&rest));
    }

    /// Groups of modules each of which uses every other one of its group, in one or several steps.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let uses: BTreeMap<&Name, BTreeSet<Name>> =
            self.texts.keys().map(|name| (name, self.used_by(name))).collect();
        let reach = |from: &Name| {
            let mut seen: BTreeSet<&Name> = BTreeSet::new();
            let mut ahead: Vec<&Name> = uses.get(from).into_iter().flatten().collect();
            while let Some(name) = ahead.pop() {
                if seen.insert(name) {
                    ahead.extend(uses.get(name).into_iter().flatten());
                }
            }
            seen
        };
        let reached: BTreeMap<&Name, BTreeSet<&Name>> =
            self.texts.keys().map(|name| (name, reach(name))).collect();
        let mut circles: BTreeSet<Vec<&Name>> = BTreeSet::new();
        for (name, seen) in reached.iter().filter(|(name, seen)| seen.contains(*name)) {
            let back = |other: &&&Name| reached.get(*other).is_some_and(|theirs| theirs.contains(name));
            circles.insert(seen.iter().filter(back).copied().collect());
        }
        let shown = |name: &&Name| match name.is_empty() {
            true => "crate".to_owned(),
            false => name.join("::"),
        };
        circles
            .into_iter()
            .map(|circle| circle.iter().map(shown).collect())
            .collect()
    }

    /// What one module names of others: `module → other`, for those of a circle.
    pub fn arrows(&self, circle: &[String]) -> Vec<String> {
        let mut arrows = Vec::new();
        for name in self.texts.keys() {
            let from = name.join("::");
            if !circle.contains(&from) {
                continue;
            }
            for to in self.used_by(name) {
                let to = to.join("::");
                if circle.contains(&to) {
                    arrows.push(format!("{from} → {to}"));
                }
            }
        }
        arrows
    }

    fn used_by(&self, module: &Name) -> BTreeSet<Name> {
        let Some(source) = self.texts.get(module) else {
            return BTreeSet::new();
        };
        let imports = source.imports.iter().filter(|import| !import.is_public);
        let paths = imports.map(|import| &import.path).chain(&source.paths);
        let mut used: BTreeSet<Name> = paths.filter_map(|path| self.home(module, path, 0)).collect();
        used.remove(module);
        used
    }

    /// The module that defines what `path` names in `module`. `None` when it is another crate's, or a module itself.
    fn home(&self, module: &Name, path: &[String], depth: usize) -> Option<Name> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => {
                let mut at = module.clone();
                at.pop()?;
                while let Some((next, after)) = rest.split_first().filter(|(next, _)| *next == "super") {
                    let _ = next;
                    at.pop()?;
                    rest = after;
                }
                at
            }
            _ => {
                let child = [&module[..], std::slice::from_ref(first)].concat();
                if self.texts.contains_key(&child) {
                    child
                } else {
                    // Imports of imports end; a circle of re-exports would not compile.
                    let import = self.import(module, first).filter(|_| depth < 8)?;
                    let through = [&import.path[..], rest].concat();
                    return self.home(module, &through, depth + 1);
                }
            }
        };
        while let Some((next, after)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(next)].concat();
            if self.texts.contains_key(&child) {
                at = child;
                rest = after;
                continue;
            }
            let reexport = self
                .import(&at, next)
                .filter(|import| import.is_public && depth < 8 && import.path.first() != Some(next));
            return match reexport {
                Some(import) => self
                    .home(&at, &[&import.path[..], after].concat(), depth + 1)
                    .or(Some(at)),
                None => Some(at),
            };
        }
        None
    }

    fn import(&self, module: &Name, name: &str) -> Option<&Import> {
        let source = self.texts.get(module)?;
        source.imports.iter().find(|import| import.name == name)
    }
}

/// The imports of a file, and the code without them.
fn imports(code: &str) -> (Vec<Import>, String) {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut open: Option<(String, bool)> = None;
    for line in code.lines() {
        let trimmed = line.trim();
        if open.is_none() {
            let (before, statement) = match trimmed.find("use ") {
                Some(at) => (&trimmed[..at], &trimmed[at + 4..]),
                None => ("-", ""),
            };
            let is_public = before.starts_with("pub");
            if !(before.is_empty() || is_public && before.trim_end().ends_with([')', 'b'])) {
                rest.push_str(line);
                rest.push('\n');
                continue;
            }
            open = Some((statement.to_owned(), is_public));
        } else if let Some((text, _)) = &mut open {
            text.push(' ');
            text.push_str(trimmed);
        }
        if let Some((text, is_public)) = open.take_if(|(text, _)| text.ends_with(';')) {
            let text = text.trim_end_matches(';');
            tree(&[], text, &mut |name, path| {
                found.push(Import {
                    name,
                    path,
                    is_public,
                });
            });
        }
    }
    (found, rest)
}

/// The leaves of a `use` tree.
fn tree(before: &[String], text: &str, found: &mut impl FnMut(String, Name)) {
    for part in parts(text) {
        let (path, inner) = match part.split_once('{') {
            Some((path, inner)) => (path, inner.trim_end().strip_suffix('}')),
            None => (part, None),
        };
        let (path, alias) = match path.split_once(" as ") {
            Some((path, alias)) => (path, Some(alias.trim())),
            None => (path, None),
        };
        let names = path.split("::").map(str::trim).filter(|name| !name.is_empty());
        let mut all = before.to_vec();
        all.extend(names.map(str::to_owned));
        if let Some(inner) = inner {
            tree(&all, inner, found);
            continue;
        }
        if all.len() > 1 && all.last().is_some_and(|name| name == "self") {
            all.pop();
        }
        if let Some(last) = all.last().cloned() {
            found(alias.map_or(last, str::to_owned), all);
        }
    }
}

/// Splits at the commas that are in no braces.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

/// Paths of two names or more in code.
fn paths(code: &str) -> Vec<Name> {
    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
    let mut found = HashMap::new();
    for token in code.split(|sign: char| !is_name(sign) && sign != ':') {
        let names: Name = token
            .split("::")
            .filter(|name| !name.is_empty() && !name.contains(':'))
            .map(str::to_owned)
            .collect();
        if names.len() > 1 {
            found.insert(names, ());
        }
    }
    found.into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let mut modules = Modules::default();
        for (path, code) in files {
            modules.add(Path::new(path), code);
        }
        modules
    }

    #[test]
    fn a_child_that_takes_from_its_parent_is_a_circle() {
        let found = modules(&[
            ("lib.rs", "mod a;\n"),
            (
                "a/mod.rs",
                "mod b;\nuse b::work;\npub struct Error;\nfn f() { work() }\n",
            ),
            ("a/b.rs", "use super::Error;\npub fn work() {}\n"),
        ]);
        assert_eq!(found.circles(), [["a", "a::b"]]);
        assert_eq!(found.arrows(&found.circles()[0]), ["a → a::b", "a::b → a"]);
    }

    #[test]
    fn what_a_parent_only_passes_on_is_its_childs() {
        let found = modules(&[
            (
                "a/mod.rs",
                "mod b;\nmod error;\npub use error::{Error, Other as Same};\nuse b::work;\n",
            ),
            ("a/error.rs", "pub struct Error;\npub struct Other;\n"),
            ("a/b.rs", "use super::{Error, Same};\npub fn work() {}\n"),
        ]);
        assert_eq!(found.circles(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn paths_in_code_count_and_the_name_of_a_module_alone_does_not() {
        let circle = [
            ("a.rs", "use crate::b;\nfn f() { b::g() }\n"),
            (
                "b.rs",
                "use crate::{\n    a,\n    c,\n};\nfn g() { crate::a::f() }\n",
            ),
            ("c.rs", ""),
        ];
        assert_eq!(modules(&circle).circles(), [["a", "b"]]);
        let mut line = circle;
        line[1].1 = "use crate::{a, c};\npub(super) use self::d::D as E;\nfn g() {}\n";
        assert_eq!(modules(&line).circles(), Vec::<Vec<String>>::new());
    }
}
