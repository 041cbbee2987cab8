//! Where exchanges are kept: a slot is used again, under another generation.

use std::collections::hash_map::Entry;

use super::{Forest, Node, NodeId};

impl Forest {
    pub(super) fn place(&mut self, node: Node) -> NodeId {
        match self.free.pop() {
            Some(index) => {
                let (generation, slot) = &mut self.slots[index as usize];
                *slot = Some(node);
                NodeId { index, generation: *generation }
            }
            None => {
                self.slots.push((0, Some(node)));
                let index = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
                NodeId { index, generation: 0 }
            }
        }
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        let (generation, node) = self.slots.get(id.index as usize)?;
        node.as_ref().filter(|_| *generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let (generation, node) = self.slots.get_mut(id.index as usize)?;
        node.as_mut().filter(|_| *generation == id.generation)
    }

    pub(super) fn with(&mut self, id: NodeId, act: impl FnOnce(&mut Node)) {
        if let Some(node) = self.get_mut(id) {
            act(node);
        }
    }

    pub(super) fn remove(&mut self, id: NodeId) {
        let Some((generation, slot)) = self.slots.get_mut(id.index as usize) else { return };
        if *generation != id.generation {
            return;
        }
        let Some(node) = slot.take() else { return };
        *generation = generation.wrapping_add(1);
        self.free.push(id.index);
        self.waiting -= usize::from(node.span.is_some());
        if node.pair.is_none()
            && let Entry::Occupied(there) = self.unpaired.entry(node.key)
            && *there.get() == id
        {
            there.remove();
        }
    }
}
