//! Which files or packs a drill tries: arithmetic only, over candidates that come one by one and are never all held.
//!
//! What was never drilled comes first, the oldest packs before younger ones; so drill after drill everything that fits a
//! drill at all gets its turn. Between these go some of what a random sample would miss: large files, fresh ones, and one
//! of every root. The same candidates and the same seed give the same choice.

use crate::clock::Wall;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// What was captured since is fresh.
const FRESH: Duration = Duration::from_secs(30 * 86_400);
/// Candidates held of the overdue: one a pack.
const OVERDUE: usize = 1024;
/// Of each other sort.
const FEW: usize = 32;
/// Roots of which one candidate each is taken.
const ROOTS: usize = 64;
/// How many of each other sort are taken, where there is room.
const OF_EACH: usize = 4;

/// What one drill may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Read from packs, and restored.
    pub bytes: u64,
    pub files: usize,
    pub packs: usize,
}

/// A pack a candidate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Older packs have lower ids.
    pub pack: i64,
    pub size: u64,
    /// When it was last proved in the way the drill proves.
    pub drilled: Option<Wall>,
}

/// A file, or a pack by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: i64,
    pub root: i64,
    pub size: u64,
    pub captured: Wall,
    /// Never empty.
    pub needs: Vec<Needs>,
}

impl Candidate {
    /// Of the packs it needs the one that waits longest for a drill: when it had one, and its id.
    fn overdue(&self) -> (Option<Wall>, i64) {
        self.needs.iter().map(|n| (n.drilled, n.pack)).min().unwrap_or_default()
    }
    fn pack_bytes(&self) -> u64 {
        self.needs.iter().map(|n| n.size).sum()
    }
}

/// Holds no more than its bound, the lowest ranks.
struct Best<R> {
    most: usize,
    held: BTreeMap<R, Candidate>,
}

impl<R: Ord> Best<R> {
    fn new(most: usize) -> Self {
        Self { most, held: BTreeMap::new() }
    }
    fn meet(&mut self, rank: R, candidate: &Candidate) {
        if self.held.len() >= self.most {
            if self.held.last_key_value().is_some_and(|(last, _)| *last <= rank) {
                return;
            }
            self.held.pop_last();
        }
        self.held.insert(rank, candidate.clone());
    }
    fn into_list(self) -> std::vec::IntoIter<Candidate> {
        self.held.into_values().collect::<Vec<_>>().into_iter()
    }
}

type Drilled = Option<Wall>;

/// Meets every candidate once, then picks.
pub struct Chooser<'a> {
    bounds: Bounds,
    now: Wall,
    seed: u64,
    /// Whether so many packs of so many bytes may be read for the money there is.
    affordable: &'a dyn Fn(u64, u64) -> bool,
    /// By the pack that waits longest: the least of what needs it.
    overdue: BTreeMap<(Drilled, i64), Candidate>,
    large: Best<(Drilled, Reverse<u64>, u64)>,
    fresh: Best<(Drilled, u64)>,
    roots: BTreeMap<i64, ((Drilled, u64), Candidate)>,
    too_large: u64,
}

/// What a drill tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// In the order in which they were picked.
    pub ids: Vec<i64>,
    pub packs: BTreeSet<i64>,
    pub pack_bytes: u64,
    /// Of the files themselves.
    pub bytes: u64,
    /// Candidates no drill within these bounds can ever try.
    pub too_large: u64,
}

