//! The dependency graph as `cargo metadata` tells it, read into what the checks ask about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};
use crate::process;
use crate::workspace::Workspace;

/// One package of the graph.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest: PathBuf,
    pub(crate) member: bool,
    pub(crate) targets: Vec<Target>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The identifiers of the packages that it is built with, tests left out.
    built_with: Vec<String>,
}

/// Something that is compiled: a library, a program, an example, a test, a build script.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: String,
    pub(crate) source: PathBuf,
}

/// A dependency as the manifest declares it.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) optional: bool,
    pub(crate) kind: DependencyKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Build,
    Development,
}

impl Package {
    pub(crate) fn has_library(&self) -> bool {
        self.targets.iter().any(|target| matches!(target.kind.as_str(), "lib" | "proc-macro"))
    }

    /// The dependencies that a user of the package gets.
    pub(crate) fn normal_dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|one| one.kind == DependencyKind::Normal)
    }
}

/// All packages that the workspace resolves to, every feature on, by cargo's identifiers.
#[derive(Debug)]
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
}

impl Graph {
    /// Asks cargo; needs no build.
    pub(crate) fn load(workspace: &Workspace) -> Outcome<Graph> {
        let text = process::output(process::cargo(workspace).args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--locked",
        ]))?;
        Graph::parse(&text)
    }

    fn parse(text: &str) -> Outcome<Graph> {
        let metadata: Value =
            serde_json::from_str(text).context(|| "`cargo metadata` printed no JSON".to_owned())?;
        let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
        let mut packages = BTreeMap::new();
        for value in array(&metadata["packages"]) {
            let identifier = text_of(value, "id");
            let package = Package {
                name: text_of(value, "name"),
                version: text_of(value, "version"),
                license: value["license"].as_str().map(str::to_owned),
                manifest: PathBuf::from(text_of(value, "manifest_path")),
                member: members.contains(identifier.as_str()),
                targets: array(&value["targets"]).iter().map(target).collect(),
                features: features(&value["features"]),
                dependencies: array(&value["dependencies"]).iter().map(dependency).collect(),
                built_with: Vec::new(),
            };
            packages.insert(identifier, package);
        }
        for node in array(&metadata["resolve"]["nodes"]) {
            if let Some(package) = packages.get_mut(&text_of(node, "id")) {
                package.built_with = array(&node["deps"])
                    .iter()
                    .filter(|edge| array(&edge["dep_kinds"]).iter().any(|k| k["kind"] != "dev"))
                    .map(|edge| text_of(edge, "pkg"))
                    .collect();
            }
        }
        if packages.is_empty() {
            return Err(Failure::new("`cargo metadata` told of no package")
                .with_hint("xtask/src/metadata.rs reads format version 1: has it changed?"));
        }
        Ok(Graph { packages })
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    /// The crates of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.member)
    }

    pub(crate) fn member(&self, name: &str) -> Outcome<&Package> {
        self.members().find(|package| package.name == name).ok_or_else(|| {
            Failure::new(format!("the workspace has no crate {name}"))
                .with_hint("if it was renamed, rename it in xtask/src too")
        })
    }

    /// The way from a member to a package that it is built with, directly or not; both ends named. What the member itself
    /// has only when a feature asks for it is left out.
    pub(crate) fn path(&self, from: &str, wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let (start, member) =
            self.packages.iter().find(|(_, one)| one.member && one.name == from)?;
        let is_optional = |name: &str| {
            let mut declared =
                member.normal_dependencies().filter(|one| one.name == name).peekable();
            declared.peek().is_some() && declared.all(|one| one.optional)
        };
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start.as_str()]);
        while let Some(identifier) = queue.pop_front() {
            let package = self.packages.get(identifier)?;
            if identifier != start && wanted(&package.name) {
                return Some(self.names_back(identifier, &came_from));
            }
            for next in &package.built_with {
                let left_out = identifier == start
                    && self.packages.get(next).is_some_and(|package| is_optional(&package.name));
                if next != start && !left_out && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, identifier);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    fn names_back(&self, end: &str, came_from: &BTreeMap<&str, &str>) -> Vec<String> {
        let mut names = Vec::new();
        let mut current = Some(end);
        while let Some(identifier) = current {
            names.extend(self.packages.get(identifier).map(|package| package.name.clone()));
            current = came_from.get(identifier).copied();
        }
        names.reverse();
        names
    }
}

fn target(value: &Value) -> Target {
    Target {
        kind: strings(&value["kind"]).next().unwrap_or_default().to_owned(),
        source: Path::new(&text_of(value, "src_path")).to_path_buf(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text_of(value, "name"),
        optional: value["optional"].as_bool().unwrap_or(false),
        kind: match value["kind"].as_str() {
            Some("dev") => DependencyKind::Development,
            Some("build") => DependencyKind::Build,
            _ => DependencyKind::Normal,
        },
    }
}

fn features(value: &Value) -> BTreeMap<String, Vec<String>> {
    let table = value.as_object().into_iter().flatten();
    table.map(|(name, list)| (name.clone(), strings(list).map(str::to_owned).collect())).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    array(value).iter().filter_map(Value::as_str)
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ours` is built with `middle`, that with `far`; `ours` tests itself with `helper`.
    const METADATA: &str = r#"{
        "workspace_members": ["ours 1"],
        "packages": [
            {"id": "ours 1", "name": "ours", "dependencies": [
                {"name": "middle", "kind": null, "optional": false},
                {"name": "asked-for", "kind": null, "optional": true},
                {"name": "helper", "kind": "dev", "optional": false}]},
            {"id": "middle 1", "name": "middle"},
            {"id": "far 1", "name": "far"},
            {"id": "asked-for 1", "name": "asked-for"},
            {"id": "helper 1", "name": "helper"}],
        "resolve": {"nodes": [
            {"id": "ours 1", "deps": [
                {"pkg": "middle 1", "dep_kinds": [{"kind": null}]},
                {"pkg": "asked-for 1", "dep_kinds": [{"kind": null}]},
                {"pkg": "helper 1", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "middle 1", "deps": [{"pkg": "far 1", "dep_kinds": [{"kind": null}]}]},
            {"id": "far 1", "deps": []},
            {"id": "asked-for 1", "deps": []},
            {"id": "helper 1", "deps": []}]}}"#;

    #[test]
    fn a_path_goes_through_other_packages_but_not_through_tests_and_features() {
        let graph = Graph::parse(METADATA).unwrap();
        let path = graph.path("ours", |name| name == "far").unwrap();
        assert_eq!(path, ["ours", "middle", "far"]);
        assert!(graph.path("ours", |name| name == "helper").is_none());
        assert!(graph.path("ours", |name| name == "asked-for").is_none());
    }

    #[test]
    fn what_a_test_needs_is_no_normal_dependency() {
        let graph = Graph::parse(METADATA).unwrap();
        let ours = graph.member("ours").unwrap();
        let names: Vec<_> = ours.normal_dependencies().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["middle", "asked-for"]);
        assert!(graph.member("middle").is_err());
    }
}
