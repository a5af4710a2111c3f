//! Which crate may use which.

use cargo_metadata::{DependencyKind, Metadata};

/// Each crate of the workspace, and those of ours that it may use. Dev-dependencies are free: tests may look
/// at everything.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("shared", &[]),
    ("bucket", &["shared"]),
    ("repository", &["shared"]),
    ("agent", &["shared", "bucket", "repository"]),
    ("migrations", &[]),
    ("frontend", &["shared", "repository"]),
    (
        "server",
        &["shared", "bucket", "repository", "frontend", "migrations"],
    ),
    ("lockbox", &[]),
    ("xtask", &["shared", "bucket"]),
];

/// One crate of the workspace uses another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    from: String,
    to: String,
}

/// The edges between the workspace's crates, and for a crate without any, one to nothing.
pub fn edges(metadata: &Metadata) -> Vec<Edge> {
    let ours: Vec<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut edges = Vec::new();
    for package in &metadata.packages {
        edges.push(Edge {
            from: package.name.to_string(),
            to: String::new(),
        });
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development && ours.contains(&dependency.name.as_str()) {
                edges.push(Edge {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                });
            }
        }
    }
    edges
}

/// What is against the rules, a sentence each.
pub fn violations(edges: &[Edge]) -> Vec<String> {
    let mut found = Vec::new();
    for Edge { from, to } in edges {
        let rule = ALLOWED.iter().find(|(name, _)| name == from);
        match rule {
            None if to.is_empty() => found.push(format!(
                "{from}/Cargo.toml: the crate `{from}` has no rule; say in xtask/src/deps/graph.rs what it may use"
            )),
            Some((_, allowed)) if !to.is_empty() && !allowed.contains(&to.as_str()) => {
                let may = if allowed.is_empty() { "none of our crates".to_owned() } else { allowed.join(", ") };
                found.push(format!("{from}/Cargo.toml: `{from}` must not use `{to}`; it may use {may}"));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn one_way_is_fine() {
        let edges = [
            edge("agent", "repository"),
            edge("server", "frontend"),
            edge("repository", "shared"),
        ];
        assert_eq!(violations(&edges), Vec::<String>::new());
    }

    #[test]
    fn the_other_way_is_named() {
        let found = violations(&[edge("frontend", "server"), edge("lockbox", "shared")]);
        assert_eq!(found.len(), 2);
        assert!(
            found[0].starts_with("frontend/Cargo.toml: `frontend` must not use `server`"),
            "{}",
            found[0]
        );
        assert!(found[1].contains("may use none of our crates"), "{}", found[1]);
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert!(violations(&[edge("billing", "")])[0].contains("has no rule"));
    }

    #[test]
    fn this_workspace_keeps_the_rules_and_dev_dependencies_do_not_count() {
        let workspace = crate::workspace::Workspace::load().unwrap();
        let edges = edges(&workspace.metadata);
        assert!(edges.contains(&edge("server", "shared")));
        // The server's tests run agents and lockbox.
        assert!(!edges.contains(&edge("server", "agent")));
        assert_eq!(violations(&edges), Vec::<String>::new());
    }
}
