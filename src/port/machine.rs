//! This machine as `/proc` and the file systems tell it: free space, who listens, what a process may.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::wifi::{self, Band};

/// Real-time priority, whatever the limits say (capability 23, CAP_SYS_NICE).
const CAP_SYS_NICE: u64 = 1 << 23;

/// Room on a file system, for those who are not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// The room where `path` is, or will be: its nearest folder that exists.
pub fn space(path: &Path) -> io::Result<Space> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there)?;
    Ok(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// A process that listens on a TCP port: its id, and its name, which only its own user (and root) may learn.
pub fn listener_of(port: u16) -> Option<(u32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port))?;
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    let mut ids =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.find_map(|id: u32| {
        let mut open = fs::read_dir(format!("/proc/{id}/fd")).ok()?;
        open.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == wanted))).then(
            || (id, fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim().to_owned()),
        )
    })
}

/// The socket that listens (state `0A`) on a port, from a table as proc_net_tcp(5) lays it out.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    let port = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (local, state) = (fields.nth(1)?, fields.nth(1)?);
        (local.ends_with(&port) && state == "0A").then(|| fields.nth(5)?.parse().ok())?
    })
}

/// What a process may, as far as it matters to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors it may have open; `None` is no limit.
    pub open_files: Option<u64>,
    /// Whether its audio threads can have real-time priority.
    pub realtime: bool,
}

/// The limits of a process, which every user may read; `None` when there is no such process.
pub fn limits_of(pid: u32) -> Option<Limits> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(limits_in(&limits, &status))
}

fn limits_in(limits: &str, status: &str) -> Limits {
    let soft = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let priority = limits.contains("Max realtime priority     unlimited")
        || soft("Max realtime priority")
            .is_some_and(|priority| priority >= crate::sys::realtime::PRIORITY as u64);
    Limits { open_files: soft("Max open files"), realtime: priority || capabilities & CAP_SYS_NICE != 0 }
}

/// The UDP ports from which the system takes those of calls, lowest and highest.
pub fn local_ports() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_whitespace().filter_map(|port| port.parse().ok());
    Some((ports.next()?, ports.next()?))
}

/// Bluetooth and what disturbs it, as far as anybody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bluetooth {
    /// Radios that the kernel shows: `hci0`.
    pub adapters: Vec<String>,
    /// One is blocked by software.
    pub soft_blocked: bool,
    /// One is blocked by a switch.
    pub hard_blocked: bool,
    /// What the radios are, as far as the way of voice depends on it.
    pub chip: Chip,
    /// Wi-Fi interfaces that are connected: `wlan0`, and the band of each where its driver tells it.
    pub wifi: Vec<(String, Option<Band>)>,
}

/// Where a radio sends the sound of voice links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chip {
    /// To this machine: it is an adapter like others.
    #[default]
    Adapter,
    /// To its own pins, until it is told otherwise: the chip of a Raspberry Pi, on a serial line.
    OfPi,
    /// The chip of a Raspberry Pi 5 and its kin, which were seen to need no telling.
    OfPi5,
}

/// Models whose chip sends voice to the machine by itself, behind `Raspberry Pi `.
const PI_5_MODELS: [&str; 3] = ["5", "500", "Compute Module 5"];

/// How it is now.
pub fn bluetooth() -> Bluetooth {
    bluetooth_below(Path::new("/"), |interface| wifi::band(interface).ok())
}

fn bluetooth_below(root: &Path, band: impl Fn(&str) -> Option<Band>) -> Bluetooth {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let entries = |path: &str| {
        let mut found: Vec<PathBuf> = fs::read_dir(root.join(path))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        found.sort();
        found
    };
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let radios = entries("sys/class/rfkill");
    let blocked = |kind: &str| {
        radios.iter().any(|radio| text(&radio.join("type")) == "bluetooth" && text(&radio.join(kind)) == "1")
    };
    let found = entries("sys/class/bluetooth");
    // `hci0:11` is a connection, not a radio.
    let adapters: Vec<String> = found.iter().filter_map(name).filter(|name| !name.contains(':')).collect();
    let model = text(&root.join("proc/device-tree/model"));
    let pi = model.strip_prefix("Raspberry Pi ").map(|model| model.trim_end_matches('\0'));
    let on_serial = |adapter: &String| {
        fs::canonicalize(root.join("sys/class/bluetooth").join(adapter))
            .is_ok_and(|path| path.to_string_lossy().contains("serial"))
    };
    let connected = |interface: &PathBuf| {
        interface.join("wireless").exists() && text(&interface.join("operstate")) == "up"
    };
    let chip = match pi.filter(|_| adapters.iter().any(on_serial)) {
        None => Chip::Adapter,
        Some(model) if PI_5_MODELS.iter().any(|kin| is_model(model, kin)) => Chip::OfPi5,
        Some(_) => Chip::OfPi,
    };
    let interfaces = entries("sys/class/net");
    let wifi = interfaces.iter().filter(|interface| connected(interface)).filter_map(name);
    Bluetooth {
        chip,
        adapters,
        soft_blocked: blocked("soft"),
        hard_blocked: blocked("hard"),
        wifi: wifi.map(|wifi| (wifi.clone(), band(&wifi))).collect(),
    }
}

