//! The reload of keys, with real files. `decisions::keys` tests it in a service.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use inkpass::{
    keyring::{KeyFiles, KeySettings, KeyState, Keyring, Probe, Project, ProjectSettings, Trial},
    region::Region,
    reload::Reload,
    token::{Kind, Role, SigningKey},
};
use tonic::async_trait;

use crate::helpers::{
    canary::{look_through, secret_of},
    place::Place,
};

/// Accepts all keys except those in `rejects`, and records the access keys that it was sent.
#[derive(Default)]
struct Upstream {
    rejects: Vec<&'static str>,
    is_away: bool,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Probe for Upstream {
    async fn accepts(&self, _: &Project, key: Arc<SigningKey>, _: Region) -> Trial {
        self.asked.lock().unwrap().push(key.access_key().to_owned());
        match self.rejects.contains(&key.access_key()) {
            _ if self.is_away => Trial::Unknown,
            true => Trial::Rejected,
            false => Trial::Accepted,
        }
    }
}

/// Projects, each with an active key and one that only verifies: `a1` and `a0` of `a`.
struct World {
    place: Place,
    keys: KeyFiles,
}

impl World {
    fn new(probe: Option<Arc<Upstream>>) -> Self {
        Self::with(&["a", "b"], probe)
    }

    fn with(projects: &[&str], probe: Option<Arc<Upstream>>) -> Self {
        let place = Place::new();
        let key = |slot: &str, state| KeySettings {
            access_key_file: place.join(format!("{slot}.access")),
            secret_key_file: place.join(format!("{slot}.secret")),
            state,
        };
        let project = |name: &str| ProjectSettings {
            name: name.to_owned(),
            is_default: name == "a",
            region: Some(Region::Eu),
            conversion_region: None,
            keys: vec![
                key(&format!("{name}-active"), KeyState::Active),
                key(&format!("{name}-verify"), KeyState::VerifyOnly),
            ],
        };
        let settings: Vec<_> = projects.iter().map(|name| project(name)).collect();
        for name in projects {
            put(&place, &format!("{name}-active"), &format!("{name}1"));
            put(&place, &format!("{name}-verify"), &format!("{name}0"));
        }
        let keyring = Keyring::load(&settings).unwrap();
        let probe = probe.map(|probe| probe as Arc<dyn Probe>);
        let keyring = Arc::new(ArcSwap::from_pointee(keyring));
        Self { keys: KeyFiles { keyring, settings: settings.into(), probe }, place }
    }

    fn put(&self, slot: &str, name: &str) {
        put(&self.place, slot, name);
    }

    fn write(&self, file: &str, content: &str) {
        write(&self.place, file, content);
    }

    /// All mistakes, in one text.
    async fn reload(&self) -> Result<(), String> {
        let result = self.keys.reload().await.map_err(|mistakes| mistakes.join("\n"));
        look_through("mistakes", format!("{result:?}").as_bytes());
        result
    }

