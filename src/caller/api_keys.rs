//! API keys, for small installations: a file of principals and of their keys' SHA-256 digests.
//!
//! ```toml
//! [[api_keys]]
//! principal = "key:billing"
//! sha256 = "…64 hexadecimal digits…"
//! ```
//!
//! A principal may have several keys, so that one can be replaced without a gap.
//!
//! A key is 32 random bytes, so a fast digest is enough: there is nothing to guess it from. A
//! presented key is digested before anything is compared. So the duration of a look-up tells of
//! digests at most, which cannot be chosen or turned into a key; and two digests are compared in
//! constant time anyway.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tonic::async_trait;
use zeroize::Zeroizing;

use crate::{
    document::{Document, Fields, Mistake, Node},
    entropy::Entropy,
    hex,
    principal::Principal,
    reload::{Reload, on_a_thread},
};

/// What a key begins with, so that people and scanners for secrets know one when they see it.
const PREFIX: &str = "ik_";

/// The API keys in a file, as the file was when it was last valid.
pub struct ApiKeys {
    path: PathBuf,
    keys: ArcSwap<HashMap<Digest, Principal>>,
}

/// A new key: shown once, and never kept.
pub struct NewKey {
    /// The key: a secret.
    pub key: Zeroizing<String>,
    /// What the file holds of it.
    pub digest: Digest,
}

impl ApiKeys {
    /// Reads the file.
    ///
    /// # Errors
    /// Every mistake.
    pub fn load(path: PathBuf) -> Result<Self, Vec<Mistake>> {
        let keys = ArcSwap::from_pointee(read_file(&path)?);
        Ok(Self { path, keys })
    }

    /// Whose key it is.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<Principal> {
        self.keys.load().get(&Digest::of(key)).cloned()
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeys").field(&self.path).finish()
    }
}

#[async_trait]
impl Reload for ApiKeys {
    fn name(&self) -> &'static str {
        "api_keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn describe(&self) -> String {
        format!("{} API keys", self.keys.load().len())
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let path = self.path.clone();
        self.keys.store(Arc::new(on_a_thread(move || read_file(&path)).await?));
        Ok(())
    }
}

impl NewKey {
    /// Draws 32 bytes.
    #[must_use]
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[..16].copy_from_slice(&entropy.bytes());
        bytes[16..].copy_from_slice(&entropy.bytes());
        // Never grows, so that no unwiped copy is left behind.
        let mut key = Zeroizing::new(String::with_capacity(64));
        key.push_str(PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut key);
        let digest = Digest::of(key.as_bytes());
        Self { key, digest }
    }
}

/// SHA-256 of an API key; no secret.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// From 64 hexadecimal digits.
impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        hex::decode(text).map(Self).ok_or(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The longest file, in bytes: as much as a Kubernetes Secret can hold.
const LONGEST_FILE: u64 = 1024 * 1024;

type Keys = HashMap<Digest, Principal>;

/// # Errors
/// Every mistake.
fn read_file(path: &Path) -> Result<Keys, Vec<Mistake>> {
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
