//! What a restore costs and how long it takes: looked up, shown, and agreed on before anything is spent (promise 11).

use super::super::args::Line;
use super::super::out_args::{Restore, SpeedArg};
use super::super::source::Source;
use super::super::{Failure, prices};
use crate::catalog::jobs::{AskedBefore, JobFile};
use crate::config::duration;
use crate::error::{Error, Result};
use crate::model::{Rate, Size, Speed};
use crate::price::{Estimate, Money, Offer, PriceBook, RestoreNeed, Terms as Prices};
use crate::restore::thaw::pace::{Terms, days_to_pay};
use crate::restore::thaw::{Standing, agree, standing};
use crate::restore::{Cost, Plan, SpeedPlan};
use crate::worker::Faults;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

/// Below this a price is shown as "less than a cent", and is no reason to ask.
const CENT: f64 = 0.01;
/// Looking what is thawed more often than this wins nothing.
const POLL_MIN: Duration = Duration::from_secs(1);

/// What was typed about money and time.
pub(in crate::cli) struct Wish {
    /// What it is for: `restore`, `drill`.
    pub what: &'static str,
    /// None: the cheapest there is.
    pub speed: Option<Speed>,
    pub downlink: Option<Rate>,
    pub poll: Option<Duration>,
    pub max_cost: Option<f64>,
    /// Agreed to already.
    pub yes: bool,
}

impl Wish {
    pub fn of(args: &Restore) -> std::result::Result<Self, Failure> {
        let usage = |e: String| Failure::Usage(Error::operator(e));
        Ok(Self {
            what: "restore",
            speed: args.speed.map(speed),
            downlink: args.downlink.as_deref().map(|t| t.parse::<Rate>().map_err(usage)).transpose()?,
            poll: poll(args.poll.as_deref())?,
            max_cost: args.max_cost,
            yes: args.yes,
        })
    }

    /// On a line that gives no more than this, as configured.
    #[must_use]
    pub fn within(self, down: Option<Rate>) -> Self {
        let guessed = Terms::of(None, Speed::Bulk).downlink;
        let downlink = match (self.downlink, down) {
            (None, Some(down)) if down >= guessed => None,
            (given, down) => [given, down].into_iter().flatten().min(),
        };
        Self { downlink, ..self }
    }

    /// The speed that was asked for, else the cheapest of those there are.
    pub fn speed_of(&self, plan: &Plan) -> Speed {
        let offered = |speed: &Speed| plan.at_speed(*speed).is_some();
        self.speed.or_else(|| Speed::ALL.into_iter().find(offered)).unwrap_or(Speed::Bulk)
    }
    /// The same before there is a plan.
    pub fn speed_at(&self, prices: Prices<'_>) -> Speed {
        self.speed.or_else(|| prices.offer()?.speeds().next()).unwrap_or(Speed::Bulk)
    }

    /// How what may be spent is bounded.
    fn bound(&self) -> &'static str {
        if self.what == "restore" { ", with '--max-cost' for a bound" } else { "" }
    }

    fn terms(&self, plan: &Plan, speed: Speed) -> Terms {
        let usual = Terms::of(plan.class.as_deref(), speed);
        Terms {
            downlink: self.downlink.unwrap_or(usual.downlink),
            poll: self.poll.unwrap_or(usual.poll).max(POLL_MIN),
            ..usual
        }
    }
}

pub(in crate::cli) fn speed(typed: SpeedArg) -> Speed {
    match typed {
        SpeedArg::Bulk => Speed::Bulk,
        SpeedArg::Standard => Speed::Standard,
        SpeedArg::Expedited => Speed::Expedited,
    }
}

pub(in crate::cli) fn poll(typed: Option<&str>) -> std::result::Result<Option<Duration>, Failure> {
    typed.map(|t| duration::parse(t).map_err(|e| Failure::Usage(Error::operator(e)))).transpose()
}

/// Prices and hours for every speed there is; None where they are not known.
pub(in crate::cli) fn look_up(plan: &mut Plan, source: &Source, book: &PriceBook, wish: &Wish) -> Result<()> {
    let place = prices::place(&source.url, plan.class.as_deref());
    let prices = book.terms(&place);
    let stored_bytes = source.catalog.vault_counts()?.stored_bytes;
    plan.speeds = Speed::ALL
        .into_iter()
        .filter(|speed| prices.offer().is_none_or(|offer| offer.speeds().any(|s| s == *speed)))
        .map(|speed| price(plan, prices, stored_bytes, wish, speed))
        .collect();
    Ok(())
}

