//! A vault to restore from with a bit of everything: files of no, one and many chunks, over packs and with holes, links of
//! both kinds, what cannot be kept, packs that are damaged.

use super::vault_builder::{Part, VaultBuilder, noise, object};
use panicroom::catalog::Catalog;
use panicroom::format::Name;
use panicroom::model::{HardLink, Sha256, Shape, Tier, Version};
use panicroom::upkeep::rebuild::rebuild;
use panicroom::worker::Stop;

/// No file system of Linux knows attributes of this kind: each is a shortfall of the report.
const UNKEPT: &[u8] = b"strange.kind";

/// A vault, one pack of it damaged and copied elsewhere, another damaged for good.
pub struct Site {
    pub vault: VaultBuilder,
    pub catalog: Catalog,
    pub copy: Sha256,
    _dir: tempfile::TempDir,
}

fn odd(v: &mut Version) {
    v.entry.xattrs = vec![(UNKEPT.to_vec(), b"lost".to_vec()), (b"user.note".to_vec(), b"kept".to_vec())];
}

impl Site {
    pub fn new() -> Self {
        let mut v = VaultBuilder::new();
        let named =
            |ino| move |v: &mut Version| (v.entry.link, v.entry.mtime.secs) = (Some(HardLink { dev: 1, ino }), 7);
        v.folder("/d");
        v.version("/d/deep", &[], |v| {
            (v.entry.shape, v.entry.mode) = (Shape::Dir, 0o710);
            odd(v);
        });
        for n in 0..6 {
            v.file(&format!("/d/s{n}"), &noise(n, 700));
            if n % 3 == 2 {
                v.cut_pack();
            }
        }
        v.version("/d/odd small", &[Part::Data(noise(10, 300))], odd);
        v.file("/d/first", &noise(50, 4000));
        v.cut_pack();
        let across = [noise(50, 4000), noise(51, 3000)].concat();
        v.version("/d/across", &[Part::Data(across)], odd);
        v.version("/d/holes", &[Part::Hole(5000), Part::Data(noise(52, 1500)), Part::Hole(100)], |_| {});
        v.version("/d/empty", &[], |v| v.entry.mode = 0o400);
        v.cut_pack();
        v.version("/d/deep/large", &[Part::Data(noise(53, 9500))], |v| v.entry.mode = 0o4711);
        for path in ["/d/one", "/d/deep/two", "/d/three"] {
            v.version(path, &[Part::Data(noise(54, 2500))], named(1));
        }
        for path in ["/d/deep/small one", "/d/small two"] {
            v.version(path, &[Part::Data(noise(55, 250))], named(2));
        }
        v.cut_pack();
        v.symlink("/d/pointer", b"nowhere");
        v.symlink("/d/taken", b"somewhere else");
        v.version("/d/odd pointer", &[], |v| {
            (v.entry.shape, v.entry.mode) = (Shape::Symlink(b"s1".to_vec()), 0o777);
            odd(v);
        });
        v.file("/d/hurt small", &noise(60, 800));
        v.file("/d/hurt", &noise(61, 3300));
        let hurt = v.cut_pack().unwrap();
        v.dedup = false;
        v.file("/elsewhere/one", &noise(60, 800));
        v.file("/elsewhere/two", &noise(61, 3300));
        let copy = v.cut_pack().unwrap();
        v.dedup = true;
        v.file("/d/lost small", &noise(70, 800));
        v.file("/d/losing", &[noise(50, 4000), noise(71, 2000)].concat());
        let lost = v.cut_pack().unwrap();
        v.publish();
        for pack in [hurt, lost] {
            v.store.damage(&object(Name::Pack(Tier::Cold, pack)), |b| b[128..].iter_mut().for_each(|b| *b ^= 1));
        }
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
        rebuild(&v.store, &v.keys.seal, &catalog, &[], &Stop::new(), &|_, _| {}).unwrap();
        Self { vault: v, catalog, copy, _dir: dir }
    }
}
