//! Where cases are tried: a folder for each, and processes that are started, watched and waited for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use crate::case::{Batch, Case, Route};
use crate::child::{self, Destination, ORDERS, Orders, Report};
use crate::look::look;
use crate::truth::Seen;

/// The hosts: folders of packages.
pub(crate) const ONE: &str = "one";
pub(crate) const TWO: &str = "two";

/// Makes folders in which the old rows are loaded already.
#[derive(Default)]
pub(crate) struct Lab {
    templates: Mutex<Vec<(Case, Arc<TempDir>)>>,
}

/// The folder of one trial.
pub(crate) struct Bench {
    folder: TempDir,
    case: Case,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself, with what it says.
    Done(Report),
    /// By a signal, at this failpoint.
    Killed(String),
}

impl Lab {
    /// A folder for a trial, with the sources, and the old rows loaded unless the case is a first load.
    pub(crate) fn bench(&self, case: Case) -> Bench {
        let template = {
            let mut templates = self.templates.lock().expect("nobody panics with it");
            match templates.iter().find(|(other, _)| *other == case) {
                Some((_, template)) => Arc::clone(template),
                None => {
                    let template = Arc::new(prepare(case));
                    templates.push((case, Arc::clone(&template)));
                    template
                }
            }
        };
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        copy(template.path(), folder.path());
        Bench { folder, case }
    }
}

fn prepare(case: Case) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    Batch::ALL.into_iter().for_each(|batch| batch.write(folder.path()));
    if case.fresh {
        return folder;
    }
    let bench = Bench { folder, case };
    let orders =
        Orders { command: child::Command::LoadOld, ..bench.orders(ONE, child::Command::Load) };
    match bench.run(&orders) {
        End::Done(Report { error: None, .. }) => bench.folder,
        end => panic!("the old rows of {case}: {end:?}"),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder that was made here") {
        let entry = entry.expect("an entry of it");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            fs::create_dir_all(&to).expect("a folder can be made");
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

impl Bench {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Orders without a fault.
    pub(crate) fn orders(&self, host: &str, command: child::Command) -> Orders {
        Orders {
            case: self.case,
            folder: self.path().to_owned(),
            host: host.to_owned(),
            command,
            destination: Destination::DuckDb,
            fault: None,
            endpoint: None,
        }
    }

    /// Runs a process to its end.
    pub(crate) fn run(&self, orders: &Orders) -> End {
        Process::start(&mut program(), orders).end()
    }

    pub(crate) fn look(&self) -> Seen {
        look(&self.path().join("crash.duckdb"))
    }

    /// The loads in a folder of packages: `loads` are unfinished, `loaded` are recorded.
    pub(crate) fn packages(&self, host: &str, place: &str) -> BTreeSet<String> {
        let folder = self.path().join(host).join("crash").join(place);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Takes the folder of packages away, as if the machine were gone.
    pub(crate) fn lose(&self, host: &str) {
        let _ = fs::remove_dir_all(self.path().join(host));
    }

    /// Gives another host the same packages.
    pub(crate) fn copy_host(&self, from: &str, to: &str) {
        let to = self.path().join(to);
        fs::create_dir_all(&to).expect("a folder can be made");
        copy(&self.path().join(from), &to);
    }

    /// All staged files of a folder, by path.
    pub(crate) fn staged(&self) -> BTreeSet<PathBuf> {
        fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => files(&path, found),
                    // A probe of the storage is its maker's own.
                    path if path.to_string_lossy().contains(".transload-check-") => {}
                    path => drop(found.insert(path)),
                }
            }
        }
        let mut found = BTreeSet::new();
        if self.case.route == Route::Folder {
            files(&self.path().join("staged"), &mut found);
        }
        found
    }

    /// How many manifests lie in the storage, where that is a folder.
    pub(crate) fn manifests(&self) -> usize {
        self.staged().iter().filter(|path| path.ends_with("_manifest.json")).count()
    }
}

/// This program, to be started as the process to which things happen.
pub(crate) fn program() -> Command {
    Command::new(std::env::current_exe().expect("this program has a path"))
}

/// A process that carries out orders.
pub(crate) struct Process {
    child: Child,
    orders: String,
}

impl Process {
    pub(crate) fn start(program: &mut Command, orders: &Orders) -> Process {
        let orders = serde_json::to_string(orders).expect("orders are JSON");
        let child = program
            .env(ORDERS, &orders)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        Process { child, orders }
    }

    /// Waits until it stops, and tells where; or until it ends.
    pub(crate) fn stopped(mut self) -> Result<Stopped, End> {
        let pid = Pid::from_child(&self.child);
        // A process that says nothing has not stopped, and one that says something more has ended.
        let mut stdout = BufReader::new(self.child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it speaks UTF-8");
        if !line.starts_with("struck") {
            self.child.wait().expect("it is our child");
            return Err(self.done(&line));
        }
        let waited = waitpid(Some(pid), WaitOptions::UNTRACED).expect("it is our child");
        let (_, status) = waited.expect("it was waited for");
        assert!(status.stopped(), "{}: it ended instead of stopping", self.orders);
        Ok(Stopped { process: self, stdout, at: line.trim().to_owned() })
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> End {
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut text).expect("it speaks UTF-8");
        let status = self.child.wait().expect("it is our child");
        let last = text.lines().last().unwrap_or_default();
        if status.code().is_none() && last.starts_with("struck") {
            return End::Killed(last.to_owned());
        }
        self.done(last)
    }

    fn done(&mut self, last: &str) -> End {
        match serde_json::from_str(last) {
            Ok(report) => End::Done(report),
            Err(_) => {
                let mut words = String::new();
                let stderr = self.child.stderr.as_mut().expect("a pipe");
                let _ = stderr.read_to_string(&mut words);
                panic!("{}: ended without a report\n{last}\n{words}", self.orders)
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is not harmed; one that has stopped would stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that has stopped.
pub(crate) struct Stopped {
    process: Process,
    stdout: BufReader<std::process::ChildStdout>,
    pub(crate) at: String,
}

impl Stopped {
    /// Lets it go on, to its end.
    pub(crate) fn wake(mut self) -> End {
        let pid = Pid::from_child(&self.process.child);
        kill_process(pid, Signal::CONT).expect("it is our child");
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("it speaks UTF-8");
        self.process.child.wait().expect("it is our child");
        self.process.done(text.lines().last().unwrap_or_default())
    }
}