/// The bill of a plan at one speed; `stored_bytes`: all the vault holds.
pub(in crate::cli) fn price(
    plan: &Plan,
    prices: Prices<'_>,
    stored_bytes: u64,
    wish: &Wish,
    speed: Speed,
) -> SpeedPlan {
    let terms = wish.terms(plan, speed);
    let need = RestoreNeed {
        packs: plan.packs,
        bytes: plan.pack_bytes,
        cold_bytes: if plan.needs_terms() { 0 } else { plan.pack_bytes },
        frozen_packs: plan.frozen_packs,
        frozen_bytes: plan.frozen_bytes,
        days_of_copies: days_to_pay(plan.pack_bytes, &terms),
        reads: plan.packs,
        lists: plan.lists,
        stored_bytes,
        downlink: Some(terms.downlink),
    };
    estimate(prices, &need, speed)
}

fn estimate(prices: Prices<'_>, need: &RestoreNeed, speed: Speed) -> SpeedPlan {
    let known = match prices {
        Prices::Own => Estimate::own(speed, need.bytes, need.downlink),
        Prices::Known(offer) => crate::price::restore(offer, need, speed),
        // Another region's price is a hint, and none to agree on.
        Prices::Elsewhere(offer) => without_money(crate::price::restore(offer, need, speed)),
        Prices::Unknown => without_money(Estimate::own(speed, need.bytes, need.downlink)),
    };
    let is_own_and_frozen = matches!(prices, Prices::Own | Prices::Unknown) && need.frozen_packs > 0;
    let hours = |h: Option<f64>| h.filter(|_| !is_own_and_frozen);
    let part = |m: Option<Money>| m.map(Money::decimal);
    SpeedPlan {
        speed: speed.name().to_owned(),
        hours_first: hours(known.hours_first),
        hours_last: hours(known.hours_last),
        cost: Cost {
            retrieval: part(known.retrieval),
            requests: part(known.requests),
            copies: part(known.copies),
            egress: part(known.egress),
            total: part(known.total),
            currency: known.currency.to_string(),
        },
    }
}

fn without_money(estimate: Estimate) -> Estimate {
    Estimate { retrieval: None, requests: None, copies: None, egress: None, total: None, ..estimate }
}

fn amount(part: Option<f64>, currency: &str) -> String {
    match part {
        None => "not known".to_owned(),
        Some(n) if n > 0.0 && n < CENT => format!("less than {CENT} {currency}"),
        Some(n) => format!("{n:.2} {currency}"),
    }
}

fn hours(hours: Option<f64>) -> String {
    match hours {
        None => "nobody knows when".to_owned(),
        Some(h) if h < 1.0 => format!("{:.0} min", (h * 60.0).ceil()),
        Some(h) if h < 72.0 => format!("{h:.0} h"),
        Some(h) => format!("{:.1} days", h / 24.0),
    }
}

/// What a plan says to people about money and time.
pub(in crate::cli) fn show(
    plan: &Plan,
    prices: Option<&Offer>,
    wish: &Wish,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if plan.costs_nothing() {
        return Ok(());
    }
    if plan.frozen_packs > 0 {
        let class = plan.class.as_deref().unwrap_or("an archive class");
        writeln!(
            out,
            "{} packs ({}) are frozen in {class}: to be thawed first",
            plan.frozen_packs,
            Size(plan.frozen_bytes)
        )?;
    }
    if plan.untold_packs > 0 {
        writeln!(
            out,
            "{} packs are of a class that archives by itself and tells no listing of it: those found frozen when they are \
             read are shown then, with their price, before any is thawed",
            plan.untold_packs
        )?;
    }
    if plan.speeds.iter().all(|s| s.cost.total.is_none()) {
        writeln!(out, "the price is not known: no price list has this vault ('[prices] file' names one)")?;
        return Ok(());
    }
    let line = wish.terms(plan, wish.speed_of(plan)).downlink;
    for speed in &plan.speeds {
        let SpeedPlan { speed, hours_first, hours_last, cost } = speed;
        let of = |part| amount(part, &cost.currency);
        writeln!(
            out,
            "{speed:>10}: {} (retrieval {}, requests {}, copies {}, egress {}); first file after {}, last after {}",
            of(cost.total),
            of(cost.retrieval),
            of(cost.requests),
            of(cost.copies),
            of(cost.egress),
            hours(*hours_first),
            hours(*hours_last)
        )?;
    }
    let more = plan
        .at_speed(wish.speed_of(plan))
        .filter(|_| plan.frozen_packs > 0)
        .and_then(|s| Some((s, once_more(&s.cost)?)));
    if let Some((speed, more)) = more.filter(|(_, more)| *more > 0.0) {
        let more = amount(Some(more), &speed.cost.currency);
        writeln!(
            out,
            "copies that go before they are fetched are asked for again: at most {more} more ({})",
            speed.speed
        )?;
    }
    let measured = if wish.downlink.is_some() { "given" } else { "guessed; --downlink says it" };
    write!(out, "the hours are for a line of {}/s ({measured})", Size(line.get()))?;
    match prices {
        Some(offer) => writeln!(out, "; prices of {}, as of {}", offer.title(), offer.as_of),
        None => writeln!(out),
    }
}

