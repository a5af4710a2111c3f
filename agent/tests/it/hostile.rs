//! Trees that no honest agent writes: whoever stole an agent's keys, or forged a listing, must not get a file outside
//! the target, and must not cost what is honest beside it.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use agent::{
    progress::RestoreCounters,
    restore::{Order, Outcome, Overwrite, restore_from},
    snapshot::{Reason, Snapshot},
    store::ObjectSink,
};
use repository::{
    chunk::{ChunkId, ChunkKey, ChunkRef, SourceSecret},
    compress::Compression,
    manifest::{ManifestContent, Root},
    pack::{PackBuilder, SealedPack},
    recovery::{RecoverySecret, RecoverySeed},
    tree::{Content, Entry, Node, UnixTime, encode_listing},
};
use shared::object::ObjectRef;

use crate::support::bucket::Bucket;

/// Packs whatever it is given.
struct Forger {
    names: ChunkKey,
    files: PackBuilder,
    trees: PackBuilder,
}

impl Forger {
    fn new() -> Self {
        Self {
            names: SourceSecret::from_bytes([4; 32]).chunk_key(),
            files: PackBuilder::files(),
            trees: PackBuilder::trees(),
        }
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Entry {
        let id = self.names.id(content);
        let raw_len = u32::try_from(content.len()).unwrap();
        self.files.add(id, raw_len, Compression::None, content).unwrap();
        let chunks = vec![ChunkRef { id, raw_len }];
        let size_bytes = content.len() as u64;
        entry(
            name,
            Node::File {
                size_bytes,
                content: Content::Direct(chunks),
            },
        )
    }

    /// A page with these entries, in which each of `swaps` is then written over by another name of the same length.
    fn page(&mut self, entries: &[Entry], swaps: &[(&[u8], &[u8])]) -> ChunkId {
        let pages = encode_listing(entries, &self.names).unwrap();
        let [mut page] = <[Vec<u8>; 1]>::try_from(pages).unwrap();
        for (from, to) in swaps {
            assert_eq!(from.len(), to.len());
            let places: Vec<usize> = (0..page.len() - from.len())
                .filter(|at| page[*at..].starts_with(from))
                .collect();
            assert!(!places.is_empty());
            for at in places {
                page[at..at + to.len()].copy_from_slice(to);
            }
        }
        let id = self.names.id(&page);
        let raw_len = u32::try_from(page.len()).unwrap();
        self.trees.add(id, raw_len, Compression::None, &page).unwrap();
        id
    }

    fn snapshot(self, roots: Vec<Root>) -> Forged {
        let kit = RecoverySeed::from_bytes([9; 32]).secret();
        let bucket = Bucket::default();
        let mut objects = Vec::new();
        for builder in [self.files, self.trees] {
            let SealedPack { bytes, layout } = builder
                .seal(kit.public(), &mut agent::random::draw().unwrap())
                .unwrap();
            bucket.put(layout.object, bytes.into()).unwrap();
            objects.push(layout.object);
        }
        Forged {
            bucket,
            kit,
            roots,
            objects,
            names: self.names,
        }
    }
}

struct Forged {
    bucket: Bucket,
    kit: RecoverySecret,
    roots: Vec<Root>,
    objects: Vec<ObjectRef>,
    names: ChunkKey,
}

impl Forged {
    fn restore(&self, target: &Path, overwrite: Overwrite) -> Outcome {
        let snapshot = Snapshot {
            content: ManifestContent::new(
                "forged".into(),
                "nowhere".into(),
                self.roots.clone(),
                self.names.clone(),
            ),
            objects: self.objects.clone(),
            warnings: 0,
            lost_pages: vec![],
        };
        let order = Order {
            target: target.to_owned(),
            overwrite,
            ..Order::default()
        };
        restore_from(
            &self.bucket,
            &snapshot,
            &self.kit,
            &[],
            &order,
            &RestoreCounters::default(),
        )
        .unwrap()
    }
}

fn entry(name: &str, node: Node) -> Entry {
    let at = UnixTime {
        seconds: 1_000_000_000,
        nanoseconds: 0,
    };
    Entry {
        name: name.into(),
        node,
        mode: 0o755,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: at,
        ctime: at,
        xattrs: vec![],
        hard_link: None,
        owner: None,
        holes: None,
        windows: None,
        further: None,
    }
}

fn link(name: &str, target: &Path) -> Entry {
    use std::os::unix::ffi::OsStrExt;
    let target = target.as_os_str().as_bytes().to_vec();
    entry(name, Node::Symlink { target })
}

fn folder(name: &str, pages: Vec<ChunkId>) -> Entry {
    entry(name, Node::Directory { pages })
}

fn root(path: &str, entry: Entry) -> Root {
    Root {
        path: path.into(),
        entry,
        walked: None,
    }
}

/// A folder with a target and a place beside it that must stay as it is.
struct Scene {
    folder: tempfile::TempDir,
    before: HashMap<String, String>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), b"secret").unwrap();
        let mut scene = Self {
            folder,
            before: HashMap::new(),
        };
        scene.before = scene.beside();
        scene
    }

    fn target(&self) -> std::path::PathBuf {
        self.folder.path().join("target")
    }

    fn outside(&self) -> std::path::PathBuf {
        self.folder.path().join("outside")
    }

    fn beside(&self) -> HashMap<String, String> {
        walkdir::WalkDir::new(self.folder.path())
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.path().starts_with(self.target()) && entry.depth() > 0)
            .map(|entry| {
                let metadata = entry.metadata().unwrap();
                let content = fs::read(entry.path()).ok();
                let looks = (metadata.nlink(), metadata.mode(), metadata.mtime_nsec(), content);
                (entry.path().display().to_string(), format!("{looks:?}"))
            })
            .collect()
    }

    fn check(&self) {
        assert_eq!(
            self.beside(),
            self.before,
            "something outside the target was touched"
        );
    }
}

