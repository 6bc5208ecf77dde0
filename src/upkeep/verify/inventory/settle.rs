//! What a listing leaves open is asked for, object by object, as long as it is a few: is this the vault at all, is what was
//! not listed really missing, are the bytes behind another ETag other bytes?

use super::{ASKED, Work};
use crate::catalog::Wrong;
use crate::error::{Error, Kind, Result};
use crate::format::{Name, VAULT_NAME};
use crate::seal::sha256;
use crate::store::identity::{Identity, identify};
use crate::store::{ObjectName, is_frozen};
use crate::upkeep::verify::NotTheVault;

impl Work<'_> {
    /// Where much is missing, or what every vault has: is this the vault at all? See [`super::is_not_the_vault`].
    pub(super) fn is_it_the_vault(&self) -> Result<()> {
        if self.has_vault_file && !self.is_behind && self.missing_packs < ASKED as u64 {
            return Ok(());
        }
        let url = self.with.store.url();
        let nothing_lost = "nothing is sent again by itself; bring it back, or start a new vault with 'panicroom init'";
        match identify(self.with.store, self.with.stop) {
            Ok(Identity::Vault(found)) if found.id != self.with.vault => Err(Error::operator(format!(
                "verify the vault {url}, which is vault {} and not {}",
                found.id, self.with.vault
            ))
            .because(NotTheVault)
            .remedy("correct the vault's url")),
            Ok(Identity::Vault(_)) if self.is_behind => Err(Error::operator(format!(
                "verify the vault {url}, whose log is behind this machine's catalog (it was emptied or put back to an older state)"
            ))
            .because(NotTheVault)
            .remedy(nothing_lost)),
            Ok(Identity::Vault(_)) => Ok(()),
            Ok(Identity::Absent) => Err(Error::operator(format!(
                "verify the vault {url}, where there is none any more (no {VAULT_NAME})"
            ))
            .because(NotTheVault)
            .remedy(nothing_lost)),
            // Moved to an archive class: that is in the listing, and said.
            Err(e) if is_frozen(&e) => Ok(()),
            Ok(Identity::Damaged(e) | Identity::Newer(e)) | Err(e) => Err(e),
        }
    }

    /// A few missing ones are looked for by name before they are called lost.
    pub(super) fn ask_for_the_missing(&mut self) -> Result<()> {
        for defect in std::mem::take(&mut self.missing) {
            let Some(name) = ObjectName::new(defect.name.clone()) else { continue };
            match self.with.store.head(&name) {
                Ok(None) => self.note(defect)?,
                Ok(Some(_)) if self.missing_packs > ASKED as u64 => {
                    let doing = format!("list {}", self.with.store.url());
                    return Err(Error::retry(doing).because(format!("{name} is there and was not listed")));
                }
                Ok(Some(_)) => self.report.note("the listing lacks objects that are there when asked for by name"),
                // The writer may only list: its listing stands.
                Err(e) if e.kind() == Kind::Operator => {
                    self.report.note("what was not listed could not be looked for by name: this machine's key may not");
                    self.note(defect)?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The log is small and never frozen: a segment of another ETag is read.
    pub(super) fn read_the_changed(&mut self) -> Result<()> {
        for (row, etag) in std::mem::take(&mut self.changed_segments) {
            let name = ObjectName::from(Name::Segment(row.number, row.hash));
            let said = match self.with.store.read(&name, None, self.with.stop) {
                Ok(bytes) if sha256(&bytes) == row.hash => {
                    self.learnt_segments.push((row.number, etag));
                    continue;
                }
                Ok(_) => "its ETag changed, and its bytes are others".to_owned(),
                Err(e) if matches!(e.kind(), Kind::Damaged | Kind::Operator) => format!("its ETag changed, and {e}"),
                Err(e) => return Err(e),
            };
            let defect = self.defect(name.to_string(), Wrong::Bytes, None, row.size, said);
            self.note(defect)?;
        }
        Ok(())
    }

    /// The server's own checksum tells whether another ETag means other bytes.
    pub(super) fn ask_for_the_changed(&mut self) -> Result<()> {
        for (pack, etag) in std::mem::take(&mut self.changed) {
            let name = ObjectName::from(Name::Pack(pack.tier, pack.hash));
            let sum = match self.with.store.head(&name) {
                Ok(info) => info.and_then(|info| info.sha256),
                Err(e) if e.kind() == Kind::Operator => None,
                Err(e) => return Err(e),
            };
            match sum {
                Some(sum) if sum == pack.hash => self.learnt.push((pack.id, etag)),
                Some(sum) => {
                    let said = format!("its ETag changed, and the server's checksum of it is {sum}");
                    let defect = self.defect(name.to_string(), Wrong::Bytes, Some(pack.id), pack.size, said);
                    self.note(defect)?;
                }
                None => {
                    let before = pack.etag.as_deref().unwrap_or_default().to_owned();
                    self.etag_defect(&pack, &before, &etag)?;
                }
            }
        }
        Ok(())
    }
}