/// `free`: room at the target now; the plan may be older. Money is never spent unasked; what costs nothing never asks, and what was agreed on is not asked for again.
pub(in crate::cli) fn settle(
    line: &Line,
    plan: &Plan,
    job: &JobFile,
    free: Size,
    wish: &Wish,
) -> std::result::Result<(), Failure> {
    if let Some(at) = standing(job)? {
        other_speed(line, plan, job, wish, &at)?;
        return settle_again(line, plan, job, wish);
    }
    let has_begun = job.count("runs")? > 0;
    if has_begun && !plan.needs_terms() {
        return Ok(());
    }
    if !has_begun && plan.needed_bytes > free.0 {
        return Err(Failure::Work(
            Error::operator(format!(
                "{} {}: the target has room for {free}; nothing was asked for or spent",
                wish.what,
                Size(plan.needed_bytes)
            ))
            .remedy("make room, then give the same command again; or choose another target"),
        ));
    }
    let speed = wish.speed_of(plan);
    let chosen = plan.at_speed(speed);
    if plan.frozen_packs > 0 && chosen.is_none() {
        return Err(not_offered(plan, speed));
    }
    let total = chosen.and_then(|s| s.cost.total);
    if let Some(most) = wish.max_cost.filter(|_| !plan.costs_nothing()) {
        within(most, total, chosen.map_or("", |s| s.cost.currency.as_str()))?;
    }
    // What nobody knows the price of may cost anything.
    let costs = plan.frozen_packs > 0 || total.map_or(!plan.costs_nothing(), |total| total >= CENT);
    if costs && !wish.yes {
        ask(line, wish, total, chosen)?;
    }
    if plan.needs_terms() {
        let terms = agreed_terms(plan, wish, speed, chosen);
        agree(job, &terms, again_within(plan, chosen, wish.max_cost), &Faults::default())?;
    }
    Ok(())
}

/// A provider may be slower than AWS is with a class of that name.
fn agreed_terms(plan: &Plan, wish: &Wish, speed: Speed, chosen: Option<&SpeedPlan>) -> Terms {
    let usual = wish.terms(plan, speed);
    let listed = chosen.and_then(|s| s.hours_first).map_or(Duration::ZERO, |h| Duration::from_secs_f64(h * 3600.0));
    Terms { takes: usual.takes.max(listed), ..usual }
}

fn not_offered(plan: &Plan, speed: Speed) -> Failure {
    let offered: Vec<&str> = plan.speeds.iter().map(|s| s.speed.as_str()).collect();
    let class = plan.class.as_deref().unwrap_or("the vault's class");
    Failure::Usage(
        Error::operator(format!("thaw at the speed {speed}: {class} does not offer it"))
            .remedy(format!("choose one of {}", offered.join(", "))),
    )
}

