//! Dying while an operator's order is carried out: the next start knows the old order or the new one, and the new one once
//! it was answered (promise 7).

use super::opening::Machine;
use jiff::tz::TimeZone;
use panicroom::clock::Steady;
use panicroom::config::UplinkSettings;
use panicroom::daemon::console::{Bound, Console, Lasting};
use panicroom::daemon::desk::Desk;
use panicroom::daemon::orders::Orders;
use panicroom::daemon::run::{Daemon, Watching};
use panicroom::daemon::uplink::usage::Usage;
use panicroom::error::{Kind, Result};
use panicroom::model::{Rate, Size};
use panicroom::worker::Faults;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub const STEPS: [&str; 4] = ["orders.name", "desk.losses", "desk.rescan", "desk.answer"];

/// Where what was used of the caps is kept.
pub const COUNTING: [&str; 1] = ["usage.name"];

/// What an operator can have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    paused: bool,
    limit: Option<u64>,
}

struct Order {
    before: Set,
    give: fn(&Desk) -> Result<()>,
    after: Set,
}

const OLD: Option<u64> = Some(123_456);

const ORDERS: [Order; 5] = [
    Order {
        before: Set { paused: false, limit: OLD },
        give: |desk| desk.pause(Lasting::Always),
        after: Set { paused: true, limit: OLD },
    },
    Order { before: Set { paused: true, limit: OLD }, give: Desk::resume, after: Set { paused: false, limit: OLD } },
    Order {
        before: Set { paused: false, limit: OLD },
        give: |desk| desk.limit(Bound::At(Rate::bytes_per_second(777_777).unwrap()), Lasting::Always),
        after: Set { paused: false, limit: Some(777_777) },
    },
    Order {
        before: Set { paused: true, limit: OLD },
        give: |desk| desk.limit(Bound::Unlimited, Lasting::Always),
        after: Set { paused: true, limit: None },
    },
    Order { before: Set { paused: false, limit: OLD }, give: Desk::rescan, after: Set { paused: false, limit: OLD } },
];

/// How the vault is when an order is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum VaultIs {
    Open,
    /// Its disk is unplugged, its server does not answer.
    NotOpen,
}

/// The order is given to a daemon, and the process is gone.
fn give(machine: &Machine, order: &Order, vault: VaultIs, faults: &Faults) -> Result<()> {
    let limit = Some(order.before.limit.and_then(Rate::bytes_per_second).into());
    let before = Orders { limit, paused: order.before.paused.then_some(1), ..Orders::default() };
    let house = machine.house(faults);
    before.write(&house.home, &Faults::default()).unwrap();
    let daemon = Daemon::new(house, Watching::Off).unwrap();
    if vault == VaultIs::Open {
        let engine = machine.open(&Faults::default()).unwrap();
        *daemon.vaults[0].engine.lock().unwrap() = Some(Arc::new(engine));
    }
    (order.give)(&Desk::new(daemon))
}

/// What a daemon that starts now goes by.
fn next_start(machine: &Machine) -> Set {
    let house = machine.house(&Faults::default());
    let daemon = Daemon::new(house.clone(), Watching::Off).unwrap();
    let threads = daemon.start().unwrap();
    let vault = &daemon.vaults[0];
    while vault.engine().is_none() {
        assert_eq!(vault.worst().map(|t| t.text), None, "the vault opens");
        house.clock.sleep(Duration::from_millis(5));
    }
    let set = Set { paused: vault.paused.load(Ordering::SeqCst), limit: vault.throttle.rate().map(Rate::get) };
    house.stop.ask();
    daemon.wake();
    for thread in threads {
        thread.join().unwrap();
    }
    set
}

#[test]
fn promise_7_an_order_is_the_old_or_the_new_wherever_it_dies() {
    let (machine, mut died) = (Machine::new(), BTreeSet::new());
    for order in &ORDERS {
        for at in 1.. {
            let faults = Faults::die_at(at);
            let outcome = give(&machine, order, VaultIs::Open, &faults);
            let found = next_start(&machine);
            let Some(step) = faults.told().1 else {
                outcome.unwrap();
                assert_eq!(found, order.after);
                break;
            };
            died.insert(step);
            assert_eq!(outcome.unwrap_err().kind(), Kind::Stopping);
            // After the last write the order stands, though nobody was told.
            let wanted = if step == "desk.answer" { order.after } else { order.before };
            assert_eq!(found, wanted, "died at {step}");
        }
    }
    // Part of every order to rescan, and died at elsewhere.
    died.remove("root.mark");
    assert_eq!(died, BTreeSet::from(STEPS));
}

#[test]
fn promise_7_an_order_holds_for_a_vault_that_was_not_open_when_it_was_given() {
    let machine = Machine::new();
    for order in &ORDERS {
        give(&machine, order, VaultIs::NotOpen, &Faults::default()).unwrap();
        assert_eq!(next_start(&machine), order.after);
    }
}

/// A cap is not given anew by a power cut: what was written stands, and is whole.
#[test]
fn what_was_used_of_a_cap_is_the_old_count_or_the_new_wherever_it_dies() {
    let machine = Machine::new();
    let house = machine.house(&Faults::default());
    let settings = UplinkSettings { month: Some(Size(1_000_000_000)), ..house.settings.uplink.clone() };
    let (now, zone) = (house.clock.wall(), TimeZone::UTC);
    let start = || Usage::read(&house.home, &settings, now, Steady::default());
    let used = |usage: &Usage| usage.month.as_ref().unwrap().used(now, &zone);
    let mut usage = start();
    usage.count(10, now, &zone);
    usage.write(&house.home, &Faults::default(), Steady::default()).unwrap();
    usage.count(10, now, &zone);
    let faults = Faults::die_at(1);
    assert_eq!(usage.write(&house.home, &faults, Steady::default()).unwrap_err().kind(), Kind::Stopping);
    assert_eq!(faults.told().1, Some(COUNTING[0]));
    assert_eq!(used(&start()), 10);
    usage.write(&house.home, &Faults::default(), Steady::default()).unwrap();
    assert_eq!(used(&start()), 20);
}

/// Without them a limit would be broken: better no daemon than one that takes the whole line.
#[test]
fn orders_that_cannot_be_read_are_named_with_the_remedy_and_nothing_starts() {
    let machine = Machine::new();
    let house = machine.house(&Faults::default());
    std::fs::write(house.home.orders(), "{\"limit\": fast}").unwrap();
    let refused = Daemon::new(house, Watching::Off).map(drop).unwrap_err();
    assert_eq!(refused.kind(), Kind::Operator);
    assert!(
        refused.to_string().contains("orders.json") && refused.to_string().contains("panicroom limit"),
        "{refused}"
    );
}
