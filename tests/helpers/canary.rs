//! A secret that is searched for in every output, in many encodings: row 42 of the fault cases.
//!
//! Every secret key of this suite begins with it. All that a test reads of a program, and every file that
//! it leaves, is searched: a secret key in it ends the suite.

use std::{
    fs,
    io::{Write, stderr},
    path::Path,
    process::abort,
    sync::LazyLock,
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};

/// A secret key. It gives `+` or `/` in each base64, and nothing that JSON escapes.
pub(crate) const CANARY: &str = "CANARY~?>~?>key~~~???>>>5e1f0c7b2a9d48e6b3d1f7a0";

/// The length of the pieces that are searched for, in bytes.
pub(crate) const PIECE: usize = 16;

/// A form of a piece, by its name.
type Form = (String, Vec<u8>);

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(forms);

/// The secret key of an access key.
pub(crate) fn secret_of(access_key: &str) -> String {
    format!("{CANARY}{access_key}")
}

/// Every piece of the secret in every form.
pub(crate) fn forms() -> Vec<Form> {
    let pieces = CANARY.as_bytes().chunks_exact(PIECE).enumerate();
    pieces
        .flat_map(|(index, piece)| {
            forms_of(piece).into_iter().map(move |(name, form)| (format!("piece {index}, {name}"), form))
        })
        .collect()
}

fn forms_of(bytes: &[u8]) -> Vec<Form> {
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let percent = bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let mut forms = vec![
        ("raw".to_owned(), bytes.to_vec()),
        ("hex".to_owned(), hex.to_uppercase().into_bytes()),
        ("hex in lower case".to_owned(), hex.into_bytes()),
        ("a list of numbers".to_owned(), list.join(", ").into_bytes()),
        ("a short list of numbers".to_owned(), list.join(",").into_bytes()),
        ("percent-encoded".to_owned(), percent.into_bytes()),
    ];
    // Within a longer text it begins at one of three places of base64's four letters.
    for before in 0..3 {
        let padded = [&vec![0; before][..], bytes].concat();
        for (name, engine) in [("base64", BASE64_STANDARD_NO_PAD), ("base64url", BASE64_URL_SAFE_NO_PAD)] {
            let text = engine.encode(&padded).into_bytes();
            // Letters at the ends are made of neighbouring bytes too.
            let inner = text[if before == 0 { 0 } else { 4 }..text.len() / 4 * 4 - 4].to_vec();
            forms.push((format!("{name} at {before}"), inner));
        }
    }
    forms
}

/// The names of all forms in `bytes`.
pub(crate) fn forms_in(bytes: &[u8]) -> Vec<&'static str> {
    let mut begins = [false; 256];
    FORMS.iter().for_each(|(_, form)| begins[usize::from(form[0])] = true);
    let mut found = Vec::new();
    for (at, first) in bytes.iter().enumerate().filter(|(_, byte)| begins[usize::from(**byte)]) {
        let here = FORMS.iter().filter(|(_, form)| form[0] == *first && bytes[at..].starts_with(form));
        found.extend(here.map(|(name, _)| &**name));
    }
    found
}

/// Aborts the suite if a secret key is in `bytes`. A server would survive a panic.
pub(crate) fn look_through(what: &str, bytes: &[u8]) {
    let found = forms_in(bytes);
    if found.is_empty() {
        return;
    }
    // Directly, because a test's output is captured until it ends.
    let _ = writeln!(stderr(), "A SECRET KEY IS IN {what}: {found:?}");
    abort();
}

/// Searches every file under a directory, except key files.
pub(crate) fn look_through_files(directory: &Path) {
    let mut places = vec![directory.to_owned()];
    while let Some(place) = places.pop() {
        // Symlinks are not followed: their targets are searched where they are.
        let Ok(metadata) = fs::symlink_metadata(&place) else { continue };
        if metadata.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if metadata.is_file() {
            let bytes = fs::read(&place).unwrap();
            if !is_key_file(&bytes) {
                look_through(&place.display().to_string(), &bytes);
            }
        }
    }
}

/// Whether a test wrote it as a key, or as the beginning of one.
fn is_key_file(bytes: &[u8]) -> bool {
    let key = bytes.trim_ascii();
    let canary = CANARY.as_bytes();
    canary.starts_with(key) || (key.starts_with(canary) && !key.contains(&b'\n'))
}
