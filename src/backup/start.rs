//! At start: spool, catalog and vault are brought to agree before anything is written anywhere.
//!
//! A catalog behind its vault stops and is rebuilt; a vault that is behind its catalog, empty or of another id is an
//! alarm, and nothing is written to it (promise 10). So is one that a later release wrote to (promise 16): the newest
//! segment's header tells, 48 bytes a start.

use super::Engine;
use crate::catalog::{Level, SpooledObject};
use crate::error::{Error, Kind, Result};
use crate::format::log::LogIndex;
use crate::format::{HEADER, Header, LOG_PREFIX, Name, ObjectKind, VAULT_NAME};
use crate::model::{SegmentNo, Sha256};
use crate::seal::sha256;
use crate::store::Cover;
use crate::store::identity::{Identity, identify};
use std::collections::BTreeSet;

/// What a look at the vault came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Agrees,
    /// The vault's log goes further than this catalog: rebuild before writing.
    CatalogBehind,
}

impl Engine {
    /// Sweeps the spool: files no row names go; rows whose file is gone are packs lost.
    pub fn agree_with_spool(&self) -> Result<()> {
        let mut named = BTreeSet::new();
        let mut missing = vec![];
        for object in self.catalog.spooled(usize::MAX >> 1)? {
            let (name, size) = match &object {
                SpooledObject::Pack { hash, tier, size, .. } => (Name::Pack(*tier, *hash).to_string(), *size),
                SpooledObject::Segment(row) => (Name::Segment(row.number, row.hash).to_string(), row.size),
            };
            if !self.spool.holds(&name, size)
                && let SpooledObject::Pack { id, .. } = object
            {
                missing.push((id, name));
            } else {
                named.insert(name);
            }
        }
        self.faults.at("start.sweep")?;
        let swept = self.spool.sweep(&named)?;
        if swept > 0 {
            tracing::info!(vault = %self.name, "{swept} files of the spool belonged to nothing and were removed");
        }
        for (id, name) in missing {
            self.faults.at("start.lost")?;
            let paths = self.catalog.pack_lost(id, self.clock.wall())?;
            self.tell(Level::Warning, &format!("the spooled pack {name} is gone; {paths} files are read again"));
        }
        Ok(())
    }

    /// Looks at the vault: is it the one this catalog belongs to, and where is its log?
    pub fn look_at_vault(&self) -> Result<Standing> {
        self.is_our_vault()?;
        let mine = self.catalog.last_segment()?;
        let (index, hidden) = self.log_with_hidden()?;
        let listed = index.last();
        self.nothing_newest_is_hidden(listed, &hidden)?;
        let spooled = self.catalog.spooled(1)?;
        let waiting = matches!(spooled.first(), Some(SpooledObject::Segment(_)));
        let stored = match (&mine, waiting, spooled.first()) {
            (None, ..) => None,
            (Some(_), true, Some(SpooledObject::Segment(first))) => {
                first.number.0.checked_sub(1).filter(|n| *n > 0).map(SegmentNo)
            }
            (Some(row), ..) => Some(row.number),
        };
        if listed < stored {
            let has = listed.map_or("none".to_owned(), |n| n.0.to_string());
            return Err(Error::operator(format!(
                "open the vault {}: its log is behind this machine's catalog (it has segment {has}, {} was stored)",
                self.store.url(),
                stored.unwrap_or_default().0
            ))
            .remedy("it was emptied or put back to an older state: nothing is written to it; bring the missing objects back, or start a new vault with 'panicroom init'"));
        }
        if let Some(newest) = listed {
            index.segment(newest).iter().try_for_each(|hash| self.is_of_a_format_we_know(newest, *hash))?;
        }
        // What a rebuild could not read is known all the same: it took the log as it was.
        let (ends, unread) = self.catalog.log_end()?;
        let known = |number, hash: &Sha256| {
            let was_there = number == ends && unread.contains(&hash.to_string());
            Ok::<_, Error>(was_there || self.catalog.segment_hash(number)? == Some(*hash))
        };
        let newest = listed.filter(|n| !index.segment(*n).is_empty());
        let agrees = match newest {
            None => true,
            Some(n) => index.segment(n).iter().map(|h| known(n, h)).collect::<Result<Vec<_>>>()?.into_iter().all(|k| k),
        };
        Ok(if agrees { Standing::Agrees } else { Standing::CatalogBehind })
    }

