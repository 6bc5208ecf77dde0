//! The roots read again: what changed under an unchanged stamp is named, whatever the file is made of; nothing else is, and
//! nothing that was captured is ever replaced because of it.

#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod bed;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/rot.rs"]
mod rotting;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::{Bed, noise, write};
use panicroom::catalog::Rotten;
use panicroom::error::Result;
use panicroom::model::TreePath;
use panicroom::upkeep::reread::{Portion, Report, Rereading, work};
use panicroom::upkeep::verify::Turn;
use panicroom::worker::Faults;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use tree::look;

fn with<T>(bed: &Bed, act: impl FnOnce(&Rereading<'_>) -> T) -> T {
    let engine = bed.engine();
    let roots: Vec<TreePath> = engine.roots.iter().map(|r| r.path.clone()).collect();
    act(&Rereading {
        catalog: &engine.catalog,
        chunker: &engine.chunker,
        roots: &roots,
        clock: &*engine.clock,
        faults: &engine.faults,
        stop: &engine.stop,
    })
}

fn reread(bed: &Bed, portion: Portion) -> Result<Report> {
    with(bed, |rereading| rereading.run(portion))
}

fn all(bed: &Bed) -> Report {
    reread(bed, Portion::All).unwrap()
}

/// Paths found wrong, below the source.
fn rotten(bed: &Bed) -> Vec<String> {
    let mut paths: Vec<_> = bed.engine().catalog.rot(100).unwrap().0.into_iter().map(|r| r.path.to_string()).collect();
    paths.sort();
    let top = format!("{}/", bed.source().display());
    paths.into_iter().map(|p| p.strip_prefix(&top).unwrap().to_owned()).collect()
}

/// A bit flips, and nobody notices.
fn rot(bed: &Bed, name: &str, at: u64) {
    rotting::rot(bed.engine().catalog.path(), &bed.source().join(name), at);
}

fn keep_stamp(bed: &Bed, path: &Path) {
    rotting::keep_stamp(bed.engine().catalog.path(), path);
}

/// Ordinary files, an empty one, one of fixed chunks, one with holes, one with a second name.
fn furnished() -> Bed {
    let bed = Bed::new();
    let at = |name: &str| bed.source().join(name);
    write(&at("small"), b"a few bytes");
    write(&at("empty"), b"");
    write(&at("long"), &noise(1, 6_000_000));
    write(&at("disk.qcow2"), &noise(2, 700_000));
    write(&at("sub/linked"), &noise(3, 300_000));
    fs::hard_link(at("sub/linked"), at("other name")).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    sparse.write_all_at(&noise(4, 1_000_000), 9 << 20).unwrap();
    sparse.write_all_at(&noise(5, 100_000), 30 << 20).unwrap();
    drop(sparse);
    bed.pass().unwrap();
    bed
}

const FILES: u64 = 7;

#[test]
fn what_is_as_it_was_captured_gives_no_finding_and_sends_nothing() {
    let bed = furnished();
    let before = bed.store.memory.calls().len();
    let report = all(&bed);
    assert_eq!((report.run.looked, report.run.wrong, report.run.skipped), (FILES, 0, 0), "{report:?}");
    assert_eq!((report.rot.len(), report.run.note.as_str()), (0, ""));
    assert!(report.run.bytes > 6_000_000);
    assert_eq!(bed.store.memory.calls().len(), before, "the vault is not asked");
    assert_eq!(bed.engine().catalog.last_rereading().unwrap(), Some(report.run));
}

#[test]
fn a_bit_that_flipped_under_an_unchanged_stamp_is_named_whatever_the_file_is_made_of() {
    let places = [
        ("small", 3),
        ("long", 5_999_999),
        ("long", 2_000_000),
        ("disk.qcow2", 640_000),
        ("sparse", (9 << 20) + 5),
        ("sparse", (30 << 20) + 99_000),
    ];
    for (name, at) in places {
        let bed = furnished();
        rot(&bed, name, at);
        let report = all(&bed);
        assert_eq!((report.run.looked, report.run.wrong), (FILES, 1), "{name} at {at}: {report:?}");
        assert_eq!(report.rot[0].what, Rotten::OtherBytes);
        assert_eq!(rotten(&bed), [name]);
    }
}

#[test]
fn bytes_in_what_was_a_hole_are_found_and_holes_that_are_told_otherwise_are_not() {
    let bed = furnished();
    rot(&bed, "sparse", 20 << 20);
    all(&bed);
    assert_eq!(rotten(&bed), ["sparse"]);
    // The same zeros, now taking room on the disk, and so told as data.
    let bed = furnished();
    let path = bed.source().join("sparse");
    let file = File::options().write(true).open(&path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(&vec![0; 3 << 20], 1 << 20).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    keep_stamp(&bed, &path);
    assert_eq!(all(&bed).run.wrong, 0);
}

#[test]
fn both_names_of_a_rotten_file_are_named() {
    let bed = furnished();
    rot(&bed, "sub/linked", 1000);
    assert_eq!(all(&bed).run.wrong, 2);
    assert_eq!(rotten(&bed), ["other name", "sub/linked"]);
}

#[test]
fn rot_never_replaces_the_good_version_by_itself() {
    let bed = furnished();
    let good = look(&bed.source());
    rot(&bed, "long", 77);
    all(&bed);
    bed.pass().unwrap();
    all(&bed);
    bed.check_end(&good);
    assert_eq!(rotten(&bed), ["long"], "and it is named as long as it stands");
}

#[test]
fn a_finding_goes_when_the_file_is_restored_written_anew_or_gone() {
    let bed = furnished();
    let at = |name: &str| bed.source().join(name);
    let good = fs::read(at("long")).unwrap();
    for (name, place) in [("long", 77), ("small", 1), ("disk.qcow2", 70_000)] {
        rot(&bed, name, place);
    }
    all(&bed);
    assert_eq!(rotten(&bed), ["disk.qcow2", "long", "small"]);
    let modified = fs::metadata(at("long")).unwrap().modified().unwrap();
    fs::write(at("long"), good).unwrap();
    File::options().write(true).open(at("long")).unwrap().set_modified(modified).unwrap();
    fs::write(at("small"), "something else").unwrap();
    fs::remove_file(at("disk.qcow2")).unwrap();
    bed.pass().unwrap();
    assert_eq!(rotten(&bed), Vec::<String>::new());
    assert_eq!(all(&bed).run.wrong, 0);
}

#[test]
fn what_was_wrong_is_looked_at_first_and_comes_off_the_list_when_it_is_well() {
    let bed = furnished();
    rot(&bed, "sparse", 9 << 20);
    all(&bed);
    // The bit flips back.
    rot(&bed, "sparse", 9 << 20);
    let c = rusqlite::Connection::open(bed.engine().catalog.path()).unwrap();
    c.execute("UPDATE rot SET ctime = (SELECT ctime FROM node WHERE id = rot.node)", []).unwrap();
    assert_eq!(rotten(&bed), ["sparse"]);
    let report = reread(&bed, Portion::Files(1)).unwrap();
    assert_eq!((report.run.looked, report.run.wrong), (2, 0), "the finding, and the one whose turn it is");
    assert_eq!(rotten(&bed), Vec::<String>::new());
}

#[test]
fn what_somebody_touched_or_removed_is_left_to_the_backup() {
    let bed = furnished();
    fs::write(bed.source().join("small"), "new bytes!!").unwrap();
    fs::remove_file(bed.source().join("empty")).unwrap();
    fs::set_permissions(bed.source().join("long"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = all(&bed);
    assert_eq!((report.run.wrong, report.run.skipped, report.run.looked), (0, 3, FILES - 3), "{report:?}");
    assert!(report.run.note.contains("not compared"), "{report:?}");
}

#[test]
fn a_torn_version_and_one_that_is_not_safe_yet_are_passed_over() {
    let bed = furnished();
    for name in ["long", "small"] {
        rot(&bed, name, 2);
    }
    let c = rusqlite::Connection::open(bed.engine().catalog.path()).unwrap();
    c.execute("UPDATE node SET torn = 1 WHERE name = CAST('long' AS BLOB)", []).unwrap();
    let unsafe_now =
        "UPDATE version SET segment = NULL WHERE seq = (SELECT seq FROM node WHERE name = CAST('small' AS BLOB))";
    c.execute(unsafe_now, []).unwrap();
    let report = all(&bed);
    assert_eq!((report.run.wrong, report.run.skipped), (0, 2), "{report:?}");
}

#[test]
fn a_root_that_is_not_there_gives_no_finding() {
    let bed = furnished();
    fs::rename(bed.source(), bed.source().with_file_name("elsewhere")).unwrap();
    let report = all(&bed);
    assert_eq!((report.run.wrong, report.run.looked, report.run.skipped), (0, 0, FILES));
    assert!(report.run.note.contains("could not be opened"), "{report:?}");
}

#[test]
fn shares_go_on_where_the_last_one_stopped_and_come_round() {
    let mut bed = Bed::new();
    for n in 0..10 {
        write(&bed.source().join(format!("file{n}")), &noise(n, 10_000));
    }
    bed.pass().unwrap();
    rot(&bed, "file7", 9);
    let third = work(&bed.engine().catalog).unwrap().div_ceil(3);
    let mut looked = 0;
    for _ in 0..3 {
        looked += reread(&bed, Portion::Work(third)).unwrap().run.looked;
        // A start between shares.
        bed.reopen(Faults::default());
    }
    assert!((10..=14).contains(&looked), "{looked}");
    assert_eq!(rotten(&bed), ["file7"]);
    let report = all(&bed);
    assert_eq!(report.run.looked, 11, "all once, and the finding first");
}

#[test]
fn promise_8_a_long_file_is_read_a_few_megabytes_at_a_time() {
    let bed = Bed::new();
    write(&bed.source().join("long"), &noise(1, 40 << 20));
    bed.pass().unwrap();
    with(&bed, |rereading| {
        let mut round = rereading.begin(Portion::All).unwrap();
        let mut steps = 0;
        while rereading.step(&mut round).unwrap() == Turn::More {
            steps += 1;
            if steps == 3 {
                // Backups have precedence: the handle goes, and the file is begun anew.
                Rereading::let_go(&mut round);
            }
        }
        assert!((5..12).contains(&steps), "{steps}");
        let report = rereading.end(round).unwrap();
        assert_eq!((report.run.looked, report.run.wrong), (1, 0));
    });
}

#[test]
fn reading_leaves_access_times_alone() {
    let bed = furnished();
    let path = bed.source().join("small");
    // Older than the last change, so that even 'relatime' would have it renewed.
    let old = fs::metadata(&path).unwrap().modified().unwrap() - std::time::Duration::from_secs(1000);
    File::open(&path).unwrap().set_times(fs::FileTimes::new().set_accessed(old)).unwrap();
    keep_stamp(&bed, &path);
    let accessed = fs::metadata(&path).unwrap().accessed().unwrap();
    assert_eq!(all(&bed).run.looked, FILES);
    assert_eq!(fs::metadata(&path).unwrap().accessed().unwrap(), accessed);
    let mut text = String::new();
    File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "a few bytes");
}
