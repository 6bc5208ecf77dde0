//! Whoever looks: what is called safe, what was foretold, and what lies in the vault.

use super::*;

impl Household {
    /// Nothing is called safe that is not, and the forecast of the day.
    pub(super) fn noon(&self, now: u64, running: &Running) {
        let engine = &running.engine;
        if now / DAY % 4 == 1 {
            self.nothing_unsafe_is_called_safe(engine);
        }
        if now / DAY % 14 == 13 {
            self.what_is_safe_can_be_read();
        }
        let document = running.desk.forecast(&[]).unwrap();
        let mut state = self.state();
        let State { places, told, .. } = &mut *state;
        for (folder, place) in places.iter().enumerate() {
            let path = place.top.display().to_string();
            let row = document.roots.iter().find(|r| r.path == path).unwrap();
            let waits = place.made.iter().any(|m| m.known && !m.over);
            assert!(!waits || row.likely_s != Some(0), "something of {path} waits, and it is called safe");
            if waits && now > DAY && now < WEEKS * 7 * DAY && row.state != "unknown" {
                let (earliest, likely, latest) = (row.earliest_s, row.likely_s, row.latest_s);
                let mark = place.made.len();
                told.push(Told { folder, at: now, earliest, likely, latest, mark, came: None });
            }
        }
    }

    pub(super) fn nothing_unsafe_is_called_safe(&self, engine: &Engine) {
        let mut state = self.state();
        let State { places, tally, .. } = &mut *state;
        for place in places {
            let root = engine.roots.iter().find(|r| r.path.as_path() == place.top).unwrap();
            let counts = engine.catalog.root_counts(root.id).unwrap();
            let waits = place.made.iter().filter(|m| m.known && !m.over).count();
            assert!(
                waits == 0 || counts.oldest.is_some(),
                "{waits} files of {} wait, and it is called safe",
                root.path
            );
            for (path, made) in &place.by_path {
                let Some(last) = made.iter().rev().map(|i| &place.made[*i]).find(|m| m.known) else { continue };
                let Some(id) = engine.catalog.find(path).unwrap() else { continue };
                let Some(node) = engine.catalog.node(id).unwrap() else { continue };
                let newest = engine.catalog.history(id).unwrap().into_iter().next();
                if !node.dirty && newest.is_some_and(|r| r.safe) {
                    assert!(last.over, "{path} is called safe, and no segment names it");
                    tally.checked += 1;
                }
            }
        }
    }

    /// Of each folder a few of what was called safe, out of the vault as it is.
    pub(super) fn what_is_safe_can_be_read(&self) {
        let vault = ReadVault::open(self.witness.objects(), bed::keys());
        let versions = vault.versions(NOW);
        let mut state = self.state();
        let State { places, dice, .. } = &mut *state;
        for place in places {
            for _ in 0..12.min(place.made.len()) {
                let made = &place.made[usize::try_from(below(dice, place.made.len() as u64)).unwrap()];
                let Some(version) = versions.get(&made.path).filter(|v| v.entry.mtime == made.mtime) else { continue };
                assert_eq!(sha256(&vault.content(version).unwrap()), made.content, "{}", made.path);
            }
        }
    }

    /// Everything is safe, once, and as it is.
    pub(super) fn check_end(&self) {
        let vault = ReadVault::open(self.witness.objects(), bed::keys());
        let mut now = Tree::new();
        for place in &self.state().places {
            now.extend(look(&place.top));
            assert!(place.made.iter().all(|m| m.over || !m.known), "{}: something is not safe", place.top.display());
        }
        let differing = differences(&vault.tree(NOW).unwrap(), &now);
        assert!(differing.is_empty(), "the vault is not what the folders are:\n{}", differing.join("\n"));
        assert_eq!(vault.chunks_sent_twice(), [], "no chunk lies in the vault twice");
        assert_eq!(self.witness.complaints(), Vec::<String>::new());
    }
}
