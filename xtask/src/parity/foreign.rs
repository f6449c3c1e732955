//! JSON that nobody here wrote, out of npm packages, for cases of real data.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::folder;
use crate::npm::{self, Package};
use crate::workspace::Workspace;

struct Files {
    package: Package,
    files: &'static [&'static str],
}

const FILES: &[Files] = &[
    Files {
        package: Package {
            name: "@octokit/webhooks-examples",
            version: "7.6.1",
            sha512: "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
        },
        files: &["api.github.com/index.json"],
    },
    Files {
        package: Package {
            name: "world-countries",
            version: "5.1.0",
            sha512: "CXR6EBvTbArDlDDIWU3gfKb7Qk0ck2WNZ234b/A0vuecPzIfzzxH+O6Ejnvg1sT8XuiZjVlzOH0h08ZtaO7g0w==",
        },
        files: &["countries.json"],
    },
    // A map of 2,500 names to objects, each of which becomes a row.
    Files {
        package: Package {
            name: "mime-db",
            version: "1.54.0",
            sha512: "aU5EJuIN2WDemCcAp2vFBfp/m4EAhWJnUNSSw0ixs7/kXbd6Pg64EmwJkNdFhB8aWt1sH2CTXrLxo/iAGV3oPQ==",
        },
        files: &["db.json"],
    },
    // Tables, graphs, GeoJSON and TopoJSON from many hands; in `movies`, titles that are numbers.
    Files {
        package: Package {
            name: "vega-datasets",
            version: "2.11.0",
            sha512: "JWV4ryGY1C/FIgrWP2N/zdSIhtt7bJD0cq9YlYlGq9f5P27/Mkq6U03iS7wNKGWYTTBS3PfTgyDgbWpdkmcyUg==",
        },
        files: &[
            "data/anscombe.json",
            "data/barley.json",
            "data/budget.json",
            "data/budgets.json",
            "data/burtin.json",
            "data/cars.json",
            "data/countries.json",
            "data/crimea.json",
            "data/driving.json",
            "data/earthquakes.json",
            "data/flare.json",
            "data/gapminder.json",
            "data/income.json",
            "data/londonBoroughs.json",
            "data/londonTubeLines.json",
            "data/miserables.json",
            "data/monarchs.json",
            "data/movies.json",
            "data/obesity.json",
            "data/ohlc.json",
            "data/penguins.json",
            "data/political-contributions.json",
            "data/udistrict.json",
            "data/us-state-capitals.json",
            "data/volcano.json",
            "data/weather.json",
            "data/wheat.json",
            "data/world-110m.json",
        ],
    },
];

/// The folder that has a folder of files for each package.
pub(super) fn folder(workspace: &Workspace) -> Outcome<PathBuf> {
    let all = workspace.cache()?.join("parity").join("files");
    for Files { package, files } in FILES {
        let name = package.specification().replace('/', "+");
        let folder = all.join(name);
        let complete = files
            .iter()
            .filter_map(|file| file.rsplit('/').next())
            .all(|file| folder.join(file).is_file());
        if !complete {
            eprintln!("parity: fetching {}", package.specification());
            folder::replace(&folder, |folder| npm::unpack(package, files, folder, ""))?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_package_have_names_of_their_own() {
        for Files { package, files } in FILES {
            let mut names: Vec<_> = files.iter().filter_map(|f| f.rsplit('/').next()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), files.len(), "{}", package.name);
            assert_eq!(package.sha512.len(), 88, "{}", package.name);
        }
    }
}
