//! Which parts of a snapshot are wanted: absolute paths as they were on the endpoint.

/// A path's names, from the top.
pub(super) type Names = Vec<Vec<u8>>;

/// What was asked for. Nothing named means everything.
pub(super) struct Selection {
    paths: Vec<Names>,
    met: Vec<bool>,
}

/// What is wanted below some folder: everything, or what is left of these paths.
#[derive(Clone)]
pub(super) enum Wanted {
    /// Everything.
    All,
    /// The path of this number, from this depth on.
    Below(Vec<(usize, usize)>),
}

impl Wanted {
    /// Whether nothing below here is wanted.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Below(rest) if rest.is_empty())
    }
}

impl Selection {
    pub(super) fn new<'p>(paths: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let paths: Vec<Names> = paths.into_iter().map(names).collect();
        Self {
            met: vec![false; paths.len()],
            paths,
        }
    }

    /// Whether the whole snapshot is wanted.
    pub(super) fn is_all(&self) -> bool {
        self.paths.is_empty()
    }

    /// What is wanted of the file system's root.
    pub(super) fn root(&mut self) -> Wanted {
        if self.paths.is_empty() {
            return Wanted::All;
        }
        self.settle((0..self.paths.len()).map(|path| (path, 0)).collect())
    }

    /// What is wanted of the entry `name` of a folder.
    pub(super) fn enter(&mut self, wanted: &Wanted, name: &[u8]) -> Wanted {
        let Wanted::Below(rest) = wanted else {
            return Wanted::All;
        };
        let below = rest
            .iter()
            .filter(|(path, depth)| self.paths[*path].get(*depth).is_some_and(|part| part == name))
            .map(|(path, depth)| (*path, depth + 1))
            .collect();
        self.settle(below)
    }

    /// A path that ends here is met, and everything below it wanted; others that go on below are met with it.
    fn settle(&mut self, rest: Vec<(usize, usize)>) -> Wanted {
        let ends = |(path, depth): &(usize, usize)| self.paths[*path].len() == *depth;
        if !rest.iter().any(ends) {
            return Wanted::Below(rest);
        }
        for (path, _) in rest {
            self.met[path] = true;
        }
        Wanted::All
    }

    /// Paths that nothing was found for.
    pub(super) fn unmet(&self) -> impl Iterator<Item = &Names> {
        self.paths
            .iter()
            .zip(&self.met)
            .filter(|(_, met)| !**met)
            .map(|(path, _)| path)
    }
}

/// The names in a path. `.` and doubled slashes say nothing.
pub(super) fn names(path: &[u8]) -> Names {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
