//! The trial of a folder for `panicroom doctor`: what its file system can do is seen done on a temporary file of its
//! own, which goes away again; a death leaves it for the next start to remove.

use super::FolderStore;
use super::publish::Temporary;
use crate::error::Result;
use crate::store::MAX_OBJECT;
use crate::store::finding::{Finding, Trial};
use rustix::fs::{self, AtFlags};
use rustix::io::Errno;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Less free than this is a vault that soon refuses, bytes.
const LOW: u64 = 1 << 30;

/// Tries everything. `roots`: the folders it is to keep.
pub fn prove(store: &FolderStore, roots: &[&Path]) -> Result<Trial> {
    store.still_here()?;
    let mut trial = Trial { findings: vec![space(store), disk(store, roots)], left: vec![] };
    match write(store) {
        Ok(mut more) => trial.findings.append(&mut more),
        Err(e) => {
            let e = store.trouble().error("write to", e);
            let remedy = e.remedy_text().map(str::to_owned);
            trial.findings.push(Finding { remedy, ..Finding::failed("write", e.to_string()) });
        }
    }
    trial.findings.push(size_limit());
    trial.findings.push(Finding::not_offered(
        "no delete",
        "a folder cannot keep its owner from deleting: who takes this machine can take the vault. A disk that is unplugged, \
         or a second vault in a bucket with a key of least rights, can",
    ));
    Ok(trial)
}

fn space(store: &FolderStore) -> Finding {
    const CHECK: &str = "space";
    match fs::fstatvfs(&store.folder) {
        Err(e) => Finding::note(CHECK, format!("not known: {}", std::io::Error::from(e))),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let gib = free / (LOW / 10);
            let said = format!("{}.{} GiB are free", gib / 10, gib % 10);
            if free < LOW {
                Finding::failed(CHECK, said).remedy("make room there; the backup waits when it is full")
            } else {
                Finding::passed(CHECK, said)
            }
        }
    }
}

fn disk(store: &FolderStore, roots: &[&Path]) -> Finding {
    const CHECK: &str = "other disk";
    let beside = roots.iter().find(|root| std::fs::metadata(root).is_ok_and(|m| m.dev() == store.identity.0));
    match beside {
        Some(root) => Finding::note(
            CHECK,
            format!(
                "{} lies on the same disk: one broken disk takes both, so it counts as copied, not as safe",
                root.display()
            ),
        )
        .remedy("add a vault on another disk or in a bucket"),
        None => Finding::passed(CHECK, "no root lies on the vault's disk"),
    }
}

fn write(store: &FolderStore) -> std::result::Result<Vec<Finding>, Errno> {
    let io = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    let mut trial = Temporary::new(&store.folder)?;
    trial.file.write_all(b"a trial of 'panicroom doctor'\n").map_err(io)?;
    trial.file.sync_all().map_err(io)?;
    fs::fsync(&store.folder)?;
    let mut found = vec![Finding::passed("write", "a file and its folder were written and synced")];
    let name = trial.name().to_owned();
    let other = format!("{name}-link");
    found.push(match fs::linkat(&store.folder, &name, &store.folder, &other, AtFlags::empty()) {
        Ok(()) => {
            fs::unlinkat(&store.folder, &other, AtFlags::empty())?;
            Finding::passed("hard links", "a file can have two names: packs move in without a copy on the same disk")
        }
        Err(_) => Finding::not_offered("hard links", "packs are copied in"),
    });
    let upper = name.to_ascii_uppercase();
    found.push(match fs::statat(&store.folder, &upper, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Finding::passed("case", "upper and lower case are told apart"),
        _ => Finding::note(
            "case",
            "upper and lower case are one: our names differ by more than that, so it does no harm",
        ),
    });
    Ok(found)
}

fn size_limit() -> Finding {
    const CHECK: &str = "file size";
    match rustix::process::getrlimit(rustix::process::Resource::Fsize).current {
        Some(limit) if limit < MAX_OBJECT => {
            Finding::failed(CHECK, format!("this process may write no file larger than {limit} bytes"))
                .remedy("raise the limit (ulimit -f, LimitFSIZE=)")
        }
        _ => Finding::passed(CHECK, "no limit that a pack would reach"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::finding::Verdict;
    use crate::store::throttle::Throttle;

    #[test]
    fn the_trial_of_a_folder_leaves_nothing_and_names_a_root_on_the_same_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = FolderStore::open(dir.path(), Throttle::new(None, SystemClock::shared())).unwrap();
        let trial = prove(&store, &[dir.path()]).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(trial.left.is_empty());
        let verdict = |check: &str| trial.findings.iter().find(|f| f.check == check).unwrap().verdict;
        assert_eq!((verdict("write"), verdict("other disk")), (Verdict::Passed, Verdict::Note));
        assert_eq!(disk(&store, &[]).verdict, Verdict::Passed);
    }
}
