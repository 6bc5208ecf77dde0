//! `cost`: what each vault costs, what it will cost, what leaving and restoring costs. Reckoned from catalogs and a price
//! list: no server is asked, except for the log of a vault given by `--vault`.

mod bill;
mod json;
mod text;

use super::args::Line;
use super::out_args::From;
use super::{Answer, Exit, Failure, prices, settings, source};
use crate::catalog::{Catalog, RootSums, VaultSums};
use crate::clock::{Clock, SystemClock};
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::daemon::home::Home;
use crate::error::{Error, Result};
use crate::model::{Rate, Tier};
use bill::{Bill, Pace, RootPart, Vault};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Cost {
    /// Put the same vault beside every offer of the price list, the cheapest year first
    #[arg(long)]
    pub compare: bool,
    /// A price list other than the configured or shipped one
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// How fast your line brings data in, as in "20 Mbit/s": for the hours of a restore
    #[arg(long, value_name = "RATE")]
    pub downlink: Option<String>,
    #[command(flatten)]
    pub from: From,
}

pub fn cost(line: &Line, args: &Cost) -> Answer {
    let rate = |text: &str| text.parse::<Rate>().map_err(|e| Failure::Usage(Error::operator(e)));
    let downlink = args.downlink.as_deref().map(rate).transpose()?;
    let clock = SystemClock::shared();
    let (vaults, configured) = if let Some(url) = &args.from.vault {
        (vec![alone(line, args, url, &*clock)?], None)
    } else {
        let settings = settings::load(line)?;
        (of_config(&settings, &*clock)?, settings.prices_file)
    };
    let book = prices::book(args.prices.as_ref().or(configured.as_ref()))?;
    let bills: Vec<Bill> = vaults.iter().map(|v| Bill::of(v, &book, downlink)).collect();
    if line.json {
        println!("{:#}", json::document(&bills, &book, args.compare, downlink));
    } else {
        // A closed pipe is the reader's choice.
        let _ = text::print(&bills, &book, args.compare, downlink, &mut std::io::stdout().lock());
    }
    Ok(Exit::Done)
}

fn of_config(settings: &Settings, clock: &dyn Clock) -> Result<Vec<Vault>> {
    let home = Home::new(&settings.state_dir);
    settings.vaults.iter().map(|vault| of_vault(settings, vault, &home, clock)).collect()
}

fn of_vault(settings: &Settings, vault: &VaultSettings, home: &Home, clock: &dyn Clock) -> Result<Vault> {
    let path = home.vault(&vault.name).catalog();
    let (sums, known) = if path.exists() {
        let catalog = Catalog::look(&path)?;
        (Some(catalog.sums(clock.wall())?), catalog.root_sums()?)
    } else {
        (None, Vec::new())
    };
    let part = |root: &crate::config::RootSettings| {
        let sums = known.iter().find(|r| r.path == root.path);
        let (files, bytes) = sums.map_or((0, 0), |r: &RootSums| (r.files, r.bytes));
        RootPart { path: root.path.clone(), tier: root.tier, files, bytes }
    };
    let roots: Vec<RootPart> = settings.roots_of(vault).map(part).collect();
    let pace = Pace {
        gather: vault.gather,
        publish: settings.publish_every,
        hot: roots.iter().any(|r| r.tier == Tier::Hot),
        cold: roots.iter().any(|r| r.tier == Tier::Cold),
    };
    Ok(Vault {
        name: vault.name.clone(),
        url: vault.url.to_string(),
        place: prices::place(&vault.url, None),
        started: sums.is_some(),
        sums: sums.unwrap_or_default(),
        roots: Some(roots),
        pace: Some(pace),
        pack_size: vault.pack_size,
    })
}

/// What its own log tells: no queue, no roots, no timetable.
fn alone(line: &Line, args: &Cost, url: &str, clock: &dyn Clock) -> std::result::Result<Vault, Failure> {
    let parsed = VaultUrl::parse(url).map_err(|e| Failure::Usage(Error::operator(e)))?;
    let source = source::open(line, &args.from, None, &source::Choice::First)?;
    let sums: VaultSums = source.catalog.sums(clock.wall())?;
    Ok(Vault {
        name: "vault".into(),
        url: parsed.to_string(),
        place: prices::place(&parsed, None),
        started: true,
        sums,
        roots: None,
        pace: None,
        pack_size: crate::config::defaults::PACK_SIZE,
    })
}
