//! How much memory there is for items.

use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// The memory for items, if this process may have `limit` bytes. The host keeps an eighth, and 64 MiB at least: an idle
/// worker takes some 35 MB, and compiled components and rows on their way to the stores come on top.
pub fn budget(limit: u64) -> u64 {
    limit.saturating_sub((limit / 8).max(64 * MIB))
}

/// The memory that this process may have, in bytes: the machine's, or the least that its control group or one above it
/// allows. None where the system does not say, which is everywhere but on Linux.
pub fn limit() -> Option<u64> {
    limit_under(Path::new("/"))
}

fn limit_under(root: &Path) -> Option<u64> {
    let text = |path: PathBuf| std::fs::read_to_string(root.join(path)).ok();
    let machine = text("proc/meminfo".into()).and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    });
    // In a container the path is often the host's, and what is mounted is the container's own group: then only the root of
    // the mount is found, which is the right one.
    let groups = text("proc/self/cgroup".into()).unwrap_or_default();
    let limits = groups.lines().filter_map(group).flat_map(|(mount, path, file)| {
        let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
        // "max" (version 2) is no number, and the largest number (version 1) is more than any machine has.
        ancestors.filter_map(move |group| text(Path::new(mount).join(group).join(file))?.trim().parse().ok())
    });
    limits.chain(machine).min()
}

/// Where the limit of a line of `/proc/self/cgroup` is found (cgroups(7)): where its hierarchy is mounted, the group in it,
/// and the file's name.
fn group(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match controllers {
        "" if number == "0" => Some(("sys/fs/cgroup", path, "memory.max")),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            Some(("sys/fs/cgroup/memory", path, "memory.limit_in_bytes"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found on a machine with 8 GiB and these files.
    fn found(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let machine = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          131072 kB\n");
        for (path, text) in files.iter().chain([&machine]) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        limit_under(root.path()).map(|bytes| bytes / MIB)
    }

    #[test]
    fn the_least_of_all_groups_above_the_process_and_of_the_machine_counts() {
        assert_eq!(found(&[]), Some(8192));
        let own = ("proc/self/cgroup", "0::/ecs/task/container\n");
        let v2 = |limits: &[(&'static str, &'static str)]| found(&[&[own], limits].concat());
        let (root, task) = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/ecs/task/memory.max");
        let container = "sys/fs/cgroup/ecs/task/container/memory.max";
        assert_eq!(v2(&[(container, "536870912\n")]), Some(512));
        assert_eq!(v2(&[(container, "max\n"), (task, "1073741824\n")]), Some(1024));
        assert_eq!(v2(&[(container, "2147483648\n"), (task, "1073741824\n"), (root, "max\n")]), Some(1024));
        assert_eq!(v2(&[(container, "17179869184\n")]), Some(8192), "more than there is");
        // What a container sees of its own group, whatever the path says.
        assert_eq!(v2(&[(root, "268435456\n")]), Some(256));
    }

    #[test]
    fn version_one_has_a_hierarchy_of_its_own_for_memory() {
        let own = ("proc/self/cgroup", "9:name=systemd:/a\n4:cpuset,memory:/docker/7\n1:cpu:/docker/7\n0::/\n");
        let file = "sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes";
        assert_eq!(found(&[own, (file, "1073741824\n")]), Some(1024));
        assert_eq!(found(&[own, (file, "9223372036854771712\n")]), Some(8192));
        let mounted = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(found(&[own, (mounted, "1073741824\n")]), Some(1024));
        assert_eq!(found(&[own, ("sys/fs/cgroup/docker/7/memory.max", "1048576\n")]), Some(8192));
    }

    #[test]
    fn a_system_that_does_not_say_has_no_limit() {
        assert_eq!(limit_under(tempfile::tempdir().unwrap().path()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says() {
        let limit = limit().unwrap();
        assert!(limit > 64 * MIB && limit < 1 << 50, "{limit}");
    }

    #[test]
    fn the_host_keeps_a_part() {
        assert_eq!([512, 1024, 8192].map(|mib| budget(mib * MIB) / MIB), [448, 896, 7168]);
        assert_eq!(budget(10 * MIB), 0);
    }
}
