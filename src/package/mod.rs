//! The load package: the files of one load in a folder, sealed by a manifest.
//!
//! ```text
//! <pipelines dir>/<pipeline>/
//!   lock                      held while a process works here; says who
//!   loads/<load id>/          a package: <table>/<file>, and manifest.json once it is sealed; @source and @changes, hints
//!   loaded/<load id>/         a package that was published: manifest.json, receipt.json
//!   aside/<load id>/          a sealed package that the user has set aside: no run loads it
//!   …/<load id>/set_aside/    rows that could not be loaded, with their reasons
//!   unsealed/<load id>/       what a process that died before sealing left behind
//!   replayed/<destination>/<dataset>/   the same, of loads that were published once more elsewhere
//!   dropped                   the loads that the user has dropped
//! ```
//!
//! Not sealed means never happened. What is written here after the seal are hints: on resume the destination is asked.

mod aside;
mod lock;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use transload_core::failpoint::around;
use transload_core::{
    DataFile, Error, ErrorKind, LoadId, Manifest, Result, SealedManifest, Sha256Hex, escape_segment,
};

pub(crate) use lock::{Lock, owner};

const MANIFEST: &str = "manifest.json";
const RECEIPT: &str = "receipt.json";
/// Folders of tables stand beside it: a name that no table has, see [`escape_segment`].
const SOURCE: &str = "@source";
const CHANGES: &str = "@changes";

/// The working folder of a pipeline.
#[derive(Clone, Debug)]
pub struct WorkingFolder {
    root: PathBuf,
}

/// What a package is, by what lies in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageStatus {
    /// The process that wrote it ended before it was sealed: nothing of it was loaded or will be.
    Unsealed,
    /// Sealed, and not known to be published. It can be resumed.
    Pending,
    /// Sealed, and set aside by the user: no run loads it until it is restored.
    SetAside,
    /// Published.
    Loaded,
}

/// One package, as [`WorkingFolder::packages`] lists it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Package {
    /// The load.
    pub load_id: LoadId,
    /// What it is.
    pub status: PackageStatus,
    /// Its folder.
    pub folder: PathBuf,
}

impl WorkingFolder {
    /// The working folder of a pipeline below `pipelines_dir`. Creates nothing.
    pub fn of(pipelines_dir: &Path, pipeline: &str) -> Self {
        Self { root: pipelines_dir.join(escape_segment(pipeline)) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where the package of a load lies once it is published.
    pub(crate) fn loaded(&self, load_id: &LoadId) -> PathBuf {
        self.root.join("loaded").join(load_id.as_str())
    }

    /// Takes the lock of the folder, which is created if it is missing.
    pub(crate) fn lock(&self) -> Result<Lock> {
        for folder in ["loads", "loaded", "aside", "unsealed"] {
            let folder = self.root.join(folder);
            fs::create_dir_all(&folder)
                .map_err(|error| failed("create a folder", &folder, error))?;
        }
        Lock::take(&self.root.join("lock"))
    }

    /// The packages, the oldest first.
    ///
    /// # Errors
    /// Where the folder cannot be read. One that does not exist holds no packages.
    pub fn packages(&self) -> Result<Vec<Package>> {
        let mut packages = Vec::new();
        for place in ["loads", "loaded", "aside", "unsealed"] {
            let folder = self.root.join(place);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("list a folder", &folder, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| failed("list a folder", &folder, error))?;
                let folder = entry.path();
                let status = match place {
                    "loaded" => PackageStatus::Loaded,
                    "aside" => PackageStatus::SetAside,
                    "loads" if folder.join(MANIFEST).exists() => PackageStatus::Pending,
                    _ => PackageStatus::Unsealed,
                };
                let load_id = LoadId::new(entry.file_name().to_string_lossy());
                packages.push(Package { load_id, status, folder });
            }
        }
        packages.sort_by(|a, b| a.load_id.cmp(&b.load_id));
        Ok(packages)
    }

    /// The packages of all pipelines that share the folder of pipelines: some may load into the same dataset.
    pub(crate) fn of_all_pipelines(&self) -> Result<Vec<Package>> {
        let above = self.root.parent().unwrap_or(Path::new("."));
        let entries = match fs::read_dir(above) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list a folder", above, error)),
        };
        let mut packages = Vec::new();
        for entry in entries {
            let root = entry.map_err(|error| failed("list a folder", above, error))?.path();
            // Nothing else has this folder in it.
            if root.join("loads").is_dir() {
                packages.extend(Self { root }.packages()?);
            }
        }
        Ok(packages)
    }

