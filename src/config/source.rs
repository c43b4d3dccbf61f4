//! Where settings come from: a TOML file, and variables that go before it.

use std::ffi::OsString;

use toml::Table;

use super::{
    Sources,
    section::{Mistakes, Section},
};

pub(super) fn read_file(sources: &Sources, mistakes: &Mistakes) -> Option<Table> {
    let Some(path) = &sources.file else {
        mistakes.add("settings", "no file; name one with --config or INKPASS_CONFIG");
        return None;
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            mistakes.add(path.display(), format_args!("cannot be read: {error}"));
            return None;
        }
    };
    if text.trim().is_empty() {
        mistakes.add(path.display(), "is empty");
        return None;
    }
    match text.parse::<Table>() {
        Ok(table) => Some(table),
        Err(error) => {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            mistakes.add(
                format_args!("{}:{line}", path.display()),
                format_args!("is not TOML: {}", error.message()),
            );
            None
        }
    }
}

/// `INKPASS_SERVER__LISTEN` is `server.listen`. Variables without `__` are none of ours.
pub(super) fn overlay_environment(
    variables: &[(OsString, OsString)],
    sections: &mut [Section<'_>],
    mistakes: &Mistakes,
) {
    for (name, text) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some((section, setting)) = name.strip_prefix("INKPASS_").and_then(|name| name.split_once("__"))
        else {
            continue;
        };
        let Some(text) = text.to_str() else {
            mistakes.add(name, "is not UTF-8");
            continue;
        };
        match sections.iter_mut().find(|known| known.path().eq_ignore_ascii_case(section)) {
            Some(known) => known.overlay(setting.to_ascii_lowercase(), name.to_owned(), text.to_owned()),
            None => mistakes.add(name, "names no known section; projects and lists are set in the file only"),
        }
    }
}
