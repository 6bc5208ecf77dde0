//! What keeping and restoring costs: price lists, and the arithmetic over them. Pure: it is handed text and numbers.
//!
//! Promises: sums are whole millionths, never floats; currencies are never mixed; **what is not known is absent**, and
//! every sum it would be part of is absent too, never less and never 0. Prices are dated and say where they are from.
//! The list that is shipped is `config/prices.toml`; an operator's own file takes its place as a whole.

mod bill;
mod book;
mod held;
mod money;
mod offer;
mod place;
mod quote;
mod restore;
#[cfg(test)]
mod table_tests;

pub use bill::{Month, early, month, upload};
pub use book::{PriceBook, Terms};
pub use held::Held;
pub use money::{Currency, GB, MONTH_DAYS, Money, Price, sum};
pub use offer::{Egress, EgressStep, Offer, SpeedTerms, ThawTerms};
pub use place::{OWN, Place};
pub use quote::{COPIES_DAYS, Calls, Quote, Stock, compare, quote};
pub use restore::{Estimate, RestoreNeed, restore};
