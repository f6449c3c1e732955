//! Packages that are set aside: kept as they are, and left out by every run until they come back or are dropped.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use transload_core::{Error, ErrorKind, LoadId, Result};

use super::{Package, PackageStatus, WorkingFolder, failed, sync_folder};

/// The file that names the loads which were dropped, one a line.
const DROPPED: &str = "dropped";

impl WorkingFolder {
    /// Sets a sealed package aside: the next run goes on without it, nothing of it is removed, and
    /// [`restore`](Self::restore) brings it back. A damaged one can be set aside, too.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where no such package waits to be loaded, [`ErrorKind::Transient`] while another
    /// process works in the folder.
    pub fn set_aside(&self, load_id: &LoadId) -> Result<Package> {
        let _lock = self.lock()?;
        let package = self.find(load_id)?;
        match package.status {
            PackageStatus::Pending => self.move_to(package, PackageStatus::SetAside),
            PackageStatus::SetAside => Ok(package),
            PackageStatus::Loaded => {
                Err(wrong_state(&package, "it is loaded: nothing waits in it"))
            }
            PackageStatus::Unsealed => {
                Err(wrong_state(&package, "it was never sealed: no run will ever load it"))
            }
        }
    }

    /// Brings a package back that was set aside: the next run or resume loads it, or says why it can no longer be loaded.
    ///
    /// # Errors
    /// As [`set_aside`](Self::set_aside), where no such package is set aside.
    pub fn restore(&self, load_id: &LoadId) -> Result<Package> {
        let _lock = self.lock()?;
        let package = self.find(load_id)?;
        match package.status {
            PackageStatus::SetAside => self.move_to(package, PackageStatus::Pending),
            PackageStatus::Pending => Ok(package),
            PackageStatus::Loaded => Err(wrong_state(&package, "it is loaded")),
            PackageStatus::Unsealed => {
                Err(wrong_state(&package, "it was never sealed, so it cannot be loaded"))
            }
        }
    }

    /// Removes a package that was set aside or never sealed, with all of its rows. Nothing else ever removes a package
    /// that is not loaded. What it has in a staging storage stays: see [`Pipeline::drop_package`](crate::Pipeline::drop_package).
    ///
    /// # Errors
    /// As [`set_aside`](Self::set_aside), where it is neither.
    pub fn drop_package(&self, load_id: &LoadId) -> Result<Package> {
        let _lock = self.lock()?;
        let package = self.droppable(load_id)?;
        self.remove(&package)?;
        Ok(package)
    }

    /// The package, where it may be dropped.
    pub(crate) fn droppable(&self, load_id: &LoadId) -> Result<Package> {
        let package = self.find(load_id)?;
        match package.status {
            PackageStatus::SetAside | PackageStatus::Unsealed => Ok(package),
            PackageStatus::Loaded => Err(wrong_state(&package, "it is loaded: only its receipt is left")),
            PackageStatus::Pending => Err(wrong_state(&package, "it waits to be loaded")
                .with_hint(format!(
                    "`transload resume` loads it; to be rid of its rows set it aside first: `transload package \
                     set-aside {load_id}`"
                ))),
        }
    }

    /// Removes the folder of a package for good, and notes that its load is dead.
    pub(crate) fn remove(&self, package: &Package) -> Result<()> {
        self.note_dropped(&package.load_id)?;
        fs::remove_dir_all(&package.folder)
            .map_err(|error| failed("remove the package", &package.folder, error))
    }

    /// Notes that a load is dead: no table or file that it left behind is needed by anyone.
    pub(crate) fn note_dropped(&self, load_id: &LoadId) -> Result<()> {
        let path = self.dropped_file();
        let mut options = OpenOptions::new();
        let written = options
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{load_id}").and_then(|()| file.sync_all()));
        written.map_err(|error| failed("note that the load is dropped", &path, error))
    }

    /// The loads that were dropped here.
    pub(crate) fn dropped(&self) -> BTreeSet<LoadId> {
        let noted = fs::read_to_string(self.dropped_file()).unwrap_or_default();
        noted.lines().map(LoadId::new).collect()
    }

    fn dropped_file(&self) -> PathBuf {
        self.root.join(DROPPED)
    }

