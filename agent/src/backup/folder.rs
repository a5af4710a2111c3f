//! A folder: what is in it, and what of that is as it was.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
};

use repository::manifest::WarningKind;

use super::{
    error::BackupError,
    files::Before,
    filter::{AtMount, Filter},
    node::{Above, Node, below, folder_key},
    task::{FolderTask, Seen, Task, batches},
    walker::{Walk, Worker, unreadable},
};
use crate::{
    cache::decode_files,
    platform::{self, FileSystemKind, Folder, Kind, Mounts, Name, Stat},
};

/// Looks at a path of the source, links resolved; or why there is nothing to take.
///
/// # Errors
/// When it is the agent's own state.
pub(super) fn look_at_root(
    walked: &Path,
    filter: &Filter,
    mounts: &Mounts,
) -> Result<Result<Stat, String>, BackupError> {
    let stat = match platform::stat(walked) {
        Ok(stat) => stat,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if filter.is_state(&stat) || filter.within_state(walked) {
        return Err(BackupError::OwnState);
    }
    let (kind, name) = mounts.file_system(stat.device);
    Ok(match (kind, stat.kind) {
        // Entering a path of the source mounts what is asked for.
        (FileSystemKind::Kernel, _) if name != "autofs" => {
            Err(format!("{name}: the kernel's own state, no files"))
        }
        // Its links are resolved: one that is left leads nowhere. A disk that is not mounted must not become a snapshot of
        // nothing.
        (_, Kind::Symlink) => Err("a link that leads nowhere".to_owned()),
        _ => Ok(stat),
    })
}

impl Walk<'_, '_> {
    /// What there is to do for one path of the source.
    pub(super) fn root(&self, at: usize) -> Result<Option<Task>, BackupError> {
        let (path, walked) = (&self.roots[at].path, &self.roots[at].walked);
        let reading = self.counters.readings.begin(0, at);
        let looked = look_at_root(walked, self.filter, &self.mounts)?;
        drop(reading);
        let stat = match looked {
            Ok(stat) => stat,
            Err(why) => {
                self.warn(platform::bytes(path).to_vec(), WarningKind::PathMissing, &why);
                return Ok(None);
            }
        };
        self.devices.add_root(stat.device);
        let parent = walked.parent().unwrap_or(Path::new("/"));
        let (above, begin) = match stat.kind {
            Kind::Folder => (Above::Nothing, walked.as_path()),
            Kind::File | Kind::Other | Kind::Symlink => (Above::OneFile, parent),
        };
        Ok(Some(Task::Folder(FolderTask {
            above,
            root: at,
            within: None,
            name: platform::bytes(begin).to_vec(),
        })))
    }

    /// Lists a folder, looks at everything in it, and leaves behind what takes longer.
    pub(super) fn folder(&self, worker: &mut Worker, task: FolderTask) -> Result<(), BackupError> {
        let reading = self.reading(worker, task.root);
        if let Some((stat, at_mount)) = self.untouched(&task) {
            drop(reading);
            let node = Arc::new(self.node(task, stat));
            self.mount_left_out(worker, &node, &at_mount);
            return self.part_done(worker, node);
        }
        let opened = match &task.within {
            Some(within) => within.folder(&task.name),
            None => Folder::open(Path::new(platform::os(&task.name))),
        };
        let opened = opened.and_then(|folder| Ok((folder.stat()?, folder)));
        let (stat, folder) = match opened {
            Ok((stat, folder)) => (stat, folder),
            Err(error) => {
                drop(reading);
                return self.closed_folder(worker, task, &error);
            }
        };
        if self.filter.is_state(&stat) {
            drop(reading);
            return self.left_out(worker, task.above);
        }
        let at_mount = self.at_mount(&task, &stat);
        let (names, failure) = match self.names(&task, &folder, &at_mount) {
            Ok(names) => (names, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut node = self.node(task, stat);
        match folder.xattrs() {
            Ok(xattrs) => node.xattrs = self.bounded(xattrs, &|| node.path()).0,
            Err(error) => self.warn(node.path(), WarningKind::MetadataIncomplete, &error),
        }
        drop(reading);
        let node = Arc::new(node);
        self.mount_left_out(worker, &node, &at_mount);
        if let Some(error) = failure {
            self.warn(node.path(), unreadable(&error), &error);
            // Neither must a folder that does not list become a snapshot of nothing.
            if matches!(node.above, Above::Nothing | Above::OneFile) {
                return Ok(());
            }
        }
        self.look_at(worker, &node, &Arc::new(folder), names)
    }

    /// A folder that is not to be opened, as it is without.
    fn untouched(&self, task: &FolderTask) -> Option<(Stat, AtMount)> {
        let (Above::Folder(above, _), Some(within)) = (&task.above, &task.within) else {
            return None;
        };
        if !self.mounts.has_points() {
            return None;
        }
        let path = above.path_of(&task.name);
        let at_mount = self.filter.before_opening(&self.mounts, &path, above.stat.device);
        // Looking at a name has nothing mounted (path_resolution(7); since Linux 4.11).
        let stat = (at_mount != AtMount::Enter).then(|| within.remembered_stat_of(&task.name).ok())??;
        Some((stat, at_mount))
    }

    fn mount_left_out(&self, worker: &mut Worker, node: &Node, at_mount: &AtMount) {
        if matches!(at_mount, AtMount::LeaveOut | AtMount::Tell(_)) {
            worker.left_out += 1;
        }
        if let AtMount::Tell(detail) | AtMount::Pass(detail) = at_mount {
            self.note(worker, node.path(), WarningKind::MountLeftOut, detail);
        }
    }

    fn at_mount(&self, task: &FolderTask, stat: &Stat) -> AtMount {
        match &task.above {
            Above::Folder(above, _) => self.filter.at_mount(&self.mounts, stat.device, above.stat.device),
            Above::Nothing | Above::OneFile => AtMount::Enter,
        }
    }

    fn names(&self, task: &FolderTask, folder: &Folder, at_mount: &AtMount) -> io::Result<Vec<Name>> {
        match &task.above {
            Above::OneFile => {
                let walked = platform::bytes(&self.roots[task.root].walked);
                let name = walked.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                Ok(vec![Name {
                    bytes: name.to_vec(),
                    is_folder: false,
                }])
            }
            _ if *at_mount != AtMount::Enter => Ok(Vec::new()),
            _ => folder.names(),
        }
    }

    fn node(&self, task: FolderTask, stat: Stat) -> Node {
        let mut node = Node {
            above: task.above,
            root: task.root,
            name: task.name,
            stat,
            xattrs: Vec::new(),
            device: 0,
            is_included: self.filter.includes_all(),
            key: Vec::new(),
            children: Mutex::default(),
            waiting: AtomicUsize::new(1),
            is_renewed: AtomicBool::new(false),
        };
        let path = node.path();
        node.key = folder_key(&path);
        match &node.above {
            Above::Folder(above, _) => {
                node.device = if stat.device == above.stat.device {
                    above.device
                } else {
                    self.devices.met(stat.device, &path)
                };
                let relative = below(&path, &self.roots[node.root].walked);
                node.is_included =
                    node.is_included || self.filter.includes(relative, true, above.is_included);
            }
            Above::Nothing => node.device = self.devices.add_root(stat.device),
            Above::OneFile => {
                node.device = self.devices.add_root(stat.device);
                // A single file's record must not replace those of its folder; and it is named, so it is included.
                node.key.push(0);
                node.key
                    .extend_from_slice(platform::bytes(&self.roots[node.root].walked));
                node.is_included = true;
            }
        }
        node
    }

    fn look_at(
        &self,
        worker: &mut Worker,
        node: &Arc<Node>,
        folder: &Arc<Folder>,
        names: Vec<Name>,
    ) -> Result<(), BackupError> {
        let record = self.known.folder(&node.key)?;
        let before = record.as_deref().map(decode_files).unwrap_or_default();
        let mut before = before.into_iter().peekable();
        let mut path = self.filter.has_patterns().then(|| node.path_of(b""));
        let mut same = 0;
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let mut children = Vec::with_capacity(names.len());
        let known = before.len();
        for (slot, name) in names.into_iter().enumerate() {
            self.must_go_on()?;
            children.push(None);
            let Name {
                bytes: name,
                is_folder,
            } = name;
            let stat = match self.stat_of(worker, (node, folder), &name, is_folder) {
                Ok(stat) => stat,
                Err(error) => {
                    self.warn(node.path_of(&name), unreadable(&error), &error);
                    continue;
                }
            };
            let is_folder = stat.is_none_or(|stat| stat.kind == Kind::Folder);
            let is_file = stat.is_some_and(|stat| stat.kind == Kind::File);
            if let Some(path) = &mut path
                && !matches!(node.above, Above::OneFile)
                && !self.takes(node, path, &name, is_folder)
            {
                worker.left_out += u64::from(is_folder || is_file);
                continue;
            }
            let Some(stat) = stat.filter(|_| !is_folder) else {
                folders.push(Task::Folder(FolderTask {
                    above: Above::Folder(node.clone(), slot),
                    root: node.root,
                    within: Some(folder.clone()),
                    name,
                }));
                continue;
            };
            if self.filter.is_too_large(&stat) {
                worker.left_out += 1;
                continue;
            }
            while before.next_if(|(entry, _)| entry.name < name).is_some() {}
            let record = before.next_if(|(entry, _)| entry.name == name);
            let record = match self.as_before(worker, node, &stat, record) {
                Before::Same(child) => {
                    same += 1;
                    children[slot] = Some(child);
                    continue;
                }
                Before::Known(record) => Some(record),
                Before::Other => None,
            };
            files.push(Seen {
                slot,
                name,
                stat,
                record,
            });
        }
        if same != known || !files.is_empty() {
            node.is_renewed.store(true, Relaxed);
        }
        *node.children.lock().unwrap_or_else(PoisonError::into_inner) = children;
        let batches = batches(node, folder, files);
        node.waiting.fetch_add(folders.len() + batches.len(), AcqRel);
        // The last is done first: the files, and then the folders in order.
        self.queue
            .push(folders.into_iter().rev().chain(batches.into_iter().rev()));
        self.part_done(worker, node.clone())
    }

    /// What the system says of a name, unless the listing has said that it is a folder.
    fn stat_of(
        &self,
        worker: &Worker,
        (node, folder): (&Node, &Folder),
        name: &[u8],
        is_folder: bool,
    ) -> io::Result<Option<Stat>> {
        let _reading = self.reading(worker, node.root);
        (!is_folder).then(|| folder.stat_of(name)).transpose()
    }

    fn takes(&self, node: &Node, folder: &mut Vec<u8>, name: &[u8], is_folder: bool) -> bool {
        let len = folder.len();
        folder.extend_from_slice(name);
        let path = below(folder, &self.roots[node.root].walked);
        let left_out = self.filter.leaves_out(path, is_folder, node.is_included, true);
        folder.truncate(len);
        left_out.is_none()
    }

    /// A folder that does not open is kept as an empty one, as far as it can be looked at.
    fn closed_folder(
        &self,
        worker: &mut Worker,
        task: FolderTask,
        error: &io::Error,
    ) -> Result<(), BackupError> {
        let stat = task
            .within
            .as_ref()
            .and_then(|within| within.stat_of(&task.name).ok());
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::Folder) else {
            let path = match &task.above {
                Above::Folder(above, _) => above.path_of(&task.name),
                Above::Nothing | Above::OneFile => platform::bytes(&self.roots[task.root].path).to_vec(),
            };
            self.warn(path, unreadable(error), error);
            return self.left_out(worker, task.above);
        };
        let node = Arc::new(self.node(task, stat));
        self.warn(node.path(), unreadable(error), error);
        self.part_done(worker, node)
    }
}