/// A random number of its own for each id.
pub fn mix(seed: u64, id: i64) -> u64 {
    let mut z = seed ^ id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl<'a> Chooser<'a> {
    pub fn new(bounds: Bounds, now: Wall, seed: u64, affordable: &'a dyn Fn(u64, u64) -> bool) -> Self {
        Self {
            bounds,
            now,
            seed,
            affordable,
            overdue: BTreeMap::new(),
            large: Best::new(FEW),
            fresh: Best::new(FEW),
            roots: BTreeMap::new(),
            too_large: 0,
        }
    }

    pub fn meet(&mut self, candidate: &Candidate) {
        if !self.fits(&Choice::default(), candidate) {
            self.too_large += 1;
            return;
        }
        let (drilled, random) = (candidate.overdue().0, mix(self.seed, candidate.id));
        self.meet_overdue(candidate);
        self.large.meet((drilled, Reverse(candidate.size), random), candidate);
        if self.now.since(candidate.captured) < FRESH {
            self.fresh.meet((drilled, random), candidate);
        }
        let rank = (drilled, random);
        let held = self.roots.get(&candidate.root);
        if held.map_or(self.roots.len() < ROOTS, |(best, _)| rank < *best) {
            self.roots.insert(candidate.root, (rank, candidate.clone()));
        }
    }

    /// One candidate a pack, the one that needs the least besides it: another drill finds the others' packs overdue.
    fn meet_overdue(&mut self, candidate: &Candidate) {
        let key = candidate.overdue();
        match self.overdue.get(&key) {
            Some(held) => {
                let least = |c: &Candidate| (c.needs.len(), c.pack_bytes(), mix(self.seed, c.id));
                if least(candidate) < least(held) {
                    self.overdue.insert(key, candidate.clone());
                }
            }
            None if self.overdue.len() < OVERDUE => drop(self.overdue.insert(key, candidate.clone())),
            None => {
                if self.overdue.last_key_value().is_some_and(|(last, _)| key < *last) {
                    self.overdue.pop_last();
                    self.overdue.insert(key, candidate.clone());
                }
            }
        }
    }

    fn fits(&self, so_far: &Choice, candidate: &Candidate) -> bool {
        let new = || candidate.needs.iter().filter(|n| !so_far.packs.contains(&n.pack));
        let packs = so_far.packs.len() + new().count();
        let pack_bytes = so_far.pack_bytes.saturating_add(new().map(|n| n.size).sum());
        so_far.ids.len() < self.bounds.files
            && packs <= self.bounds.packs
            && pack_bytes <= self.bounds.bytes
            && so_far.bytes.saturating_add(candidate.size) <= self.bounds.bytes
            && (self.affordable)(packs as u64, pack_bytes)
    }

    /// Every other pick is of the overdue; the first one always.
    pub fn pick(mut self) -> Choice {
        let mut choice = Choice { too_large: self.too_large, ..Choice::default() };
        let mut taken = HashSet::new();
        let mut overdue = std::mem::take(&mut self.overdue).into_values();
        let large = std::mem::replace(&mut self.large, Best::new(0)).into_list();
        let fresh = std::mem::replace(&mut self.fresh, Best::new(0)).into_list();
        let roots: Vec<Candidate> = std::mem::take(&mut self.roots).into_values().map(|(_, c)| c).collect();
        let mut others = [(OF_EACH, large), (ROOTS, roots.into_iter()), (OF_EACH, fresh)];
        let mut turn = 0;
        loop {
            let picked = self.next_that_fits(&mut overdue, &mut choice, &mut taken);
            let mut more = false;
            for _ in 0..others.len() {
                let (left, list) = &mut others[turn % 3];
                turn += 1;
                if *left > 0 && self.next_that_fits(list, &mut choice, &mut taken) {
                    *left -= 1;
                    more = true;
                    break;
                }
            }
            if !picked && !more {
                return choice;
            }
        }
    }

    fn next_that_fits(
        &self,
        from: &mut dyn Iterator<Item = Candidate>,
        choice: &mut Choice,
        taken: &mut HashSet<i64>,
    ) -> bool {
        for candidate in from {
            if taken.contains(&candidate.id) || !self.fits(choice, &candidate) {
                continue;
            }
            taken.insert(candidate.id);
            choice.ids.push(candidate.id);
            choice.bytes += candidate.size;
            for needs in &candidate.needs {
                if choice.packs.insert(needs.pack) {
                    choice.pack_bytes += needs.size;
                }
            }
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const NOW: Wall = Wall(1_800_000_000_000);
    const BOUNDS: Bounds = Bounds { bytes: 400, files: 20, packs: 12 };

    fn any_money(_: u64, _: u64) -> bool {
        true
    }

    fn choose(files: &[Candidate], seed: u64, affordable: &dyn Fn(u64, u64) -> bool) -> Choice {
        let mut chooser = Chooser::new(BOUNDS, NOW, seed, affordable);
        for file in files {
            chooser.meet(file);
        }
        chooser.pick()
    }

    /// Files over packs, some of them over several and some small ones in one.
    fn vaults() -> impl Strategy<Value = Vec<Candidate>> {
        let file = (prop::collection::btree_set(0..40_i64, 1..4), 1..120_u64, 0..3_i64, 0..400_u64);
        prop::collection::vec(file, 1..80).prop_map(|files| {
            let candidate = |(id, (packs, size, root, days)): (i64, (BTreeSet<i64>, u64, i64, u64))| Candidate {
                id,
                root,
                size,
                captured: Wall(NOW.0 - i64::try_from(days).unwrap() * 86_400_000),
                needs: packs
                    .into_iter()
                    .map(|pack| Needs { pack, size: 20 + pack.cast_unsigned(), drilled: None })
                    .collect(),
            };
            (0..).zip(files).map(candidate).collect()
        })
    }

    proptest! {
        #[test]
        fn a_choice_keeps_every_bound_and_is_the_same_for_the_same_seed(files in vaults(), seed: u64, most in 0..600_u64) {
            let affordable = |packs: u64, bytes: u64| packs * 10 + bytes <= most;
            let choice = choose(&files, seed, &affordable);
            prop_assert_eq!(&choose(&files, seed, &affordable), &choice);
            prop_assert!(choice.pack_bytes <= BOUNDS.bytes && choice.bytes <= BOUNDS.bytes);
            prop_assert!(choice.ids.len() <= BOUNDS.files && choice.packs.len() <= BOUNDS.packs);
            prop_assert!(choice.ids.is_empty() || affordable(choice.packs.len() as u64, choice.pack_bytes));
            let of = |id: &i64| files.iter().find(|f| f.id == *id).unwrap();
            let needed: BTreeSet<i64> = choice.ids.iter().flat_map(|id| of(id).needs.iter().map(|n| n.pack)).collect();
            prop_assert_eq!(needed, choice.packs.clone());
            let fits = |f: &&Candidate| affordable(f.needs.len() as u64, f.pack_bytes()) && f.pack_bytes() <= BOUNDS.bytes;
            prop_assert_eq!(choice.ids.is_empty(), !files.iter().any(|f| fits(&f)));
        }

        #[test]
        fn drill_after_drill_every_pack_gets_its_turn_whatever_the_dice_say(mut files in vaults(), seed: u64) {
            let packs: BTreeSet<i64> = files.iter().flat_map(|f| f.needs.iter().map(|n| n.pack)).collect();
            let mut drilled: HashMap<i64, Wall> = HashMap::new();
            for n in 0..packs.len() as i64 {
                let choice = choose(&files, seed.wrapping_add(n.cast_unsigned()), &any_money);
                prop_assert!(!choice.ids.is_empty());
                for pack in choice.packs {
                    drilled.insert(pack, Wall(NOW.0 + n));
                }
                for needs in files.iter_mut().flat_map(|f| &mut f.needs) {
                    needs.drilled = drilled.get(&needs.pack).copied();
                }
            }
            prop_assert_eq!(drilled.keys().copied().collect::<BTreeSet<_>>(), packs);
        }
    }

    fn file(id: i64, root: i64, size: u64, days: i64, pack: i64) -> Candidate {
        let needs = vec![Needs { pack, size: 20, drilled: None }];
        Candidate { id, root, size, captured: Wall(NOW.0 - days * 86_400_000), needs }
    }

    #[test]
    fn the_oldest_pack_comes_first_and_large_fresh_and_every_root_are_among_the_rest() {
        let mut files: Vec<Candidate> = (0..100).map(|n| file(n, 1, 1, 400, n)).collect();
        files.push(file(1000, 1, 90, 400, 500));
        files.push(file(1001, 1, 1, 2, 501));
        files.push(file(1002, 7, 1, 400, 502));
        let choice = choose(&files, 5, &any_money);
        assert_eq!(choice.ids[0], 0);
        for id in [1000, 1001, 1002] {
            assert!(choice.ids.contains(&id), "{id}: {choice:?}");
        }
    }

    #[test]
    fn what_no_drill_can_ever_try_is_counted() {
        let files = [file(1, 1, 401, 0, 1), file(2, 1, 1, 0, 2)];
        let choice = choose(&files, 0, &any_money);
        assert_eq!((choice.ids, choice.too_large), (vec![2], 1));
    }
}
