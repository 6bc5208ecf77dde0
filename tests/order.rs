//! Who goes first, end to end on a bench: what is said to go first is safe before what is not, however much of that is
//! already under way; and nothing waits for ever behind what is smaller.

#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod bed;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::{Bed, Site, noise, write};
use panicroom::backup::upload::Uploaded;
use panicroom::catalog::{Scope, SpooledObject};
use panicroom::model::{Band, OrderRule, Priority, Rank, Size, TreePath};
use panicroom::source::watch::{Depth, Hint, Taken};
use panicroom::worker::Stop;
use read_vault::NOW;
use std::time::Duration;
use tree::look;

fn rule(priority: Priority, glob: &str) -> OrderRule {
    OrderRule { priority, glob: glob.to_owned() }
}

fn site(order: Vec<OrderRule>) -> Site {
    let (pack_size, spool_size) = (Size::mib(4), Size::mib(48));
    Site { order, pack_size, spool_size, publish_every: Duration::from_secs(3600), hurried: true }
}

/// Until it holds; what never comes about is a hung test.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        Stop::new().wait(Duration::from_millis(5));
    }
}

/// The walk finds what is new.
fn walk(bed: &Bed) {
    let engine = bed.engine();
    engine.roots.iter().for_each(|root| engine.mark_root(root).unwrap());
    engine.walk_due(None).unwrap();
}

/// The next pack that would be sent.
fn next(bed: &Bed) -> Option<Rank> {
    bed.engine().catalog.spooled(1).unwrap().into_iter().find_map(|object| match object {
        SpooledObject::Pack { rank, .. } => Some(rank),
        SpooledObject::Segment(_) => None,
    })
}

fn is_full(bed: &Bed) -> bool {
    let before = bed.engine().catalog.spooled_packs().unwrap();
    Stop::new().wait(Duration::from_millis(300));
    before.0 > 0 && before == bed.engine().catalog.spooled_packs().unwrap()
}

fn is_safe(bed: &Bed, name: &str) -> bool {
    bed.vault().tree(NOW).unwrap().contains_key(&TreePath::from_typed(&bed.source().join(name)).unwrap())
}

/// Sends the segments that wait and one pack; what is in the vault afterwards is published when it may.
fn send_one_pack(bed: &Bed) {
    let engine = bed.engine();
    loop {
        let pack = matches!(engine.catalog.spooled(1).unwrap().first(), Some(SpooledObject::Pack { .. }));
        bed.clock.advance(Duration::from_secs(400));
        let sent = engine.upload_one(&bed.claims).unwrap();
        for _ in 0..2 {
            if engine.occasion().unwrap().is_some() {
                engine.publish().unwrap();
            }
        }
        if pack || sent == Uploaded::Nothing {
            return;
        }
    }
}

/// Everything to its end, while the capture goes on beside.
fn send_the_rest(bed: &Bed, capture: std::thread::ScopedJoinHandle<'_, ()>) {
    until(|| {
        send_one_pack(bed);
        capture.is_finished()
    });
    capture.join().unwrap();
    let now = look(&bed.source());
    bed.pass().unwrap();
    bed.check_end(&now);
}

fn a_letter_overtakes(bed: &Bed, film: usize) {
    write(&bed.source().join("film.iso"), &noise(1, film));
    walk(bed);
    std::thread::scope(|s| {
        let capture = s.spawn(|| bed.engine().capture_due().unwrap());
        until(|| is_full(bed));
        write(&bed.source().join("letter.doc"), &noise(2, 300_000));
        walk(bed);
        let foremost = || bed.engine().catalog.foremost_spooled().unwrap();
        until(|| foremost().is_some_and(|rank| rank.priority == Priority::First));
        assert_eq!(next(bed).unwrap().priority, Priority::First, "it overtakes what waits in the spool");
        assert!(!capture.is_finished(), "the film is still being read");
        send_one_pack(bed);
        send_one_pack(bed);
        assert!(is_safe(bed, "letter.doc"), "as soon as its pack is stored");
        assert!(!is_safe(bed, "film.iso"));
        send_the_rest(bed, capture);
    });
}

