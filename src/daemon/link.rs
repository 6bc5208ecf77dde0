//! The way to each bucket: whether the operator's choice of links allows it now, and whether it just came back.
//!
//! One thread looks whenever the kernel tells of a change, and every ten seconds besides where links were chosen. While a
//! link is not to be used, or not known, its vault is held; where links were chosen it is held from the start until the
//! first look allows it, so nothing goes over a wrong one (folders are never held). A way that was not there before, or is
//! another one now, rings the vault's bells: what waited after failing is tried at once.
//!
//! The name of the server is looked up when the network changes and now and then: a lookup is traffic too. What is metered
//! is asked then as well, once a minute at most otherwise.
//!
//! Nothing durable: dying here changes nothing, the next start looks again.

use super::run::{Daemon, Vault};
use crate::clock::Steady;
use crate::config::VaultUrl;
use crate::error::{Error, Result};
use crate::link::{self, Changes};
use crate::model::LinkChoice;
use crate::uplink::link::{Decision, Link, Metered, decide};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Somebody looks at least this often where links were chosen, or where the kernel gives no news.
const LOOK: Duration = Duration::from_secs(10);
/// How long an answer of NetworkManager, and one without news of the resolver, is believed.
const PRICE_HOLDS: Duration = Duration::from_secs(60);
const NAME_HOLDS: Duration = Duration::from_secs(600);
/// A network that comes up changes many things at once: the last of them is waited for, this long each and so often.
const SETTLES: Duration = Duration::from_millis(100);
const SETTLES_AT_MOST: usize = 10;
/// How soon a stop is noticed.
const STOP: Duration = Duration::from_secs(1);

/// What is said of a vault before its first look.
const NOT_YET: &str = "which network leads to it is not known yet";

/// Holds every bucket until it was looked at, where links were chosen.
pub(super) fn begin(choice: &LinkChoice, vaults: &[Arc<Vault>]) {
    for vault in vaults.iter().filter(|v| matches!(v.settings.url, VaultUrl::Bucket(_)) && !choice.is_free()) {
        vault.hold_link(Some(NOT_YET.to_owned()));
    }
}

/// The thread: until stop.
pub(super) fn look_out(daemon: &Daemon) {
    let choice = &daemon.house.settings.links;
    let mut ways: Vec<Way> = daemon.vaults.iter().filter_map(Way::to).collect();
    let changes = Changes::listen().inspect_err(|e| tracing::warn!("{e}; looking every ten seconds instead")).ok();
    let (clock, stop) = (&daemon.house.clock, &daemon.house.stop);
    let mut prices = Prices::default();
    let mut news = true;
    let mut looked = clock.steady();
    while !ways.is_empty() && !stop.asked() {
        let now = clock.steady();
        let by_itself = !choice.is_free() || changes.is_none();
        if news || by_itself && now.since(looked) >= LOOK {
            looked = now;
            if news {
                prices.0.clear();
            }
            for way in &mut ways {
                way.look(choice, &mut prices, now, if news { News::Yes } else { News::No });
            }
            tell(daemon, &ways);
        }
        news = if let Some(changes) = &changes {
            let changed = changes.wait(STOP);
            if changed {
                settle(changes);
            }
            changed
        } else {
            stop.wait(STOP);
            false
        };
    }
}

