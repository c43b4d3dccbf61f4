//! Key files that could betray, weaken or mistake a key.

use std::fs;

use super::{Files, GOOD};
use crate::helpers::canary::{self, CANARY};

#[test]
fn a_key_file_that_could_betray_or_weaken_a_key_is_refused() {
    let no_text = [CANARY.as_bytes(), b"\xff\xfe"].concat();
    let (ended_twice, indented) = (format!("{CANARY}\n\n"), format!(" {CANARY}"));
    let text = "sixteen-bytes-of-it";
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], u32, &str); 12] = [
        (b"", 0o400, "is empty"),
        (b"\n", 0o400, "is empty"),
        (b"fifteen-bytes-x\n", 0o400, "less than 16 bytes"),
        (CANARY.as_bytes(), 0o444, "is open to other users (mode 0444)"),
        (CANARY.as_bytes(), 0o402, "can be changed by other users (mode 0402)"),
        (CANARY.as_bytes(), 0o666, "can be changed by other users (mode 0666)"),
        (ended_twice.as_bytes(), 0o400, "must hold one line of UTF-8 text alone"),
        (indented.as_bytes(), 0o400, "must hold one line of UTF-8 text alone"),
        (&no_text, 0o400, "must hold one line of UTF-8 text alone"),
        (&[b'x'; 5000], 0o400, "longer than 4096 bytes"),
        (&marked, 0o400, "holds a byte order mark"),
        (&wide, 0o400, "holds a byte order mark"),
    ];
    for (content, mode, expected) in cases {
        let files = Files::new(GOOD);
        files.write("secret", content, mode);
        let mistakes = files.mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with("secret: ") && mistakes[0].contains(expected), "{mistakes:?}");
        canary::look_through("a mistake", mistakes[0].as_bytes());
    }
    let files = Files::new(GOOD);
    fs::remove_file(files.directory.path().join("secret")).unwrap();
    files.write("access", "", 0o644);
    let mistakes = files.mistakes();
    assert!(
        mistakes[0].starts_with("access: is empty") && mistakes[1].starts_with("secret: cannot be read"),
        "{mistakes:?}"
    );
    for ending in ["", "\n", "\r\n"] {
        let files = Files::new(GOOD);
        files.write("secret", format!("sixteen-bytes-xx{ending}"), 0o600);
        files.load_with(&[]).unwrap();
    }
}

#[test]
fn an_access_key_belongs_to_one_project() {
    let twice = GOOD.replace("default = true", "")
        + &GOOD[GOOD.find("[projects").unwrap()..].replace("[projects.default]", "[projects.twin]");
    let mistakes = Files::new(&twice).mistakes();
    assert_eq!(
        mistakes,
        ["inkpass.toml:11:9: projects.twin.keys[0]: has the same access key as projects.default.keys[0]"]
    );
}

#[test]
fn a_key_file_s_mistakes_are_all_listed_and_a_pipe_does_not_hold_up_the_start() {
    let files = Files::new(GOOD);
    files.write("secret", "", 0o644);
    let mistakes = files.mistakes();
    assert!(mistakes[0].contains("mode 0644") && mistakes[1].contains("is empty"), "{mistakes:?}");

    let pipe = files.directory.path().join("secret");
    fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(files.mistakes(), ["secret: is not a file"]);

    fs::remove_file(&pipe).unwrap();
    files.write("secret", "the-same-in-both-files", 0o400);
    files.write("access", "the-same-in-both-files\n", 0o400);
    let mistakes = files.mistakes();
    assert!(
        mistakes[0].contains("both files hold the same") && !mistakes[0].contains("the-same"),
        "{mistakes:?}"
    );
}