fn refused(outcome: &Outcome) -> Vec<&str> {
    outcome
        .losses
        .iter()
        .filter(|loss| matches!(loss.reason, Reason::Refused { .. } | Reason::Listing { .. }))
        .map(|loss| loss.path.as_str())
        .collect()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let cases: [(&str, &[u8]); 5] = [
        ("XX", b".."),
        ("XYoutsideYsecret", b"../outside/secre"),
        ("aXb", b"a/b"),
        ("Xetc", b"/etc"),
        ("aXb", b"a\0b"),
    ];
    for (name, hostile) in cases {
        let scene = Scene::new();
        let mut forger = Forger::new();
        let (evil, fine) = (forger.file(name, b"evil"), forger.file("fine", b"fine"));
        let page = forger.page(&[evil], &[(name.as_bytes(), hostile)]);
        let honest = forger.page(&[fine], &[]);
        let forged = forger.snapshot(vec![
            root("/evil", folder("evil", vec![page])),
            root("/honest", folder("honest", vec![honest])),
        ]);
        let outcome = forged.restore(&scene.target(), Overwrite::Always);
        assert_eq!(refused(&outcome), ["/evil"], "{hostile:?}");
        assert_eq!(fs::read(scene.target().join("honest/fine")).unwrap(), b"fine");
        assert_eq!(fs::read_dir(scene.target().join("evil")).unwrap().count(), 0);
        scene.check();
    }
}

#[test]
fn paths_of_a_source_that_lead_elsewhere_are_refused() {
    for path in ["/../outside", "/a/../../outside", "/a\0b"] {
        let scene = Scene::new();
        let mut forger = Forger::new();
        let (evil, fine) = (forger.file("secret", b"evil"), forger.file("fine", b"fine"));
        let page = forger.page(&[evil], &[]);
        let forged = forger.snapshot(vec![root(path, folder("x", vec![page])), root("/fine", fine)]);
        let outcome = forged.restore(&scene.target(), Overwrite::Always);
        assert_eq!(refused(&outcome).len(), 1, "{path}");
        assert!(scene.target().join("fine").exists());
        scene.check();
    }
}

