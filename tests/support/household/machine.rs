//! The machine: the daemon as it starts over its state folder, and the power that fails.

use super::*;
use std::fmt::Write as _;

impl Household {
    pub(super) fn house(&self, faults: Faults) -> House {
        let s = &self.scenario;
        let mut text = String::new();
        for place in &self.state().places {
            let (top, priority) = (place.top.display(), place.folder.priority);
            let _ = writeln!(text, "[[root]]\npath = \"{top}\"\npriority = \"{priority}\"");
        }
        text += "[[vault]]\nname = \"cloud\"\nurl = \"s3://bucket/house\"\nregion = \"eu-central-1\"\nlevel = 1\n";
        // What the disks of the machine beneath do is no part of the tale.
        text += "[walk]\nwake = true\n[uplink]\npolite = false\n";
        let _ = match s.window {
            None => writeln!(text, "limit = \"{} B/s\"", s.limit),
            Some((from, to)) => {
                writeln!(text, "calendar = [\"daily off\", \"daily {from:02}:00-{to:02}:00 {} B/s\"]", s.limit)
            }
        };
        if let Some(bytes) = s.month {
            let _ = writeln!(text, "month = \"{bytes}\"\nbilling_day = 15");
        }
        let state = self.dir.path().canonicalize().unwrap().join("state");
        let _ = writeln!(text, "[state]\ndir = \"{}\"\nspool_size = \"4 GiB\"", state.display());
        let settings = config::parse(Path::new("config.toml"), &text, &mut |_| Err(Error::path("none"))).unwrap();
        House {
            home: Home::new(&settings.state_dir),
            settings: Arc::new(settings),
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(SystemEntropy),
            stop: Stop::new(),
            faults,
            runtime: self.runtime.handle().clone(),
            gate: Gate::default(),
        }
    }

    /// The power is on: as the daemon starts, tried again while the vault cannot be reached.
    pub(super) fn start(self: &Arc<Self>) {
        // Every other run dies in the middle of a durable step, if nothing else ends it before.
        let at = {
            let mut state = self.state();
            if state.dice.roll() < 0.5 && state.people_are_here { 1 + below(&mut state.dice, 4000) } else { 0 }
        };
        let house = self.house(Faults::die_at(at));
        fs::create_dir_all(house.home.vault("cloud").spool()).unwrap();
        let daemon = Daemon::new(house, Watching::Off).unwrap();
        self.what_was_counted_outlives(&daemon);
        let vault = Arc::clone(&daemon.vaults[0]);
        loop {
            match self.open(&daemon, &vault).and_then(|engine| daemon.take_in(&vault, engine)) {
                Ok(engine) => {
                    let desk = Desk::new(Arc::clone(&daemon));
                    self.state().running = Some(Running { daemon, desk, vault, engine });
                    return;
                }
                Err(e) if e.kind() == Kind::Retry => self.pass(Duration::from_secs(10)),
                Err(e) if e.kind() == Kind::Stopping => {
                    drop((daemon, vault));
                    self.power_cut();
                    return;
                }
                Err(e) => panic!("open: {e}"),
            }
            if self.is_dead() {
                drop((daemon, vault));
                self.power_cut();
                return;
            }
        }
    }

    /// As `House::open_engine`, over the double.
    pub(super) fn open(self: &Arc<Self>, daemon: &Daemon, vault: &Vault) -> Result<Engine> {
        let (house, settings) = (&daemon.house, &vault.settings);
        let home = house.home.vault(&settings.name);
        let catalog = Catalog::open(&home.catalog())?;
        if catalog.identity()?.is_none() {
            catalog.set_identity(VAULT, WriterId(random(&SystemEntropy)))?;
        }
        let ids = catalog.roots(&settings.roots)?;
        let keys = bed::keys().seal;
        let mut roots: Vec<_> =
            house.settings.roots_of(settings).map(|r| Watched::new(r, ids[&r.path])).collect::<Result<_>>()?;
        roots.sort_by_key(|r| std::cmp::Reverse(r.path.as_bytes().len()));
        let engine = Engine {
            name: settings.name.clone(),
            chunker: Chunker::new(keys.cut_key(), keys.chunk_key()),
            spool: Spool::open(&home.spool())?,
            catalog,
            store: Arc::clone(self) as _,
            keys,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(&house.clock),
            faults: house.faults.clone(),
            stop: house.stop.clone(),
            settings: EngineSettings {
                pack_size: settings.pack_size,
                spool_size: house.settings.spool_size,
                gather: settings.gather,
                level: settings.level,
                publish_every: house.settings.publish_every,
                heartbeat: Duration::from_secs(6 * HOUR),
            },
            roots,
            ours: house.ours(),
            bells: Bells::default(),
            in_hand: panicroom::backup::in_hand::InHand::default(),
            figures: Figures::default(),
        };
        engine.agree_with_spool()?;
        assert_eq!(engine.look_at_vault()?, Standing::Agrees);
        engine.settle_order()?;
        engine.catalog.recount()?;
        Ok(engine)
    }

    pub(super) fn switch_off(&self) {
        if let Some(Running { vault, .. }) = self.state().running.take() {
            *vault.engine.lock().unwrap() = None;
        }
    }

    /// Nothing is closed; what was not on the disk is gone. Then nothing runs for a while.
    pub(super) fn power_cut(&self) {
        self.switch_off();
        let off = {
            let mut state = self.state();
            let in_a_step = self.now() < state.next_cut;
            state.tally.cuts += 1;
            state.tally.deaths_in_a_step += u64::from(in_a_step);
            let now = self.now();
            if !in_a_step {
                state.next_cut = now + wait(&mut state.mains, 7.0 * DAY as f64, self.scenario.cuts);
            }
            for month in state.months.values_mut() {
                month.forgiven += FORGOTTEN_S * self.scenario.limit + HEAD + ANSWER;
            }
            state.dead = false;
            wait(&mut state.mains, self.scenario.cut_s, 1.0).min(part(6, self.scenario.cut_s))
        };
        self.pass(Duration::from_secs(off));
    }
}