    fn find(&self, load_id: &LoadId) -> Result<Package> {
        let packages = self.packages()?;
        if let Some(package) = packages.iter().find(|package| package.load_id == *load_id) {
            return Ok(package.clone());
        }
        let names: Vec<&str> = packages
            .iter()
            .filter(|package| package.status != PackageStatus::Loaded)
            .map(|package| package.load_id.as_str())
            .collect();
        Err(Error::new(ErrorKind::Configuration, "there is no such package here")
            .with("load", load_id)
            .with("folder", self.root.display())
            .with("not loaded", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
            .with_hint(
                "`transload status` shows the packages; `--pipelines-dir` names another folder",
            ))
    }

    /// Moves a package, as durably as it was sealed.
    fn move_to(&self, package: Package, status: PackageStatus) -> Result<Package> {
        let place = |status| match status {
            PackageStatus::SetAside => self.root.join("aside"),
            _ => self.root.join("loads"),
        };
        let folder = place(status).join(package.load_id.as_str());
        fs::rename(&package.folder, &folder)
            .map_err(|error| failed("move the package", &package.folder, error))?;
        sync_folder(&place(status))?;
        sync_folder(&place(package.status))?;
        Ok(Package { folder, status, ..package })
    }
}

fn wrong_state(package: &Package, reason: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "that cannot be done with this package")
        .with("load", &package.load_id)
        .with("reason", reason)
        .with("package", package.folder.display())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{folder, manifest};
    use super::*;

    #[test]
    fn a_package_goes_aside_comes_back_and_is_dropped_by_the_user_alone() {
        let (_directory, working) = folder();
        let manifest = manifest("1.5");
        let load = &manifest.load_id;
        {
            let _lock = working.lock().unwrap();
            let package = working.begin(load).unwrap();
            fs::create_dir(package.join("t")).unwrap();
            fs::write(package.join("t/000001-x.jsonl"), "{}\n").unwrap();
            working.seal(&package, &manifest).unwrap();
        }
        let error = working.drop_package(load).unwrap_err();
        assert_eq!(error.context("reason"), Some("it waits to be loaded"));
        for _ in 0..2 {
            let aside = working.set_aside(load).unwrap();
            assert_eq!(aside.status, PackageStatus::SetAside);
            assert_eq!(aside.manifest().unwrap(), manifest);
            assert!(aside.folder.join("t/000001-x.jsonl").exists());
        }
        assert!(working.pending().unwrap().is_empty());
        assert_eq!(working.packages().unwrap()[0].status, PackageStatus::SetAside);
        assert_eq!(working.restore(load).unwrap().status, PackageStatus::Pending);
        assert_eq!(working.pending().unwrap().len(), 1);

        working.set_aside(load).unwrap();
        let dropped = working.drop_package(load).unwrap();
        assert!(!dropped.folder.exists());
        assert_eq!(working.dropped(), [load.clone()].into());
        for error in [working.set_aside(load), working.restore(load), working.drop_package(load)] {
            assert_eq!(error.unwrap_err().message(), "there is no such package here");
        }
    }

    #[test]
    fn a_damaged_package_can_be_set_aside_and_a_loaded_or_unsealed_one_not() {
        let (_directory, working) = folder();
        let (damaged, loaded, unsealed) =
            (LoadId::new("1.5"), LoadId::new("2.5"), LoadId::new("3.5"));
        {
            let _lock = working.lock().unwrap();
            fs::write(working.begin(&damaged).unwrap().join("manifest.json"), "{").unwrap();
            fs::create_dir(working.loaded(&loaded)).unwrap();
            working.begin(&unsealed).unwrap();
        }
        assert_eq!(working.set_aside(&damaged).unwrap().status, PackageStatus::SetAside);
        for load in [&loaded, &unsealed] {
            assert_eq!(working.set_aside(load).unwrap_err().kind(), ErrorKind::Configuration);
            assert_eq!(working.restore(load).unwrap_err().kind(), ErrorKind::Configuration);
        }
        assert!(working.drop_package(&loaded).is_err());
        working.drop_package(&unsealed).unwrap();
    }

    #[test]
    fn nothing_is_moved_while_another_process_works_there() {
        let (_directory, working) = folder();
        let _lock = working.lock().unwrap();
        let error = working.set_aside(&LoadId::new("1.5")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient);
        assert!(error.context("held by").is_some());
    }
}
