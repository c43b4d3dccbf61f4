//! Runs commands as a page has them.

use std::{fs, path::Path, process::Command};

use super::skipped::not_installed;

/// What the page's one command that contains this prints, in this directory, with some of its words replaced. `None`, with
/// the reason printed, where jq is not installed.
pub(crate) fn run(page: &str, containing: &str, directory: &Path, more: &[(&str, &str)]) -> Option<String> {
    if Command::new("jq").arg("--version").output().is_err() {
        not_installed("jq");
        return None;
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let commands = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let [command] = commands.filter(|command| command.contains(containing)).collect::<Vec<_>>()[..] else {
        panic!("{page} has not one command with {containing:?}");
    };
    let command = more.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to));
    let output = Command::new("sh").args(["-ec", &command]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}
