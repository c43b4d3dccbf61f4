//! `[store]`.

use super::{Files, GOOD};

const SALTED: &str = "[audit]\nsalt_file = \"DIR/salt\"\n";

fn files(store: &str, url: &str) -> Files {
    let files = Files::new(&format!("{store}\n{SALTED}{GOOD}"));
    files.write("salt", "sixteen bytes or more", 0o440);
    files.write("url", url, 0o440);
    files
}

#[test]
fn without_it_request_ids_hold_in_each_replica() {
    assert!(Files::new(GOOD).load_with(&[]).unwrap().store.is_none());
}

#[test]
fn a_store_needs_a_url_file_alone() {
    for url in [
        "redis://127.0.0.1\n",
        "rediss://user:pass@store",
        "rediss+sentinel://a,b/main",
        "rediss+cluster://a",
    ] {
        let files = files("[store]\nurl_file = \"DIR/url\"", url);
        let store = files.load_with(&[]).unwrap().store.unwrap();
        let is_tls = url.starts_with("rediss");
        assert_eq!((store.address.is_tls(), store.share_quotas), (is_tls, false), "{url}");
        // Nor does a plain one lead elsewhere.
        assert_eq!(store.address.stays_on_loopback(), !is_tls, "{url}");
    }
    let files = files("[store]\nurl_file = \"DIR/url\"\nallow_plaintext = true", "redis://store");
    let store = files.load_with(&[("INKPASS_STORE__SHARE_QUOTAS", "true")]).unwrap().store.unwrap();
    assert!(store.share_quotas && !store.address.stays_on_loopback());
}

#[test]
fn its_mistakes_are_listed_and_no_password() {
    let in_the_clear = "store.url_file: holds a redis:// URL, which would send the store's password and what is kept in \
                        the clear; use rediss://, or set store.allow_plaintext = true";
    for (settings, url, mistakes) in [
        (
            "[store]\nshare_quotas = true",
            "",
            &["store.url_file: is missing, which the rest of [store] is about"][..],
        ),
        ("[store]\nurl_file = \"DIR/url\"", "redis://:secret@store", &[in_the_clear]),
        (
            "[store]\nurl_file = \"DIR/url\"\nca_file = \"DIR/salt\"",
            "rediss://:secret@store",
            &["store.ca_file: holds no certificate in PEM form"],
        ),
        (
            "[store]\nurl_file = \"DIR/url\"",
            "http://secret",
            &["store.url_file: its URL must be redis://HOST, redis+sentinel://HOST,HOST/MASTER or \
               redis+cluster://HOST,HOST, each also with rediss, USER:PASSWORD@ and :PORT"],
        ),
        (
            "[store]\nurl_file = \"DIR/url\"",
            "rediss+sentinel://secret@a",
            &["store.url_file: its URL must end with /MASTER, the name that the Sentinels call the store by"],
        ),
    ] {
        let found = files(settings, url).mistakes();
        assert_eq!(found.len(), mistakes.len(), "{found:?}");
        for (found, mistake) in found.iter().zip(mistakes) {
            assert!(found.ends_with(mistake) && !found.contains("secret"), "{found}");
        }
    }
}

#[test]
fn a_store_without_a_salt_that_all_replicas_have_is_refused() {
    let files = Files::new(&format!("[store]\nurl_file = \"DIR/url\"\n{GOOD}"));
    files.write("url", "redis://127.0.0.1", 0o440);
    let [mistake] = &*files.mistakes() else { panic!("one mistake") };
    assert!(
        mistake.contains("audit.salt_file: is missing: the store's values are authenticated"),
        "{mistake}"
    );
}

#[test]
fn a_url_that_others_may_read_is_refused() {
    let files = files("[store]\nurl_file = \"DIR/url\"", "");
    files.write("url", "redis://127.0.0.1", 0o444);
    let [mistake] = &*files.mistakes() else { panic!("one mistake") };
    assert!(mistake.contains("store.url_file: is open to other users (mode 0444)"), "{mistake}");
}
