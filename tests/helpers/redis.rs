//! A real Redis on a free port of loopback, with its data in a directory of the test.

use std::{
    fs::File,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ::redis::{AsyncConnectionConfig, FromRedisValue};
use inkpass::store::{Address, Settings};

use super::{place::Place, skipped::not_installed, until};

/// A server that ends with the test.
pub(crate) struct Redis {
    process: Child,
    place: Place,
    pub(crate) port: u16,
    program: String,
    arguments: Vec<String>,
    /// A Sentinel writes to its own.
    configuration: Option<Place>,
}

impl Redis {
    /// `None`, with the reason printed, where it is not installed.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        Self::of("redis-server", arguments).await
    }

    /// Another program that takes the same arguments.
    pub(crate) async fn of(program: &str, arguments: &[&str]) -> Option<Self> {
        if Command::new(program).arg("--version").output().is_err() {
            not_installed(program);
            return None;
        }
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        // Another process may take the port before the server does.
        for _ in 0..10 {
            let (place, port) = (Place::new(), free_port());
            let process = run(program, port, &place, &arguments);
            let (program, arguments) = (program.to_owned(), arguments.clone());
            let mut redis = Self { process, place, port, program, arguments, configuration: None };
            if redis.is_up().await {
                return Some(redis);
            }
        }
        panic!("{program} does not start");
    }

    /// A Sentinel, with these lines of its configuration.
    pub(crate) async fn sentinel(lines: &str) -> Option<Self> {
        let place = Place::new();
        std::fs::write(place.join("sentinel.conf"), lines).unwrap();
        let file = place.join("sentinel.conf");
        let mut sentinel = Self::of("redis-sentinel", &[file.to_str().unwrap()]).await?;
        sentinel.configuration = Some(place);
        Some(sentinel)
    }

    /// Without persistence, alone.
    pub(crate) async fn plain() -> Option<Self> {
        Self::start(&["--save", ""]).await
    }

    /// Each write on disk before it is answered.
    pub(crate) async fn durable() -> Option<Self> {
        Self::start(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(&self.url())
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// As by a power cut: nothing is written at the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// On the same port, with what it has on disk.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = run(&self.program, self.port, &self.place, &self.arguments);
        assert!(self.is_up().await, "it starts again");
    }

    /// Waits until it answers; false: it has ended.
    async fn is_up(&mut self) -> bool {
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            match self.try_ask::<String>(&["PING"]).await {
                Ok(pong) if pong == "PONG" => return true,
                Err(refused) if refused.code() == Some("NOAUTH") => return true,
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).await.unwrap()
    }

    /// The same of one that may be away, or close connections.
    pub(crate) async fn try_ask<T: FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient()).await?;
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await
    }

    /// Sets a value of any bytes.
    pub(crate) async fn set(&self, key: &str, value: &[u8], options: &[&str]) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient()).await.unwrap();
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value).arg(options).exec_async(&mut connection).await.unwrap();
    }

    /// The keys of inkpass.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.ask(&["KEYS", "inkpass:*"]).await
    }

    /// Lets time pass for what it keeps.
    pub(crate) async fn pass(&self, time: Duration) {
        for key in self.keys().await {
            let left: i64 = self.ask(&["PTTL", &key]).await;
            let left = left - i64::try_from(time.as_millis()).unwrap();
            let _: i64 = self.ask(&["PEXPIRE", &key, &left.to_string()]).await;
        }
    }

    /// Makes it a replica of another one, and waits until that knows.
    pub(crate) async fn follow(&self, primary: &Self) {
        let _: String = self.ask(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]).await;
        until(async || primary.ask::<String>(&["INFO", "replication"]).await.contains("state=online")).await;
        // It still reads what it was sent.
        until(async || self.ask::<String>(&["INFO", "replication"]).await.contains("master_link_status:up"))
            .await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn settings(url: &str) -> Settings {
    Settings { address: Address::parse(url).unwrap(), share_quotas: false }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(program: &str, port: u16, place: &Place, arguments: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(place.join("redis.log")).unwrap();
    let directory = place.path().to_str().unwrap();
    Command::new(program)
        .args(arguments)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", directory])
        .args(["--repl-diskless-sync-delay", "0"])
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The crate waits for a second, which a busy machine may not have.
fn patient() -> AsyncConnectionConfig {
    let longest = Some(Duration::from_secs(10));
    AsyncConnectionConfig::new().set_connection_timeout(longest).set_response_timeout(longest)
}
