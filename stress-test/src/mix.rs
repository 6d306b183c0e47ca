//! What a signed-in user does next. Pure: the dice are an argument.

use rand::{Rng, RngExt};
use serde::Serialize;

/// A request a user can make, named as in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// New account.
    Register,
    /// Tokens for the account.
    Login,
    /// New tokens for old ones.
    Refresh,
    /// The caller's own account.
    Me,
    /// One of the user's items, by its id.
    ReadItem,
    /// A page of the user's items.
    ListItems,
    /// A new item.
    CreateItem,
    /// New content for an item.
    UpdateItem,
    /// An item less.
    DeleteItem,
}

impl Action {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::Register,
        Self::Login,
        Self::Refresh,
        Self::Me,
        Self::ReadItem,
        Self::ListItems,
        Self::CreateItem,
        Self::UpdateItem,
        Self::DeleteItem,
    ];

    /// Its name in the report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Me => "me",
            Self::ReadItem => "read item",
            Self::ListItems => "list items",
            Self::CreateItem => "create item",
            Self::UpdateItem => "update item",
            Self::DeleteItem => "delete item",
        }
    }
}

/// Shares of a signed-in user's requests, in percent. Four of five only read, as in most
/// applications, and more items are made than deleted, so that lists have pages.
const MIX: [(Action, u32); 6] = [
    (Action::ReadItem, 44),
    (Action::ListItems, 20),
    (Action::Me, 16),
    (Action::CreateItem, 9),
    (Action::UpdateItem, 7),
    (Action::DeleteItem, 4),
];

/// Draws the next action of a user who has `items` items of its own.
pub fn pick(rng: &mut impl Rng, items: usize) -> Action {
    let mut dice = rng.random_range(0..MIX.iter().map(|(_, share)| share).sum());
    for (action, share) in MIX {
        if dice < share {
            return possible(action, items);
        }
        dice -= share;
    }
    Action::ReadItem
}

/// Without an item there is none to read, and the last one is kept for reading.
fn possible(action: Action, items: usize) -> Action {
    match (action, items) {
        (Action::ReadItem | Action::UpdateItem | Action::DeleteItem, 0) | (Action::DeleteItem, 1) => Action::CreateItem,
        _ => action,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn four_of_five_requests_only_read() {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut counts = BTreeMap::new();
        for _ in 0..10_000 {
            *counts.entry(pick(&mut rng, 5)).or_insert(0) += 1;
        }
        let reads: u32 = [Action::ReadItem, Action::ListItems, Action::Me].iter().map(|a| counts[a]).sum();
        assert!((7_800..=8_200).contains(&reads), "{counts:?}");
        assert!(counts[&Action::CreateItem] > counts[&Action::DeleteItem], "{counts:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_user() {
        let draw = |seed| {
            let mut rng = SmallRng::seed_from_u64(seed);
            (0..200).map(|_| pick(&mut rng, 3)).collect::<Vec<_>>()
        };
        assert_eq!(draw(42), draw(42));
        assert_ne!(draw(42), draw(43));
    }

    #[test]
    fn nothing_is_asked_of_items_that_do_not_exist() {
        let mut rng = SmallRng::seed_from_u64(9);
        for _ in 0..1_000 {
            let action = pick(&mut rng, 0);
            assert!(!matches!(action, Action::ReadItem | Action::UpdateItem | Action::DeleteItem));
            assert_ne!(pick(&mut rng, 1), Action::DeleteItem);
        }
    }
}
