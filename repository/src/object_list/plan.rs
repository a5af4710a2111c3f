//! What to write for the next snapshot's list.

use shared::object::{ObjectHash, ObjectRef};

use super::{Delta, Layer, ListError, ObjectList, Page, page, replay::Gathered};

/// The most entries that a manifest holds inline, some 10 KB: every manifest repeats them, and the more there may
/// be the seldomer a page is written. A page costs a PUT, which is dearer than a few KB for some months.
pub const INLINE_MAX: usize = 256;
/// A layer stays at least so many times as large as all younger ones together.
const RATIO: u64 = 2;

/// A snapshot's list, and what has to be stored before its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlan {
    /// What the manifest says.
    pub list: ObjectList,
    /// New pages.
    pub write: Vec<(ObjectRef, Vec<u8>)>,
    /// The parent's pages that the snapshot does not need.
    pub dropped: Vec<ObjectHash>,
}

impl ListPlan {
    /// Whether what is written is the oldest layer. Its pages are not read by any later plan.
    #[must_use]
    pub const fn is_afresh(&self) -> bool {
        self.list.layers.len() <= 1
    }
}

/// Plans the list of snapshot number `seq`.
///
/// `now` is the whole set: its packs, tree packs and index segments. `change` is what leads from the parent's set to
/// it. `read` gives the parent's pages where layers are merged, never those of the oldest layer. What it cannot
/// give, or what does not fit together, costs bytes and no more: then the list begins afresh.
///
/// # Errors
/// When `now` names an object twice, or one that a list does not name.
pub fn plan(
    parent: &ObjectList,
    seq: u64,
    change: Delta,
    now: &[ObjectRef],
    read: impl FnMut(&ObjectRef) -> Option<Vec<u8>>,
) -> Result<ListPlan, ListError> {
    if let Ok(Some(next)) = follow(parent, change, read) {
        let plan = next.write(parent, seq);
        if plan.list.accounts_for(now) {
            return Ok(plan);
        }
    }
    plan_afresh(parent, seq, now)
}

/// Plans a list that shares nothing with its parent's, of which a page is lost.
///
/// # Errors
/// When `now` names an object twice, or one that a list does not name.
pub fn plan_afresh(parent: &ObjectList, seq: u64, now: &[ObjectRef]) -> Result<ListPlan, ListError> {
    Ok(Next::afresh(now)?.write(parent, seq))
}

/// What becomes of a list.
struct Next {
    /// So many of the parent's layers stay.
    kept: usize,
    /// The layer on top of them; none when it is empty.
    layer: Delta,
    inline: Delta,
}

/// `None` when the oldest layer would be merged too: then nothing of it is left to build on.
fn follow(
    parent: &ObjectList,
    change: Delta,
    mut read: impl FnMut(&ObjectRef) -> Option<Vec<u8>>,
) -> Result<Option<Next>, ListError> {
    let inline = parent.inline.clone().then(change)?;
    if inline.len() <= INLINE_MAX {
        return Ok(Some(Next {
            kept: parent.layers.len(),
            layer: Delta::default(),
            inline,
        }));
    }
    let kept = kept(&parent.layers, inline.len() as u64);
    if kept == 0 {
        return Ok(None);
    }
    let mut layer = Delta::default();
    for (number, old) in parent.layers.iter().enumerate().skip(kept) {
        let mut gathered = Gathered::default();
        for page in &old.pages {
            let Some(bytes) = read(page) else {
                return Ok(None);
            };
            gathered.page(page, &bytes)?;
        }
        layer = layer.then(gathered.finish(old, number)?)?;
    }
    Ok(Some(Next {
        kept,
        layer: layer.then(inline)?,
        inline: Delta::default(),
    }))
}

/// How many of the oldest layers stay when so many entries are put on top of them.
fn kept(layers: &[Layer], entries: u64) -> usize {
    let mut above = entries;
    let mut kept = layers.len();
    for (number, layer) in layers.iter().enumerate().rev() {
        if layer.len() < above.saturating_mul(RATIO) {
            kept = number;
        }
        above = above.saturating_add(layer.len());
    }
    kept
}

impl Next {
    fn afresh(now: &[ObjectRef]) -> Result<Self, ListError> {
        let all = Delta::new(now.to_vec(), Vec::new())?;
        let (layer, inline) = if all.len() <= INLINE_MAX {
            (Delta::default(), all)
        } else {
            (all, Delta::default())
        };
        Ok(Self {
            kept: 0,
            layer,
            inline,
        })
    }

    fn write(self, parent: &ObjectList, seq: u64) -> ListPlan {
        let (kept, gone) = parent.layers.split_at(self.kept);
        let mut layers = kept.to_vec();
        let mut write = Vec::new();
        if !self.layer.is_empty() {
            write.extend(
                page::cut(&self.layer)
                    .into_iter()
                    .map(|delta| Page { seq, delta }.encode()),
            );
            layers.push(Layer {
                added: self.layer.added().len() as u64,
                dropped: self.layer.dropped().len() as u64,
                fold: self.layer.fold(),
                pages: write.iter().map(|(page, _)| *page).collect(),
            });
        }
        ListPlan {
            list: ObjectList {
                layers,
                inline: self.inline,
            },
            write,
            dropped: gone
                .iter()
                .flat_map(|layer| &layer.pages)
                .map(|page| page.hash)
                .collect(),
        }
    }
}
