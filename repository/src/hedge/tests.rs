use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use shared::{
    api::agent::SnapshotTotals,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};
use uuid::Uuid;

use crate::{
    chunk::{ChunkId, SourceSecret},
    compress::Compression,
    identity::{AgentRestoreKey, AgentSigningKey},
    index,
    manifest::{ManifestContent, NewManifest},
    object_list::{Delta, ObjectList, plan},
    pack::{self, PackBuilder, PackEntry, PackKey, PackLayout},
    recovery::{RecoverySecret, RecoverySeed},
    restore::{self, Grant, GrantedPack},
    seal::Sealed,
    test_random::Repeated,
    wire,
};

/// A chunk as a pack has it: which, how long, how stored, and the stored bytes.
type Chunk = (u8, u32, bool, Vec<u8>);

/// Anything that is sealed, of few possible parts, so that near misses are frequent.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Pack {
        trees: bool,
        kit: u8,
        chunks: Vec<Chunk>,
    },
    Index {
        source: u8,
        kit: u8,
        packs: Vec<Vec<(u8, u32)>>,
    },
    Manifest {
        run: u8,
        kit: u8,
        objects: u8,
        name: String,
        hostname: String,
    },
    Grant {
        agent: u8,
        chunk_key: u8,
        packs: Vec<u8>,
    },
}

fn content() -> impl Strategy<Value = Content> {
    let chunk = (0u8..3, 0u32..3, any::<bool>(), vec(0u8..2, 0..3));
    prop_oneof![
        (any::<bool>(), 0u8..2, vec(chunk, 1..4)).prop_map(|(trees, kit, chunks)| Content::Pack {
            trees,
            kit,
            chunks
        }),
        (0u8..2, 0u8..2, vec(vec((0u8..2, 0u32..2), 0..3), 0..3))
            .prop_map(|(source, kit, packs)| Content::Index { source, kit, packs }),
        (0u8..2, 0u8..2, 0u8..3, "[ab]{0,2}", "[ab]{0,2}").prop_map(|(run, kit, objects, name, hostname)| {
            Content::Manifest {
                run,
                kit,
                objects,
                name,
                hostname,
            }
        }),
        (0u8..2, 0u8..2, vec(0u8..3, 0..3)).prop_map(|(agent, chunk_key, packs)| Content::Grant {
            agent,
            chunk_key,
            packs
        }),
    ]
}

fn kit(number: u8) -> RecoverySecret {
    RecoverySeed::from_bytes([100 + number; 32]).secret()
}

fn object(number: u8) -> ObjectRef {
    ObjectRef {
        kind: ObjectKind::Pack,
        hash: ObjectHash::from_bytes([number; 32]),
        size_bytes: 4096,
    }
}

fn any_pack(number: u8) -> (ObjectRef, PackKey) {
    let mut builder = PackBuilder::files();
    builder
        .add(ChunkId::from_bytes([number; 32]), 1, Compression::None, &[number])
        .unwrap();
    let sealed = builder.seal(kit(0).public(), &mut Repeated(1)).unwrap();
    (
        sealed.layout.object,
        PackKey::open(ObjectKind::Pack, &sealed.bytes, &kit(0)).unwrap(),
    )
}

