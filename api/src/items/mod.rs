//! Items: the one resource of this service, each seen by its owner alone.
//!
//! To everybody else an item does not exist: 404, never 403.

/// Places in a list of items.
pub mod cursor;
/// Retried creates that are never doubled.
pub mod idempotency;
/// An item and what may be put into it.
pub mod item;
/// The handlers.
pub mod routes;
/// Items in the database and the cache.
pub mod store;