    /// The access key that signs for a project.
    fn signs(&self, project: &str) -> String {
        self.keys.keyring.load().project(project).unwrap().signing_key("").unwrap().access_key().to_owned()
    }
}

fn put(place: &Place, slot: &str, name: &str) {
    write(place, &format!("{slot}.access"), name);
    write(place, &format!("{slot}.secret"), &secret_of(name));
}

fn write(place: &Place, file: &str, content: &str) {
    fs::write(place.join(file), content).unwrap();
    fs::set_permissions(place.join(file), fs::Permissions::from_mode(0o440)).unwrap();
}

#[track_caller]
fn assert_is(result: &Result<(), String>, expected: &str) {
    let mistakes = result.as_ref().unwrap_err();
    assert!(mistakes.contains(expected), "{mistakes}");
}

#[tokio::test]
async fn half_a_pair_replaces_nothing_and_the_other_half_completes_it() {
    for first in ["a-active.access", "a-active.secret"] {
        let world = World::new(None);
        match first {
            "a-active.access" => world.write(first, "a2"),
            _ => world.write(first, &secret_of("a2")),
        }
        let half = world.reload().await;
        assert!(half.as_ref().unwrap_err().starts_with("projects.a.keys[0]: its "), "{half:?}");
        assert_eq!(world.signs("a"), "a1");
        world.put("a-active", "a2");
        world.reload().await.unwrap();
        assert_eq!(world.signs("a"), "a2");
    }
}

#[tokio::test]
async fn new_keys_count_tokens_from_where_the_old_ones_were_and_their_age_from_their_file() {
    let world = World::new(None);
    let project = || world.keys.keyring.load().project("a").unwrap().clone();
    project().minted().count(Kind::Task, Role::Writer);
    let changes = || -> Vec<_> {
        let project = project();
        project.changes().map(|(state, key, at)| (state, key.access_key().to_owned(), at.seconds())).collect()
    };
    let before = changes();
    world.put("a-active", "a2");
    let (then, file) = (before[0].2 - 3600, world.place.join("a-active.secret"));
    let modified = UNIX_EPOCH + Duration::from_secs(then.unsigned_abs());
    fs::File::open(file).unwrap().set_modified(modified).unwrap();
    world.reload().await.unwrap();
    assert_eq!(changes(), [(KeyState::Active, "a2".to_owned(), then), before[1].clone()]);
    project().minted().count(Kind::Task, Role::Writer);
    let counted: Vec<_> = project().minted().all().filter(|(_, _, count)| *count > 0).collect();
    assert_eq!(counted, [(Kind::Task, Role::Writer, 2)]);
}

#[tokio::test]
async fn a_secret_that_was_cut_short_replaces_nothing() {
    let world = World::new(None);
    world.write("a-active.secret", &secret_of("a1")[..20]);
    assert_is(&world.reload().await, "projects.a.keys[0]: its access key is in use with another secret key");
    assert_eq!(world.signs("a"), "a1");
}

#[tokio::test]
async fn swapped_files_publish_no_secret() {
    for probe in [None, Some(Arc::default())] {
        let world = World::new(probe);
        world.write("a-active.access", &secret_of("a1"));
        world.write("a-active.secret", &"an-access-key-of-many-bytes".repeat(3));
        // The canary is looked for in all that is said.
        assert_is(&world.reload().await, "projects.a.keys[0]: the file of its access key holds a secret key");
        assert_eq!(world.signs("a"), "a1");
    }
}

#[tokio::test]
async fn a_project_with_a_mistake_keeps_its_keys_and_the_others_are_reloaded() {
    let world = World::new(None);
    world.write("a-active.secret", "");
    world.put("b-active", "b2");
    assert_is(&world.reload().await, "a-active.secret: is empty");
    assert_eq!([world.signs("a"), world.signs("b")], ["a1", "b2"]);
    world.put("a-active", "a2");
    world.reload().await.unwrap();
    assert_eq!([world.signs("a"), world.signs("b")], ["a2", "b2"]);
}

#[tokio::test]
async fn a_key_moves_between_projects_and_belongs_to_one() {
    let world = World::new(None);
    world.put("b-active", "a1");
    assert_is(&world.reload().await, "projects.b.keys[0] has the same access key as projects.a.keys[0]");
    assert_eq!([world.signs("a"), world.signs("b")], ["a1", "b1"]);
    world.put("a-active", "b1");
    world.reload().await.unwrap();
    assert_eq!([world.signs("a"), world.signs("b")], ["b1", "a1"]);

    // One project has a mistake and keeps its keys, so the other cannot have one of them.
    world.put("a-active", "a1");
    world.put("b-active", "b1");
    world.write("b-verify.secret", "");
    assert_is(&world.reload().await, "has the same access key as");
    assert_eq!([world.signs("a"), world.signs("b")], ["b1", "a1"]);
}

#[tokio::test]
async fn two_projects_that_clash_do_not_affect_a_third() {
    let world = World::with(&["a", "b", "c"], None);
    world.put("b-active", "a1");
    world.put("c-active", "c2");
    assert_is(&world.reload().await, "projects.b.keys[0] has the same access key as projects.a.keys[0]");
    assert_eq!([world.signs("a"), world.signs("b"), world.signs("c")], ["a1", "b1", "c2"]);
}

#[tokio::test]
async fn swapped_new_files_publish_no_secret() {
    // Of one pair, and of two that both are new.
    let world = World::new(None);
    world.write("a-active.access", &secret_of("a2"));
    world.write("a-active.secret", "a-new-access-key");
    assert_is(
        &world.reload().await,
        "its access key is longer than its secret key: are the two files swapped?",
    );
    world.write("a-active.access", &secret_of("a2"));
    world.write("a-active.secret", &secret_of("a-longer-one"));
    world.write("a-verify.access", "a2");
    world.write("a-verify.secret", &secret_of("a2"));
    assert_is(&world.reload().await, "the file of an access key holds a secret key");
    assert_eq!(world.signs("a"), "a1");
}

#[tokio::test]
async fn keys_that_clash_are_not_sent_in_a_trial() {
    let upstream = Arc::new(Upstream::default());
    let world = World::new(Some(upstream.clone()));
    // One project's access-key file holds the other's new secret.
    world.write("a-active.access", &secret_of("b2"));
    world.write("a-active.secret", &secret_of("a-longer-one"));
    world.put("b-active", "b2");
    assert_is(&world.reload().await, "the file of an access key holds a secret key");
    assert_eq!(*upstream.asked.lock().unwrap(), [""; 0]);
    assert_eq!([world.signs("a"), world.signs("b")], ["a1", "b1"]);
}

#[tokio::test]
async fn a_key_that_its_project_keeps_after_a_failed_trial_cannot_move_to_another() {
    let upstream = Arc::new(Upstream { rejects: vec!["foreign"], ..Upstream::default() });
    let world = World::new(Some(upstream));
    world.put("a-active", "foreign");
    world.put("b-active", "a1");
    let mistakes = world.reload().await;
    assert_is(&mistakes, "projects.a.keys[0]: the whiteboard API does not accept this key");
    assert_is(&mistakes, "projects.b.keys[0] has the same access key as projects.a.keys[0]");
    assert_eq!([world.signs("a"), world.signs("b")], ["a1", "b1"]);
}

#[tokio::test]
async fn a_signing_key_that_has_not_signed_for_its_project_is_tried() {
    let upstream = Arc::new(Upstream { rejects: vec!["foreign"], ..Upstream::default() });
    let world = World::new(Some(upstream.clone()));
    let asked = || std::mem::take(&mut *upstream.asked.lock().unwrap());
    world.put("a-verify", "foreign");
    world.reload().await.unwrap();
    assert_eq!(asked(), [""; 0], "a verify-only key is not tried");
    world.write("a-verify.secret", &secret_of("foreign")[..20]);
    let half =
        "projects.a.keys[1]: its access key is in use with another secret key; if that is meant, restart";
    assert_eq!(world.reload().await.unwrap_err(), half, "a verify-only key is not tried");

    world.put("a-verify", "a1");
    world.put("a-active", "foreign");
    let promoted = world.reload().await;
    assert_is(&promoted, "projects.a.keys[0]: the whiteboard API does not accept this key");
    assert_eq!((world.signs("a"), asked()), ("a1".to_owned(), vec!["foreign".to_owned()]));

    world.put("a-verify", "a0");
    world.put("a-active", "a2");
    world.reload().await.unwrap();
    assert_eq!((world.signs("a"), asked()), ("a2".to_owned(), vec!["a2".to_owned()]));
    world.reload().await.unwrap();
    assert_eq!(asked(), [""; 0], "a key that has signed is not tried again");
}

#[tokio::test]
async fn only_a_rejected_active_key_keeps_a_server_from_starting() {
    for (rejects, is_away, expected) in [
        (vec![], false, Ok(())),
        (vec!["b1"], true, Ok(())),
        (
            vec!["b1"],
            false,
            Err(vec!["projects.b.keys[0]: the whiteboard API does not accept this key".to_owned()]),
        ),
    ] {
        let upstream = Arc::new(Upstream { rejects, is_away, ..Upstream::default() });
        let world = World::new(Some(upstream.clone()));
        assert_eq!(world.keys.try_at_start().await, expected);
        assert_eq!(*upstream.asked.lock().unwrap(), ["a1", "b1"]);
    }
}