impl Content {
    /// Seals it with a random source that gives the same at every call, and gives each secret that was drawn, as far
    /// as it can be seen: the object's own key (or the salt that is drawn after it) and HPKE's ephemeral key.
    fn secrets(&self) -> Vec<[u8; 32]> {
        let rng = &mut Repeated(1);
        match self {
            Self::Pack {
                trees,
                kit: number,
                chunks,
            } => {
                let mut builder = if *trees {
                    PackBuilder::trees()
                } else {
                    PackBuilder::files()
                };
                for (id, raw_len, zstd, stored) in chunks {
                    let compression = if *zstd {
                        Compression::Zstd
                    } else {
                        Compression::None
                    };
                    builder
                        .add(ChunkId::from_bytes([*id; 32]), *raw_len, compression, stored)
                        .unwrap();
                }
                let kind = if *trees {
                    ObjectKind::TreePack
                } else {
                    ObjectKind::Pack
                };
                let bytes = builder.seal(kit(*number).public(), rng).unwrap().bytes;
                let key = PackKey::open(kind, &bytes, &kit(*number)).unwrap();
                let header = pack::read_header(kind, &bytes).unwrap();
                vec![
                    wire::encode(&key)[3..35].try_into().unwrap(),
                    header.recipients[0].encapsulated,
                ]
            }
            Self::Index {
                source,
                kit: number,
                packs,
            } => {
                let layouts: Vec<PackLayout> = packs
                    .iter()
                    .map(|entries| PackLayout {
                        object: object(1),
                        body_offset: 100,
                        entries: entries
                            .iter()
                            .map(|(id, len)| PackEntry {
                                id: ChunkId::from_bytes([*id; 32]),
                                stored_len: *len,
                                raw_len: *len,
                                compression: Compression::None,
                            })
                            .collect(),
                    })
                    .collect();
                let key = SourceSecret::from_bytes([*source; 32]).index_key();
                let (_, bytes) = index::seal(&layouts, &key, kit(*number).public(), rng).unwrap();
                let header = index::read_header(&bytes).unwrap();
                vec![header.salt, header.recipients[0].encapsulated]
            }
            Self::Manifest {
                run,
                kit: number,
                objects,
                name,
                hostname,
            } => {
                let objects: Vec<ObjectRef> = (1..=*objects).map(object).collect();
                let plan = plan(&ObjectList::default(), 1, Delta::default(), &objects, |_| None).unwrap();
                let new = NewManifest {
                    agent_id: AgentId::from_uuid(Uuid::from_u128(1)),
                    source_id: SourceId::from_uuid(Uuid::from_u128(2)),
                    run_id: RunId::from_uuid(Uuid::from_u128(u128::from(*run))),
                    parent: None,
                    created_at: jiff::Timestamp::UNIX_EPOCH,
                    totals: SnapshotTotals::default(),
                    objects,
                    list: plan.list,
                    certificate: None,
                    content: ManifestContent::new(
                        name.clone(),
                        hostname.clone(),
                        vec![],
                        SourceSecret::from_bytes([1; 32]).chunk_key(),
                    ),
                };
                let key = AgentSigningKey::from_seed([3; 32]);
                let (_, bytes) = new.seal(kit(*number).public(), &key, rng).unwrap();
                let (_, rest, _) = wire::unframe(ObjectKind::Manifest, &bytes, 4096).unwrap();
                let (len, rest) = wire::take_length(rest, 4096).unwrap();
                vec![
                    wire::decode::<Sealed>(&rest[..len], "sealed part")
                        .unwrap()
                        .encapsulated,
                ]
            }
            Self::Grant { .. } => {
                let (grant, to) = self.grant();
                vec![
                    restore::sealed(&grant.seal(to.public(), rng).unwrap())
                        .unwrap()
                        .encapsulated,
                ]
            }
        }
    }

