//! Whether a vault holds what the catalog says, without a thaw. Three checks, each of which says what it proves:
//!
//! | check | asks | costs |
//! |---|---|---|
//! | [`inventory`] | is every object listed, in its size, with the ETag it had? | a listing |
//! | [`checksum`] | does the server's own SHA-256 agree with the pack's name? | a HEAD a pack |
//! | [`read`] | are the bytes those the name promises, and do they open? | a whole read a pack |
//!
//! Nothing is ever read that is frozen, nothing thawed, nothing written to the vault. What is found is written down;
//! [`super::heal`] decides what becomes of it. Dying in a look loses the look: an inventory begins anew, a round over
//! packs goes on with those looked at longest ago.

mod checksum;
mod inventory;
mod read;

use crate::catalog::{Catalog, Check, Checked, Defect, PackToSee, RoundPlace, Wrong};
use crate::clock::{Clock, Wall};
use crate::error::{Error, Kind, Result};
use crate::format::Name;
use crate::model::{Tier, VaultId};
use crate::seal::keys::OpenKeys;
use crate::seal::{Entropy, random};
use crate::store::{Cover, Held, ObjectName, ObjectStore};
use crate::worker::{Faults, Stop};
use std::collections::VecDeque;

/// Defects kept in a report; beyond that only counted.
pub const TOLD: usize = 100;
/// Packs written down together.
const AT_ONCE: usize = 32;

/// Whether what is found is written into the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// The machine's own catalog.
    Catalog,
    /// One made only to look.
    Nothing,
}

/// What a look is done with.
pub struct Verifying<'a> {
    pub store: &'a dyn ObjectStore,
    pub catalog: &'a Catalog,
    pub keeping: Keeping,
    pub vault: VaultId,
    /// With them contents are opened too; without, the sealed bytes are proved.
    pub open: Option<&'a OpenKeys>,
    pub entropy: &'a dyn Entropy,
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

/// How many packs a round looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those looked at longest ago; by chance where nobody wrote that down.
    Sample(u64),
    All,
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub run: Checked,
    /// The first of what is wrong.
    pub defects: Vec<Defect>,
    /// Whether contents were opened.
    pub opened: bool,
}

impl Report {
    fn new(check: Check, begun: Wall) -> Self {
        let run = Checked {
            check,
            begun,
            ended: begun,
            looked: 0,
            bytes: 0,
            wrong: 0,
            skipped: 0,
            foreign: 0,
            unnamed: 0,
            note: String::new(),
        };
        Self { run, defects: vec![], opened: false }
    }

    fn wrong(&mut self, defect: &Defect) {
        self.run.wrong += 1;
        if self.defects.len() < TOLD {
            self.defects.push(defect.clone());
        }
    }

    fn note(&mut self, text: &str) {
        if !self.run.note.contains(text) {
            let separator = if self.run.note.is_empty() { "" } else { "; " };
            self.run.note = format!("{}{separator}{text}", self.run.note);
        }
    }

    pub fn is_sound(&self) -> bool {
        self.run.wrong == 0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing is called lost by that")]
struct NotTheVault;

/// Whether a check ended because what lies there is not the vault of the catalog, or no longer: nothing is to be written
/// to it (promise 10).
pub fn is_not_the_vault(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<NotTheVault>)
}

/// What a check proves, and what it does not, in words.
pub fn proves(check: Check, opened: bool) -> (&'static str, &'static str) {
    match (check, opened) {
        (Check::Inventory, _) => (
            "every object the log names is there, in its size, with the ETag it had when it was first seen",
            "that its bytes are still those that were sent",
        ),
        (Check::Checksum, _) => (
            "the checksum the server keeps of each pack is the one it was sealed with",
            "that the server's disks still give back the bytes behind that checksum",
        ),
        (Check::Read, false) => (
            "the bytes read are exactly those that were sealed",
            "that the words open them: 'verify --level read --key-file FILE' opens every block",
        ),
        (Check::Read, true) => {
            ("the bytes read are exactly those that were sealed, and the words open every chunk of them", "")
        }
    }
}

/// How one pack looked.
enum Looked {
    Sound { bytes: u64 },
    Wrong(Wrong, String),
    Skipped(Why),
}

/// Why a pack told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Frozen,
    NoSum,
    NoRight,
    Trouble,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Self::Frozen => "frozen packs were not read: that takes a thaw",
            Self::NoSum => {
                "this place keeps no checksum of some packs: of those, presence, size and ETag are all that can be compared without reading"
            }
            Self::NoRight => {
                "this machine's key may not look at packs one by one (the auditor's key may): nothing was proved of them"
            }
            Self::Trouble => "some packs could not be looked at, again and again, while the place answered for others",
        }
    }
}

