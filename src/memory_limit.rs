//! How much memory the kernel lets this process have.

use std::{fs, path::Path};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The smallest limit of the control groups that this process is in, in bytes; `None`: there is none, or none is known.
///
/// Source: Linux, "Control Group v2", `memory.max`, and "Memory Resource Controller", `memory.limit_in_bytes`.
pub(crate) fn memory_limit() -> Option<u64> {
    limit(Path::new(ROOT), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// `groups`: a line for each hierarchy, with its number, controllers and path.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (mounted, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        // Within a container its own group may be what is mounted.
        let own = Path::new(path.trim_start_matches('/'));
        own.ancestors().filter_map(|group| read(&mounted.join(group).join(file))).min()
    });
    // Version 1 writes no limit as a number that no machine has.
    limits.min().filter(|limit| *limit < 1 << 60)
}

fn read(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts_of_either_version_and_of_any_group_around() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, limit: &str| {
            let file = root.path().join(group);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, limit).unwrap();
        };
        let is = |groups: &str| limit(root.path(), groups);
        write("pod/memory.max", "67108864\n");
        write("pod/container/memory.max", "max\n");
        write("memory/pod/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(is("0::/pod/container\n"), Some(67_108_864));
        assert_eq!(is("4:memory:/pod\n1:cpu:/pod\n0::/elsewhere\n"), None);
        // The container's own group is the root of what is mounted.
        write("memory/memory.limit_in_bytes", "134217728\n");
        assert_eq!(is("4:memory:/kubepods/of/the/host\n"), Some(134_217_728));
        assert_eq!(is(""), None);
    }
}
