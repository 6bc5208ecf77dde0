//! Which rows capture has in hand: handed out, and not yet settled. A file among them may have been read before what a
//! walk sees of it now, so the walk must not take its row for a look that is still to come.
//!
//! In memory only: after a death nothing is in anybody's hand.

use crate::catalog::NodeId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub struct InHand(Arc<Mutex<HashSet<NodeId>>>);

impl InHand {
    pub(crate) fn take(&self, nodes: impl IntoIterator<Item = NodeId>) {
        self.0.lock().expect("in-hand lock").extend(nodes);
    }
    pub(super) fn let_go(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let mut taken = self.0.lock().expect("in-hand lock");
        for node in nodes {
            taken.remove(&node);
        }
    }
    pub(super) fn clear(&self) {
        self.0.lock().expect("in-hand lock").clear();
    }
    pub fn has(&self, node: NodeId) -> bool {
        self.0.lock().expect("in-hand lock").contains(&node)
    }
}
