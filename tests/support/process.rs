//! A program under test: its words are kept, its end is awaited, and it does not outlive the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, prlimit};
use serde_json::Value;

use super::wait::{until, until_is};

/// Lines of each program that are shown beside a failed test.
const SHOWN_LINES: usize = 80;

type Lines = Arc<Mutex<Vec<String>>>;

/// A running program with its own process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    out: Lines,
    err: Lines,
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts `command`. Should the test itself be killed, the kernel ends the program too (`setpriv --pdeathsig`).
    pub fn start(name: impl Into<String>, command: &Command) -> Self {
        Self::spawn(name.into(), command, Stdio::null())
    }

    /// The same for a program that takes lines on standard input: `order` writes them.
    pub fn steered(name: impl Into<String>, command: &Command) -> Self {
        Self::spawn(name.into(), command, Stdio::piped())
    }

    fn spawn(name: String, command: &Command, input: Stdio) -> Self {
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(key, value),
                None => guarded.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            guarded.current_dir(folder);
        }
        guarded.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = guarded.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (out, out_reader) = keep_lines(child.stdout.take().unwrap());
        let (err, err_reader) = keep_lines(child.stderr.take().unwrap());
        let input = child.stdin.take();
        Self { name, child, input, out, err, readers: [out_reader, err_reader] }
    }

    /// Writes a line to its standard input.
    pub fn order(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was started to be steered");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{} takes no orders: {error}", self.name));
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard output so far.
    pub fn out(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    /// What it said on standard error so far.
    pub fn err(&self) -> Vec<String> {
        self.err.lock().unwrap().clone()
    }

    /// Waits for a line on standard error from which `find` makes something.
    pub fn err_line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let lines = Arc::clone(&self.err);
        self.until(what, || lines.lock().unwrap().iter().find_map(|line| find(line)))
    }

    /// Waits for a JSON line on standard output that `good` accepts.
    pub fn event(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let lines = Arc::clone(&self.out);
        self.until(what, || json_lines(&lines).into_iter().find(&good))
    }

    /// All JSON lines on standard output so far.
    pub fn events(&self) -> Vec<Value> {
        json_lines(&self.out)
    }

    /// Waits until `look` finds something, and fails at once should the program end first.
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        until(&format!("{}: {what}", self.name), || {
            // Asked before the look: what it said last is read by then.
            let ended = self.ended_and_read();
            let found = look();
            if let (None, Some(status)) = (&found, ended) {
                panic!("{} ended ({status}) before {what}", self.name);
            }
            found
        })
    }

    /// Its status, once it has ended and all that it said was read.
    fn ended_and_read(&mut self) -> Option<ExitStatus> {
        let read = self.readers.iter().all(JoinHandle::is_finished);
        self.child.try_wait().unwrap().filter(|_| read)
    }

    /// Sends a signal to the program alone, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        until(&format!("the end of {name}"), || self.child.try_wait().unwrap())
    }

    /// Sends SIGTERM; how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended();
    }

    /// Resident memory in kilobytes.
    pub fn rss_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Processor time of all its threads so far, to the nanosecond.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let spent =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        spent.map(|text| Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())).sum()
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Its threads.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().count()
    }

    /// How often each of its threads was woken so far: by thread id, with the thread's name.
    pub fn wakes(&self) -> BTreeMap<u32, (String, u64)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let wakes_of = |path: std::path::PathBuf| {
            let name = std::fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            // A thread that waits gives the processor up by itself: once for each time that it was woken.
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            let id = path.file_name()?.to_str()?.parse().ok()?;
            Some((id, (name, count.trim().parse().ok()?)))
        };
        tasks.filter_map(|task| wakes_of(task.ok()?.path())).collect()
    }

    /// Gives it a new soft limit while it runs; what the limit was before.
    pub fn limit(&self, resource: Resource, current: Option<u64>) -> Option<u64> {
        let limit = Rlimit { current, maximum: getrlimit(resource).maximum };
        prlimit(Some(Pid::from_child(&self.child)), resource, limit).unwrap().current
    }

    /// Waits until its memory has not grown for a moment; the value.
    pub fn settled_rss_kb(&self) -> u64 {
        let mut last = 0;
        until_is(
            "memory to settle",
            || {
                let before = last;
                last = self.rss_kb();
                thread::sleep(Duration::from_millis(100));
                (before, last)
            },
            |(before, now)| before == now,
        )
        .1
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group is killed even when its leader has gone: helpers of its own must not stay either.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if thread::panicking() {
            for (stream, lines) in [("out", &self.out), ("err", &self.err)] {
                let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                    eprintln!("[{} {stream}] {line}", self.name);
                }
            }
        }
    }
}

fn json_lines(lines: &Lines) -> Vec<Value> {
    lines.lock().unwrap().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn keep_lines(from: impl Read + Send + 'static) -> (Lines, JoinHandle<()>) {
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    let reader = thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            kept.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
    (lines, reader)
}
