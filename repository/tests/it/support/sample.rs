//! The source. Nothing here depends on the machine, the clock or a compressor's version: its bytes are the same for
//! ever, or a writer has changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repository::{
    chunk::{ChunkId, ChunkKey, ChunkRef, SourceSecret},
    commit::{CommitRecord, CommitSigningKey},
    compress::Compression,
    further::Further,
    identity::{AgentRestoreKey, AgentSigningKey, Certificate},
    index,
    kit::Kit,
    layout,
    manifest::{
        self, ManifestContent, ManifestParent, NameIndex, NewManifest, Root, Warning, WarningKind,
        WarningList,
    },
    object_list::{Delta, ObjectList, Page},
    owners::OwnerTable,
    pack::{PackBuilder, PackKey, PackLayout, SealedPack},
    recovery::RecoverySeed,
    restore::{Destination, Grant, GrantedPack, Overwrite, RestoreOrder},
    tree::{self, Content, Entry, Hole, Holes, Node, OwnerNames, Reparse, Stream, UnixTime, Windows, Xattr},
};
use shared::{
    api::agent::SnapshotTotals,
    ids::{AgentId, BackupSetId, RestoreId, RunId, SnapshotId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::LockMode,
};
use uuid::Uuid;

use super::{cbor, fixed::Fixed};

pub const SOURCE: Uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);
pub const AGENT: Uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0002);