/// A round over packs, some at a time.
pub struct Round {
    report: Report,
    left: u64,
    walk: Walk,
    /// Looked at and not yet written down.
    done: Vec<(i64, Option<Defect>)>,
    queue: VecDeque<PackToSee>,
    /// Skipped without one that was not, from the beginning on.
    in_vain: u64,
    /// Of the pack whose turn it is, in a row.
    failures: u32,
}

fn covered() -> Looked {
    let said = "somebody put other bytes under its name; its own are still there, beneath";
    Looked::Wrong(Wrong::Covered, said.to_owned())
}

/// A pack that failed so often, while the vault answered, is passed over.
const FAILURES: u32 = 5;

/// In which order.
enum Walk {
    /// By when each was last looked at.
    Oldest(RoundPlace),
    /// By name.
    Names(Option<(Tier, Vec<u8>)>),
    /// By chance.
    Dice,
    Ended,
}

/// Whether a round goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    More,
    Over,
}

/// A place that told nothing of so many packs, from the first on, tells nothing of any.
const IN_VAIN: u64 = 16;

impl Verifying<'_> {
    /// One check from its beginning to its end.
    pub fn run(&self, check: Check, scope: Scope) -> Result<Report> {
        if check == Check::Inventory {
            return self.inventory();
        }
        let mut round = self.begin(check, scope);
        while self.step(&mut round)? == Turn::More {}
        self.end(round)
    }

    /// A round over packs. Checksum or read.
    pub fn begin(&self, check: Check, scope: Scope) -> Round {
        let (left, all) = match scope {
            Scope::Sample(n) => (n, false),
            Scope::All => (u64::MAX, true),
        };
        let walk = match (self.keeping, all) {
            (Keeping::Catalog, _) => Walk::Oldest((i64::MIN, i64::MIN)),
            (Keeping::Nothing, true) => Walk::Names(Some((Tier::Cold, vec![]))),
            (Keeping::Nothing, false) => Walk::Dice,
        };
        let mut report = Report::new(check, self.clock.wall());
        report.opened = check == Check::Read && self.open.is_some();
        Round { report, left, walk, done: vec![], queue: VecDeque::new(), in_vain: 0, failures: 0 }
    }

    /// Looks at one more pack. What it costs is one HEAD, and with `read` its bytes. After an error of kind Retry the same
    /// pack is next.
    pub fn step(&self, round: &mut Round) -> Result<Turn> {
        self.stop.check()?;
        if round.queue.is_empty() {
            self.fill(round)?;
        }
        let Some(pack) = round.queue.pop_front().filter(|_| round.left > 0) else {
            self.write_down(round)?;
            return Ok(Turn::Over);
        };
        let name = ObjectName::from(Name::Pack(pack.tier, pack.hash));
        let looked = match round.report.run.check {
            Check::Read => self.read_pack(&pack, &name),
            _ => self.sum_of(&pack, &name),
        };
        let looked = looked.and_then(|looked| self.still_covered(&pack, &name, looked));
        let looked = match looked {
            Err(e) if e.kind() == Kind::Retry => {
                round.failures += 1;
                if round.failures < FAILURES || !self.is_ours()? {
                    round.queue.push_front(pack);
                    return Err(e);
                }
                Looked::Skipped(Why::Trouble)
            }
            other => other?,
        };
        round.failures = 0;
        round.left -= 1;
        let defect = |wrong, said| Defect {
            name: name.to_string(),
            found: round.report.run.check,
            wrong,
            pack: Some(pack.id),
            size: pack.size,
            at: self.clock.wall(),
            said,
        };
        match looked {
            Looked::Sound { bytes } => {
                (round.report.run.looked, round.report.run.bytes) =
                    (round.report.run.looked + 1, round.report.run.bytes + bytes);
                round.done.push((pack.id, None));
            }
            Looked::Wrong(wrong, said) => {
                round.report.run.looked += 1;
                let defect = defect(wrong, said);
                round.report.wrong(&defect);
                round.done.push((pack.id, Some(defect)));
            }
            Looked::Skipped(why) => {
                round.report.run.skipped += 1;
                round.report.note(why.text());
                if why == Why::NoSum {
                    // It had its turn.
                    round.done.push((pack.id, None));
                }
                if why != Why::Frozen && round.report.run.looked == 0 {
                    round.in_vain += 1;
                }
            }
        }
        if round.done.len() >= AT_ONCE {
            self.write_down(round)?;
        }
        // What never tells anything is not asked a hundred thousand times.
        if round.report.run.looked == 0 && round.in_vain >= IN_VAIN {
            round.walk = Walk::Ended;
            round.queue.clear();
        }
        Ok(Turn::More)
    }

    /// What looks wrong is looked at once more where the place has an older version of it: bytes that somebody put over
    /// ours are an alarm and no loss.
    fn beneath_too(&self, name: &ObjectName, look: impl Fn() -> Result<Looked>) -> Result<Looked> {
        let looked = look()?;
        if !matches!(&looked, Looked::Wrong(wrong, _) if wrong.is_loss()) || !self.store.uncover(name)? {
            return Ok(looked);
        }
        Ok(match look()? {
            Looked::Wrong(wrong, said) => Looked::Wrong(wrong, said),
            _ => covered(),
        })
    }

    /// A pack that a look found beneath other bytes is read there from then on, and so looks well with these on top of it:
    /// before it is called sound, a listing of its name tells whether they are gone.
    fn still_covered(&self, pack: &PackToSee, name: &ObjectName, looked: Looked) -> Result<Looked> {
        let is_well = matches!(looked, Looked::Sound { .. } | Looked::Skipped(Why::NoSum));
        if !is_well || self.keeping == Keeping::Nothing || !self.catalog.is_covered(pack.id)? {
            return Ok(looked);
        }
        let mut is_on_top = false;
        self.store.inventory(name.as_str(), &mut |Held { object, cover }| {
            is_on_top |= object.name == *name && cover == Cover::OtherBytes;
            Ok(())
        })?;
        Ok(if is_on_top { covered() } else { looked })
    }

    /// A round that is over, or given up here.
    pub fn end(&self, mut round: Round) -> Result<Report> {
        self.write_down(&mut round)?;
        round.report.run.ended = self.clock.wall();
        if self.keeping == Keeping::Catalog {
            self.faults.at("verify.end")?;
            self.catalog.end_check(&round.report.run)?;
        }
        Ok(round.report)
    }

    fn write_down(&self, round: &mut Round) -> Result<()> {
        if self.keeping == Keeping::Catalog && !round.done.is_empty() {
            self.faults.at("verify.looked")?;
            self.catalog.looked_at(round.report.run.check, self.clock.wall(), &round.done)?;
        }
        round.done.clear();
        Ok(())
    }

    /// The next packs whose turn it is.
    fn fill(&self, round: &mut Round) -> Result<()> {
        let check = round.report.run.check;
        match &mut round.walk {
            Walk::Ended => {}
            Walk::Oldest(place) => {
                let due = self.catalog.packs_due(check, *place, round.report.run.begun, AT_ONCE)?;
                match due.last() {
                    Some((last, _)) => *place = *last,
                    None => round.walk = Walk::Ended,
                }
                round.queue.extend(due.into_iter().map(|(_, pack)| pack));
            }
            Walk::Names(at) => {
                while let Some((tier, after)) = at {
                    let page = self.catalog.packs_to_see(*tier, after, AT_ONCE)?;
                    match (page.last(), *tier) {
                        (Some(last), _) => *after = last.hash.0.to_vec(),
                        (None, Tier::Cold) => (*tier, *after) = (Tier::Hot, vec![]),
                        (None, Tier::Hot) => *at = None,
                    }
                    if !page.is_empty() {
                        round.queue.extend(page);
                        break;
                    }
                }
            }
            Walk::Dice => {
                // Hashes are spread evenly: from a place drawn by chance the next one is drawn by chance.
                let place: [u8; 32] = random(self.entropy);
                let mut found = vec![];
                for (tier, after) in [(Tier::Cold, &place[..]), (Tier::Cold, &[]), (Tier::Hot, &[])] {
                    if found.is_empty() {
                        found = self.catalog.packs_to_see(tier, after, 1)?;
                    }
                }
                round.queue.extend(found);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
