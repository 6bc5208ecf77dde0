//! The console's desk: what an operator asks is answered and carried out here. The document itself is gathered in
//! `desk/gather`, what it says at the top in `desk/headline`, where one path is in `desk/explain`; of a vault on the line speaks
//! `desk/line`, of the recovery sheet `desk/sheet`, of drills `desk/drill`, of whether vaults are sound `desk/verify`.
//!
//! The document is made when somebody asks, at most about once a second, and shared by all who do: counting costs, and the
//! answer may be a second old, never longer. An order is on the disk before it is answered (`orders`), so that it outlives a
//! restart.

mod drill;
mod explain;
mod forecast;
mod gather;
mod headline;
mod line;
mod sheet;
pub mod verify;

use super::console::{
    Bound, Console, Explanation, ForecastStatus, Lasting, Mood, Overall, Status, Verified, VerifyAsk,
};
use super::orders::Orders;
use super::run::{Daemon, Vault};
use super::spell::rfc3339;
use crate::backup::Engine;
use crate::catalog::Level;
use crate::clock::{Steady, Wall};
use crate::error::{Error, Kind, Result};
use crate::model::TreePath;
use crate::uplink::cap::Span;
use gather::Counted;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A status is at least this fresh, or a twentieth of the time it took to make.
const FRESH: Duration = Duration::from_millis(800);

pub struct Desk {
    daemon: Arc<Daemon>,
    counted: Mutex<BTreeMap<String, Counted>>,
    last: Mutex<Option<(Steady, Duration, Status)>>,
    foretold: Mutex<BTreeMap<String, forecast::Foretold>>,
}

/// A vault, and its engine where it is open at this moment.
struct Seen {
    vault: Arc<Vault>,
    engine: Option<Arc<Engine>>,
}

impl Desk {
    pub fn new(daemon: Arc<Daemon>) -> Arc<Self> {
        Arc::new(Self { daemon, counted: Mutex::default(), last: Mutex::new(None), foretold: Mutex::default() })
    }

    pub fn daemon(&self) -> &Arc<Daemon> {
        &self.daemon
    }

    /// Counted anew, however it costs.
    pub fn fresh(&self) -> Status {
        let clock = &self.daemon.house.clock;
        let begun = clock.steady();
        let status = self.gather(&self.seen());
        let took = clock.steady().since(begun);
        *self.last.lock().expect("status lock") = Some((clock.steady(), took, status.clone()));
        status
    }

    /// When an order that is given now ends; None: not by itself.
    fn ends(&self, lasting: Lasting) -> Result<Option<Wall>> {
        let now = self.daemon.house.clock.wall();
        let at = match lasting {
            Lasting::Always => return Ok(None),
            Lasting::Change => return Ok(self.daemon.uplink.next_change()),
            Lasting::For(length) => now.plus(length),
            Lasting::Until(at) => at,
            Lasting::Tomorrow => Span::Day.period(now, &self.daemon.uplink.zone()).ends,
        };
        if at > now {
            return Ok(Some(at));
        }
        let ends = format!("give an order until {}: that is not ahead", rfc3339(at));
        Err(Error::operator(ends).remedy("give a time to come"))
    }

    /// Whoever asks next gets a new document.
    fn forget(&self) {
        self.foretold.lock().expect("forecast lock").clear();
        *self.last.lock().expect("status lock") = None;
    }

    fn seen(&self) -> Vec<Seen> {
        let seen = |vault: &Arc<Vault>| Seen { vault: Arc::clone(vault), engine: vault.engine() };
        self.daemon.vaults.iter().map(seen).collect()
    }

    /// Waits until every vault is drained or needs the operator: one that does never cuts another short (promise 12).
    pub fn until_drained(&self) -> Result<()> {
        loop {
            let (mut busy, mut stuck) = (false, None);
            for vault in &self.daemon.vaults {
                let worst = vault.worst().filter(|t| matches!(t.kind, Kind::Operator | Kind::Damaged));
                match (worst, vault.engine()) {
                    (Some(trouble), _) => stuck = Some(Error::new(trouble.kind, trouble.text)),
                    (None, Some(engine)) => busy |= !engine.is_drained()?,
                    (None, None) => busy = true,
                }
            }
            if !busy {
                return stuck.map_or(Ok(()), Err);
            }
            if self.daemon.house.stop.wait(Duration::from_millis(20)) {
                return Err(Error::stopping());
            }
        }
    }
}

