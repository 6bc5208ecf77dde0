//! Dying while an operator's order is carried out: the next start knows the old order or the new one, and the new one once
//! it was answered (promise 7).

use super::opening::{LIMIT, Machine};
use panicroom::daemon::console::Console;
use panicroom::daemon::desk::Desk;
use panicroom::daemon::run::{Daemon, Watching};
use panicroom::error::{Kind, Result};
use panicroom::model::Rate;
use panicroom::worker::Faults;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub const STEPS: [&str; 6] = ["desk.pause", "desk.losses", "desk.resume", "desk.limit", "desk.rescan", "desk.answer"];

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

const OLD: Option<u64> = Some(LIMIT.cast_unsigned());

const ORDERS: [Order; 5] = [
    Order { before: Set { paused: false, limit: OLD }, give: Desk::pause, after: Set { paused: true, limit: OLD } },
    Order { before: Set { paused: true, limit: OLD }, give: Desk::resume, after: Set { paused: false, limit: OLD } },
    Order {
        before: Set { paused: false, limit: OLD },
        give: |desk| desk.limit(Rate::bytes_per_second(777_777)),
        after: Set { paused: false, limit: Some(777_777) },
    },
    Order {
        before: Set { paused: true, limit: OLD },
        give: |desk| desk.limit(None),
        after: Set { paused: true, limit: None },
    },
    Order { before: Set { paused: false, limit: OLD }, give: Desk::rescan, after: Set { paused: false, limit: OLD } },
];

/// The order is given to a daemon whose vault is open, and the process is gone.
fn give(machine: &Machine, order: &Order, faults: &Faults) -> Result<()> {
    let engine = machine.open(&Faults::default()).unwrap();
    engine.catalog.set_fact("limit", order.before.limit.unwrap_or(0).cast_signed()).unwrap();
    engine.catalog.clear_fact("paused").unwrap();
    if order.before.paused {
        engine.catalog.set_fact("paused", 1).unwrap();
    }
    let daemon = Daemon::new(machine.house(faults), Watching::Off).unwrap();
    *daemon.vaults[0].engine.lock().unwrap() = Some(Arc::new(engine));
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
            let outcome = give(&machine, order, &faults);
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
