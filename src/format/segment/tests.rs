use super::*;
use crate::error::Result;
use crate::format::wire::StatusMap;
use crate::format::{MAX_SEGMENT, ObjectKind};
use crate::model::{Device, Entry, FileTime, HardLink, Piece, Proof, Shape, Size, VaultId, Verdict};
use crate::seal::compress::{Compressor, Decompressor};
use crate::seal::keys::{SealKeys, Secret};
use crate::seal::{Entropy, SystemEntropy};
use proptest::prelude::*;

const VAULT: VaultId = VaultId([5; 16]);

fn keys() -> SealKeys {
    Secret::from_bytes([7; 32]).open_keys(VAULT).seal
}

fn head() -> SegmentHead {
    SegmentHead { number: SegmentNo(3), writer: WriterId([1; 16]), before: Some(Sha256([2; 32])), written: Wall(-5) }
}

fn open(object: &SealedObject, kind: ObjectKind) -> Result<Opened> {
    Opened::open(&object.bytes, kind, VAULT, &keys().meta, &mut Decompressor::new().unwrap())
}

fn read(object: &SealedObject, kind: ObjectKind) -> Vec<Record> {
    let mut out = vec![];
    open(object, kind)
        .unwrap()
        .records(|r| {
            out.push(r);
            Ok(())
        })
        .unwrap();
    out
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::File),
        Just(Shape::Dir),
        Just(Shape::Fifo),
        proptest::collection::vec(1u8.., 1..50).prop_map(Shape::Symlink),
        (any::<u32>(), any::<u32>()).prop_map(|(major, minor)| Shape::CharDevice(Device { major, minor })),
        (any::<u32>(), any::<u32>()).prop_map(|(major, minor)| Shape::BlockDevice(Device { major, minor })),
    ]
}

fn times() -> impl Strategy<Value = FileTime> {
    (any::<i64>(), 0u32..1_000_000_000).prop_map(|(secs, nanos)| FileTime { secs, nanos })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..20)
}

fn entries() -> impl Strategy<Value = Entry> {
    let ids = (0u32..0o10000, any::<u32>(), any::<u32>(), proptest::option::of(bytes()), proptest::option::of(bytes()));
    let rest = (
        times(),
        proptest::option::of(times()),
        any::<u64>(),
        proptest::collection::vec((bytes(), bytes()), 0..3),
        proptest::option::of((any::<u64>(), any::<u64>())),
    );
    (shapes(), ids, rest).prop_map(|(shape, (mode, uid, gid, user, group), (mtime, birth, size, xattrs, link))| Entry {
        size: Size(if shape == Shape::File { size } else { 0 }),
        shape,
        mode,
        uid,
        gid,
        user,
        group,
        mtime,
        birth,
        xattrs,
        link: link.map(|(dev, ino)| HardLink { dev, ino }),
    })
}

