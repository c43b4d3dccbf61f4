//! Limits of the kernel on a process, by a control group of version 1 or 2, whichever this machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::skipped::not_possible;

const ROOT: &str = "/sys/fs/cgroup";

/// A control group of its own, for as long as this lives.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Not more memory than this, in bytes; with more the kernel ends the process.
    pub(crate) fn memory(bytes: u64) -> Option<Self> {
        let bytes = bytes.to_string();
        Self::new("memory", &[("memory.limit_in_bytes", &bytes)], ("memory.max", &bytes))
    }

    /// So much CPU time in each period, in milliseconds: then it stands still for the rest.
    pub(crate) fn cpu(quota: u32, period: u32) -> Option<Self> {
        let [quota, period] = [quota, period].map(|millis| (millis * 1000).to_string());
        let both = format!("{quota} {period}");
        Self::new("cpu", &[("cpu.cfs_period_us", &period), ("cpu.cfs_quota_us", &quota)], ("cpu.max", &both))
    }

    /// `None`, with the reason printed, where no limit can be set.
    fn new(controller: &str, of_1: &[(&str, &str)], of_2: (&str, &str)) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = Path::new(ROOT);
        let (parent, limits) = if root.join("cgroup.controllers").exists() {
            let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
            (root.to_owned(), &[of_2][..])
        } else {
            (root.join(controller), of_1)
        };
        let name = format!("inkpass-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let group = Self(parent.join(name));
        let made = fs::create_dir(&group.0);
        let limited = limits
            .iter()
            .fold(made, |made, (file, value)| made.and_then(|()| fs::write(group.0.join(file), value)));
        match limited {
            Ok(()) => Some(group),
            Err(error) => {
                not_possible(&format!("a limit on {controller}: {error}"));
                None
            }
        }
    }

    /// Puts a running process into it.
    pub(crate) fn hold(&self, process: u32) {
        fs::write(self.0.join("cgroup.procs"), process.to_string()).unwrap();
    }

    /// Lets its processes go, as if there were no limit.
    pub(crate) fn lift(&self) {
        let everyone = self.0.parent().unwrap().join("cgroup.procs");
        for process in fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines() {
            fs::write(&everyone, process).unwrap();
        }
    }

    /// How often the kernel has let it stand still.
    pub(crate) fn throttled(&self) -> u64 {
        let stat = fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap().parse().unwrap()
    }

    /// The same program, which is in it from its first page on.
    pub(crate) fn start(&self, command: &Command) -> Command {
        let mut started = Command::new("sh");
        started.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.0);
        started.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        started
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes that have ended may still be in it.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