    /// The log as its names answer, and what of it lies behind delete markers.
    fn log_with_hidden(&self) -> Result<(LogIndex, LogIndex)> {
        let (mut index, mut hidden) = (LogIndex::default(), LogIndex::default());
        self.store.inventory(LOG_PREFIX, &mut |held| {
            if let Some(name) = Name::parse(held.object.name.as_str()) {
                if held.cover == Cover::DeleteMarker { hidden.add(name) } else { index.add(name) }
            }
            Ok(())
        })?;
        Ok((index, hidden))
    }

    /// Where the end of the log is hidden, writing on would give its numbers to others. Operator: it is. What is hidden
    /// further up is an alarm: nothing is lost, and nothing of it is written again.
    fn nothing_newest_is_hidden(&self, listed: Option<SegmentNo>, hidden: &LogIndex) -> Result<()> {
        let Some(newest) = hidden.last() else { return Ok(()) };
        let url = self.store.url();
        if listed < Some(newest) {
            return Err(Error::operator(format!(
                "open the vault {url}: the newest part of its log, up to segment {}, lies behind delete markers: somebody \
                 deleted it",
                newest.0
            ))
            .remedy(
                "nothing is lost, and nothing is written to it: take the delete markers away with the reaper's key \
                 (docs/setup.md), and find out whose key set them; a restore works all the same",
            ));
        }
        let said = format!(
            "parts of the vault's log, up to segment {}, lie behind delete markers: somebody deleted them. Nothing is lost; \
             take the delete markers away with the reaper's key, and find out whose key set them",
            newest.0
        );
        self.tell(Level::Alarm, &said);
        Ok(())
    }

    /// The newest segment tells whether a later release wrote here: what it wrote is not ours to go on from. Operator:
    /// it is of a newer format. Damage is for whoever reads the whole of it.
    fn is_of_a_format_we_know(&self, number: SegmentNo, hash: Sha256) -> Result<()> {
        let name = Name::Segment(number, hash);
        let object = name.into();
        let head = match self.store.read(&object, Some(0..HEADER as u64), &self.stop) {
            Err(e) if e.kind() == Kind::Damaged => return Ok(()),
            other => other?,
        };
        match Header::split(&head, ObjectKind::Segment, None) {
            // Believed only where nothing was changed.
            Err(e) if e.kind() == Kind::Operator && sha256(&self.store.read(&object, None, &self.stop)?) == hash => {
                Err(e.during(&format!("open the vault {}: {name}", self.store.url())))
            }
            _ => Ok(()),
        }
    }

    /// Whether the vault there is the one of our keys.
    fn is_our_vault(&self) -> Result<()> {
        let url = self.store.url();
        match identify(&*self.store, &self.stop)? {
            Identity::Vault(found) if found.id == self.keys.vault => Ok(()),
            Identity::Vault(found) => Err(Error::operator(format!(
                "open the vault {url}: it is vault {}, but this machine's keys and catalog are those of vault {}",
                found.id, self.keys.vault
            ))
            .remedy("correct the vault's url, or give the new vault a name of its own and run 'panicroom init'")),
            Identity::Absent => {
                Err(Error::operator(format!("open the vault {url}: there is no vault here (no {VAULT_NAME})"))
                    .remedy("check the address, and that the disk is mounted; 'panicroom init' starts a new vault"))
            }
            Identity::Damaged(e) => {
                Err(e.remedy("nothing is written to it; bring its meta_vault back, or start a new vault elsewhere"))
            }
            Identity::Newer(e) => Err(e),
        }
    }
}
