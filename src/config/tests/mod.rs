mod order;
mod refusals;
mod reports;
mod values;

use transload_core::settings::{SettingValue, connection_string};
use transload_core::{ErrorKind, Redactor, Secret, settings};

use super::*;

settings! {
    /// How to log in.
    struct Credentials (from_text = connection_string) {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
        /// The host.
        host: String,
        /// The database.
        database: String,
        /// The port.
        port: u16 = "5439",
        /// Seconds.
        connect_timeout: u64 = "15",
    }
}

settings! {
    /// A warehouse.
    struct Warehouse {
        /// How to log in.
        credentials: Credentials,
        /// Options.
        options: Option<std::collections::BTreeMap<String, String>>,
        /// On or off.
        strict: bool = "false",
    }
}

settings! {
    /// Keys.
    struct StoreCredentials {
        /// Id.
        aws_access_key_id: Option<String>,
        /// Key.
        aws_secret_access_key: Option<Secret>,
    }
}

settings! {
    /// A store.
    struct Store {
        /// Where.
        bucket_url: String,
        /// How to log in.
        credentials: Option<StoreCredentials>,
    }
}

/// A project and a home folder with these files.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = machine.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        machine
    }

    fn builder(&self) -> Builder {
        Layers::builder().project(self.0.path().join("project")).home(self.0.path().join("home"))
    }

    fn layers(&self, environment: &[(&str, &str)]) -> Layers {
        self.builder().environment(environment.iter().copied()).build().unwrap()
    }

    /// A text with the folder of this machine left out.
    fn shorten(&self, text: impl ToString) -> String {
        text.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

const SECRETS: &str = "project/.transload/secrets.toml";
const CONFIG: &str = "project/.transload/config.toml";
const LOGIN: &str = "[destination.redshift.credentials]\n\
                     username = 's'\npassword = 'secret-s'\nhost = 's'\ndatabase = 's'\n";
const TEXT: &str = "redshift://u:secret-u@h/db";

fn login(layers: &Layers) -> Credentials {
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    settings.read::<Warehouse>().unwrap().credentials
}

fn get(layers: &Layers, key: &str) -> String {
    match layers.get("p", &["destination", "redshift"], key).unwrap() {
        (SettingValue::Text(text), _) => text.expose().to_owned(),
        (other, _) => panic!("{other:?}"),
    }
}