/// `5 Model B Rev 1.0` is a `5`, `500 Rev 1.0` is not.
fn is_model(model: &str, kin: &str) -> bool {
    model.strip_prefix(kin).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pid, name) = listener_of(port).unwrap();
        assert_eq!(pid, std::process::id());
        assert!(!name.is_empty());
        drop(listener);
        assert_eq!(listener_of(port), None);
        // A connection from that port is nobody who listens on it.
        let row = |number: u8, remote: &str, state: &str, inode: u8| {
            let queues = "00000000:00000000 00:00000000 00000000";
            format!("   {number}: 0100007F:2254 {remote} {state} {queues}  1000        0 {inode} 1 0\n")
        };
        let rows = [row(0, "0100007F:9C40", "01", 7), row(1, "00000000:0000", "0A", 8)];
        let table = format!("  sl  local_address rem_address   st and so on\n{}", rows.concat());
        assert_eq!((listening_inode(&table, 0x2254), listening_inode(&table, 0x2255)), (Some(8), None));
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let line = |name: &str, soft: &str| format!("{name:<25} {soft:<20} 524288               files\n");
        let limits = line("Max open files", "1024") + &line("Max realtime priority", "0");
        let of = |limits: &str, capabilities: &str| limits_in(limits, &format!("CapEff:\t{capabilities}\n"));
        assert_eq!(of(&limits, "0000000000000000"), Limits { open_files: Some(1024), realtime: false });
        assert!(of(&limits, "0000000000800000").realtime);
        assert!(of(&line("Max realtime priority", "20"), "0").realtime);
        let unlimited = line("Max open files", "unlimited") + &line("Max realtime priority", "unlimited");
        let unlimited = of(&unlimited, "0");
        assert_eq!(unlimited, Limits { open_files: None, realtime: true });
        assert!(limits_of(std::process::id()).is_some() && limits_of(u32::MAX).is_none());
    }

    #[test]
    fn bluetooth_is_what_the_kernel_shows_of_it() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(bluetooth_below(root.path(), |_| Some(Band::Low)), Bluetooth::default());
        write("sys/class/rfkill/rfkill0/type", "wlan\n");
        write("sys/class/rfkill/rfkill0/soft", "1\n");
        write("sys/class/rfkill/rfkill1/type", "bluetooth\n");
        write("sys/class/rfkill/rfkill1/soft", "0\n");
        write("sys/class/rfkill/rfkill1/hard", "0\n");
        write("sys/devices/platform/soc/serial0/bluetooth/hci0/uevent", "");
        fs::create_dir_all(root.path().join("sys/class/bluetooth/hci0:11")).unwrap();
        let radio = root.path().join("sys/devices/platform/soc/serial0/bluetooth/hci0");
        std::os::unix::fs::symlink(radio, root.path().join("sys/class/bluetooth/hci0")).unwrap();
        write("sys/class/net/eth0/operstate", "up\n");
        write("sys/class/net/wlan0/operstate", "down\n");
        fs::create_dir_all(root.path().join("sys/class/net/wlan0/wireless")).unwrap();
        let quiet = bluetooth_below(root.path(), |_| Some(Band::Low));
        assert_eq!(quiet, Bluetooth { adapters: vec!["hci0".into()], ..Bluetooth::default() });
        write("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0");
        write("sys/class/rfkill/rfkill1/soft", "1\n");
        write("sys/class/net/wlan0/operstate", "up\n");
        let loud = bluetooth_below(root.path(), |_| Some(Band::Low));
        assert!(loud.chip == Chip::OfPi && loud.soft_blocked && !loud.hard_blocked);
        assert_eq!(loud.wifi, [("wlan0".into(), Some(Band::Low))]);
        for (model, chip) in [
            ("Raspberry Pi 5 Model B Rev 1.0\0", Chip::OfPi5),
            ("Raspberry Pi 500 Rev 1.0\0", Chip::OfPi5),
            ("Raspberry Pi Compute Module 5 Rev 1.0\0", Chip::OfPi5),
            ("Raspberry Pi Zero 2 W Rev 1.0\0", Chip::OfPi),
            ("Raspberry Pi Compute Module 4 Rev 1.0\0", Chip::OfPi),
            ("Some other board\0", Chip::Adapter),
        ] {
            write("proc/device-tree/model", model);
            assert_eq!(bluetooth_below(root.path(), |_| Some(Band::Low)).chip, chip, "{model}");
        }
    }

    #[test]
    fn room_is_that_of_the_nearest_folder() {
        let space = space(Path::new("/tmp/there/is/no/such/folder")).unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes);
    }
}
