//! `[store]`: what replicas share.

use std::path::{Path, PathBuf};

use super::section::Section;
use crate::{
    document::Mistake,
    file::{self, OpenFile},
    pem,
    store::{Address, Settings},
};

/// The longest file that holds the store's URL, and the longest with its CAs.
const LONGEST_URL: u64 = 4096;
const LONGEST_CA: u64 = 1024 * 1024;

/// `[store]` as it is written.
pub(super) struct StoreSection {
    pub(super) url_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    allow_plaintext: Option<bool>,
    share_quotas: Option<bool>,
}

pub(super) fn read(section: &mut Section<'_>) -> StoreSection {
    StoreSection {
        url_file: section.take("url_file"),
        ca_file: section.take("ca_file"),
        allow_plaintext: section.take("allow_plaintext"),
        share_quotas: section.take("share_quotas"),
    }
}

impl StoreSection {
    /// `None`: request ids hold within each replica.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn load(&self, has_salt: bool) -> Result<Option<Settings>, Vec<Mistake>> {
        let Some(url_file) = &self.url_file else {
            let is_set =
                self.ca_file.is_some() || self.allow_plaintext.is_some() || self.share_quotas.is_some();
            let what = "is missing, which the rest of [store] is about";
            return if is_set { Err(vec![Mistake::in_setting("store.url_file", what)]) } else { Ok(None) };
        };
        let mut mistakes = Vec::new();
        if !has_salt {
            let what = "is missing: the store's values are authenticated by a key that is derived from it, the same in \
                        every replica";
            mistakes.push(Mistake::in_setting("audit.salt_file", what));
        }
        let mut note = |setting, what: String| mistakes.push(Mistake::in_setting(setting, what));
        let roots = self.ca_file.as_deref().map(read_roots).transpose();
        let roots = roots.map_err(|what| note("store.ca_file", what)).ok().flatten();
        let address = read_address(url_file).map_err(|what| note("store.url_file", what)).ok();
        if let Some(address) = &address {
            if address.is_readable_on_the_way() && self.allow_plaintext != Some(true) {
                let what = "holds a redis:// URL, which would send the store's password and what is kept in the clear; use \
                            rediss://, or set store.allow_plaintext = true";
                note("store.url_file", what.to_owned());
            }
            if roots.is_some() && !address.is_tls() {
                note("store.ca_file", "goes with a rediss:// URL only".to_owned());
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let share_quotas = self.share_quotas.unwrap_or(false);
        Ok(address.map(|address| Settings {
            address: match roots {
                Some(roots) => address.with_roots(&roots),
                None if address.is_tls() || self.allow_plaintext == Some(true) => address,
                None => address.staying_on_loopback(),
            },
            share_quotas,
        }))
    }
}

fn read_address(path: &Path) -> Result<Address, String> {
    let open = OpenFile::open(path).map_err(|error| error.to_string())?;
    open.check_closed().map_err(|error| error.to_string())?;
    let content = open.read(LONGEST_URL).map_err(|error| error.to_string())?;
    let url = str::from_utf8(&content).map_err(|_| "is not UTF-8")?;
    Address::parse(url.strip_suffix('\n').unwrap_or(url)).map_err(|what| format!("its URL {what}"))
}

fn read_roots(path: &Path) -> Result<Vec<u8>, String> {
    let text = file::read(path, LONGEST_CA).map_err(|error| error.to_string())?;
    pem::certificates(&text)?;
    Ok(text.to_vec())
}
