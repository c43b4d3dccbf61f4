//! `inkpass serve` on real files: a mounted Secret, a policy, API keys; its upstream is an emulator.
//! Most audit with `on_failure = 'allow'`, because in these tests a failed call has another meaning.

use std::{
    fmt::Write,
    fs,
    future::pending,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use inkpass::{
    client::Client,
    clock::SystemClock,
    emulator::{self, Emulator},
    entropy::SystemEntropy,
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::transport::Channel;

use super::{CALLERS, connect, until, write_keys};
use crate::{
    command_line::{Limit, Served},
    helpers::{ANY_PORT, canary, key, log::whole_lines, place::Place, upstream::Upstream},
};

/// The keys that the emulator accepts.
pub(crate) const ACCEPTED: [&str; 4] = ["first-key", "second-key", "third-key", "fourth-key"];

pub(crate) struct Program {
    directory: Place,
    served: Served,
}

impl Program {
    /// `whiteboard`: more of that section of the settings, and other sections. It begins with the first of [`ACCEPTED`].
    pub(crate) async fn start(policy: &str, whiteboard: &str) -> Self {
        // What comes of a line that is late is tested elsewhere: here no call may fail for want of a core.
        Self::with(policy, whiteboard, "allow", &[Files::of(ACCEPTED[0])]).await
    }

    /// With its upstream, to make that fail.
    pub(crate) async fn with_upstream(policy: &str) -> (Self, Upstream) {
        let program = Self::start(policy, "").await;
        let upstream = program.upstream();
        (program, upstream)
    }

    pub(crate) fn upstream(&self) -> Upstream {
        let settings = fs::read_to_string(self.path("inkpass.toml")).unwrap();
        let address = settings.split("http://").nth(1).unwrap().split('\'').next().unwrap();
        Upstream::new(address.parse().unwrap())
    }

    /// With these keys: the first is active, and the others are retiring.
    pub(super) async fn with(policy: &str, whiteboard: &str, on_failure: &str, keys: &[Files]) -> Self {
        Self::with_audit(policy, whiteboard, ("DIR/audit.log", on_failure), keys, Limit::None, 0).await
    }

    /// With the audit trail in another file.
    pub(crate) async fn auditing_to(file: &str, policy: &str) -> Self {
        Self::with_audit(policy, "", (file, "deny"), &[Files::of(ACCEPTED[0])], Limit::None, 0).await
    }

    /// With a limit of the kernel on it, and so many callers besides: `key:crowd-0` and so on.
    pub(crate) async fn limited(policy: &str, limit: Limit<'_>, crowd: usize) -> Self {
        let keys = [Files::of(ACCEPTED[0])];
        Self::with_audit(policy, "", ("DIR/audit.log", "allow"), &keys, limit, crowd).await
    }

    async fn with_audit(
        policy: &str,
        whiteboard: &str,
        (output, on_failure): (&str, &str),
        keys: &[Files],
        limit: Limit<'_>,
        crowd: usize,
    ) -> Self {
        let directory = Place::new();
        let path = |name: &str| directory.path().join(name);
        let crowd: Vec<_> = (0..crowd).map(|number| format!("key:crowd-{number}")).collect();
        let callers: Vec<_> = CALLERS.into_iter().chain(crowd.iter().map(|caller| &**caller)).collect();
        write_keys(&directory, &callers);
        for name in ["keys", "policy"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("policy/policy.toml"), policy).unwrap();
        swap(&path("keys"), "..1", keys);
        let mut listed = String::new();
        for index in 0..keys.len() {
            let (access, secret) = (format!("access-{index}"), format!("secret-{index}"));
            for name in [&access, &secret] {
                symlink(Path::new("..data").join(name), path("keys").join(name)).unwrap();
            }
            let state = if index == 0 { "active" } else { "retiring" };
            let files =
                format!("access_key_file = 'DIR/keys/{access}', secret_key_file = 'DIR/keys/{secret}'");
            write!(listed, "{{ {files}, state = '{state}' }},").unwrap();
        }
        let settings = "[whiteboard]\nbase_url = 'http://UPSTREAM'\nMORE\n[policy]\nfile = 'DIR/policy/policy.toml'\n\
             [identity]\napi_keys_file = 'DIR/callers.toml'\n[audit]\noutput = 'OUTPUT'\non_failure = 'FAILURE'\n\
             [projects.default]\nregion = 'us-sv'\nkeys = [KEYS]\n"
            .replace("KEYS", &listed)
            .replace("FAILURE", on_failure)
            .replace("OUTPUT", output)
            .replace("UPSTREAM", &emulator().await)
            .replace("DIR", directory.path().to_str().unwrap())
            .replace("MORE", whiteboard);
        fs::write(path("inkpass.toml"), settings).unwrap();

        let (config, log) = (path("inkpass.toml"), fs::File::create(path("log")).unwrap());
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"];
        let arguments = [&arguments[..], &[config.to_str().unwrap()]].concat();
        let served = Served::limited(&arguments, log, limit);
        Self { directory, served }
    }

    pub(crate) fn id(&self) -> u32 {
        self.served.process.id()
    }

    /// A figure of its, as the kernel gives it; memory in KiB.
    pub(crate) fn status(&self, name: &str) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The CPU time that it has taken, its own and the kernel's for it, in units of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.served.signal(name);
    }

    /// A part of its first line.
    pub(crate) fn part(&self, name: &str) -> String {
        self.served.part(name)
    }

    /// A connection without a credential.
    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.served.server()).unwrap().connect().await.unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn client(&self, caller: &str) -> Client {
        connect(&self.directory, self.served.server(), caller).await
    }

    /// Replaces a mounted Secret's content as the kubelet does.
    pub(crate) fn mount(&self, version: &str, keys: &[Files]) {
        swap(&self.path("keys"), version, keys);
    }

    /// Replaces the policy file atomically.
    pub(super) fn write_policy(&self, policy: &str) {
        fs::write(self.path("policy/.new"), policy).unwrap();
        fs::rename(self.path("policy/.new"), self.path("policy/policy.toml")).unwrap();
    }

    /// How many lines of the log have this in them.
    pub(crate) fn logged(&self, text: &str) -> usize {
        whole_lines(&self.path("log")).lines().filter(|line| line.contains(text)).count()
    }

    /// The answer of the admin listener at this path.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = format!("http://{}{path}", self.served.part("admin"));
        // As patient as the kubelet may be.
        let answer = http.get(&url).timeout(Duration::from_secs(5)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// Waits until `/metrics` has this line.
    pub(super) async fn until_metric(&self, line: &str) {
        until(line, async || self.admin("/metrics").await.lines().any(|one| one == line)).await;
    }
}

/// A key's files in a Secret.
pub(crate) struct Files {
    pub(crate) access: Option<Vec<u8>>,
    pub(crate) secret: Option<Vec<u8>>,
    /// The mode of the secret key's file.
    pub(crate) mode: u32,
}

impl Files {
    /// Of a key as [`key`] makes it.
    pub(crate) fn of(access_key: &str) -> Self {
        let secret = canary::secret_of(access_key).into_bytes();
        Self { access: Some(access_key.into()), secret: Some(secret), mode: 0o440 }
    }
}

/// Writes all files into another directory, and then swaps them in by one rename.
fn swap(place: &Path, version: &str, keys: &[Files]) {
    let path = place.join(version);
    fs::create_dir(&path).unwrap();
    for (index, files) in keys.iter().enumerate() {
        for (name, content, mode) in [("access", &files.access, 0o444), ("secret", &files.secret, files.mode)]
        {
            let path = path.join(format!("{name}-{index}"));
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    symlink(version, place.join("..data_tmp")).unwrap();
    let before = fs::read_link(place.join("..data"));
    fs::rename(place.join("..data_tmp"), place.join("..data")).unwrap();
    if let Ok(before) = before {
        fs::remove_dir_all(place.join(before)).unwrap();
    }
}

/// Starts an emulator that accepts the keys of [`ACCEPTED`]; gives its address.
async fn emulator() -> String {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let keys = ACCEPTED.map(|name| Arc::new(key(name))).to_vec();
    let project = emulator::Project { name: "default".to_owned(), keys };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let emulator = Emulator::new(vec![project], clock, entropy, emulator::Settings::default());
    tokio::spawn(async move { emulator.serve(listener, pending()).await });
    address
}

/// Calls that go on, several at a time, until they are asked to end; each must be right.
pub(super) struct Load {
    calls: JoinSet<()>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
}

impl Load {
    pub(super) fn new() -> Self {
        Self { calls: JoinSet::new(), stop: Arc::default(), made: Arc::default() }
    }

    /// A caller that calls again and again; `call` panics where an answer is wrong.
    pub(super) fn add<C, F>(&mut self, call: C)
    where
        C: Fn() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let (stop, made) = (self.stop.clone(), self.made.clone());
        self.calls.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                call().await;
                made.fetch_add(1, Ordering::SeqCst);
            }
        });
    }

    /// Waits until so many more calls were made.
    pub(super) async fn go_on(&self, calls: usize) {
        let enough = self.made.load(Ordering::SeqCst) + calls;
        until("the load goes on", async || self.made.load(Ordering::SeqCst) >= enough).await;
    }

    /// Stops, and checks that every call was right.
    pub(super) async fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.calls.join_next().await {
            ended.unwrap();
        }
    }
}
