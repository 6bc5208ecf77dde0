use super::super::{Mark, Scope, SpooledObject};
use super::*;
use crate::model::{Band, Seq};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

struct Bed {
    catalog: Catalog,
    root: RootId,
    _dir: tempfile::TempDir,
}

fn path(text: &str) -> TreePath {
    TreePath::from_bytes(text).unwrap()
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
    let root = catalog.roots(&[path("/r")]).unwrap()[&path("/r")];
    Bed { catalog, root, _dir: dir }
}

impl Bed {
    fn mark(&self, name: &str, priority: Option<Priority>, size: Option<u64>, notice: u64, due: i64) -> NodeId {
        let node = self.catalog.ensure(&path(&format!("/r/{name}")), self.root).unwrap();
        let mark = Mark { due, priority, size, ..Mark::at_once(node, self.root, Scope::Path, notice, Wall(5)) };
        self.catalog.mark(&[mark]).unwrap();
        node
    }

    fn rank(&self, node: NodeId) -> Rank {
        self.catalog.dirty_row(node).unwrap().unwrap().rank
    }

    /// All that is due, page by page.
    fn all(&self, most: usize, taken: &dyn Fn(NodeId) -> bool) -> Vec<DirtyRow> {
        let mut out = vec![];
        for rank in Rank::all() {
            let mut next = Some(Place::TOP);
            while let Some(at) = next {
                let page = self.catalog.turn(rank, 10, at, None, most, taken).unwrap();
                assert!(page.rows.len() <= most);
                next = page.next;
                out.extend(page.rows.into_iter().map(|(row, _)| row));
            }
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_row_that_is_due_has_its_turn_once_and_in_order(
        rows in prop::collection::vec((0..3_i64, 0..200_000_000_u64, 1..6_u64, 0..20_i64), 1..40),
        most in 1..7_usize,
        odd_are_taken: bool,
    ) {
        let bed = bed();
        let mut due = vec![];
        for (n, (priority, size, notice, at)) in rows.iter().enumerate() {
            let priority = Priority::from_number(*priority);
            let node = bed.mark(&format!("f{n}"), Some(priority), Some(*size), *notice, *at);
            if *at <= 10 && !(odd_are_taken && node.0 % 2 == 1) {
                due.push((Rank::of(priority, *size), std::cmp::Reverse(*notice), node));
            }
        }
        due.sort_unstable();
        let taken = |node: NodeId| odd_are_taken && node.0 % 2 == 1;
        let turns: Vec<_> =
            bed.all(most, &taken).iter().map(|r| (r.rank, std::cmp::Reverse(r.notice), r.node)).collect();
        prop_assert_eq!(&turns, &due);
        for rank in Rank::all() {
            let last = due.iter().rfind(|(r, ..)| *r == rank).map(|(_, notice, _)| notice.0);
            let waited = bed.catalog.waited_longest(rank, 10, 1, &taken).unwrap();
            prop_assert_eq!(waited.first().map(|(row, _)| row.notice), last);
        }
    }

    /// However packs of all ranks come and go, one is overtaken only by what was said to go before it, and by so many of
    /// smaller files and no more.
    #[test]
    fn a_pack_in_the_spool_is_overtaken_by_a_bounded_number_of_its_own_priority(
        ranks in prop::collection::vec(0..9_i64, 1..120),
        sends in prop::collection::vec(any::<bool>(), 120),
    ) {
        let bed = bed();
        let (mut overtaken, mut waiting) = (BTreeMap::<i64, i64>::new(), BTreeMap::<i64, Rank>::new());
        let mut next = ranks.iter().enumerate();
        for send in sends {
            if !send && let Some((n, rank)) = next.next() {
                let id = n as i64 + 1;
                bed.catalog.write("fill", |tx| tx.execute(
                    "INSERT INTO pack (id, hash, tier, size, state, record, rank) VALUES (?1, CAST(printf('%032d', ?1) AS BLOB), 0, 5, 0, x'', ?2)",
                    (id, rank),
                )).unwrap();
                waiting.insert(id, Rank::from_number(*rank));
                continue;
            }
            let Some(SpooledObject::Pack { id, rank, .. }) = bed.catalog.spooled(1).unwrap().first().copied() else { continue };
            bed.catalog.pack_stored(id, Wall(1)).unwrap();
            waiting.remove(&id);
            for (other, its) in &waiting {
                prop_assert!(rank.priority <= its.priority);
                if *other < id && its.priority == rank.priority {
                    prop_assert!(rank.band < its.band);
                    *overtaken.entry(*other).or_default() += 1;
                }
            }
        }
        prop_assert!(overtaken.values().all(|n| *n <= 2 * super::super::objects::OVERTAKEN));
    }
}

#[test]
fn a_hint_takes_its_root_s_word_and_keeps_the_size_a_walk_saw() {
    let bed = bed();
    bed.catalog.settle_order(&[(bed.root, Priority::First)], "one", &|_| None).unwrap();
    let film = bed.mark("film", Some(Priority::Last), Some(1 << 40), 1, 0);
    assert_eq!(bed.rank(film), Rank { priority: Priority::Last, band: Band::Large });
    bed.mark("film", None, None, 2, 0);
    assert_eq!(bed.rank(film), Rank { priority: Priority::First, band: Band::Large });
    let letter = bed.mark("letter", None, None, 3, 0);
    assert_eq!(bed.rank(letter), Rank { priority: Priority::First, band: Band::Small });
    bed.catalog.rank_anew(&[(letter, Rank::of(Priority::First, 2 << 20), 2 << 20)]).unwrap();
    assert_eq!(bed.rank(letter).band, Band::Medium);
    assert_eq!(bed.catalog.root_counts(bed.root).unwrap().bytes, 2 << 20, "a file that has no version yet");
}

#[test]
fn new_words_rank_anew_what_waits_and_the_same_words_touch_nothing() {
    let bed = bed();
    let (iso, doc) = (bed.mark("a.iso", None, Some(9), 1, 0), bed.mark("a.doc", None, Some(9), 2, 0));
    let of = |path: &TreePath| Some(if path.as_bytes().ends_with(b"iso") { Priority::Last } else { Priority::First });
    bed.catalog.settle_order(&[(bed.root, Priority::Normal)], "first", &of).unwrap();
    assert_eq!((bed.rank(iso).priority, bed.rank(doc).priority), (Priority::Last, Priority::First));
    bed.catalog.settle_order(&[(bed.root, Priority::Normal)], "first", &|_| panic!("nobody is asked")).unwrap();
    bed.catalog.settle_order(&[(bed.root, Priority::Normal)], "second", &|_| Some(Priority::Normal)).unwrap();
    assert_eq!((bed.rank(iso).priority, bed.rank(doc).priority), (Priority::Normal, Priority::Normal));
}

#[test]
fn what_waits_is_counted_by_root_and_priority() {
    let bed = bed();
    let size = |node, bytes| Mark {
        new_file: Some(bytes),
        priority: Some(Priority::First),
        size: Some(bytes),
        ..Mark::at_once(node, bed.root, Scope::Path, 1, Wall(5))
    };
    let nodes: HashSet<NodeId> =
        ["a", "b"].map(|n| bed.catalog.ensure(&path(&format!("/r/{n}")), bed.root).unwrap()).into();
    bed.catalog.mark(&nodes.iter().map(|n| size(*n, 100)).collect::<Vec<_>>()).unwrap();
    bed.catalog
        .write("fill", |tx| {
            tx.execute(
                "INSERT INTO pack (id, hash, tier, size, state, record, rank, root) VALUES (1, x'01', 0, 500, 0, x'', 8, ?)",
                [bed.root.0],
            )
        })
        .unwrap();
    let waiting = bed.catalog.waiting_by_root().unwrap();
    let at = |priority, dirty, dirty_bytes, spooled_bytes| WaitingAt {
        root: Some(bed.root),
        priority,
        dirty,
        dirty_bytes,
        spooled_bytes,
    };
    assert_eq!(waiting, [at(Priority::First, 2, 200, 0), at(Priority::Last, 0, 0, 500)]);
    assert_eq!(bed.catalog.foremost_spooled().unwrap(), Some(Rank { priority: Priority::Last, band: Band::Large }));
    assert!(bed.catalog.ready_versions(Seq(0), 1).unwrap().is_empty());
}