fn contents() -> impl Strategy<Value = Content> {
    let piece = prop_oneof![
        any::<u64>().prop_map(Piece::Hole),
        (0u8..4, any::<u32>(), any::<u32>()).prop_map(|(p, first, count)| Piece::Run {
            pack: Sha256([p; 32]),
            first,
            count
        }),
    ];
    proptest::collection::vec(piece, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn versions_read_back_whatever_they_hold(entry in entries(), content in contents(), seq: u64, captured: i64, torn: bool, name in proptest::collection::vec(1u8.., 1..30)) {
        let name: Vec<u8> = name.into_iter().map(|b| if b == b'/' || b == b'.' { b'x' } else { b }).collect();
        let path = TreePath::root().join(&name).unwrap();
        let version = Version { path, seq: Seq(seq), captured: Wall(captured), entry, content, torn };
        prop_assert_eq!(&entry_from_cbor(&entry_to_cbor(&version.entry)).unwrap(), &version.entry);
        let mut builder = Builder::new();
        builder.version(&version, 0, &version.content, false);
        let object = builder.seal_segment(&head(), &keys(), &mut Compressor::new(3).unwrap(), &SystemEntropy).unwrap();
        prop_assert_eq!(read(&object, ObjectKind::Segment), vec![Record::Version { version, more: false }]);
    }

    #[test]
    fn a_cut_or_flipped_segment_never_opens(at in any::<proptest::sample::Index>(), bit in 0u8..8, cut: bool) {
        let mut builder = Builder::new();
        builder.status(&Heartbeat::default());
        let mut object = builder.seal_segment(&head(), &keys(), &mut Compressor::new(3).unwrap(), &SystemEntropy).unwrap();
        let at = at.index(object.bytes.len());
        if cut { object.bytes.truncate(at) } else { object.bytes[at] ^= 1 << bit }
        prop_assert!(open(&object, ObjectKind::Segment).is_err());
    }
}

fn receipt() -> Receipt {
    Receipt {
        id: [6; 16],
        at: Wall(7),
        proof: Proof::Contents,
        verdict: Verdict::Failed,
        files: 3,
        live: 2,
        failed: 1,
        bytes: 99,
        sound: vec![Sha256([1; 32]), Sha256([2; 32])],
        damaged: vec![Sha256([3; 32])],
        cost: Some((4200, "EUR".into())),
    }
}

#[test]
fn a_receipt_reads_back_and_stays_small_and_an_unknown_verdict_is_no_success() {
    let whole = receipt();
    let bare = Receipt { damaged: vec![], cost: None, proof: Proof::Sealed, verdict: Verdict::Proved, ..receipt() };
    for one in [&whole, &bare] {
        assert_eq!(&Receipt::from_cbor(&one.to_cbor()).unwrap(), one);
    }
    assert!(whole.to_cbor().len() < 200, "{}", whole.to_cbor().len());
    let later = crate::format::wire::DrillMap { verdict: 9, ..bare.to_map() };
    assert_eq!(Receipt::from_map(later).unwrap().verdict, Verdict::Failed);
    let broken = crate::format::wire::DrillMap { sound: vec![1; 33].into(), ..bare.to_map() };
    assert!(Receipt::from_map(broken).is_err());
}

fn one_of_each() -> Vec<Record> {
    let path = |p: &str| TreePath::from_bytes(p).unwrap();
    let entry = Entry { size: Size(9), ..Entry::bare(Shape::File, 0o644) };
    let run = |n| Piece::Run { pack: Sha256([n; 32]), first: 0, count: 1 };
    vec![
        Record::Version {
            version: Version {
                path: path("/a"),
                seq: Seq(1),
                captured: Wall(1),
                entry,
                content: vec![run(1)],
                torn: true,
            },
            more: true,
        },
        Record::Part { path: path("/a"), seq: Seq(1), part: 1, content: vec![run(2), Piece::Hole(5)], more: true },
        Record::Part { path: path("/a"), seq: Seq(1), part: 2, content: vec![run(1)], more: false },
        Record::Deletion { path: path("/b"), seq: Seq(2), noticed: Wall(9) },
        Record::Lost { hash: Sha256([3; 32]), seq: Seq(3) },
        Record::Takeover { writer: WriterId([4; 16]), before: None, at: Wall(2) },
        Record::Drill(receipt()),
    ]
}

#[test]
fn a_merge_repeats_what_its_segments_say() {
    let mut builder = Builder::new();
    for record in &one_of_each() {
        builder.repeat(record);
    }
    let hashes = [Sha256([1; 32]), Sha256([2; 32])];
    let object = builder
        .seal_merge(
            SegmentNo(1),
            SegmentNo(2),
            &hashes,
            Wall(0),
            &keys(),
            &mut Compressor::new(3).unwrap(),
            &SystemEntropy,
        )
        .unwrap();
    assert_eq!(read(&object, ObjectKind::Merge), one_of_each());
    let opened = open(&object, ObjectKind::Merge).unwrap();
    assert_eq!((opened.from, opened.to, opened.writer), (SegmentNo(1), SegmentNo(2), None));
    assert!(open(&object, ObjectKind::Segment).is_err());
}

#[test]
fn the_head_of_a_segment_reads_back_and_later_records_are_skipped() {
    let mut builder = Builder::new();
    builder.push(
        99,
        StatusMap { at: 0, lag: 0, files: 0, bytes: 0, safe_files: 0, safe_bytes: 0, dirty: 0, failed: 0, torn: 0 },
    );
    builder.lost(Sha256([3; 32]), Seq(3));
    let object = builder.seal_segment(&head(), &keys(), &mut Compressor::new(3).unwrap(), &SystemEntropy).unwrap();
    assert_eq!(read(&object, ObjectKind::Segment)[0], Record::Unknown(99));
    let opened = open(&object, ObjectKind::Segment).unwrap();
    assert_eq!(
        SegmentHead {
            number: opened.from,
            writer: opened.writer.unwrap(),
            before: opened.before,
            written: opened.written
        },
        head()
    );
}

#[test]
fn a_full_builder_still_makes_a_segment_within_its_bound() {
    let mut builder = Builder::new();
    let mut noise = vec![0; 4096];
    let mut n = 0;
    while !builder.is_full() {
        SystemEntropy.fill(&mut noise);
        let entry = Entry::bare(Shape::Symlink(noise.clone()), 0);
        n += 1;
        builder.version(
            &Version { path: TreePath::root(), seq: Seq(n), captured: Wall(0), entry, content: vec![], torn: false },
            0,
            &[],
            false,
        );
    }
    let object = builder.seal_segment(&head(), &keys(), &mut Compressor::new(3).unwrap(), &SystemEntropy).unwrap();
    assert!(object.bytes.len() as u64 <= MAX_SEGMENT);
    assert_eq!(read(&object, ObjectKind::Segment).len() as u64, n);
}