/// A job that thaws at one speed is told another: what was not asked for yet is asked for at that one, once its price is
/// agreed to. What was asked for keeps its own.
#[expect(clippy::cast_precision_loss, reason = "a share of what is read")]
fn other_speed(
    line: &Line,
    plan: &Plan,
    job: &JobFile,
    wish: &Wish,
    at: &Standing,
) -> std::result::Result<(), Failure> {
    let Some(speed) = wish.speed.filter(|speed| *speed != at.terms.speed) else { return Ok(()) };
    if at.frozen.packs == 0 {
        eprintln!(
            "Everything was asked for already, at the speed {}; it stays so. What must be asked for again is, at {speed}.",
            at.terms.speed
        );
    }
    let chosen = plan.at_speed(speed);
    if chosen.is_none() {
        return Err(not_offered(plan, speed));
    }
    let share = at.frozen.bytes as f64 / plan.pack_bytes.max(1) as f64;
    let price = chosen.and_then(|s| once_more(&s.cost)).map(|whole| whole * share.min(1.0));
    if let Some(most) = wish.max_cost {
        within(most, price, chosen.map_or("", |s| s.cost.currency.as_str()))?;
    }
    if at.frozen.packs > 0 && !wish.yes {
        eprintln!(
            "{} packs ({}) are still frozen and not asked for: at {speed} instead of {} their thaw costs what follows.",
            at.frozen.packs,
            Size(at.frozen.bytes),
            at.terms.speed
        );
        ask(line, wish, price, chosen)?;
    }
    Ok(agreed_terms(plan, wish, speed, chosen).keep(job)?)
}

/// What asking for everything once more would cost: its copies are here already where they were fetched.
fn once_more(cost: &Cost) -> Option<f64> {
    Some(cost.retrieval? + cost.copies? + cost.requests?)
}

/// Bytes that may be asked for once more: each once, as it is shown, and no more than `most` allows.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of what is read, rounded down"
)]
fn again_within(plan: &Plan, chosen: Option<&SpeedPlan>, most: Option<f64>) -> u64 {
    let bound = || {
        let cost = &chosen?.cost;
        let (left, more) = (most? - cost.total?, once_more(cost)?);
        (left < more).then(|| (plan.pack_bytes as f64 * (left / more).max(0.0)) as u64)
    };
    bound().unwrap_or(plan.pack_bytes)
}

/// Copies went that were not to go, more of them than was shown: agreed to anew, with what they cost.
#[expect(clippy::cast_precision_loss, reason = "a share of what is read")]
fn settle_again(line: &Line, plan: &Plan, job: &JobFile, wish: &Wish) -> std::result::Result<(), Failure> {
    // Others may be found gone: what is agreed to is enough for all.
    let AskedBefore { gone, all } = job.thaws_asked_before()?;
    if gone.packs == 0 || job.may_thaw_again()? >= gone.bytes {
        return Ok(());
    }
    let speed = standing(job)?.map_or_else(|| wish.speed_of(plan), |at| at.terms.speed);
    let chosen = plan.at_speed(speed);
    let share = all.bytes as f64 / plan.pack_bytes.max(1) as f64;
    let price = chosen.and_then(|s| once_more(&s.cost)).map(|more| more * share);
    if let Some(most) = wish.max_cost {
        within(most, price, chosen.map_or("", |s| s.cost.currency.as_str()))?;
    }
    if !wish.yes {
        eprintln!(
            "The copies of {} packs ({}) went before they were fetched, and those of {} may have. Asking for them again \
             costs money once more: at most what follows.",
            gone.packs,
            Size(gone.bytes),
            all.packs
        );
        ask(line, wish, price, chosen)?;
    }
    Ok(job.set_may_thaw_again(all.bytes)?)
}

fn within(most: f64, total: Option<f64>, currency: &str) -> Result<()> {
    match total {
        None => Err(Error::operator("restore: its price is not known, and '--max-cost' allows no unknown one")
            .remedy("give '[prices] file' a list that has this vault, or leave '--max-cost' out and say '--yes'")),
        Some(total) if total > most => {
            Err(Error::operator(format!("restore: it costs {total:.2} {currency}, more than the {most:.2} allowed"))
                .remedy("allow more with '--max-cost', take a slower '--speed', or restore less; nothing was spent"))
        }
        Some(_) => Ok(()),
    }
}

