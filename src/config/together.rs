//! What must hold between sections: no root or vault twice, every root kept somewhere, nothing watched that is
//! our own, a spool that holds what it must.

use super::section::{File, Given};
use super::{RootSettings, VaultSettings, VaultUrl, defaults};
use crate::error::Result;
use crate::model::{Size, TreePath};

/// What was read so far, with the lines of its headings, for what must hold between sections.
pub(super) struct Found {
    pub(super) roots: Vec<Given<RootSettings>>,
    pub(super) vaults: Vec<Given<VaultSettings>>,
    pub(super) state_dir: Option<Given<TreePath>>,
    pub(super) spool_size: Option<Given<Size>>,
}

impl Found {
    pub(super) fn state_dir(&self) -> TreePath {
        let default = || TreePath::from_typed(defaults::STATE_DIR.as_ref()).unwrap_or_else(TreePath::root);
        self.state_dir.as_ref().map_or_else(default, |g| g.value.clone())
    }
    pub(super) fn spool_size(&self) -> Size {
        self.spool_size.as_ref().map_or(defaults::SPOOL_SIZE, |g| g.value)
    }

    pub(super) fn add_root(&mut self, file: File, new: Given<RootSettings>) -> Result<()> {
        if let Some(twin) = self.roots.iter().find(|r| r.value.path == new.value.path) {
            return Err(file
                .error(new.line, format!("root {} was named before, in line {}", new.value.path, twin.line))
                .remedy("keep one of the two"));
        }
        self.roots.push(new);
        Ok(())
    }

    pub(super) fn add_vault(&mut self, file: File, new: Given<VaultSettings>) -> Result<()> {
        // Names become names of files, and not every file system tells upper from lower case.
        let same_name = |v: &&Given<VaultSettings>| v.value.name.eq_ignore_ascii_case(&new.value.name);
        if let Some(twin) = self.vaults.iter().find(same_name) {
            return Err(file
                .error(new.line, format!("vault '{}' was named before, in line {}", new.value.name, twin.line))
                .remedy("give each vault a name of its own"));
        }
        if let Some(twin) = self.vaults.iter().find(|v| same_place(&v.value.url, &new.value.url)) {
            return Err(file
                .error(new.line, format!("vaults '{}' and '{}' are one place", twin.value.name, new.value.name))
                .remedy("give each vault a folder or prefix of its own, or keep one of the two"));
        }
        self.vaults.push(new);
        Ok(())
    }

    pub(super) fn together(&self, file: File) -> Result<()> {
        let state_dir = self.state_dir();
        for Given { value: root, line } in &self.roots {
            if !self.vaults.iter().any(|v| v.value.roots.contains(&root.path)) {
                return Err(file
                    .error(*line, format!("root {} goes into no vault", root.path))
                    .remedy("add it to the roots of a vault, or take it out"));
            }
            if root.path.is_within(&state_dir) {
                return Err(file
                    .error(*line, format!("root {} lies in the state folder {state_dir}", root.path))
                    .remedy("choose another [state] dir or another root"));
            }
            let holder = self.vaults.iter().find(|v| match &v.value.url {
                VaultUrl::Folder(folder) => root.path.is_within(folder),
                VaultUrl::Bucket(_) => false,
            });
            if let Some(holder) = holder {
                return Err(file
                    .error(*line, format!("root {} lies in the folder of vault '{}'", root.path, holder.value.name))
                    .remedy("choose another folder for the vault or another root"));
            }
        }
        for Given { value: vault, line } in &self.vaults {
            if self.spool_size().0 < vault.pack_size.0.saturating_mul(2) {
                let line = self.spool_size.as_ref().map_or(*line, |g| g.line);
                return Err(file
                    .error(line, format!("spool_size holds less than two packs of vault '{}'", vault.name))
                    .remedy("make [state] spool_size at least twice pack_size"));
            }
            if matches!(&vault.url, VaultUrl::Folder(folder) if *folder == state_dir) {
                return Err(file
                    .error(*line, format!("vault '{}' is the state folder", vault.name))
                    .remedy("give the vault a folder of its own"));
            }
        }
        Ok(())
    }
}

/// However it is reached: two writers in one place would fight.
fn same_place(a: &VaultUrl, b: &VaultUrl) -> bool {
    match (a, b) {
        (VaultUrl::Folder(a), VaultUrl::Folder(b)) => a == b,
        (VaultUrl::Bucket(a), VaultUrl::Bucket(b)) => {
            (&a.name, &a.prefix, &a.endpoint) == (&b.name, &b.prefix, &b.endpoint)
        }
        _ => false,
    }
}
