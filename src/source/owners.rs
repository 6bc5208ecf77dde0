//! Names of users and groups, as this machine's files tell them. Directory services are not asked: a name they
//! alone know is `None`, and the id is what counts.

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Lookups between two looks at the files.
const TRUSTED_FOR: u32 = 256;

/// `/etc/passwd` and `/etc/group`, read when first asked and again when they change.
#[derive(Debug)]
pub struct Owners {
    users: Mutex<Table>,
    groups: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    file: PathBuf,
    names: HashMap<u32, Vec<u8>>,
    seen: Option<(u64, i64, u32, u64)>,
    trust: u32,
}

impl Owners {
    /// This machine's files.
    pub fn system() -> Self {
        Self::of("/etc/passwd", "/etc/group")
    }
    pub fn of(passwd: impl Into<PathBuf>, group: impl Into<PathBuf>) -> Self {
        Self { users: Mutex::new(Table::of(passwd.into())), groups: Mutex::new(Table::of(group.into())) }
    }
    /// The user's name, at most a few hundred lookups old.
    pub fn user(&self, uid: u32) -> Option<Vec<u8>> {
        self.users.lock().expect("owners lock").name(uid)
    }
    pub fn group(&self, gid: u32) -> Option<Vec<u8>> {
        self.groups.lock().expect("owners lock").name(gid)
    }
}

impl Table {
    fn of(file: PathBuf) -> Self {
        Self { file, names: HashMap::new(), seen: None, trust: 0 }
    }
    fn name(&mut self, id: u32) -> Option<Vec<u8>> {
        if self.trust == 0 {
            self.refresh();
            self.trust = TRUSTED_FOR;
        }
        self.trust -= 1;
        self.names.get(&id).cloned()
    }
    fn refresh(&mut self) {
        let now = statx(CWD, &self.file, AtFlags::empty(), StatxFlags::BASIC_STATS)
            .ok()
            .map(|x| (x.stx_ino, x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec, x.stx_size));
        if now.is_some() && now == self.seen {
            return;
        }
        self.seen = now;
        self.names = std::fs::read(&self.file).map(|text| parse(&text)).unwrap_or_default();
    }
}

/// `name:password:id:…` line by line; the first line of an id gives its name, as the C library has it.
fn parse(text: &[u8]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for line in text.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else { continue };
        if !name.is_empty() && !matches!(name[0], b'#' | b'+' | b'-') {
            names.entry(id).or_insert_with(|| name.to_vec());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_name_of_its_first_line_and_strangers_have_none() {
        let tmp = tempfile::tempdir().unwrap();
        let (passwd, group) = (tmp.path().join("passwd"), tmp.path().join("group"));
        std::fs::write(&passwd, "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/\n+nis\nx:x:notanumber:\nann:x:7:7")
            .unwrap();
        std::fs::write(&group, "staff:x:50:ann\n").unwrap();
        let owners = Owners::of(&passwd, &group);
        assert_eq!(owners.user(0).as_deref(), Some(&b"root"[..]));
        assert_eq!(owners.user(7).as_deref(), Some(&b"ann"[..]));
        assert_eq!((owners.user(8), owners.group(7)), (None, None));
        assert_eq!(owners.group(50).as_deref(), Some(&b"staff"[..]));

        std::fs::write(&passwd, "anna:x:7:7::/home/anna:/bin/sh\n").unwrap();
        let noticed = (0..=TRUSTED_FOR).any(|_| owners.user(7).as_deref() == Some(&b"anna"[..]));
        assert!(noticed, "a changed file is read again");
    }
}
