//! API keys, in files that change.

use std::{fs, path::PathBuf, time::Duration};

use inkpass::{
    caller::{ApiKeys, NewKey, Settings, Unknown},
    entropy::{CountingEntropy, SystemEntropy},
    reload,
    telemetry::Metrics,
};

use super::World;
use crate::helpers::{place::Place, until};

/// A file of API keys.
pub(super) struct KeyFile(Place);

impl KeyFile {
    pub(super) fn new() -> Self {
        Self(Place::new())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("callers.toml")
    }

    pub(super) fn write(&self, text: &str) {
        // As every careful writer does.
        let new = self.0.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    /// Adds a key of this principal's.
    pub(super) fn add(&self, principal: &str) -> String {
        let NewKey { key, digest } = NewKey::draw(&SystemEntropy);
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        self.write(&format!("{text}[[api_keys]]\nprincipal = \"{principal}\"\nsha256 = \"{digest}\"\n"));
        key.to_string()
    }

    fn settings(&self) -> Settings {
        Settings { api_keys_file: Some(self.path()), ..Settings::default() }
    }
}

#[tokio::test]
async fn an_api_key_is_its_principal_s() {
    let file = KeyFile::new();
    let (billing, second, course) =
        (file.add("key:billing"), file.add("key:billing"), file.add("key:course.2_a"));
    let world = World::start(&file.settings());
    for (key, principal) in [(&billing, "key:billing"), (&second, "key:billing"), (&course, "key:course.2_a")]
    {
        assert_eq!(world.identify(&[("x-api-key", key)]).await.unwrap().as_str(), principal);
    }
    let digest = fs::read_to_string(file.path()).unwrap();
    let digest = digest.split('"').find(|part| part.len() == 64).unwrap().to_owned();
    let wrong =
        [billing[..billing.len() - 1].to_owned(), format!("{billing}a"), billing.to_uppercase(), digest];
    for key in wrong {
        let before = world.count("api_key_unknown");
        let result = world.identify(&[("x-api-key", &key)]).await;
        world.assert_unknown(&key, &result, "api_key_unknown", before);
    }
    // Not where a token belongs.
    assert_eq!(world.by_token(&billing).await, Err(Unknown));
    let before = world.count("malformed");
    let result = world.identify(&[("x-api-key", "")]).await;
    world.assert_unknown("an empty key", &result, "malformed", before);
}

#[tokio::test]
async fn without_a_file_no_key_is_known() {
    let world = World::start(&Settings::default());
    let result = world.identify(&[("x-api-key", "ik_key")]).await;
    world.assert_unknown("no file", &result, "api_key_unknown", 0);
}

#[test]
fn a_new_key_is_32_random_bytes_behind_a_mark() {
    let (first, second) = (NewKey::draw(&SystemEntropy), NewKey::draw(&SystemEntropy));
    assert_ne!(*first.key, *second.key);
    assert_eq!((first.key.len(), &first.key[..3]), (3 + 43, "ik_"));
    // Every byte that was drawn is in it.
    let counted = NewKey::draw(&CountingEntropy::default());
    assert_eq!(*counted.key, "ik_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE");
}

fn mistakes(text: &str) -> Vec<String> {
    let file = KeyFile::new();
    file.write(text);
    let Err(mistakes) = ApiKeys::load(file.path()) else { panic!("{text} is taken") };
    let place = format!("{}:", file.path().display());
    let mistakes = mistakes.iter().map(ToString::to_string);
    mistakes.map(|mistake| mistake.strip_prefix(&place).expect(&mistake).to_owned()).collect()
}

#[test]
fn every_mistake_in_the_file_is_told_with_its_line() {
    let digest = "0123456789abcdefABCDEF".repeat(3);
    let (one, other) = (&digest[..64], &digest[1..65]);
    let text = format!(
        "[[api_keys]]\nprincipal = 'key:a'\nsha256 = '{one}'\n\n[[api_keys]]\nprincipal = 'k8s:a/b'\n\
         sha256 = '{other}'\n\n[[api_keys]]\nsha256 = 'ik_canary'\n\n[[api_keys]]\nprincipal = 'key:b'\n\
         digest = 'x'\n\n[[api_keys]]\nprincipal = 7\nsha256 = '{one}'\n\n\
         [[api_keys]]\nprincipal = 'key:c'\nsha256 = '{}'\n\n[[keys]]\n",
        one.to_lowercase()
    );
    let principal = "principal: must be key: and 1 to 63 of 0-9 A-Z a-z . _ and -";
    let expected = [
        format!("6:13: api_keys[1].{principal}"),
        "9:1: api_keys[2]: principal is missing".to_owned(),
        "10:10: api_keys[2].sha256: must be 64 hexadecimal digits: the key's digest, not the key".to_owned(),
        "12:1: api_keys[3]: sha256 is missing".to_owned(),
        "14:1: api_keys[3]: is not known here; there are principal and sha256 only".to_owned(),
        format!("17:13: api_keys[4].{principal}"),
        "18:10: api_keys[4].sha256: is the same as in line 3".to_owned(),
        "22:10: api_keys[5].sha256: is the same as in line 3".to_owned(),
        "24:3: is not known here; there is [[api_keys]] only".to_owned(),
    ];
    assert_eq!(mistakes(&text), expected);
}

#[test]
fn a_file_that_is_no_list_of_keys_is_refused() {
    assert_eq!(mistakes(""), ["1:1: there is no key"]);
    assert_eq!(mistakes("# later\n"), ["1:1: there is no key"]);
    assert_eq!(mistakes("api_keys = []"), ["1:1: there is no key"]);
    assert_eq!(mistakes("\napi_keys = 'a'"), ["2:12: api_keys: must be tables, [[api_keys]]"]);
    assert_eq!(mistakes("\n\napi_keys = ['a']"), ["3:13: api_keys[0]: must be a table"]);
    assert_eq!(mistakes("\n[api_keys]\n"), ["2:1: api_keys: must be tables, [[api_keys]]"]);
    for broken in ["[[api_keys]]\nprincipal = 'key:a", "[[api_keys]]\nprincipal = canary", "\u{0}"] {
        let mistakes = mistakes(broken);
        assert!(mistakes.iter().all(|mistake| mistake.contains("is not TOML")), "{mistakes:?}");
        assert!(!mistakes.concat().contains("canary"), "{mistakes:?}");
    }
    let astray = mistakes("ik_canary = 'key:a'").concat();
    assert!(astray.contains("is not known here") && !astray.contains("canary"), "{astray}");
    let (file, load) = (KeyFile::new(), |path| ApiKeys::load(path).err().unwrap()[0].to_string());
    assert!(load(file.path()).contains("cannot be read"));
    assert!(load(file.0.path().to_owned()).contains("is not a file"));
    fs::write(file.path(), [0xff, 0xfe]).unwrap();
    assert!(load(file.path()).contains("is not UTF-8"));
    fs::write(file.path(), "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(load(file.path()).contains("is longer than 1048576 bytes"));
}

#[tokio::test]
async fn keys_come_and_go_with_the_file_and_survive_a_bad_one() {
    let file = KeyFile::new();
    let first = file.add("key:first");
    let world = World::start(&file.settings());
    let metrics = Metrics::new([]).unwrap();
    let run = reload::run(world.callers.reloads(), Duration::from_hours(1), &metrics, world.end.clone());
    let run = tokio::spawn(run);
    let knows = async |key: &str| world.identify(&[("x-api-key", key)]).await.is_ok();

    let second = file.add("key:second");
    until(async || knows(&second).await).await;
    assert!(knows(&first).await);

    file.write("[[api_keys]]\nprincipal = 'key:half'\nsha2");
    until(async || {
        assert!(knows(&first).await && knows(&second).await);
        metrics.render().contains("inkpass_reload_failing{what=\"api_keys\"} 1")
    })
    .await;
    assert!(knows(&first).await && knows(&second).await);

    fs::remove_file(file.path()).unwrap();
    let third = file.add("key:third");
    until(async || knows(&third).await).await;
    assert!(!knows(&first).await, "it is in the file no more");
    world.end.cancel();
    run.await.unwrap();
}
