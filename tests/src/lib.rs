//! What the end-to-end tests share: the deployed stack, seen as a user sees it.
//!
//! Everything goes through `docker`, the published ports and the scripts. Waiting is always
//! for a condition, with a bound and a sentence that says what did not come.

pub mod browser;
pub mod dashboards;
pub mod figures;
pub mod load;
pub mod prometheus;
pub mod receiver;
pub mod stack;
pub mod traffic;
pub mod wait;
pub mod writes;

pub use browser::Browser;
pub use load::Load;
pub use prometheus::Prometheus;
pub use stack::Stack;
pub use traffic::Traffic;
pub use wait::{eventually, steadily};
pub use writes::Writers;
