//! Files that change while they are in use: real files, written in every way that people and
//! Kubernetes write them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use inkpass::{
    reload::{self, Reload},
    telemetry::Metrics,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use crate::helpers::{log::Log, place::Place, until};

/// Longer than any test: only a change that is seen leads to a reload.
const NEVER: Duration = Duration::from_hours(1);

/// Often enough that what no directory tells is found in time.
const OFTEN: Duration = Duration::from_millis(20);

/// A word in a file. It must begin with `good`.
struct Word {
    file: PathBuf,
    text: Mutex<String>,
    /// It is refused, whether good or not.
    is_refused: AtomicBool,
    reloads: AtomicUsize,
}

impl Word {
    fn new(file: PathBuf) -> Self {
        Self {
            file,
            text: Mutex::default(),
            is_refused: AtomicBool::default(),
            reloads: AtomicUsize::default(),
        }
    }

    fn get(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn reloads(&self) -> usize {
        self.reloads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Reload for Word {
    fn name(&self) -> &'static str {
        "word"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        let read = fs::read_to_string(&self.file).map_err(|error| vec![format!("word: {}", error.kind())]);
        let result = read.and_then(|text| match text.strip_prefix("good") {
            Some(_) if !self.is_refused.load(Ordering::SeqCst) => Ok(text),
            Some(_) => Err(vec!["word: not now".to_owned()]),
            None => Err(vec!["word:1: is not good".to_owned(), "word:2: is missing".to_owned()]),
        });
        // After the word, for tests that wait for the number.
        let result = result.map(|word| *self.text.lock().unwrap() = word);
        self.reloads.fetch_add(1, Ordering::SeqCst);
        result
    }
}

/// A word that is kept as its file is.
struct World {
    directory: Place,
    word: Arc<Word>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
    run: JoinHandle<()>,
}

impl World {
    /// The file's path, and how it is made.
    async fn start(file: &str, interval: Duration, make: impl FnOnce(&Path)) -> Self {
        let directory = Place::new();
        make(directory.path());
        let file = directory.path().join(file);
        let kept = Arc::new(Word::new(file));
        let (metrics, end) = (Arc::new(Metrics::new([]).unwrap()), CancellationToken::new());
        let run = reload::run(vec![kept.clone()], interval, &metrics, end.clone());
        let world = Self { directory, word: kept, metrics, end, run: tokio::spawn(run) };
        world.until(|word| word.reloads() >= 1).await;
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the file so that nobody sees half of it.
    fn put(&self, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path("word")).unwrap();
    }

    async fn until(&self, is_true: impl Fn(&Word) -> bool) {
        until(async || is_true(&self.word)).await;
    }

    async fn becomes(&self, text: &str) {
        self.until(|word| word.get() == text).await;
    }

    async fn fails(&self, times: u32) {
        self.until(|_| self.metric("inkpass_reloads_total{result=\"failed\",what=\"word\"}") == times).await;
        assert_eq!(self.metric("inkpass_reload_failing{what=\"word\"}"), 1);
    }

    /// Succeeds in a way that is counted.
    async fn succeeded(&self, times: u32) {
        self.until(|_| self.metric("inkpass_reloads_total{result=\"ok\",what=\"word\"}") == times).await;
        assert_eq!(self.metric("inkpass_reload_failing{what=\"word\"}"), 0);
    }

    fn metric(&self, name: &str) -> u32 {
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    }

    /// Ends in order, with so many reloads.
    async fn ends(self, reloads: usize) {
        self.end.cancel();
        self.run.await.unwrap();
        assert_eq!(self.word.reloads(), reloads);
    }
}

/// A mounted volume as the kubelet makes it: `word` → `..data/word`, `..data` → a directory.
fn mount(place: &Path) {
    swap(place, "..2026_09_21_1", "good one");
    symlink("..data/word", place.join("word")).unwrap();
}

/// Writes all files into another directory, and then swaps them in by one rename.
fn swap(place: &Path, name: &str, text: &str) {
    fs::create_dir(place.join(name)).unwrap();
    fs::write(place.join(name).join("word"), text).unwrap();
    symlink(name, place.join("..data_tmp")).unwrap();
    fs::rename(place.join("..data_tmp"), place.join("..data")).unwrap();
}

fn write(place: &Path) {
    fs::write(place.join("word"), "good one").unwrap();
}

#[tokio::test]
async fn the_swap_of_a_mounted_volume_is_seen() {
    let world = World::start("word", NEVER, mount).await;
    let place = world.directory.path();
    swap(place, "..2026_09_21_2", "good two");
    world.becomes("good two").await;
    fs::remove_dir_all(place.join("..2026_09_21_1")).unwrap();
    swap(place, "..2026_09_21_3", "bad");
    world.fails(1).await;
    assert_eq!(world.word.get(), "good two");
    swap(place, "..2026_09_21_4", "good four");
    world.becomes("good four").await;
    world.succeeded(2).await;
    world.end.cancel();
}

#[tokio::test]
async fn a_file_written_in_place_and_one_renamed_over_it_are_seen() {
    let world = World::start("word", NEVER, write).await;
    assert_eq!(world.word.get(), "good one");
    fs::write(world.path("word"), "good two").unwrap();
    world.becomes("good two").await;
    world.put("good three");
    world.becomes("good three").await;
    world.succeeded(2).await;
    world.end.cancel();
}

#[tokio::test]
async fn a_file_that_is_gone_or_empty_keeps_what_was_read_before() {
    let world = World::start("word", NEVER, write).await;
    fs::remove_file(world.path("word")).unwrap();
    world.fails(1).await;
    fs::write(world.path("word"), "").unwrap();
    world.fails(2).await;
    fs::write(world.path("word"), "half wri").unwrap();
    world.fails(3).await;
    fs::remove_file(world.path("word")).unwrap();
    fs::create_dir(world.path("word")).unwrap();
    world.fails(4).await;
    assert_eq!(world.word.get(), "good one");
    fs::remove_dir(world.path("word")).unwrap();
    // Back again as it was: it is in use, and nothing fails any more.
    write(world.directory.path());
    world.succeeded(1).await;
    world.end.cancel();
}

#[tokio::test]
async fn what_says_the_same_is_not_read_again() {
    let world = World::start("word", OFTEN, mount).await;
    let place = world.directory.path();
    swap(place, "..2026_09_21_2", "good one");
    fs::write(world.path("neighbour"), "x").unwrap();
    world.put("good one");
    fs::File::open(world.path("word")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    // Many intervals and the quiet after a change pass; then a change shows that it was looking.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.word.reloads(), 1);
    fs::write(world.path("word"), "good two").unwrap();
    world.becomes("good two").await;
    world.ends(2).await;
}

#[tokio::test]
async fn who_may_read_a_file_counts_as_what_is_in_it() {
    let world = World::start("word", OFTEN, write).await;
    fs::set_permissions(world.path("word"), fs::Permissions::from_mode(0o666)).unwrap();
    world.until(|word| word.reloads() == 2).await;
    world.ends(2).await;
}

#[tokio::test]
async fn what_failed_is_tried_again_at_any_change_beside_it() {
    let world = World::start("word", NEVER, write).await;
    world.word.is_refused.store(true, Ordering::SeqCst);
    world.put("good two");
    world.fails(1).await;
    // As where a file was gone in the moment of reading, and is back as it was.
    world.word.is_refused.store(false, Ordering::SeqCst);
    fs::write(world.path("neighbour"), "x").unwrap();
    world.becomes("good two").await;
    world.end.cancel();
}

#[tokio::test]
async fn a_failure_is_logged_once_with_every_mistake_however_often_it_is_tried() {
    let log = Log::start();
    let world = World::start("word", OFTEN, write).await;
    assert_eq!(log.text(), "", "what is in use from the beginning is no news");
    world.put("bad");
    world.fails(1).await;
    let tried = world.word.reloads();
    // What failed may have failed for another reason than its content.
    world.until(|word| word.reloads() > tried + 3).await;
    world.put("worse");
    world.fails(2).await;
    world.put("good two");
    world.succeeded(1).await;
    world.put("bad");
    world.fails(3).await;

    let text = log.text();
    assert_eq!(log.count("ERROR"), 3, "{text}");
    assert_eq!(log.count("mistakes=\"word:1: is not good; word:2: is missing\""), 3, "{text}");
    assert_eq!((log.count("INFO"), log.count("what=\"word\"")), (1, 4), "{text}");
    world.end.cancel();
}

#[tokio::test]
async fn what_no_directory_tells_is_found_at_the_interval() {
    let elsewhere = Place::new();
    let target = elsewhere.path().join("target");
    fs::write(&target, "good one").unwrap();
    let link = |place: &Path| symlink(&target, place.join("word")).unwrap();
    let world = World::start("word", OFTEN, link).await;
    fs::write(&target, "good two").unwrap();
    world.becomes("good two").await;
    world.end.cancel();
}

#[tokio::test]
async fn where_nothing_can_be_watched_files_are_still_read() {
    let log = Log::start();
    let world = World::start("later/word", Duration::from_secs(2), |_| ()).await;
    world.fails(1).await;
    fs::create_dir(world.path("later")).unwrap();
    fs::write(world.path("later/word"), "good one").unwrap();
    world.becomes("good one").await;
    assert_eq!(log.count("directories cannot be watched"), 1, "{}", log.text());
    // From now on the directory is watched: what changes is seen long before the next time.
    fs::write(world.path("later/word"), "good two").unwrap();
    tokio::time::timeout(Duration::from_millis(1_500), world.becomes("good two")).await.unwrap();
    world.end.cancel();
}

#[tokio::test]
async fn a_change_before_the_beginning_is_not_missed() {
    // The part was made of other content than its file has when the watch begins.
    let world =
        World::start("word", NEVER, |place| fs::write(place.join("word"), "good late").unwrap()).await;
    assert_eq!(world.word.get(), "good late");
    world.ends(1).await;
    let world = World::start("word", NEVER, |place| fs::write(place.join("word"), "bad").unwrap()).await;
    world.fails(1).await;
    world.ends(1).await;
}

#[tokio::test]
async fn what_failed_is_not_tried_at_every_change_beside_it() {
    let world = World::start("word", NEVER, write).await;
    world.put("bad");
    world.fails(1).await;
    let began = std::time::Instant::now();
    // As a log that the failure itself is written to.
    while began.elapsed() < Duration::from_secs(2) {
        fs::write(world.path("neighbour"), "x").unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(world.word.reloads(), 2);
    world.put("good two");
    world.becomes("good two").await;
    world.end.cancel();
}

/// Its files are read, and nobody hears of it again.
struct Endless(PathBuf);

#[async_trait]
impl Reload for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }

    async fn reload(&self) -> Result<(), Vec<String>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_is_slow_delays_no_other() {
    let place = Place::new();
    write(place.path());
    let file = place.join("word");
    let endless = Arc::new(Endless(file.clone()));
    let word = Arc::new(Word::new(file));
    let (metrics, end) = (Metrics::new([]).unwrap(), CancellationToken::new());
    let run = tokio::spawn(reload::run(vec![endless, word.clone()], NEVER, &metrics, end.clone()));
    until(async || word.get() == "good one").await;
    fs::write(place.join("word"), "good two").unwrap();
    until(async || word.get() == "good two").await;
    end.cancel();
    run.await.unwrap();
}
