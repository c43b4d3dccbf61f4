//! Standard output and standard error that nobody reads any more, as where a container's log driver
//! stalls: nothing waits for them. An upstream that says nothing holds up no end before the start either.

use std::{
    fs,
    io::{PipeReader, PipeWriter, pipe},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use inkpass::client::Client;
use tonic::{Code, Status};

use super::inkpass;
use crate::helpers::{
    assert_refused,
    canary::secret_of,
    pipe::{fill, filler},
    place::Place,
    until,
};

/// A pipe that is full. Its reader must be kept, or writing to it fails.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    fill(&mut filler(&writer));
    (reader, writer)
}

/// `inkpass serve` on ports that are known beforehand: it may have no way to tell them.
struct Stuck {
    process: Child,
    grpc: String,
    admin: String,
    _place: Place,
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stuck {
    fn start(audit: &str, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        Self::in_front_of("base_url = 'http://127.0.0.1:1'", audit, stdout, stderr)
    }

    /// `whiteboard`: that section of the settings.
    fn in_front_of(
        whiteboard: &str,
        audit: &str,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Self {
        let place = Place::new();
        let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
        fs::write(path("access"), "an-access-key").unwrap();
        fs::write(path("secret"), secret_of("an-access-key")).unwrap();
        fs::set_permissions(path("secret"), fs::Permissions::from_mode(0o400)).unwrap();
        let settings = format!(
            "[whiteboard]\n{whiteboard}\n[audit]\noutput = '{audit}'\n[projects.default]\n\
             region = 'eu'\nkeys = [{{ access_key_file = '{}', secret_key_file = '{}', state = 'active' }}]\n",
            path("access"),
            path("secret")
        );
        fs::write(path("inkpass.toml"), settings).unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (grpc, admin) = (free(), free());
        let arguments = ["serve", "--insecure-allow-all", "--listen", &grpc, "--admin-listen", &admin];
        let mut command = inkpass(&[&arguments[..], &["--config", &path("inkpass.toml")]].concat());
        let process = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        Self { process, grpc, admin, _place: place }
    }

    async fn client(&self) -> Client {
        let server = format!("http://{}", self.grpc);
        until(async || Client::connect(&server).await.is_ok()).await;
        Client::connect(&server).await.unwrap()
    }

    async fn is_live(&self) -> bool {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let answer = http.get(format!("http://{}/livez", self.admin)).timeout(Duration::from_secs(2));
        answer.send().await.is_ok_and(|answer| answer.status().is_success())
    }

    async fn metrics(&self) -> String {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        http.get(format!("http://{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    /// Within a few seconds, and in order.
    fn ends(mut self) {
        let began = Instant::now();
        Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        while self.process.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.process.wait().unwrap().success());
    }
}

async fn issue(client: &Client) -> Result<(), Status> {
    use inkpass::proto::{IssueTokenRequest, Role, SdkScope, issue_token_request::Scope};
    let scope = Some(Scope::Sdk(SdkScope {}));
    let mut request =
        tonic::Request::new(IssueTokenRequest { scope, role: Role::Reader.into(), ..Default::default() });
    request.set_timeout(Duration::from_secs(5));
    client.tokens().issue_token(request).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_holds_up_neither_calls_nor_the_end() {
    let (_reader, writer) = full_pipe();
    // Each call fails in a way that is logged.
    let stuck = Stuck::start("/dev/full", Stdio::null(), writer);
    let client = stuck.client().await;
    let began = Instant::now();
    // Fewer than would open the circuit.
    for _ in 0..6 {
        let refused = issue(&client).await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "AUDIT_UNAVAILABLE", &[]);
        let request = inkpass::proto::GetRoomRequest { uuid: "a-room".to_owned(), ..Default::default() };
        let refused = client.rooms().get_room(request).await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(stuck.is_live().await);
    assert!(stuck.metrics().await.contains("\ninkpass_log_lines_dropped_total "), "it is shown");
    stuck.ends();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_process_whose_log_nobody_reads() {
    let (_reader, writer) = full_pipe();
    let mut stuck = Stuck::start("/dev/full", Stdio::null(), writer);
    let client = stuck.client().await;
    issue(&client).await.unwrap_err();
    // An open watch of health holds the end up.
    let _open = tokio::net::TcpStream::connect(&stuck.grpc).await.unwrap();
    let began = Instant::now();
    while stuck.process.try_wait().unwrap().is_none() {
        Command::new("kill").arg(stuck.process.id().to_string()).stderr(Stdio::null()).status().unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "it does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_output_that_was_full_from_the_start_keeps_no_server_from_starting_or_ending() {
    let (_reader, writer) = full_pipe();
    let place = Place::new();
    let stuck = Stuck::start(place.join("audit.log").to_str().unwrap(), writer, Stdio::null());
    let client = stuck.client().await;
    issue(&client).await.unwrap();
    assert!(stuck.is_live().await);
    stuck.ends();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_both_full_nothing_is_handed_out_and_the_process_ends() {
    let ((_output, stdout), (_errors, stderr)) = (full_pipe(), full_pipe());
    let stuck = Stuck::start("stdout", stdout, stderr);
    let client = stuck.client().await;
    for _ in 0..10 {
        let began = Instant::now();
        let refused = issue(&client).await.unwrap_err();
        assert_refused(&refused, Code::Unavailable, "AUDIT_UNAVAILABLE", &[]);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    assert!(stuck.is_live().await);
    stuck.ends();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_a_process_that_still_waits_for_its_upstream_to_start() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let whiteboard = format!("base_url = 'http://{}'\ntry_new_keys = true", upstream.local_addr().unwrap());
    let place = Place::new();
    let (audit, log) = (place.join("audit.log"), fs::File::create(place.join("log")).unwrap());
    let stuck = Stuck::in_front_of(&whiteboard, audit.to_str().unwrap(), Stdio::null(), log);
    let (_silent, _) = upstream.accept().await.unwrap();
    stuck.ends();
    let log = fs::read_to_string(place.join("log")).unwrap();
    assert!(log.contains("stopped before it served"), "{log}");
}
