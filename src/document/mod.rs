//! One reader of TOML, for settings, policies and API keys: it reads a document to its end and
//! collects every mistake with where it stands.
//!
//! It knows nothing of what a document is about. A mistake never shows a value: it may be a secret
//! gone astray.

mod mistake;
mod node;
mod reader;

pub use self::{mistake::Mistake, reader::Digests};
pub(crate) use self::{
    node::{Fields, Node, Optional},
    reader::{Document, join},
};
