//! The file of API keys:
//!
//! ```toml
//! [[api_keys]]
//! principal = "key:billing"
//! sha256 = "…64 hexadecimal digits…"
//! ```
//!
//! A principal may have several keys, so that one can be replaced without a gap.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
};

use super::{Principal, api_keys::Digest};
use crate::document::{Document, Fields, Mistake, Node};

/// The longest file, in bytes: as much as a Kubernetes Secret can hold.
const LONGEST_FILE: u64 = 1024 * 1024;

pub(super) type Keys = HashMap<Digest, Principal>;

/// # Errors
/// Every mistake.
pub(super) fn read(path: &Path) -> Result<Keys, Vec<Mistake>> {
    let document = Document::read(path, LONGEST_FILE, "is not known here")?;
    let keys = document.root().and_then(read_root);
    document.finish(keys)
}

fn read_root(mut root: Fields<'_>) -> Option<Keys> {
    let list = root.take("api_keys");
    root.refuse_rest("is not known here; there is [[api_keys]] only");
    let tables = list.map_or(Some(Vec::new()), |list| list.items("tables, [[api_keys]]"))?;
    if tables.is_empty() {
        root.wrong("there is no key");
    }
    let (mut keys, mut lines) = (Keys::new(), HashMap::new());
    for mut fields in tables.into_iter().filter_map(Node::fields) {
        let principal = fields.need("principal").and_then(|node| {
            let parse = |text: &str| text.parse().ok().filter(|_| text.starts_with("key:"));
            node.name(parse, "key: and 1 to 63 of 0-9 A-Z a-z . _ and -")
        });
        let digest = fields.need("sha256").and_then(|node| read_digest(&node, &mut lines));
        fields.refuse_rest("is not known here; there are principal and sha256 only");
        if let (Some(principal), Some(digest)) = (principal, digest) {
            keys.insert(digest, principal);
        }
    }
    Some(keys)
}

/// `lines`: where each digest stands first.
fn read_digest(node: &Node<'_>, lines: &mut HashMap<Digest, usize>) -> Option<Digest> {
    let digest =
        node.name(|text| text.parse().ok(), "64 hexadecimal digits: the key's digest, not the key")?;
    match lines.entry(digest) {
        Entry::Vacant(entry) => {
            entry.insert(node.line());
        }
        Entry::Occupied(first) => node.wrong(format_args!("is the same as in line {}", first.get())),
    }
    Some(digest)
}