pub(in crate::cli) fn ask(line: &Line, wish: &Wish, total: Option<f64>, chosen: Option<&SpeedPlan>) -> Result<()> {
    let price = amount(total, chosen.map_or("", |s| s.cost.currency.as_str()));
    let costs = if total.is_some() { "it costs money" } else { "it may cost money" };
    if line.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::operator(format!("{}: {costs} ({price}), and nobody is there to be asked", wish.what))
            .remedy(format!("look at '--plan', then give '--yes'{}; nothing was spent", wish.bound())));
    }
    let at = chosen.map_or(String::new(), |s| format!(" at the speed {}", s.speed));
    match total {
        Some(_) => eprint!("Go on{at} for {price}? [y/N] "),
        None => eprint!("Go on{at}, though nobody knows what it costs? [y/N] "),
    }
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Error::operator(format!("{}: not agreed to; nothing was asked for, spent or written", wish.what)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::price::Place;

    fn need() -> RestoreNeed {
        RestoreNeed {
            packs: 40,
            bytes: 1_000_000_000,
            frozen_packs: 40,
            frozen_bytes: 1_000_000_000,
            days_of_copies: 2,
            downlink: Rate::bytes_per_second(2_500_000),
            ..RestoreNeed::default()
        }
    }

    #[test]
    fn a_price_that_is_too_high_or_not_known_is_refused_with_the_remedy() {
        assert!(within(5.0, Some(4.99), "USD").is_ok());
        for (total, word) in [(Some(5.01), "--max-cost"), (None, "not known")] {
            let error = within(5.0, total, "USD").unwrap_err();
            assert!(error.kind() == Kind::Operator && error.to_string().contains(word), "{error}");
            assert!(error.remedy_text().is_some());
        }
    }

    #[test]
    fn what_may_be_thawed_again_is_bounded_by_what_was_allowed() {
        let cost = Cost {
            retrieval: Some(2.0),
            requests: Some(1.0),
            copies: Some(1.0),
            egress: Some(6.0),
            total: Some(10.0),
            currency: "USD".to_owned(),
        };
        let chosen = SpeedPlan { speed: "bulk".to_owned(), hours_first: None, hours_last: None, cost };
        let plan = Plan { pack_bytes: 1000, frozen_packs: 1, ..Plan::default() };
        let within = |most| again_within(&plan, Some(&chosen), most);
        assert_eq!(within(None), 1000, "each once more, as it is shown");
        assert_eq!([within(Some(14.0)), within(Some(12.0)), within(Some(10.0))], [1000, 500, 0]);
        let mut shown = Vec::new();
        let priced = Plan { speeds: vec![chosen], ..plan };
        let wish = Wish { what: "restore", speed: None, downlink: None, poll: None, max_cost: None, yes: false };
        show(&priced, None, &wish, &mut shown).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("asked for again: at most 4.00 USD more"), "{shown}");
    }

    #[test]
    fn a_restore_that_has_begun_is_asked_about_again_only_where_it_found_packs_frozen() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobFile::open(&dir.path().join("job.db")).unwrap();
        job.begin_run().unwrap();
        let typed = ["panicroom", "--json", "restore", "--to", "x"];
        let line = <Line as clap::Parser>::parse_from(typed);
        let wish = |yes| Wish { what: "restore", speed: None, downlink: None, poll: None, max_cost: None, yes };
        let mut plan = Plan { needed_bytes: 9, ..Plan::default() };
        let settled = |plan: &Plan, yes| settle(&line, plan, &job, Size(0), &wish(yes));
        assert!(settled(&plan, false).is_ok(), "nothing to agree to, and its room is taken already");
        plan.frozen_packs = 1;
        let cost = Cost {
            retrieval: None,
            requests: None,
            copies: None,
            egress: None,
            total: None,
            currency: "USD".to_owned(),
        };
        plan.speeds = vec![SpeedPlan { speed: "bulk".to_owned(), hours_first: None, hours_last: None, cost }];
        assert!(settled(&plan, false).is_err() && standing(&job).unwrap().is_none());
        assert!(settled(&plan, true).is_ok() && standing(&job).unwrap().is_some());
        assert!(settled(&plan, false).is_ok(), "agreed to");
    }

    fn restoring(yes: bool, speed: Option<Speed>) -> Wish {
        Wish { what: "restore", speed, downlink: None, poll: None, max_cost: None, yes }
    }

    fn at(place: &Place, frozen: u64) -> Plan {
        let (book, wish) = (PriceBook::shipped(), restoring(false, None));
        let mut plan = Plan {
            packs: 40,
            pack_bytes: 1_000_000_000,
            frozen_packs: frozen,
            frozen_bytes: frozen * 25_000_000,
            class: Some(place.class.clone()),
            ..Plan::default()
        };
        let prices = book.terms(place);
        let offered = Speed::ALL.into_iter().filter(|s| prices.offer().is_none_or(|o| o.speeds().any(|x| x == *s)));
        plan.speeds = offered.map(|speed| price(&plan, prices, 0, &wish, speed)).collect();
        plan
    }

    fn settled(plan: &Plan, job: &JobFile, wish: &Wish) -> std::result::Result<(), Failure> {
        let line = <Line as clap::Parser>::parse_from(["panicroom", "--json", "restore", "--to", "x"]);
        settle(&line, plan, job, Size(0), wish)
    }

    #[test]
    fn promise_11_what_has_no_known_price_is_asked_about_though_nothing_is_frozen() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobFile::open(&dir.path().join("job.db")).unwrap();
        for place in [
            Place::bucket(None, Some("ap-nowhere-9"), "STANDARD_IA"),
            Place::bucket(Some("https://s3.example.org"), None, "STANDARD"),
        ] {
            let plan = at(&place, 0);
            let Err(Failure::Work(e)) = settled(&plan, &job, &restoring(false, None)) else { panic!("{place:?}") };
            assert!(e.to_string().contains("may cost money (not known)"), "{e}");
            assert!(settled(&plan, &job, &restoring(true, None)).is_ok());
        }
        for own in [Place::folder(), Place::bucket(Some("http://127.0.0.1:8333"), None, "STANDARD")] {
            assert!(settled(&at(&own, 0), &job, &restoring(false, None)).is_ok(), "{own:?}");
        }
    }

    #[test]
    fn where_bulk_is_not_offered_the_cheapest_speed_that_is_stands_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let book = PriceBook::shipped();
        for (n, endpoint) in ["https://s3.fr-par.scw.cloud", "https://s3.rbx.io.cloud.ovh.net"].iter().enumerate() {
            let classes = ["GLACIER", "DEEP_ARCHIVE"].map(|class| Place::bucket(Some(endpoint), None, class));
            let cold = classes.into_iter().find(|place| book.terms(place).offer().is_some_and(Offer::needs_thaw));
            let cold = cold.unwrap_or_else(|| panic!("{endpoint}: no cold offer"));
            let plan = at(&cold, 40);
            let job = JobFile::open(&dir.path().join(format!("{n}.db"))).unwrap();
            assert_eq!(restoring(false, None).speed_of(&plan), Speed::Standard, "{cold:?}");
            assert!(
                settled(&plan, &job, &restoring(true, Some(Speed::Bulk))).is_err(),
                "what was asked for stays refused"
            );
            assert!(settled(&plan, &job, &restoring(true, None)).is_ok());
            assert_eq!(standing(&job).unwrap().unwrap().terms.speed, Speed::Standard);
        }
    }

    #[test]
    fn promise_11_a_job_takes_another_speed_once_its_price_is_agreed_to() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobFile::open(&dir.path().join("job.db")).unwrap();
        let plan = at(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE"), 40);
        let speed = || standing(&job).unwrap().unwrap().terms.speed;
        settled(&plan, &job, &restoring(true, None)).ok().unwrap();
        assert_eq!(speed(), Speed::Bulk);
        settled(&plan, &job, &restoring(false, None)).ok().unwrap();
        // Nothing of it is frozen in this job file: it costs nothing more, and holds for what must be asked for again.
        settled(&plan, &job, &restoring(false, Some(Speed::Standard))).ok().unwrap();
        assert_eq!(speed(), Speed::Standard);
        assert!(settled(&plan, &job, &restoring(true, Some(Speed::Expedited))).is_err(), "it is not offered");
        assert_eq!(speed(), Speed::Standard);
    }

    #[test]
    fn what_is_not_known_is_never_nothing() {
        let book = PriceBook::shipped();
        let at = |place: &Place, speed| estimate(book.terms(place), &need(), speed);
        let strange = at(&Place::bucket(Some("https://s3.example.org"), None, "DEEP_ARCHIVE"), Speed::Bulk);
        assert_eq!((strange.cost.total, strange.cost.egress, strange.hours_last), (None, None, None));
        let aws = at(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE"), Speed::Bulk);
        assert!(aws.cost.total.is_some_and(|t| t > 0.0) && aws.hours_first == Some(48.0), "{aws:?}");
        let elsewhere = at(&Place::bucket(None, Some("ap-nowhere-9"), "DEEP_ARCHIVE"), Speed::Bulk);
        assert_eq!(elsewhere.cost.total, None, "another region's price is no price");
        assert_eq!(amount(None, "USD"), "not known");
        assert_eq!(
            (amount(Some(0.001), "USD"), amount(Some(2.5), "EUR")),
            ("less than 0.01 USD".into(), "2.50 EUR".into())
        );
    }
}
