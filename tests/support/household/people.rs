//! People who make, change, move and take away files, and the weather on the line.

use super::*;

impl Household {
    pub(super) fn weather(&self, now: u64) {
        let mut state = self.state();
        if now.is_multiple_of(600) {
            state.mood = 0.85 + 0.3 * state.sky.roll();
        }
        if now >= state.next_outage {
            let long = wait(&mut state.sky, self.scenario.outage_s, 1.0).min(part(6, self.scenario.outage_s));
            state.outage_until = now + long;
            state.next_outage = state.outage_until + wait(&mut state.sky, DAY as f64, self.scenario.outages);
            state.tally.outages += 1;
        }
    }

    /// Files come by day; now and then one is changed, moved or taken away.
    pub(super) fn people(&self, now: u64, running: Option<&Running>) {
        let awake = (7..23).contains(&(now / HOUR % 24));
        if !awake || !self.state().people_are_here {
            return;
        }
        let mut hints = vec![];
        let mut dice = Dice(self.scenario.seed * 1_000_003 + now);
        for (i, folder) in self.scenario.folders.iter().enumerate() {
            // Five times a day, on average.
            if dice.roll() < 0.16 {
                hints.extend(self.make(i, part(folder.new_per_day, 0.04 + 0.32 * dice.roll())));
            }
            for what in [Self::change, Self::rename, Self::remove] {
                if dice.roll() < self.scenario.changes {
                    hints.extend(what(self, i, &mut dice));
                }
            }
        }
        let heard = dice.roll() > 0.1;
        if let Some(running) = running.filter(|_| heard && !hints.is_empty()) {
            let mut paths: Vec<TreePath> = hints;
            paths.sort();
            paths.dedup();
            for place in &mut self.state().places {
                place.made.iter_mut().filter(|m| paths.contains(&m.path)).for_each(|m| m.known = true);
            }
            let hints = paths.into_iter().map(|path| Hint { path, depth: Depth::Only }).collect();
            let heard = running.engine.notice(&Taken { hints, lost: vec![] });
            self.did("notice", heard);
        }
    }

    pub(super) fn make(&self, place: usize, bytes: u64) -> Vec<TreePath> {
        let (path, count) = {
            let mut state = self.state();
            let place = &mut state.places[place];
            place.count += 1;
            let path = place.top.join(format!("{}/{:05}", place.count / 50, place.count));
            place.there.push(path.clone());
            (path, place.count)
        };
        let seed = count * 7 + place as u64;
        let mut content = bed::noise(seed, usize::try_from(bytes.max(1)).unwrap());
        if self.scenario.folders[place].makes == Makes::Letters {
            // Half of it, packed.
            for byte in &mut content {
                *byte &= 0x0f;
            }
        }
        self.write(place, &path, &content)
    }

    pub(super) fn pick(&self, place: usize, dice: &mut Dice) -> Option<(usize, PathBuf)> {
        let there = &self.state().places[place].there;
        let at = usize::try_from(below(dice, there.len() as u64)).unwrap();
        there.get(at).map(|p| (at, p.clone()))
    }

    /// A tenth of it is new.
    pub(super) fn change(&self, place: usize, dice: &mut Dice) -> Vec<TreePath> {
        let Some((_, path)) = self.pick(place, dice) else { return vec![] };
        let mut content = fs::read(&path).unwrap();
        let more = bed::noise(self.now(), content.len() / 10 + 1);
        content.extend(more);
        self.write(place, &path, &content)
    }

    pub(super) fn rename(&self, place: usize, dice: &mut Dice) -> Vec<TreePath> {
        let Some((at, path)) = self.pick(place, dice) else { return vec![] };
        let to = path.with_extension(format!("{}", self.now()));
        fs::rename(&path, &to).unwrap();
        let (from, new) = (TreePath::from_typed(&path).unwrap(), TreePath::from_typed(&to).unwrap());
        let mut state = self.state();
        let place = &mut state.places[place];
        place.there[at].clone_from(&to);
        let before = place.gone(&from);
        place.note(Made { path: new.clone(), known: false, over: false, ..before });
        vec![from, new]
    }

    pub(super) fn remove(&self, place: usize, dice: &mut Dice) -> Vec<TreePath> {
        let Some((at, path)) = self.pick(place, dice) else { return vec![] };
        fs::remove_file(&path).unwrap();
        let path = TreePath::from_typed(&path).unwrap();
        let mut state = self.state();
        state.places[place].there.swap_remove(at);
        state.places[place].gone(&path);
        vec![path]
    }

    pub(super) fn write(&self, place: usize, path: &Path, content: &[u8]) -> Vec<TreePath> {
        bed::write(path, content);
        let mut state = self.state();
        let place = &mut state.places[place];
        let at = self.clock.wall().0.cast_unsigned();
        // No two of them are alike.
        let nanos = u32::try_from(place.made.len()).unwrap();
        let mtime = Duration::from_millis(at) + Duration::from_nanos(u64::from(nanos));
        fs::File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + mtime).unwrap();
        let path = TreePath::from_typed(path).unwrap();
        let mtime = FileTime { secs: i64::try_from(mtime.as_secs()).unwrap(), nanos: mtime.subsec_nanos() };
        place.note(Made { path: path.clone(), mtime, content: sha256(content), known: false, over: false });
        vec![path]
    }
}
