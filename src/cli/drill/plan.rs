//! Choosing within a budget and planning, until the bill of the plan keeps it: the bill is that of a restore, over the
//! same prices. What the vault lists may be dearer than its address says (a rule moved it to an archive): then it is
//! chosen once more, by what was seen.

use super::super::args::Line;
use super::super::restore::bill;
use super::super::source::Source;
use super::super::{Failure, prices};
use super::{AGREED, Job, Wish, drilling};
use crate::catalog::jobs::JobFile;
use crate::clock::SystemClock;
use crate::error::{Error, Result};
use crate::model::Proof;
use crate::place::{Target, scratch};
use crate::price::{Offer, PriceBook, Terms};
use crate::restore::drill::{Bounds, Chosen, FILES, Gathering, PACKS, keep_cost};
use crate::restore::{Plan, Progress, waits_for_a_word};
use crate::seal::{SystemEntropy, random};
use crate::store::is_archive;
use crate::worker::Faults;
use std::path::PathBuf;

/// Choices that turn out too dear before it is given up.
const TRIES: u32 = 6;
const MICROS: f64 = 1e6;
/// Names on a page of a listing.
const PAGE_OF_LIST: u64 = 1000;

pub(super) struct Planner<'a> {
    pub source: &'a Source,
    pub job: &'a Job,
    pub wish: &'a Wish,
    pub book: &'a PriceBook,
    pub progress: &'a Progress,
}

impl Planner<'_> {
    /// Operator: nothing fits. Nothing was spent but listings.
    pub fn plan(&self, proof: Proof) -> Result<(JobFile, PathBuf, Plan)> {
        let (mut class, mut budget) = (None, self.wish.budget);
        for _ in 0..TRIES {
            let chosen = self.choose(proof, class.as_deref(), budget)?;
            if chosen.packs.is_empty() {
                return Err(self.nothing(&chosen));
            }
            let (file, folder, plan) = self.write_down(&chosen, proof)?;
            let total = plan.at_speed(self.wish.money.speed_of(&plan)).and_then(|s| s.cost.total);
            if total.is_none_or(|total| total * MICROS <= budget_of(self.wish)) {
                return Ok((file, folder, plan));
            }
            drop(file);
            self.job.end(&folder)?;
            if class.is_some() || plan.class.is_none() {
                budget = budget / 3 * 2;
            }
            class = plan.class;
        }
        Err(self.nothing(&Chosen::default()))
    }

    fn nothing(&self, chosen: &Chosen) -> Error {
        if chosen.too_large == 0 {
            return Error::operator("drill: there is nothing in the vault to drill").remedy("back something up first");
        }
        Error::operator(format!(
            "drill: nothing in the vault fits {} of money and {} to read",
            money(self.wish.budget),
            self.wish.bytes
        ))
        .remedy("allow more with '--budget' and '--bytes'; nothing was spent")
    }

    /// Priced as if every pack of an archive were frozen and read whole: the bill is this or less.
    fn choose(&self, proof: Proof, seen: Option<&str>, budget: u64) -> Result<Chosen> {
        let source = self.source;
        let place = prices::place(&source.url, seen);
        let counts = source.catalog.vault_counts()?;
        let may_freeze = source.store.may_freeze();
        let purse = Purse {
            prices: self.book.terms(&place),
            is_frozen: may_freeze && is_archive(&place.class),
            class: place.class,
            lists: if may_freeze { counts.stored_objects / PAGE_OF_LIST + 1 } else { 0 },
            stored_bytes: counts.stored_bytes,
            money: &self.wish.money,
            budget,
        };
        let affordable = |packs: u64, bytes: u64| purse.has_enough(packs, bytes);
        Gathering {
            catalog: &source.catalog,
            proof,
            bounds: Bounds { bytes: self.wish.bytes.0, files: FILES, packs: PACKS },
            now: SystemClock::shared().wall(),
            seed: u64::from_le_bytes(random(&SystemEntropy)),
            affordable: &affordable,
            stop: &source.stop,
        }
        .choose()
    }

    fn write_down(&self, chosen: &Chosen, proof: Proof) -> Result<(JobFile, PathBuf, Plan)> {
        let folder = scratch::make(&self.job.scratch_in, &self.job.id)?;
        let file = JobFile::open(&self.job.path())?;
        let target = Target::open(&folder)?;
        let (clock, faults) = (SystemClock::shared(), Faults::default());
        let id = random(&SystemEntropy);
        let planned = drilling(self.source, &folder, &target, self.progress, &file, &*clock, &faults, |drill| {
            drill.plan(chosen, proof, id)
        });
        let priced = planned.and_then(|mut plan| {
            bill::look_up(&mut plan, self.source, self.book, &self.wish.money)?;
            Ok(plan)
        });
        match priced {
            Ok(plan) => Ok((file, folder, plan)),
            Err(e) => {
                drop(file);
                self.job.end(&folder)?;
                Err(e)
            }
        }
    }
}

/// What may be spent, and the prices it is held against.
struct Purse<'a> {
    prices: Terms<'a>,
    /// Everything there is taken for frozen.
    is_frozen: bool,
    class: String,
    /// Calls that list.
    lists: u64,
    stored_bytes: u64,
    money: &'a bill::Wish,
    /// Millionths.
    budget: u64,
}

