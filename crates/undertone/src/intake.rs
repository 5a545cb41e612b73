//! What is handed in over HTTP: items read from JSON or forms and checked, bodies of many items in pieces, the digest by which the same
//! content is told from other, and the way to disk.

pub mod array;
pub mod body;
pub mod digest;
pub mod form;
pub mod gather;
pub mod item;
pub mod lines;
pub mod nature;

use undertone_core::Arrival;
use undertone_store::accept::Incoming;

/// The longest item of a body, in bytes; the longest text fits, however it is escaped. Longer items are reported and left out, and what
/// follows is read.
pub const MOST_ITEM: usize = 4 << 20;

/// The deepest nesting of JSON that is read.
pub const MOST_DEPTH: usize = 64;

/// An interaction on its way to disk.
#[must_use]
pub fn incoming(arrival: Arrival) -> Incoming {
    Incoming { digest: digest::hex(&arrival), arrival }
}
