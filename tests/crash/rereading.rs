//! Dying while the roots are read again: no finding is lost for good, and the good version stays the latest.

use super::bed::{Bed, noise, write};
use super::rot::rot;
use super::tree::look;
use panicroom::error::{Kind, Result};
use panicroom::model::TreePath;
use panicroom::upkeep::reread::{Portion, Report, Rereading};
use panicroom::worker::Faults;
use std::collections::BTreeSet;

pub const STEPS: [&str; 2] = ["reread.looked", "reread.end"];

fn reread(bed: &Bed) -> Result<Report> {
    let engine = bed.engine();
    let roots: Vec<TreePath> = engine.roots.iter().map(|r| r.path.clone()).collect();
    let rereading = Rereading {
        catalog: &engine.catalog,
        chunker: &engine.chunker,
        roots: &roots,
        clock: &*engine.clock,
        faults: &engine.faults,
        stop: &engine.stop,
    };
    rereading.run(Portion::All)
}

#[test]
fn no_finding_is_lost_for_good_wherever_a_re_read_dies() {
    let mut died = BTreeSet::new();
    for at in 1..20 {
        let mut bed = Bed::new();
        // One after the other: the rotten one is neither the first nor the last to be read, and every turn has as many steps.
        for n in 1..4 {
            write(&bed.source().join(format!("file{n}")), &noise(n, 50_000));
            bed.pass().unwrap();
        }
        let good = look(&bed.source());
        let rotten = bed.source().join("file2");
        rot(bed.engine().catalog.path(), &rotten, 9);
        let faults = Faults::die_at(at);
        bed.engine.as_mut().expect("an engine is open").faults = faults.clone();
        let end = reread(&bed);
        bed.reopen(Faults::default());
        reread(&bed).unwrap();
        let found: Vec<_> = bed.engine().catalog.rot(9).unwrap().0.into_iter().map(|r| r.path).collect();
        assert_eq!(found, [TreePath::from_typed(&rotten).unwrap()], "{:?}", faults.told());
        bed.pass().unwrap();
        bed.check_end(&good);
        match end {
            Ok(_) => break,
            Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{e}"),
        }
        died.extend(faults.told().1);
    }
    assert_eq!(died, BTreeSet::from(STEPS));
}
