use super::*;
use crate::chunk::Chunker;
use crate::seal::keys::{OpenKeys, Secret};
use crate::seal::{SystemEntropy, sha256};
use proptest::prelude::*;

const VAULT: VaultId = VaultId([3; 16]);

fn keys() -> OpenKeys {
    Secret::from_bytes([1; 32]).open_keys(VAULT)
}

fn build(chunks: &[Vec<Vec<u8>>]) -> (Vec<u8>, PackRecord, Chunker) {
    let keys = keys().seal;
    let chunker = Chunker::new(keys.cut_key(), keys.chunk_key());
    let pack = NewPack::begin(&keys, &SystemEntropy);
    let mut bench = Bench::new(3).unwrap();
    let (mut object, mut table) = (pack.head(), Table::new(Tier::Cold));
    for (i, block) in chunks.iter().enumerate() {
        let list = block.iter().map(|c| (chunker.id(c), u32::try_from(c.len()).unwrap())).collect();
        let sealed =
            pack.sealer().seal(u32::try_from(i).unwrap(), block.concat(), list, &mut bench, &chunker).unwrap().0;
        object.extend_from_slice(&sealed.bytes);
        table.push(&sealed);
    }
    let tail = pack.tail(&table, object.len() as u64, &SystemEntropy);
    object.extend_from_slice(&tail);
    let record = pack.record(sha256(&object), object.len() as u64, table);
    (object, record, chunker)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_chunk_comes_back_from_the_record_and_from_the_pack_alone(
        chunks in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 1..6), 1..5)
    ) {
        let (object, record, chunker) = build(&chunks);
        prop_assert_eq!(&read_own_record(&object, &keys().seal.meta, VAULT).unwrap(), &record);
        prop_assert_eq!(&PackRecord::from_cbor(&record.to_cbor()).unwrap(), &record);
        prop_assert_eq!(padded(object.len() as u64), object.len() as u64);
        let open_keys = keys();
        let opener = PackOpener::new(&record, &open_keys).unwrap();
        let mut bench = OpenBench::new().unwrap();
        let mut number = 0;
        for (i, block) in chunks.iter().enumerate() {
            let range = opener.range(i);
            prop_assert_eq!(Some(range.clone()), record.range(i));
            let sealed = &object[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            prop_assert_eq!(opener.open(i, sealed, &mut bench, &chunker).unwrap(), &block.concat()[..]);
            for _ in block {
                prop_assert_eq!(opener.block_of(number), Some(i));
                number += 1;
            }
        }
        prop_assert_eq!(opener.block_of(number), None);
    }
}

#[test]
fn a_table_whose_sums_do_not_agree_is_refused() {
    let (_, record, _) = build(&[vec![b"one".to_vec(), b"two".to_vec()], vec![b"three".to_vec()]]);
    let spoil = |f: &dyn Fn(&mut PackMap)| {
        let mut map = record.to_map();
        f(&mut map);
        PackRecord::from_map(&map).is_err()
    };
    assert!(!spoil(&|_| {}));
    assert!(spoil(&|m| m.lens[0] = 4));
    assert!(spoil(&|m| m.lens[0] = 0));
    assert!(spoil(&|m| m.blocks[1] = 1 << 40));
    assert!(spoil(&|m| m.blocks[3] = 1));
    assert!(spoil(&|m| m.blocks[2] = 9));
    assert!(spoil(&|m| m.blocks.truncate(7)));
    assert!(spoil(&|m| m.lens.truncate(2)));
    assert!(spoil(&|m| m.size = Some(1 << 40)));
}

#[test]
fn a_size_is_padded_by_less_than_a_256th() {
    for size in [1u64, 200, 511, 512, 513, 1000, 65_537, 26_000_001] {
        let p = padded(size);
        assert!(p >= size && (p - size) * 256 <= size, "{size} → {p}");
    }
}

#[test]
fn a_pack_cut_or_flipped_is_noticed_when_its_table_is_read() {
    let (object, _, _) = build(&[vec![b"some text".to_vec()]]);
    let meta = keys().seal.meta;
    assert!(read_own_record(&object[..object.len() - 1], &meta, VAULT).is_err());
    let mut flipped = object.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(read_own_record(&flipped, &meta, VAULT).is_err());
}
