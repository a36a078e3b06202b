//! What `make long` measured, for people who read it later: a small text per item, with the day and what kind of
//! machine it was. Nothing of it names a machine, a person or a folder.

use std::fs;
use std::path::Path;

use callscoot::sys::clock;

/// Writes `docs/measurements/ITEM.txt` anew.
pub fn record(item: &str, figures: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/measurements");
    fs::create_dir_all(&folder).unwrap();
    let day = callscoot::base::time::rfc3339_seconds(clock::now().unix_ms);
    let day = day.split('T').next().unwrap_or_default();
    let text = format!("{item}, {day}, {}\n\n{}\n", machine_class(), figures.trim_end());
    fs::write(folder.join(format!("{item}.txt")), text).unwrap();
}

/// Processor, how many, memory: what figures depend on.
fn machine_class() -> String {
    let file = |path| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = file("/proc/cpuinfo");
    let model = value(&processor, "model name").or_else(|| value(&processor, "Model"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kb = value(&file("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory_gb = memory_kb.split(' ').next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let kernel = file("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = kernel.split(['.', '-']).take(2).collect();
    let profile = if cfg!(debug_assertions) { "test build" } else { "release build" };
    format!(
        "{cores} x {}, {memory_gb} GB, Linux {}, {}, {profile}",
        model.unwrap_or_else(|| "processor of unknown make".into()),
        kernel.join("."),
        std::env::consts::ARCH,
    )
}
