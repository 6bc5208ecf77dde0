//! A copy of this program among the files that explain a vault, for whoever has the vault and nothing else: any Linux
//! computer starts it, if it needs nothing of that computer. So only a static program is taken.
//!
//! One for each format version and kind of machine: a later release of the same format reads nothing that this one
//! cannot, and nothing is ever deleted. Dying here leaves a copy in the spool that the next start sweeps away, or an object
//! that the next look finds.

use crate::error::{Error, Kind, Result};
use crate::format::{Name, RESCUE_PREFIX, VERSION};
use crate::spool::Spool;
use crate::store::{Body, NewObject, ObjectName, ObjectStore};
use crate::worker::{Faults, Stop};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No program of ours is larger, bytes.
const MOST: u64 = 96 << 20;
/// Of an ELF program header: the path of the loader it needs (elf.h, PT_INTERP).
const INTERPRETER: u32 = 3;

pub struct ProgramKeeping<'a> {
    pub store: &'a dyn ObjectStore,
    pub spool: &'a Spool,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Before,
    /// Under this name.
    Now(ObjectName),
}

impl ProgramKeeping<'_> {
    /// Sees that the vault holds the program at `path`, or one like it. One listing, and one object where none is there.
    /// Operator: the file is not there, or is no static program.
    pub fn keep(&self, path: &Path) -> Result<Kept> {
        let refuse = |why: &str| {
            Error::operator(format!("keep the program {} in the vault: {why}", path.display()))
                .remedy("name a static build of panicroom with 'rescue_program', or take the setting out")
        };
        let mut file = File::open(path).map_err(|e| refuse("it cannot be read").because(e))?;
        let size = file.metadata().map_err(|e| refuse("it cannot be read").because(e))?.len();
        if size > MOST {
            return Err(refuse("it is too large to be ours"));
        }
        let mut head = vec![0; 4096];
        let read = read_full(&mut file, &mut head).map_err(|e| refuse("it cannot be read").because(e))?;
        let machine = static_machine(&head[..read]).map_err(refuse)?;
        let ending = format!("_panicroom-format{VERSION}-{machine}");
        let mut there = false;
        self.store.list(RESCUE_PREFIX, &mut |info| {
            there |= info.name.as_str().ends_with(&ending);
            self.stop.check()
        })?;
        if there {
            return Ok(Kept::Before);
        }
        let mut copy = self.spool.begin()?;
        copy.write(&head[..read])?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.stop.check()?;
            match read_full(&mut file, &mut buffer).map_err(|e| refuse("it cannot be read").because(e))? {
                0 => break,
                n => copy.write(&buffer[..n])?,
            }
            if copy.size() > MOST {
                return Err(refuse("it grows while it is read"));
            }
        }
        let (sha256, size) = (copy.hash_so_far(), copy.size());
        let name = format!("{}{ending}", Name::Rescue(sha256));
        self.faults.at("program.copy")?;
        copy.finish(&name)?;
        let object = ObjectName::new(name.clone()).ok_or_else(|| Error::new(Kind::Path, "name the program"))?;
        self.faults.at("program.put")?;
        let body = Body::File(self.spool.path(&name));
        let sent = self.store.create(&NewObject { name: object.clone(), body, size, sha256 }, self.stop);
        self.faults.at("program.unspool")?;
        self.spool.remove(&name)?;
        sent.map(|_| Kept::Now(object))
    }
}