/// A name twice, first a link to the outside, then a folder with something in it: in one page, in two pages, and as
/// two paths of the source.
#[test]
fn a_symbolic_link_and_then_something_below_it() {
    for overwrite in [Overwrite::Never, Overwrite::IfDifferent, Overwrite::Always] {
        let scene = Scene::new();
        let mut forger = Forger::new();
        let evil = forger.file("secret", b"evil");
        let below = forger.page(&[evil], &[]);
        let away = |name| link(name, &scene.outside());
        let one_page = forger.page(&[away("a"), folder("b", vec![below])], &[(b"\x41b", b"\x41a")]);
        let first = forger.page(&[away("a")], &[]);
        let second = forger.page(&[folder("a", vec![below])], &[]);
        let forged = forger.snapshot(vec![
            root("/one", folder("one", vec![one_page])),
            root("/two", folder("two", vec![first, second])),
            root("/three", away("three")),
            root("/three/x", folder("x", vec![below])),
        ]);
        let outcome = forged.restore(&scene.target(), overwrite);
        assert_eq!(refused(&outcome), ["/three/x", "/one", "/two"]);
        assert_eq!(fs::read_dir(scene.target().join("one")).unwrap().count(), 0);
        assert!(scene.target().join("two/a").is_symlink());
        assert!(scene.target().join("three").is_symlink());
        scene.check();

        // Once more, now that the links stand there.
        forged.restore(&scene.target(), overwrite);
        scene.check();
    }
}

/// Two names of one file, the first of which is, in the target, a way to a file outside.
#[test]
fn a_hard_link_does_not_take_hold_of_what_stands_in_the_target() {
    for overwrite in [Overwrite::Never, Overwrite::IfDifferent, Overwrite::Always] {
        for plant_hard_link in [true, false] {
            let mut scene = Scene::new();
            let secret = scene.outside().join("secret");
            if plant_hard_link {
                fs::hard_link(&secret, scene.target().join("a")).unwrap();
            } else {
                symlink(&secret, scene.target().join("a")).unwrap();
            }
            scene.before = scene.beside();
            let mut forger = Forger::new();
            let a = Entry {
                hard_link: Some(7),
                ..forger.file("a", b"evil")
            };
            let b = Entry {
                name: b"b".to_vec(),
                ..a.clone()
            };
            let forged = forger.snapshot(vec![root("/a", a), root("/b", b)]);
            let outcome = forged.restore(&scene.target(), overwrite);
            assert_eq!(outcome.losses, []);
            let b = scene.target().join("b");
            assert_eq!(fs::read(&b).unwrap(), b"evil");
            assert_ne!(
                fs::metadata(&b).unwrap().ino(),
                fs::metadata(&secret).unwrap().ino()
            );
            if overwrite == Overwrite::Never || !plant_hard_link {
                scene.check();
            } else {
                // The name in the target is another file now; the file outside has lost only that name.
                assert_eq!(fs::read(&secret).unwrap(), b"secret");
                assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
            }
        }
    }
}

/// A chunk that is not what its listing says: neither its length nor its content reaches a file.
#[test]
fn lengths_that_do_not_fit_make_no_file() {
    let scene = Scene::new();
    let mut forger = Forger::new();
    let mut evil = forger.file("evil", b"0123456789");
    let Node::File {
        size_bytes,
        content: Content::Direct(chunks),
    } = &mut evil.node
    else {
        unreachable!()
    };
    *size_bytes = 5;
    chunks[0].raw_len = 5;
    let fine = forger.file("fine", b"fine");
    let forged = forger.snapshot(vec![root("/evil", evil), root("/fine", fine)]);
    let outcome = forged.restore(&scene.target(), Overwrite::Never);
    assert_eq!(refused(&outcome), ["/evil"]);
    let left: Vec<_> = fs::read_dir(scene.target())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["fine"]);
    scene.check();
}