impl Console for Desk {
    fn status(&self) -> Status {
        let now = self.daemon.house.clock.steady();
        let last = self.last.lock().expect("status lock").clone();
        match last {
            Some((made, took, status)) if now.since(made) < FRESH.max(took * 20) => status,
            _ => self.fresh(),
        }
    }

    fn unhealthy(&self) -> Option<String> {
        let status = self.status();
        (status.mood == Mood::Alarm || status.state == Overall::Stopped).then_some(status.headline)
    }

    fn pause(&self, lasting: Lasting) -> Result<()> {
        let now = self.daemon.house.clock.wall();
        let until = self.ends(lasting)?;
        self.daemon.order(|orders| orders.set_pause(now, until))?;
        let said = until.map_or_else(String::new, |at| format!(" until {}", rfc3339(at)));
        for engine in self.daemon.engines() {
            engine.tell(Level::Warning, &format!("paused by the operator{said}"));
        }
        self.forget();
        self.daemon.house.faults.at("desk.answer")
    }

    fn resume(&self) -> Result<()> {
        for engine in self.daemon.engines() {
            // Losses that were looked at first: once work goes on, new ones are counted.
            self.daemon.house.faults.at("desk.losses")?;
            engine.catalog.clear_fact("spool_losses")?;
        }
        self.daemon.order(Orders::lift_pause)?;
        for engine in self.daemon.engines() {
            engine.tell(Level::Note, "resumed by the operator");
        }
        self.daemon.wake();
        self.forget();
        self.daemon.house.faults.at("desk.answer")
    }

    fn limit(&self, bound: Bound, lasting: Lasting) -> Result<()> {
        let now = self.daemon.house.clock.wall();
        let until = self.ends(lasting)?;
        let limit = match bound {
            Bound::At(rate) => Some(Some(rate).into()),
            Bound::Unlimited => Some(None.into()),
            Bound::Configured => None,
        };
        self.daemon.order(|orders| orders.set_limit(limit, now, until))?;
        self.daemon.wake();
        self.forget();
        self.daemon.house.faults.at("desk.answer")
    }

    fn rescan(&self) -> Result<()> {
        for engine in self.daemon.engines() {
            engine.figures.walked.lock().expect("figures lock").clear();
            self.daemon.house.faults.at("desk.rescan")?;
            engine.catalog.hurry()?;
            for root in &engine.roots {
                engine.mark_root(root)?;
            }
        }
        self.daemon.wake();
        self.forget();
        Ok(())
    }

    fn explain(&self, path: &TreePath) -> Result<Explanation> {
        let engines = self.daemon.engines();
        let Some(first) = engines.first() else {
            return Err(Error::retry("explain a path: no vault is open yet"));
        };
        let (chosen, rule) = explain::rule_for(first, path);
        let seen = self.seen();
        let open = seen.iter().filter_map(|s| s.engine.as_deref().map(|e| (&s.vault.settings.name, e)));
        let stages = open.map(|(name, e)| explain::stage(name, e, path)).collect::<Result<Vec<_>>>()?;
        Ok(Explanation { path: path.to_string(), rule, chosen, stages })
    }

    fn forecast(&self, what_if: &[String]) -> Result<ForecastStatus> {
        self.forecast_document(what_if)
    }

    fn backup_now(&self) -> Result<()> {
        let engines = self.daemon.engines();
        for engine in &engines {
            engine.figures.hurry.store(true, Ordering::SeqCst);
        }
        let done = self.rescan().and_then(|()| self.until_drained());
        for engine in &engines {
            engine.figures.hurry.store(false, Ordering::SeqCst);
        }
        // Who asked for the pass asks for its result next.
        self.forget();
        done
    }

    fn verify(&self, asked: &VerifyAsk) -> Result<Vec<Verified>> {
        let done = verify::ask(&self.daemon, asked);
        self.forget();
        done
    }
}
