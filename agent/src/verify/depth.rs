//! How much a verification reads.

use shared::object::ObjectHash;

/// How much of the packs is read. Everything else is always read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Depth {
    /// None of them; whether they are there in their length is looked up.
    Structure,
    /// A part of them: the same for the same seed, and more of them for a higher share.
    Share {
        /// 0 to 1.
        share: f64,
        /// Which part. Another number is another part.
        seed: u64,
    },
    /// All of them.
    Everything,
}

impl Depth {
    /// Whether a pack is read.
    #[must_use]
    pub fn reads(self, pack: &ObjectHash) -> bool {
        match self {
            Self::Structure => false,
            Self::Everything => true,
            Self::Share { share, seed } => {
                let mut hasher = blake3::Hasher::new_derive_key("holdfast verify: which packs are read");
                hasher.update(&seed.to_be_bytes());
                hasher.update(pack.as_bytes());
                let mut draw = [0; 4];
                hasher.finalize_xof().fill(&mut draw);
                f64::from(u32::from_be_bytes(draw)) < share * (f64::from(u32::MAX) + 1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share_and_a_higher_one_holds_the_lower() {
        let packs: Vec<ObjectHash> = (0..2000u32).map(|i| repository::hash(&i.to_be_bytes())).collect();
        let read = |share, seed| -> Vec<&ObjectHash> {
            let depth = Depth::Share { share, seed };
            packs.iter().filter(|pack| depth.reads(pack)).collect()
        };
        let (ten, thirty) = (read(0.1, 7), read(0.3, 7));
        assert!((120..280).contains(&ten.len()), "{}", ten.len());
        assert!((500..700).contains(&thirty.len()), "{}", thirty.len());
        assert!(ten.iter().all(|pack| thirty.contains(pack)));
        assert_eq!(ten, read(0.1, 7));
        assert_ne!(ten, read(0.1, 8));
        assert_eq!((read(0.0, 7).len(), read(1.0, 7).len()), (0, 2000));
    }
}