#[test]
fn a_letter_written_while_a_film_is_read_and_the_spool_is_full_is_safe_before_it() {
    let order = vec![rule(Priority::First, "**/*.doc*"), rule(Priority::Last, "**.iso")];
    a_letter_overtakes(&Bed::at(site(order.clone())), 70 << 20);
    // One that is not large is given up at its border and begun again: its chunks are known then.
    a_letter_overtakes(&Bed::at(site(order)), 30 << 20);
}

#[test]
fn within_a_priority_small_files_go_before_large_ones_and_new_ones_before_old_ones() {
    let bed = Bed::at(site(vec![]));
    let packs = |bed: &Bed| {
        let mut packs = vec![];
        while let Some(rank) = next(bed) {
            packs.push(rank.band);
            bed.engine().upload_one(&bed.claims).unwrap();
        }
        packs
    };
    for n in 0..3 {
        write(&bed.source().join(format!("a{n}")), &noise(n, 3 << 20));
        write(&bed.source().join(format!("b{n}")), &noise(10 + n, 200_000));
    }
    walk(&bed);
    bed.engine().capture_due().unwrap();
    let packs = packs(&bed);
    assert_eq!(packs[0], Band::Small, "{packs:?}");
    assert!(packs.is_sorted() && packs.contains(&Band::Medium), "{packs:?}");
    bed.pass().unwrap();
    bed.check_end(&look(&bed.source()));
}

#[test]
fn a_film_is_not_kept_waiting_by_letters_that_never_end() {
    let bed = Bed::at(site(vec![]));
    write(&bed.source().join("film"), &noise(1, 70 << 20));
    let mut letters = 0;
    let mut more = |bed: &Bed, number: u64| {
        for _ in 0..number {
            letters += 1;
            write(&bed.source().join(format!("letter{letters}")), &noise(100 + letters, 700_000));
        }
        walk(bed);
    };
    more(&bed, 40);
    std::thread::scope(|s| {
        let capture = s.spawn(|| bed.engine().capture_due().unwrap());
        let (mut of_letters, mut of_the_film) = (0, 0);
        while of_the_film < 5 {
            until(|| next(&bed).is_some());
            match next(&bed).unwrap().band {
                Band::Small => of_letters += 1,
                _ => of_the_film += 1,
            }
            send_one_pack(&bed);
            more(&bed, 6);
            assert!(of_letters < 60, "the film waits: {of_the_film} of its packs went");
        }
        assert!(!capture.is_finished());
        send_the_rest(&bed, capture);
    });
}

#[test]
fn a_path_that_was_only_heard_of_waits_in_its_true_place_once_it_is_seen() {
    let bed = Bed::at(site(vec![]));
    walk(&bed);
    bed.pass().unwrap();
    write(&bed.source().join("film"), &noise(1, 3 << 20));
    let path = TreePath::from_typed(&bed.source().join("film")).unwrap();
    let engine = bed.engine();
    engine.notice(&Taken { lost: vec![], hints: vec![Hint { path: path.clone(), depth: Depth::Only }] }).unwrap();
    let node = engine.catalog.find(&path).unwrap().unwrap();
    let row = engine.catalog.dirty_row(node).unwrap().unwrap();
    assert_eq!((row.scope, row.rank), (Scope::Path, Rank::of(Priority::Normal, 0)));
    engine.capture_due().unwrap();
    assert_eq!(next(&bed), Some(Rank::of(Priority::Normal, 3 << 20)));
    bed.pass().unwrap();
    bed.check_end(&look(&bed.source()));
}

#[test]
fn more_small_files_than_one_look_passes_over_go_into_one_pack_and_the_pass_ends() {
    let bed = Bed::new();
    for n in 0..17_000 {
        write(&bed.source().join(format!("folder{}/file{n}", n % 100)), format!("{n}").as_bytes());
    }
    bed.pass().unwrap();
    let engine = bed.engine();
    let counts = engine.catalog.root_counts(engine.roots[0].id).unwrap();
    assert_eq!((counts.files, counts.safe_files), (17_000, 17_000));
}
