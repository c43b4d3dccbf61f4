//! A secret that can be found again, in whatever form it got out.

use std::{fs, path::Path};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};

/// A secret key. What it is made of gives `+` or `/` in each base64, and nothing that JSON escapes.
pub(crate) const CANARY: &str = "CANARY~?>~?>key~~~???>>>5e1f0c7b2a9d48e6b3d1f7a0";

/// A form, by its name.
type Form = (String, Vec<u8>);

/// Both halves of the secret, each in every form: half a secret in the open is one too many.
pub(crate) fn forms() -> Vec<Form> {
    let (first, second) = CANARY.as_bytes().split_at(CANARY.len() / 2);
    [("first half", first), ("second half", second)]
        .into_iter()
        .flat_map(|(half, bytes)| {
            forms_of(bytes).into_iter().map(move |(name, form)| (format!("{half}, {name}"), form))
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

/// Each form in each file beneath a directory, as `file: form`.
pub(crate) fn find(directory: &Path) -> Vec<String> {
    let (forms, mut found, mut places) = (forms(), Vec::new(), vec![directory.to_owned()]);
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = fs::read(&place).unwrap();
        let here = forms.iter().filter(|(_, form)| contains(&bytes, form));
        found.extend(here.map(|(name, _)| format!("{}: {name}", place.display())));
    }
    found
}

pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let mut rest = bytes;
    // By the first byte, which is fast enough for a process's memory.
    while let Some(at) = rest.iter().position(|byte| *byte == wanted[0]) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
