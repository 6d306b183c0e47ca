//! What an operator looks at: one overview of everything, for the page at `/` and for
//! `autoscaler status`. Looking changes nothing, and costs little however many look.

/// The overview: what is in it, and how it is put together.
pub mod overview;

/// The newest overview, looked at anew while somebody watches.
pub mod window;

pub use overview::Overview;
pub use window::{Frame, Window};
