//! What lies under one name of the memory double: versions and delete markers, and what of it is frozen.

use crate::clock::{Clock, Steady, Wall};
use crate::model::Sha256;
use crate::store::proof::Sum;
use crate::store::{Access, Cover};

#[derive(Debug)]
pub(super) struct Kept {
    pub bytes: Vec<u8>,
    pub class: Option<String>,
    pub modified: Wall,
    pub cold: Cold,
}

/// What freezes, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cold {
    Warm,
    Frozen,
    /// Readable between these.
    Copy {
        from: Steady,
        until: Steady,
    },
}

impl Cold {
    /// As it is now: a copy that expired is none.
    pub fn access(self, clock: &dyn Clock) -> Access {
        let now = clock.steady();
        match self {
            Self::Warm => Access::Warm,
            Self::Copy { from, .. } if from > now => Access::Thawing,
            Self::Copy { until, .. } if until > now => {
                Access::Thawed { until: Some(clock.wall().plus(until.since(now))) }
            }
            _ => Access::Frozen,
        }
    }
}

/// Everything under one name, the oldest first; None is a delete marker.
#[derive(Debug, Default)]
pub(super) struct Pile {
    layers: Vec<Option<Kept>>,
    /// The version that was found to be ours.
    chosen: Option<usize>,
}

impl Pile {
    pub fn of(kept: Kept) -> Self {
        Self { layers: vec![Some(kept)], chosen: None }
    }
    /// On top of what is there.
    pub fn lay(&mut self, layer: Option<Kept>) {
        self.layers.push(layer);
    }
    /// The layer on top goes.
    pub fn take_off(&mut self) {
        self.layers.pop();
        self.chosen = self.chosen.filter(|at| *at < self.layers.len());
    }

    /// What the name answers with.
    pub fn top(&self) -> Option<&Kept> {
        self.layers.last()?.as_ref()
    }
    fn oldest(&self) -> Option<usize> {
        self.layers.iter().position(Option::is_some)
    }
    fn ours_at(&self) -> Option<usize> {
        let top = self.layers.len().checked_sub(1).filter(|at| self.layers[*at].is_some());
        self.chosen.or(top).or_else(|| self.oldest())
    }
    /// What is read: the version that was chosen, what the name answers with, what a delete marker hides.
    pub fn ours(&self) -> Option<&Kept> {
        self.layers[self.ours_at()?].as_ref()
    }
    pub fn ours_mut(&mut self) -> Option<&mut Kept> {
        let at = self.ours_at()?;
        self.layers[at].as_mut()
    }
    /// What was just confirmed is gone again, and nothing else.
    pub fn vanish(&mut self) {
        self.layers.pop();
    }
    pub fn is_empty(&self) -> bool {
        self.oldest().is_none()
    }

    /// As an inventory sees it. Beneath other bytes, what came first is read from now on.
    pub fn held(&mut self) -> Option<(&Kept, Cover)> {
        let oldest = self.oldest()?;
        let ours = self.layers[oldest].as_ref()?;
        let (at, cover) = match self.top() {
            None => (oldest, Cover::DeleteMarker),
            Some(top) if top.bytes == ours.bytes => (self.layers.len() - 1, Cover::Bare),
            Some(_) => (oldest, Cover::OtherBytes),
        };
        if cover == Cover::OtherBytes {
            self.chosen = Some(oldest);
        }
        Some((self.layers[at].as_ref()?, cover))
    }

    /// Reads the version of this sum from now on; without one to go by, the oldest.
    pub fn choose(&mut self, sum: Option<Sha256>) -> bool {
        let is_it = |layer: &Option<Kept>| match (layer, sum) {
            (Some(kept), Some(sum)) => Sum::of(&kept.bytes) == sum,
            (layer, None) => layer.is_some(),
            (None, _) => false,
        };
        let found = self.layers.iter().position(is_it).filter(|_| self.layers.len() > 1);
        self.chosen = found.or(self.chosen);
        found.is_some()
    }
}
