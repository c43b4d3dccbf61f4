//! A process that stands still, and a disk that does, or that turns read-only. Real signals, a real file system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use inkpass::{
    client::Client,
    proto::{GetRoomRequest, Role, VerifyTokenRequest},
};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use super::{
    POLICY,
    program::{ACCEPTED, Files, Load, Program},
    room, until,
};
use crate::helpers::{PATIENCE, cgroup::Cgroup, place::Place, skipped::succeeds};

/// Some hundred calls under way at once, so that a moment finds some of them waiting for their lines. One that is refused
/// ends the test.
async fn load(program: &Program) -> Load {
    let mut load = Load::new();
    for _ in 0..16 {
        let client = program.client("key:teacher").await;
        for _ in 0..16 {
            let client = client.clone();
            load.add(move || {
                let client = client.clone();
                async move {
                    let issued = client.tokens().issue_token(room("stall", Role::Writer)).await;
                    issued.unwrap_or_else(|status| panic!("{status:?}"));
                }
            });
        }
    }
    load.go_on(1000).await;
    load
}

async fn denying() -> Program {
    Program::with(POLICY, "", "deny", &[Files::of(ACCEPTED[0])]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_for_a_second_under_load_refuses_nothing_when_it_goes_on() {
    let program = denying().await;
    let load = load(&program).await;
    for _ in 0..8 {
        program.signal("STOP");
        // What is tested is that time itself passes while the process stands.
        tokio::time::sleep(Duration::from_secs(1)).await;
        program.signal("CONT");
        load.go_on(1000).await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_has_a_tenth_of_a_core_refuses_nothing() {
    let program = denying().await;
    let load = load(&program).await;
    // As a CPU limit's throttling does: it runs for a tenth of each period.
    for period in [100, 200].repeat(20).into_iter().map(Duration::from_millis) {
        program.signal("STOP");
        tokio::time::sleep(period / 10 * 9).await;
        program.signal("CONT");
        tokio::time::sleep(period / 10).await;
    }
    load.go_on(1000).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_the_kernel_throttles_for_half_a_second_at_a_time_refuses_nothing() {
    // Little enough that it is used up where others take most of the machine's time.
    let Some(limit) = Cgroup::cpu(150, 700) else { return };
    let program = denying().await;
    let load = load(&program).await;
    // Both workers spend it in a tenth of a second, and then stand still for the rest.
    limit.hold(program.id());
    let before = limit.throttled();
    let latest = Instant::now() + PATIENCE;
    while limit.throttled() < before + 5 && Instant::now() < latest {
        load.go_on(100).await;
    }
    assert!(limit.throttled() >= before + 5, "it was throttled");
    load.end().await;
}

/// An ext4 file system on a loop device, for as long as this lives.
struct Ext4 {
    mounted: Place,
    _image: Place,
}

impl Ext4 {
    /// `None`, with the reason printed, where none can be mounted.
    fn mount() -> Option<Self> {
        let (mounted, image) = (Place::new(), Place::new());
        let file = image.path().join("disk");
        fs::File::create(&file).unwrap().set_len(16 << 20).unwrap();
        let file = file.to_str().unwrap();
        let place = mounted.path().to_str().unwrap();
        // The mount is last: nothing would undo it.
        let is_possible = succeeds("fsfreeze", &["--help"])
            && succeeds("mkfs.ext4", &["-q", "-F", file])
            && succeeds("mount", &["-o", "loop", file, place]);
        is_possible.then_some(Self { mounted, _image: image })
    }

    fn path(&self) -> PathBuf {
        self.mounted.path().join("audit.log")
    }

    /// Nobody can write to it, for as long as this lives.
    fn freeze(&self) -> Frozen<'_> {
        let place = self.mounted.path();
        assert!(Command::new("fsfreeze").arg("--freeze").arg(place).status().unwrap().success());
        Frozen(place)
    }

    /// As the kernel does after an error of the disk: files that are open for writing are no more.
    fn turn_read_only(&self) -> bool {
        succeeds("mount", &["-o", "remount,abort", self.mounted.path().to_str().unwrap()])
    }

    /// Mounts another one over it, for as long as this lives.
    fn replace(&self) -> Mounted<'_> {
        let place = self.mounted.path();
        assert!(succeeds("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", place.to_str().unwrap()]));
        Mounted(place)
    }
}

/// To be dropped before the program, also by a test that fails: a process that waits for a frozen disk cannot end.
struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(self.0).status();
    }
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let place = self.mounted.path();
        let _ = Command::new("umount").arg("--lazy").arg(place).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_refuses_what_needs_a_line_and_nothing_else() {
    let Some(disk) = Ext4::mount() else { return };
    let path = disk.path();
    let program = Program::auditing_to(path.to_str().unwrap(), POLICY).await;
    let (teacher, verifier) = (program.client("key:teacher").await, program.client("key:verifier").await);
    let mint = async |client: &Client| client.tokens().issue_token(room("stall", Role::Writer)).await;
    let token = mint(&teacher).await.unwrap().into_inner().token.unwrap().value;
    let frozen = disk.freeze();

    // One call writes for all, and is held; the others are refused in time.
    let (mut calls, refused) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..CALLS {
        let (client, refused) = (teacher.clone(), refused.clone());
        calls.spawn(async move {
            if let Err(status) = client.tokens().issue_token(room("stall", Role::Writer)).await {
                assert_eq!(status.get_error_details().error_info().unwrap().reason, "AUDIT_UNAVAILABLE");
                refused.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let mut health = HealthClient::new(program.channel().await);
    for _ in 0..50 {
        verify(&verifier, &token).await;
        health.check(HealthCheckRequest::default()).await.unwrap();
        let request = GetRoomRequest { uuid: "unknown".to_owned(), ..GetRoomRequest::default() };
        let read = teacher.rooms().get_room(request).await.unwrap_err();
        assert_eq!(read.code(), Code::NotFound);
    }
    until("all but the held call are refused", async || refused.load(Ordering::SeqCst) >= CALLS - 1).await;

    drop(frozen);
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    until("calls pass again", async || mint(&teacher).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_refuses_until_another_is_in_its_place() {
    let Some(disk) = Ext4::mount() else { return };
    let path = disk.path();
    let program = Program::auditing_to(path.to_str().unwrap(), POLICY).await;
    let teacher = program.client("key:teacher").await;
    let mint = async || teacher.tokens().issue_token(room("stall", Role::Writer)).await;
    mint().await.unwrap();
    if !disk.turn_read_only() {
        return;
    }
    let refused = mint().await.unwrap_err();
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "AUDIT_UNAVAILABLE");
    program.until_metric("inkpass_refusing{cause=\"audit\"} 1").await;
    assert!(program.admin("/readyz").await.contains("audit: the audit trail cannot be written"));
    assert_eq!(program.logged("audit lines cannot be written"), 1);

    let _another = disk.replace();
    until("calls pass again", async || mint().await.is_ok()).await;
    program.until_metric("inkpass_refusing{cause=\"audit\"} 0").await;
    assert_eq!(program.logged("audit lines can be written again"), 1);
    assert!(fs::read_to_string(&path).unwrap().contains("IssueToken"));
}

/// How many calls a stalled disk meets.
const CALLS: usize = 64;

async fn verify(client: &Client, token: &str) {
    let request = VerifyTokenRequest { token: token.to_owned(), ..VerifyTokenRequest::default() };
    assert!(client.tokens().verify_token(request).await.unwrap().into_inner().valid);
}