impl Purse<'_> {
    /// For so many packs of so many bytes, by the bill of a restore. Where there is no price there is no bound either:
    /// then it is asked.
    fn has_enough(&self, packs: u64, bytes: u64) -> bool {
        let plan = Plan {
            packs,
            pack_bytes: bytes,
            frozen_packs: if self.is_frozen { packs } else { 0 },
            frozen_bytes: if self.is_frozen { bytes } else { 0 },
            class: Some(self.class.clone()),
            lists: self.lists,
            ..Plan::default()
        };
        let bill = bill::price(&plan, self.prices, self.stored_bytes, self.money, self.money.speed_at(self.prices));
        bill.cost.total.is_none_or(|total| total * MICROS <= as_float(self.budget))
    }
}

/// Money is never spent unasked, and what has no known price never without a word for it. What was agreed on is not asked
/// for again.
pub(super) fn agree(
    line: &Line,
    plan: &Plan,
    file: &JobFile,
    target: &Target,
    wish: &Wish,
) -> std::result::Result<(), Failure> {
    let is_late = waits_for_a_word(file)?;
    if file.fact::<i64>(AGREED)?.is_some() && !is_late {
        return Ok(());
    }
    let chosen = plan.at_speed(wish.money.speed_of(plan));
    let total = chosen.and_then(|s| s.cost.total);
    if let Some(total) = total.filter(|total| is_late && total * MICROS > budget_of(wish)) {
        return Err(Failure::Work(
            Error::operator(format!(
                "drill: packs of it turned out to be frozen, and to thaw them costs {total:.2}, more than the budget"
            ))
            .remedy("allow more with '--budget'; nothing was spent on it"),
        ));
    }
    bill::settle(line, plan, file, target.free()?, &wish.money)?;
    keep_cost(file, total.zip(chosen).map(|(total, s)| (to_micros(total), s.cost.currency.as_str())))?;
    file.set_fact(AGREED, 1)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "an amount of money below a million millions")]
fn as_float(micros: u64) -> f64 {
    micros as f64
}

fn budget_of(wish: &Wish) -> f64 {
    as_float(wish.budget)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a price, never below nothing")]
fn to_micros(total: f64) -> u64 {
    (total.max(0.0) * MICROS).round() as u64
}

/// As it is typed.
pub(super) fn money(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let cut = text.trim_end_matches('0');
    if cut.ends_with('.') { format!("{cut}00") } else { cut.to_owned() }
}

/// Where the money goes, for people.
pub(super) fn offer<'a>(book: &'a PriceBook, plan: &Plan, source: &Source) -> Option<&'a Offer> {
    book.terms(&prices::place(&source.url, plan.class.as_deref())).offer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Speed;
    use crate::price::Place;
    use proptest::prelude::*;

    fn money_wish() -> bill::Wish {
        bill::Wish { what: "drill", speed: None, downlink: None, poll: None, max_cost: None, yes: false }
    }

    proptest! {
        #[test]
        fn what_the_purse_allowed_never_bills_above_the_budget_however_much_of_it_is_frozen(
            packs in 1..4000_u64, size in 1..64_000_000_u64, part in 0..=100_u64, frozen in 0..=100_u64, budget in 0..2_000_000_u64,
            class in 0..4_usize,
        ) {
            let (book, wish) = (PriceBook::shipped(), money_wish());
            let class = ["DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "STANDARD"][class];
            let prices = book.terms(&Place::bucket(None, Some("us-east-1"), class));
            let (is_frozen, stored_bytes) = (is_archive(class), packs * size);
            let purse = Purse { prices, is_frozen, class: class.into(), lists: 5, stored_bytes, money: &wish, budget };
            let of = |n: u64, percent: u64| n * percent / 100;
            let frozen = if is_frozen { of(packs, frozen) } else { 0 };
            let plan = Plan {
                packs,
                pack_bytes: of(packs * size, part),
                frozen_packs: frozen,
                frozen_bytes: frozen * size,
                class: Some(class.into()),
                lists: 1,
                ..Plan::default()
            };
            let total = bill::price(&plan, prices, stored_bytes, &wish, Speed::Bulk).cost.total.unwrap();
            prop_assert!(!purse.has_enough(packs, packs * size) || total * MICROS <= as_float(budget) + 1.0, "{total}");
            prop_assert!(purse.has_enough(0, 0) || budget < 1000);
        }
    }

    #[test]
    fn five_cents_thaw_gigabytes_of_a_deep_archive_and_no_terabyte() {
        let (book, wish) = (PriceBook::shipped(), money_wish());
        let prices = book.terms(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE"));
        let class = "DEEP_ARCHIVE".to_owned();
        let (lists, stored_bytes, money) = (1, 1 << 40, &wish);
        let purse = Purse { prices, is_frozen: true, class, lists, stored_bytes, money, budget: 50_000 };
        assert!(purse.has_enough(40, 1_000_000_000) && !purse.has_enough(40_000, 1_000_000_000_000));
    }

    #[test]
    fn money_is_shown_as_it_is_typed() {
        for (micros, text) in [(50_000, "0.05"), (0, "0.00"), (1_000_000, "1.00"), (1, "0.000001")] {
            assert_eq!(money(micros), text);
        }
        assert_eq!(to_micros(0.0123456), 12_346);
    }
}