/// A link that holds every bucket is said once for all; whatever came of it is obeyed at once.
fn tell(daemon: &Daemon, ways: &[Way<'_>]) {
    let held: Option<Vec<String>> = ways.iter().map(|way| way.vault.link_hold()).collect();
    daemon.uplink.link(held.and_then(|all| all.into_iter().next()));
    daemon.uplink.bell.ring();
}

fn settle(changes: &Changes) {
    for _ in 0..SETTLES_AT_MOST {
        if !changes.wait(SETTLES) {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Yes,
    No,
}

/// What NetworkManager said of interfaces, and when.
#[derive(Debug, Default)]
struct Prices(BTreeMap<String, (Steady, Metered)>);

impl Prices {
    fn of(&mut self, interface: &str, now: Steady, ask: impl FnOnce(&str) -> Metered) -> Metered {
        match self.0.get(interface) {
            Some((at, price)) if *price != Metered::Silent && now.since(*at) < PRICE_HOLDS => *price,
            _ => {
                let price = ask(interface);
                self.0.insert(interface.to_owned(), (now, price));
                price
            }
        }
    }
}

/// The way to one bucket.
struct Way<'a> {
    vault: &'a Arc<Vault>,
    door: (String, u16),
    addresses: Vec<IpAddr>,
    resolved: Option<Steady>,
    standing: Standing,
}

impl<'a> Way<'a> {
    fn to(vault: &'a Arc<Vault>) -> Option<Self> {
        let VaultUrl::Bucket(bucket) = &vault.settings.url else { return None };
        let standing = Standing::default();
        Some(Self { vault, door: bucket.door(), addresses: vec![], resolved: None, standing })
    }

    /// First by the addresses that are known, for the resolver may be long in answering: a link that is not to be used is
    /// left at once.
    fn look(&mut self, choice: &LinkChoice, prices: &mut Prices, now: Steady, news: News) {
        if !self.addresses.is_empty() {
            self.judge(choice, prices, now);
        }
        let is_old = self.resolved.is_none_or(|at| now.since(at) >= NAME_HOLDS);
        if news == News::Yes || is_old || self.addresses.is_empty() {
            let addresses = link::addresses_of(&self.door.0, self.door.1);
            if addresses.is_empty() && !self.addresses.is_empty() {
                return;
            }
            let is_new = addresses != self.addresses;
            (self.addresses, self.resolved) = (addresses, Some(now));
            if is_new {
                self.judge(choice, prices, now);
            }
        }
    }

    fn judge(&mut self, choice: &LinkChoice, prices: &mut Prices, now: Steady) {
        let links = link::links_to(&self.addresses).map(|mut links| {
            for link in links.iter_mut().filter(|_| choice.asks_what_is_metered()) {
                link.metered = prices.of(&link.interface, now, link::metered);
            }
            links
        });
        let Verdict { held, is_back } = self.standing.judge(choice, links);
        self.vault.hold_link(held);
        if is_back {
            self.vault.ring();
        }
    }
}

/// What was last known of a way.
#[derive(Debug, Default)]
struct Standing {
    links: Vec<Link>,
    is_held: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// Why nothing is to be sent.
    held: Option<String>,
    /// There is a way that may be used, and it was not there before.
    is_back: bool,
}

impl Standing {
    fn judge(&mut self, choice: &LinkChoice, links: Result<Vec<Link>>) -> Verdict {
        let links = match links {
            Ok(links) => links,
            Err(e) => return self.unknown(choice, &e),
        };
        let held = match decide(choice, &links) {
            Decision::Go => None,
            Decision::Wait(why) => Some(why),
        };
        let is_back = held.is_none() && !links.is_empty() && (self.is_held || links != self.links);
        (self.links, self.is_held) = (links, held.is_some());
        Verdict { held, is_back }
    }

    fn unknown(&mut self, choice: &LinkChoice, e: &Error) -> Verdict {
        let held = (!choice.is_free()).then(|| e.to_string());
        self.is_held = held.is_some();
        Verdict { held, is_back: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(interface: &str) -> Vec<Link> {
        let metered = Metered::Unknown;
        vec![Link { interface: interface.to_owned(), gateways: vec![], networks: vec![], metered }]
    }
    fn not_on(interface: &str) -> LinkChoice {
        LinkChoice { pause_on: vec![interface.parse().unwrap()], only_on: vec![] }
    }

    #[test]
    fn a_way_that_is_back_or_another_is_told_once() {
        let (mut standing, free) = (Standing::default(), LinkChoice::default());
        let mut sees = |links| standing.judge(&free, Ok(links)).is_back;
        assert!(sees(by("eth0")));
        assert!(!sees(by("eth0")), "nothing is new");
        assert!(!sees(vec![]));
        assert!(!sees(vec![]));
        assert!(sees(by("eth0")));
        assert!(sees(by("wlan0")));
    }

    #[test]
    fn a_link_not_to_be_used_holds_until_another_leads_there() {
        let (mut standing, choice) = (Standing::default(), not_on("wwan0"));
        let held = standing.judge(&choice, Ok(by("wwan0")));
        assert!(held.held.is_some_and(|why| why.contains("wwan0")) && !held.is_back);
        assert_eq!(standing.judge(&choice, Ok(by("eth0"))), Verdict { held: None, is_back: true });
    }

    #[test]
    fn a_kernel_that_does_not_answer_holds_only_who_chose() {
        let no_answer = || Err(Error::retry("ask the kernel"));
        assert_eq!(Standing::default().judge(&LinkChoice::default(), no_answer()).held, None);
        let mut standing = Standing::default();
        assert!(standing.judge(&not_on("wwan0"), no_answer()).held.is_some());
        assert!(standing.judge(&not_on("wwan0"), Ok(by("eth0"))).is_back);
    }

    #[test]
    fn a_price_is_asked_once_a_minute() {
        let (mut prices, mut asked) = (Prices::default(), 0);
        for seconds in 0..121 {
            let now = Steady(Duration::from_secs(seconds));
            prices.of("wwan0", now, |_| {
                asked += 1;
                Metered::Yes
            });
        }
        assert_eq!(asked, 3);
    }
}