    /// The packages that are sealed and not known to be published, the oldest first.
    pub(crate) fn pending(&self) -> Result<Vec<Package>> {
        Ok(self
            .packages()?
            .into_iter()
            .filter(|package| package.status == PackageStatus::Pending)
            .collect())
    }

    /// Begins a package.
    pub(crate) fn begin(&self, load_id: &LoadId) -> Result<PathBuf> {
        let folder = self.root.join("loads").join(load_id.as_str());
        around("create the package", || fs::create_dir(&folder))
            .map_err(|error| failed("create the package", &folder, error))?;
        Ok(folder)
    }

    /// Moves aside what processes that died before sealing left behind. Their rows were never acknowledged to their
    /// source, so nothing is lost; the user decides when the files go.
    pub(crate) fn set_unsealed_aside(&self) -> Result<Vec<PathBuf>> {
        let mut moved = Vec::new();
        for package in
            self.packages()?.into_iter().filter(|package| package.status == PackageStatus::Unsealed)
        {
            let aside = self.root.join("unsealed").join(package.load_id.as_str());
            if package.folder != aside {
                around("set a package aside", || fs::rename(&package.folder, &aside)).map_err(
                    |error| failed("set an unsealed package aside", &package.folder, error),
                )?;
                moved.push(aside);
            }
        }
        Ok(moved)
    }

    /// Notes in a package the marks of the files that it was read from, before it is sealed.
    pub(crate) fn note_source(&self, folder: &Path, marks: &BTreeSet<String>) -> Result<()> {
        let lines: String = marks.iter().map(|mark| format!("{mark}\n")).collect();
        write_durably(folder, SOURCE, lines.as_bytes())
    }

    /// Notes in a package which tables and columns its load adds to the dataset, before it is sealed.
    pub(crate) fn note_changes(&self, folder: &Path, changes: &[String]) -> Result<()> {
        let lines: String = changes.iter().map(|change| format!("{change}\n")).collect();
        write_durably(folder, CHANGES, lines.as_bytes())
    }

    /// Seals a package: writes its manifest so that it is there as a whole or not at all, even after a power cut. The
    /// files must be durable already, their names become so here: once for each folder, not for each file.
    pub(crate) fn seal(&self, folder: &Path, manifest: &SealedManifest) -> Result<()> {
        for table in table_folders(manifest) {
            sync_folder(&folder.join(table))?;
        }
        write_durably(folder, MANIFEST, manifest.bytes())?;
        // The entry of the package in its parent must be as durable as what it holds.
        sync_folder(&self.root.join("loads"))
    }

    /// Removes the folder of a run that failed before its load began. The manifest goes first, where one was written: what
    /// is left after a crash was then never sealed.
    pub(crate) fn discard(&self, folder: &Path) {
        let manifest = folder.join(MANIFEST);
        if manifest.exists()
            && (fs::remove_file(&manifest).is_err() || sync_folder(folder).is_err())
        {
            return;
        }
        // What stays behind is set aside by the next run.
        let _ = fs::remove_dir_all(folder);
    }

    /// Records a load that was published from elsewhere, so that it is known here.
    pub(crate) fn record(&self, manifest: &SealedManifest, receipt: &[u8]) -> Result<()> {
        let folder = self.loaded(&manifest.load_id);
        fs::create_dir_all(&folder).map_err(|error| failed("create a folder", &folder, error))?;
        write_durably(&folder, RECEIPT, receipt)?;
        write_durably(&folder, MANIFEST, manifest.bytes())?;
        sync_folder(&self.root.join("loaded"))
    }

    /// Writes the receipt into a package's folder.
    pub(crate) fn write_receipt(&self, folder: &Path, receipt: &[u8]) -> Result<()> {
        write_durably(folder, RECEIPT, receipt)
    }

    /// Moves a published package to the others, without its data files unless they are to be kept.
    pub(crate) fn finish(
        &self,
        folder: &Path,
        manifest: &Manifest,
        keeps_files: bool,
    ) -> Result<()> {
        if !keeps_files {
            for file in &manifest.files {
                let path = folder.join(file.path());
                match around("remove a loaded file", || fs::remove_file(&path)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed("remove a loaded file", &path, error)),
                }
            }
            for table in table_folders(manifest) {
                // Fails where somebody has put other files into it.
                let _ = fs::remove_dir(folder.join(table));
            }
        }
        let loaded = self.loaded(&manifest.load_id);
        around("move the loaded package", || fs::rename(folder, &loaded))
            .map_err(|error| failed("move the loaded package", folder, error))?;
        sync_folder(&self.root.join("loaded"))
    }
}