/// Everything that the writer knows, and all that it wrote.
pub struct Sample {
    pub kit: Kit,
    pub agent: AgentSigningKey,
    pub restore_key: AgentRestoreKey,
    pub secret: SourceSecret,
    pub server: CommitSigningKey,
    pub certificate: Certificate,
    /// By key.
    pub bucket: BTreeMap<String, Vec<u8>>,
    pub packs: Vec<PackLayout>,
    pub pages: Vec<Page>,
    pub lists: Vec<ObjectList>,
    pub manifests: Vec<(ObjectRef, Vec<u8>)>,
    pub contents: Vec<ManifestContent>,
    pub commits: Vec<Vec<u8>>,
    pub listings: Vec<Vec<u8>>,
    pub chunk_lists: Vec<Vec<u8>>,
    pub warning_pages: Vec<Vec<u8>>,
    pub announced: Vec<u8>,
    pub grant: Vec<u8>,
    pub grant_content: Vec<u8>,
    pub order: Vec<u8>,
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

/// A zstd frame (RFC 8878) of `len` zeros, by hand: one segment, blocks that repeat one byte.
pub fn zstd_of_zeros(len: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&len.to_le_bytes());
    let mut rest = len;
    while rest > 0 {
        let size = rest.min(128 * 1024);
        rest -= size;
        let block = u32::from(rest == 0) | 1 << 1 | size << 3;
        frame.extend_from_slice(&block.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

struct Packer {
    builder: PackBuilder,
    names: ChunkKey,
}

impl Packer {
    fn raw(&mut self, raw: &[u8]) -> ChunkRef {
        self.stored(raw, Compression::None, raw)
    }

    fn stored(&mut self, raw: &[u8], compression: Compression, stored: &[u8]) -> ChunkRef {
        let id: ChunkId = self.names.id(raw);
        let raw_len = u32::try_from(raw.len()).unwrap();
        self.builder.add(id, raw_len, compression, stored).unwrap();
        ChunkRef { id, raw_len }
    }
}

fn entry(name: &[u8], node: Node) -> Entry {
    let time = UnixTime {
        seconds: 1_780_000_000,
        nanoseconds: 123_456_789,
    };
    Entry {
        name: name.to_vec(),
        mode: if matches!(node, Node::Directory { .. }) {
            0o2750
        } else {
            0o640
        },
        node,
        uid: 1000,
        gid: 100,
        mtime: time,
        ctime: UnixTime { seconds: -1, ..time },
        xattrs: vec![],
        hard_link: None,
        owner: None,
        holes: None,
        windows: None,
        further: None,
    }
}

fn file(name: &[u8], chunks: Vec<ChunkRef>) -> Entry {
    let size_bytes = chunks.iter().map(|chunk| u64::from(chunk.raw_len)).sum();
    entry(
        name,
        Node::File {
            size_bytes,
            content: Content::Direct(chunks),
        },
    )
}

/// A file with everything that version 2 adds.
fn second_version(file: Entry, chunk: ChunkRef) -> Entry {
    let stream = Stream {
        name: b"Zone.Identifier".to_vec(),
        size_bytes: u64::from(chunk.raw_len),
        content: Content::Direct(vec![chunk]),
    };
    Entry {
        owner: Some(Box::new(OwnerNames {
            user: b"DOMAIN\\anna".to_vec(),
            group: vec![],
        })),
        holes: Some(Box::new(Holes(vec![Hole { offset: 0, len: 4 }]))),
        windows: Some(Box::new(Windows {
            attributes: Some(0x20),
            created: Some(file.mtime),
            security: Some(vec![1, 0, 4, 0x80].into()),
            streams: Some(vec![stream]),
            reparse: Some(Reparse {
                tag: 0xa000_000c,
                data: b"elsewhere".to_vec(),
            }),
        })),
        further: Some(Box::new(Further::new(vec![(4711, b"later".to_vec())]).unwrap())),
        ..file
    }
}

impl Sample {
    pub fn new() -> Self {
        let kit = Kit::new(RecoverySeed::from_bytes([0x11; 32]), "golden", Some(at(0)));
        let agent = AgentSigningKey::from_seed([0x22; 32]);
        let certificate = Certificate::issue(AgentId::from_uuid(AGENT), &agent.public(), &kit.secret());
        let mut sample = Self {
            restore_key: AgentRestoreKey::from_seed([0x33; 32]),
            secret: SourceSecret::from_bytes([0x44; 32]),
            server: CommitSigningKey::from_seed([0x55; 32]),
            certificate,
            kit,
            agent,
            bucket: BTreeMap::new(),
            packs: Vec::new(),
            pages: Vec::new(),
            lists: Vec::new(),
            manifests: Vec::new(),
            contents: Vec::new(),
            commits: Vec::new(),
            listings: Vec::new(),
            chunk_lists: Vec::new(),
            warning_pages: Vec::new(),
            announced: Vec::new(),
            grant: Vec::new(),
            grant_content: Vec::new(),
            order: Vec::new(),
        };
        sample.first();
        sample.second();
        sample.restore();
        sample
    }

    fn packer(&self, builder: PackBuilder) -> Packer {
        Packer {
            builder,
            names: self.secret.chunk_key(),
        }
    }

    fn put(&mut self, object: ObjectRef, bytes: Vec<u8>) {
        let source = SourceId::from_uuid(SOURCE);
        let key = layout::object_key("", source, object.kind, &object.hash);
        self.bucket.insert(key, bytes);
    }

    fn seal(&mut self, packer: Packer, seed: &str) -> PackLayout {
        let sealed: SealedPack = packer
            .builder
            .seal(self.kit.secret().public(), &mut Fixed::new(seed))
            .unwrap();
        self.put(sealed.layout.object, sealed.bytes);
        self.packs.push(sealed.layout.clone());
        sealed.layout
    }

    /// Names that no text holds, links, attributes, zeros, an indirect list of chunks, two pages of one folder.
    fn first(&mut self) {
        let mut files = self.packer(PackBuilder::files());
        let hello = files.raw(b"hello\n");
        let zeros = files.stored(&[0; 300_000], Compression::Zstd, &zstd_of_zeros(300_000));
        let parts: Vec<ChunkRef> = (0..3u8).map(|part| files.raw(&[b'a' + part; 70])).collect();
        let files = self.seal(files, "golden 1 files");

        let mut trees = self.packer(PackBuilder::trees());
        let list = tree::encode_content(vec![parts[0]; 600], &self.secret.chunk_key()).1;
        let short = cbor::bytes_of(|to| {
            to.map(1).unwrap().u8(0).unwrap().encode(&parts).unwrap();
        });
        self.chunk_lists = [list, vec![short.clone()]].concat();
        let indirect = trees.raw(&short);
        let deep = entry(
            b"deep",
            Node::File {
                size_bytes: 210,
                content: Content::Indirect(vec![indirect.id]),
            },
        );
        let group = Some(self.secret.hard_link_group(0, 77));
        let xattrs = vec![Xattr {
            name: b"user.note".to_vec(),
            value: b"\x00\xff".to_vec(),
        }];
        let sub = self.listing(&mut trees, &[deep]);
        let linked = |name: &[u8]| Entry {
            hard_link: group,
            xattrs: xattrs.clone(),
            ..file(name, vec![hello])
        };
        let early = self.listing(
            &mut trees,
            &[file(b"b\xffd", vec![hello]), file(b"empty", vec![])],
        );
        let late = self.listing(
            &mut trees,
            &[
                linked(b"greeting"),
                linked(b"greeting again"),
                entry(
                    b"link",
                    Node::Symlink {
                        target: b"greeting".to_vec(),
                    },
                ),
                file(b"sparse", vec![zeros]),
                entry(b"sub", Node::Directory { pages: vec![sub] }),
            ],
        );
        let trees = self.seal(trees, "golden 1 trees");
        let root = entry(
            b"data",
            Node::Directory {
                pages: vec![early, late],
            },
        );
        let segment = self.segment(&[files.clone(), trees.clone()], "golden 1 index");

        let added = vec![files.object, trees.object, segment];
        let page = self.page(1, added.clone(), vec![]);
        let list = ObjectList::from_bytes(&cbor::object_list(&[(&self.pages[0], page)], &[])).unwrap();
        let content = self.content(root);
        self.snapshot(1, added, list, content);
    }

    /// A changed file, a file less, a file more: new packs, an old tree pack dropped, a layer on the old one.
    fn second(&mut self) {
        let mut files = self.packer(PackBuilder::files());
        let changed = files.raw(b"hello again\n");
        let files = self.seal(files, "golden 2 files");
        let mut trees = self.packer(PackBuilder::trees());
        let page = self.listing(
            &mut trees,
            &[
                second_version(file(b"greeting", vec![changed]), changed),
                file(b"new", vec![changed]),
            ],
        );
        let warning = Warning {
            path: b"/srv/data/socket".to_vec(),
            kind: WarningKind::UnsupportedType,
            detail: "a socket".into(),
        };
        self.warning_pages = manifest::encode_warnings(&[warning], &self.secret.chunk_key());
        let warnings = self.warning_pages.iter().map(|page| trees.raw(page).id).collect();
        let names = trees.raw(b"an index of names in a form that no reader knows").id;
        let trees = self.seal(trees, "golden 2 trees");
        let root = entry(b"data", Node::Directory { pages: vec![page] });
        let segment = self.segment(&[files.clone(), trees.clone()], "golden 2 index");

        let gone = self.packs[1].object;
        let layer = self.page(2, vec![files.object, trees.object], vec![gone.hash]);
        let first = *self.lists[0].pages().next().unwrap();
        let layers = [(&self.pages[0], first), (&self.pages[1], layer)];
        let list = ObjectList::from_bytes(&cbor::object_list(&layers, &[segment])).unwrap();
        let mut objects = self.pages[0].delta.added().to_vec();
        objects.retain(|object| *object != gone);
        objects.extend([files.object, trees.object, segment]);
        let mut content = self.content(root);
        content.roots[0].walked = Some(b"/mnt/disk/data".to_vec().into());
        content.warnings = WarningList::Pages(warnings);
        content.owners = OwnerTable {
            users: [(0, b"root".to_vec()), (1000, b"anna".to_vec())].into(),
            groups: [(100, b"users".to_vec())].into(),
        };
        content.name_index = Some(NameIndex {
            form: 4711,
            pages: vec![names],
        });
        content.further = Some(Further::new(vec![(4711, b"later".to_vec())]).unwrap());
        self.snapshot(2, objects, list, content);
    }

    fn listing(&mut self, trees: &mut Packer, entries: &[Entry]) -> ChunkId {
        let pages = tree::encode_listing(entries, &self.secret.chunk_key()).unwrap();
        let [page] = pages.as_slice() else {
            panic!("one page");
        };
        self.listings.push(page.clone());
        trees.raw(page).id
    }

    fn segment(&mut self, packs: &[PackLayout], seed: &str) -> ObjectRef {
        let public = self.kit.secret().public().clone();
        let (segment, bytes) =
            index::seal(packs, &self.secret.index_key(), &public, &mut Fixed::new(seed)).unwrap();
        self.put(segment, bytes);
        segment
    }

    fn page(&mut self, seq: u64, added: Vec<ObjectRef>, dropped: Vec<ObjectHash>) -> ObjectRef {
        let page = Page {
            seq,
            delta: Delta::new(added, dropped).unwrap(),
        };
        let (object, bytes) = page.encode();
        self.put(object, bytes);
        self.pages.push(page);
        object
    }

    fn content(&self, root: Entry) -> ManifestContent {
        let root = Root {
            path: b"/srv/data".to_vec(),
            entry: root,
            walked: None,
        };
        let names = self.secret.chunk_key();
        ManifestContent::new("golden".into(), "endpoint".into(), vec![root], names)
    }

    fn snapshot(&mut self, seq: u64, objects: Vec<ObjectRef>, list: ObjectList, content: ManifestContent) {
        let parent = self.manifests.last().map(|(object, _)| object.hash);
        let second = i64::try_from(seq).unwrap() * 86_400;
        let run_id = RunId::from_uuid(Uuid::from_u128(100 + u128::from(seq)));
        let new = NewManifest {
            agent_id: AgentId::from_uuid(AGENT),
            source_id: SourceId::from_uuid(SOURCE),
            run_id,
            parent: parent.map(|manifest| ManifestParent {
                seq: seq - 1,
                manifest,
            }),
            created_at: at(second),
            totals: SnapshotTotals {
                files: 7,
                folders: 2,
                bytes: 300_000,
                bytes_sent: 2_000,
                warnings: 0,
                notes: seq - 1,
            },
            objects,
            list: list.clone(),
            // The first snapshot was made before the kit had certified the agent.
            certificate: (seq > 1).then(|| self.certificate.clone()),
            content: content.clone(),
        };
        let seed = format!("golden manifest {seq}");
        let public = self.kit.secret().public().clone();
        let (object, bytes) = new.seal(&public, &self.agent, &mut Fixed::new(&seed)).unwrap();
        let record = CommitRecord {
            source_id: SourceId::from_uuid(SOURCE),
            snapshot_id: SnapshotId::from_uuid(Uuid::from_u128(200 + u128::from(seq))),
            run_id,
            seq,
            parent_manifest: parent,
            manifest: object,
            received_at: at(second + 60),
            protected_until: at(second + 60 + 90 * 86_400),
            mode: LockMode::Compliance,
            tiers: vec![],
        };
        let commit = record.sign(&self.server);
        let key = layout::commit_key("", SourceId::from_uuid(SOURCE), seq);
        self.bucket.insert(key, commit.clone());
        self.put(object, bytes.clone());
        self.commits.push(commit);
        self.lists.push(list);
        self.manifests.push((object, bytes));
        self.contents.push(content);
    }

    /// An order to restore one file of the second snapshot, and the keys that it takes.
    fn restore(&mut self) {
        let secret = self.kit.secret();
        let packs: Vec<GrantedPack> = self.packs[2..4]
            .iter()
            .map(|layout| GrantedPack {
                object: layout.object,
                key: PackKey::open(layout.object.kind, self.object(&layout.object), &secret).unwrap(),
            })
            .collect();
        let content = &self.contents[1];
        let grant = Grant::new(content.chunk_key.clone(), content.roots.clone(), packs)
            .unwrap()
            .with_owners(content.owners.clone());
        let keys: Vec<_> = grant
            .packs()
            .iter()
            .map(|pack| (pack.object, pack.key.clone()))
            .collect();
        self.grant_content = cbor::grant_content(&grant.chunk_key, &grant.roots, &keys, &grant.owners);
        self.grant = grant
            .seal(self.restore_key.public(), &mut Fixed::new("golden grant"))
            .unwrap();
        let agent_id = AgentId::from_uuid(AGENT);
        self.announced = self.restore_key.announce(agent_id, at(0), &self.agent);
        let order = RestoreOrder {
            restore_id: RestoreId::from_uuid(Uuid::from_u128(300)),
            backup_set_id: BackupSetId::from_uuid(Uuid::from_u128(301)),
            source_id: SourceId::from_uuid(SOURCE),
            manifest: self.manifests[1].0.hash,
            paths: vec![b"/srv/data/greeting".to_vec()],
            destination: Destination::Below(b"/restored".to_vec()),
            overwrite: Overwrite::IfDifferent,
            agent_id,
            restore_key: self.restore_key.public().clone(),
            grant: repository::hash(&self.grant),
            issued_at: at(0),
            expires_at: at(3_600),
        };
        self.order = order.sign(&secret).unwrap();
    }

    pub fn object(&self, object: &ObjectRef) -> &[u8] {
        let source = SourceId::from_uuid(SOURCE);
        &self.bucket[&layout::object_key("", source, object.kind, &object.hash)]
    }

    /// The objects of a kind, in the order of their keys.
    pub fn of_kind(&self, kind: ObjectKind) -> Vec<&[u8]> {
        let kind_of = |bytes: &[u8]| bytes[4];
        self.bucket
            .values()
            .map(Vec::as_slice)
            .filter(|bytes| kind_of(bytes) == kind.tag())
            .collect()
    }
}
