//! Dying while who goes first is settled: a path that turned out larger than it was said to be, and words that changed.

use super::bed::{Bed, noise, write};
use super::tree::look;
use panicroom::error::{Kind, Result};
use panicroom::model::{OrderRule, Priority, TreePath};
use panicroom::source::watch::{Depth, Hint, Taken};
use panicroom::worker::Faults;
use std::collections::BTreeSet;

pub const STEPS: [&str; 1] = ["capture.rank"];

/// A file of which only its name was heard, captured to the end.
fn hear_and_capture(bed: &Bed) -> Result<()> {
    let path = TreePath::from_typed(&bed.source().join("film.iso")).unwrap();
    bed.engine().notice(&Taken { lost: vec![], hints: vec![Hint { path, depth: Depth::Only }] })?;
    bed.engine().capture_due()?;
    bed.send()
}

#[test]
fn no_path_is_lost_wherever_the_order_dies() {
    let mut died = BTreeSet::new();
    for at in 1..60 {
        let mut bed = Bed::new();
        bed.pass().unwrap();
        write(&bed.source().join("film.iso"), &noise(at, 2_500_000));
        let now = look(&bed.source());
        bed.site.order = vec![OrderRule { priority: Priority::Last, glob: "**.iso".to_owned() }];
        let faults = Faults::die_at(at);
        died.extend(bed.reopen(faults.clone()));
        if faults.told().1.is_none() {
            let end = hear_and_capture(&bed);
            died.extend(faults.told().1);
            match end {
                Ok(()) => {
                    assert!(STEPS.iter().all(|step| died.contains(step)), "{died:?}");
                    assert!(died.contains("order.settle"), "{died:?}");
                    return;
                }
                Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{e}"),
            }
            bed.reopen(Faults::default());
        }
        bed.pass().unwrap();
        bed.check_end(&now);
        bed.check_rebuilt(&now);
    }
    panic!("it never came to its end: {died:?}");
}