impl Package {
    /// Reads the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where there is none, or it is damaged, or of a newer version.
    pub fn manifest(&self) -> Result<SealedManifest> {
        let path = self.folder.join(MANIFEST);
        let bytes = fs::read(&path).map_err(|error| failed("read the manifest", &path, error))?;
        let manifest = SealedManifest::from_bytes(bytes)
            .map_err(|error| error.with("path", path.display()))?;
        if manifest.load_id != self.load_id {
            return Err(Error::new(
                ErrorKind::Terminal,
                "the package holds the manifest of another load",
            )
            .with("code", "E_LOAD_ID")
            .with("path", path.display())
            .with("manifest", &manifest.load_id)
            .with_hint("move the folder away, it was not made by this pipeline's runs"));
        }
        Ok(manifest)
    }

    /// The marks of the files that the package was read from.
    pub(crate) fn marks(&self) -> BTreeSet<String> {
        let noted = fs::read_to_string(self.folder.join(SOURCE)).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    /// The tables and columns that the load was to add to the dataset when it was sealed.
    pub(crate) fn changes(&self) -> Vec<String> {
        let noted = fs::read_to_string(self.folder.join(CHANGES)).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    /// The receipt, as it was written, where there is one.
    pub fn receipt(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join(RECEIPT)).ok()
    }
}

/// Holds a data file against what the manifest says of it.
pub(crate) fn check_file(path: &Path, file: &DataFile) -> Result<()> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Terminal, "a data file of the load is damaged")
            .with("code", "E_PACKAGE_DAMAGED")
            .with("path", path.display())
            .with("reason", reason)
            .with_hint(
                "nothing of the load was published; set its package aside and drop it (`transload package`), and load \
                 its source again",
            )
    };
    let unreadable = |error: io::Error| refused("it cannot be read").with_source(error);
    let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(refused("it is no file"));
    }
    if metadata.len() != file.bytes {
        return Err(refused("its size is not that of the manifest"));
    }
    let mut hash = Sha256::new();
    let mut reader = File::open(path).map_err(unreadable)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    match Sha256Hex::from_digest(&hash.finalize()) == file.sha256 {
        true => Ok(()),
        false => Err(refused("its hash is not that of the manifest")),
    }
}

/// The folders of the tables that have files, below that of the package.
fn table_folders(manifest: &Manifest) -> BTreeSet<String> {
    let tables: BTreeSet<&str> = manifest.files.iter().map(|file| file.table.as_str()).collect();
    tables.into_iter().map(escape_segment).collect()
}

fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = folder.join(format!(".{name}.part"));
    let path = folder.join(name);
    let write = || -> io::Result<()> {
        let mut file = around("create a record", || File::create(&temporary))?;
        around("write a record", || file.write_all(bytes))?;
        around("sync a record", || file.sync_all())?;
        around("rename a record", || fs::rename(&temporary, &path))
    };
    write().map_err(|error| failed("write a file of the package", &path, error))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<()> {
    around("sync a folder of packages", || File::open(folder)?.sync_all())
        .map_err(|error| failed("write a folder", folder, error))
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => "make room, or choose another folder with --pipelines-dir",
        io::ErrorKind::PermissionDenied => {
            "give this user the right, or choose another folder with --pipelines-dir"
        }
        _ => "check the folder, or choose another one with --pipelines-dir",
    };
    Error::new(ErrorKind::Terminal, format!("could not {what}"))
        .with("path", path.display())
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{Dataset, FileFormat, Schema};

    pub(super) fn manifest(load_id: &str) -> SealedManifest {
        let manifest = Manifest {
            manifest_version: transload_core::MANIFEST_VERSION,
            load_id: LoadId::new(load_id),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            created_at: crate::clock::now(),
            destination: "duckdb".into(),
            place: "here".into(),
            previous: None,
            staging: None,
            format: FileFormat::Jsonl,
            tables: vec!["t".into()],
            files: vec![DataFile {
                table: "t".into(),
                name: "000001-x.jsonl".into(),
                format: FileFormat::Jsonl,
                gzip: false,
                rows: 1,
                bytes: 3,
                sha256: Sha256Hex::of(b"{}\n"),
                columns: vec![],
                bounds: Default::default(),
                longest: Default::default(),
            }],
            schema: Schema::from_json(include_str!("../../core/tests/data/dlt-schema.json"))
                .unwrap(),
            state: None,
        };
        manifest.seal()
    }

    pub(super) fn folder() -> (tempfile::TempDir, WorkingFolder) {
        let directory = tempfile::tempdir().unwrap();
        let folder = WorkingFolder::of(directory.path(), "p");
        (directory, folder)
    }

    #[test]
    fn a_package_is_unsealed_then_pending_then_loaded() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let manifest = manifest("1.5");
        let package = working.begin(&manifest.load_id).unwrap();
        fs::create_dir(package.join("t")).unwrap();
        fs::write(package.join("t/000001-x.jsonl"), "{}\n").unwrap();
        assert_eq!(working.packages().unwrap()[0].status, PackageStatus::Unsealed);
        working.seal(&package, &manifest).unwrap();
        let pending = working.pending().unwrap();
        assert_eq!(pending[0].manifest().unwrap(), manifest);
        check_file(&package.join(manifest.files[0].path()), &manifest.files[0]).unwrap();
        working.finish(&package, &manifest, false).unwrap();
        let packages = working.packages().unwrap();
        assert_eq!(packages[0].status, PackageStatus::Loaded);
        assert!(!packages[0].folder.join("t").exists());
    }

    #[test]
    fn what_was_not_sealed_is_set_aside_and_kept() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let package = working.begin(&LoadId::new("1.5")).unwrap();
        fs::write(package.join("half"), "x").unwrap();
        let moved = working.set_unsealed_aside().unwrap();
        assert!(moved[0].join("half").exists());
        assert!(working.pending().unwrap().is_empty());
        assert!(working.set_unsealed_aside().unwrap().is_empty());
    }

    #[test]
    fn damaged_packages_are_refused() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let manifest = manifest("1.5");
        let package = working.begin(&manifest.load_id).unwrap();
        fs::create_dir(package.join("t")).unwrap();
        working.seal(&package, &manifest).unwrap();
        let file = &manifest.files[0];
        let path = package.join(file.path());
        let reason_of =
            || check_file(&path, file).unwrap_err().context("reason").map(str::to_owned);
        assert_eq!(reason_of().as_deref(), Some("it cannot be read"));
        for (content, reason) in [
            ("{}", "its size is not that of the manifest"),
            ("{]\n", "its hash is not that of the manifest"),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(reason_of().as_deref(), Some(reason));
        }
        fs::write(&path, "{}\n").unwrap();
        check_file(&path, file).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert_eq!(reason_of().as_deref(), Some("it is no file"));
        fs::write(package.join(MANIFEST), "").unwrap();
        assert_eq!(
            working.pending().unwrap()[0].manifest().unwrap_err().kind(),
            ErrorKind::Terminal
        );
    }

    #[test]
    fn a_package_with_a_foreign_manifest_is_refused() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let package = working.begin(&LoadId::new("2.5")).unwrap();
        fs::create_dir(package.join("t")).unwrap();
        working.seal(&package, &manifest("1.5")).unwrap();
        let error = working.pending().unwrap()[0].manifest().unwrap_err();
        assert_eq!(error.message(), "the package holds the manifest of another load");
    }

    #[test]
    fn what_is_discarded_was_never_sealed() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let manifest = manifest("1.5");
        let package = working.begin(&manifest.load_id).unwrap();
        fs::create_dir(package.join("t")).unwrap();
        working.seal(&package, &manifest).unwrap();
        working.discard(&package);
        assert!(working.packages().unwrap().is_empty());
    }

    #[test]
    fn a_load_from_elsewhere_is_recorded_as_loaded() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let manifest = manifest("1.5");
        working.record(&manifest, b"{}").unwrap();
        let [package] = &working.packages().unwrap()[..] else { panic!("one package") };
        assert_eq!(package.status, PackageStatus::Loaded);
        assert_eq!(package.manifest().unwrap(), manifest);
        assert_eq!(package.receipt().unwrap(), b"{}");
    }

    #[test]
    fn a_second_process_is_told_who_holds_the_folder() {
        let (_directory, working) = folder();
        let lock = working.lock().unwrap();
        let error = working.lock().unwrap_err();
        assert!(
            error.context("held by").unwrap().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(lock);
        working.lock().unwrap();
    }
}