    /// What differs from it in one thing only.
    fn neighbours(&self) -> Vec<Self> {
        match self.clone() {
            Self::Pack { trees, kit, chunks } => {
                let edits: [fn(&mut Chunk); 4] = [
                    |chunk| chunk.0 ^= 1,
                    |chunk| chunk.1 += 1,
                    |chunk| chunk.2 = !chunk.2,
                    |chunk| match chunk.3.first_mut() {
                        Some(byte) => *byte ^= 1,
                        None => chunk.3.push(0),
                    },
                ];
                let backwards = chunks.iter().rev().cloned().collect();
                let edited = (0..chunks.len()).flat_map(|at| {
                    edits.map(|edit| {
                        let mut chunks = chunks.clone();
                        edit(&mut chunks[at]);
                        chunks
                    })
                });
                let with = |chunks| Self::Pack { trees, kit, chunks };
                let mut near: Vec<Self> = edited.chain([backwards]).map(with).collect();
                near.push(Self::Pack {
                    trees: !trees,
                    kit,
                    chunks: chunks.clone(),
                });
                near.push(Self::Pack {
                    trees,
                    kit: kit ^ 1,
                    chunks,
                });
                near
            }
            Self::Index { source, kit, packs } => {
                let longer = |at: usize| {
                    let mut packs = packs.clone();
                    packs[at].push((0, 0));
                    packs
                };
                let more = [packs.clone(), vec![vec![]]].concat();
                let changed = (0..packs.len()).map(longer).chain([more]);
                let mut near: Vec<Self> = changed.map(|packs| Self::Index { source, kit, packs }).collect();
                near.push(Self::Index {
                    source: source ^ 1,
                    kit,
                    packs: packs.clone(),
                });
                near.push(Self::Index {
                    source,
                    kit: kit ^ 1,
                    packs,
                });
                near
            }
            Self::Manifest {
                run,
                kit,
                objects,
                name,
                hostname,
            } => {
                let with = |run, kit, objects, name: &str, hostname: &str| Self::Manifest {
                    run,
                    kit,
                    objects,
                    name: name.to_owned(),
                    hostname: hostname.to_owned(),
                };
                vec![
                    with(run ^ 1, kit, objects, &name, &hostname),
                    with(run, kit ^ 1, objects, &name, &hostname),
                    with(run, kit, objects + 1, &name, &hostname),
                    with(run, kit, objects, &(name.clone() + "a"), &hostname),
                    with(run, kit, objects, &name, &(hostname.clone() + "a")),
                    with(run, kit, objects, &hostname, &name),
                ]
            }
            Self::Grant {
                agent,
                chunk_key,
                packs,
            } => vec![
                Self::Grant {
                    agent: agent ^ 1,
                    chunk_key,
                    packs: packs.clone(),
                },
                Self::Grant {
                    agent,
                    chunk_key: chunk_key ^ 1,
                    packs: packs.clone(),
                },
                Self::Grant {
                    agent,
                    chunk_key,
                    packs: [packs, vec![9]].concat(),
                },
            ],
        }
    }

    fn grant(&self) -> (Grant, AgentRestoreKey) {
        let Self::Grant {
            agent,
            chunk_key,
            packs,
        } = self
        else {
            unreachable!("only called for grants")
        };
        let packs = packs.iter().map(|number| {
            let (object, key) = any_pack(*number);
            GrantedPack { object, key }
        });
        let chunk_key = SourceSecret::from_bytes([*chunk_key; 32]).chunk_key();
        let grant = Grant::new(chunk_key, vec![], packs.collect()).unwrap();
        (grant, AgentRestoreKey::from_seed([*agent; 32]))
    }

    /// Whether the same is sealed: a grant is a set of packs, and an order is none of its content.
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Grant { agent, .. },
                Self::Grant {
                    agent: other_agent, ..
                },
            ) => agent == other_agent && self.grant().0 == other.grant().0,
            _ => self == other,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A machine whose random source gives the same for ever: no secret is ever drawn for two contents, so no key and
    /// nonce meet two plaintexts. Equal contents give equal secrets: whoever sees both learns that they are equal.
    #[test]
    fn a_repeated_random_source_repeats_no_secret_for_other_content(contents in vec(content(), 1..5)) {
        let mut seen: HashMap<[u8; 32], (Content, usize)> = HashMap::new();
        for content in contents.iter().flat_map(|content| [vec![content.clone()], content.neighbours()].concat()) {
            for (place, secret) in content.secrets().into_iter().enumerate() {
                let (first, at) = seen.entry(secret).or_insert_with(|| (content.clone(), place));
                prop_assert!(first.says_the_same(&content) && *at == place, "{:?} and {:?} share a secret", first, content);
            }
            prop_assert_eq!(content.secrets(), content.secrets());
        }
    }
}