/// As much as there is, up to the whole buffer.
fn read_full(file: &mut File, into: &mut [u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while at < into.len() {
        match file.read(&mut into[at..]) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

/// The kind of machine of a static 64-bit ELF program, by the first bytes of its file; else why it is none.
fn static_machine(head: &[u8]) -> std::result::Result<&'static str, &'static str> {
    const NONE: &str = "it is no program of a 64-bit machine";
    let half = |at: usize| head.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(NONE);
    }
    let machine = match half(18) {
        Some(62) => "x86_64",
        Some(183) => "aarch64",
        Some(243) => "riscv64",
        _ => return Err("it is for no kind of machine that is known here"),
    };
    let (Some(size), Some(count)) = (half(54), half(56)) else { return Err(NONE) };
    let first = head.get(32..40).and_then(|b| usize::try_from(u64::from_le_bytes(b.try_into().ok()?)).ok());
    for n in 0..count {
        let at = first.and_then(|first| first.checked_add(n * size)).ok_or(NONE)?;
        let kind = at.checked_add(4).and_then(|end| head.get(at..end)).ok_or(NONE)?;
        if kind == INTERPRETER.to_le_bytes() {
            return Err("it needs libraries of this machine");
        }
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::memory::MemoryStore;

    /// The head of a program with these kinds of program headers, and something after it.
    fn program(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01".to_vec();
        head.resize(64, 0);
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64u64.to_le_bytes());
        head[54..56].copy_from_slice(&56u16.to_le_bytes());
        head[56..58].copy_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
        for kind in kinds {
            head.extend(kind.to_le_bytes());
            head.extend([0; 52]);
        }
        head.extend(vec![7; 300_000]);
        head
    }

    struct Bed {
        dir: tempfile::TempDir,
        store: MemoryStore,
        spool: Spool,
    }

    impl Bed {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let spool = Spool::open(&dir.path().join("spool")).unwrap();
            Self { dir, store: MemoryStore::new(SystemClock::shared()), spool }
        }
        fn keep(&self, bytes: &[u8], faults: &Faults) -> Result<Kept> {
            let path = self.dir.path().join("program");
            std::fs::write(&path, bytes).unwrap();
            let keeping = ProgramKeeping { store: &self.store, spool: &self.spool, faults, stop: &Stop::new() };
            keeping.keep(&path)
        }
    }

    #[test]
    fn a_static_program_is_kept_once_for_its_format_and_machine() {
        let (bed, quiet) = (Bed::new(), Faults::default());
        let bytes = program(62, &[1, 1, 2]);
        let Kept::Now(name) = bed.keep(&bytes, &quiet).unwrap() else { panic!("kept before") };
        assert!(name.as_str().ends_with("_panicroom-format1-x86_64"), "{name}");
        assert_eq!(bed.store.bytes(&name).unwrap(), bytes);
        assert!(matches!(Name::parse(name.as_str()), Some(Name::Rescue(hash)) if hash == crate::seal::sha256(&bytes)));
        let later = program(62, &[1]);
        assert_eq!(bed.keep(&later, &quiet).unwrap(), Kept::Before, "a later release of the same format");
        assert!(matches!(bed.keep(&program(183, &[1]), &quiet).unwrap(), Kept::Now(_)), "for another kind of machine");
        assert_eq!(std::fs::read_dir(bed.dir.path().join("spool")).unwrap().count(), 0);
    }

    #[test]
    fn what_would_not_start_elsewhere_is_refused_with_the_reason() {
        let bed = Bed::new();
        let libraries = "it needs libraries of this machine";
        let cases: [(Vec<u8>, &str); 4] = [
            (program(62, &[1, INTERPRETER]), libraries),
            (b"#!/bin/sh\n".to_vec(), "it is no program"),
            (program(62, &[1])[..60].to_vec(), "it is no program"),
            (program(40, &[1]), "no kind of machine"),
        ];
        for (bytes, why) in cases {
            let error = bed.keep(&bytes, &Faults::default()).unwrap_err();
            assert!(error.kind() == Kind::Operator && error.to_string().contains(why), "{error}");
        }
        let own = std::env::current_exe().unwrap();
        let keeping =
            ProgramKeeping { store: &bed.store, spool: &bed.spool, faults: &Faults::default(), stop: &Stop::new() };
        if let Err(error) = keeping.keep(&own) {
            assert!(error.to_string().contains(libraries) || error.to_string().contains("too large"), "{error}");
        }
        assert_eq!(bed.store.names().len(), usize::from(keeping.keep(&own).is_ok()));
    }
}
