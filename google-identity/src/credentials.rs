//! What says who asks: the keys of a plugin's settings, and the JSON files of Google's, which hold the same.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, Secret};

/// What a plugin was configured with, or what a file says. Its keys are called as the fields here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The project of the account, or the one that pays for a user.
    pub project_id: Option<String>,
    /// The address of a service account.
    pub client_email: Option<String>,
    /// Its private key in PEM.
    pub private_key: Option<Secret>,
    /// The id of that key.
    pub private_key_id: Option<String>,
    /// The id of the application with which a user logged in.
    pub client_id: Option<String>,
    /// The secret of that application.
    pub client_secret: Option<Secret>,
    /// The refresh token that the user was given.
    pub refresh_token: Option<Secret>,
    /// The JSON of a workload identity.
    pub external_account: Option<Secret>,
}

/// The keys of a service account's JSON. The files hold further addresses of Google's: they are not taken from there.
const OF_AN_ACCOUNT: [&str; 4] = ["project_id", "client_email", "private_key", "private_key_id"];
/// The keys of a user's.
const OF_A_USER: [&str; 3] = ["client_id", "client_secret", "refresh_token"];
/// The key under which a workload identity stands, whole.
const WORKLOAD: &str = "external_account";
/// The key under which the path of a file stands.
const FILE: &str = "application_credentials";

/// What one text means that stands for all credentials: the content of a JSON file of Google's, or the path of one, which
/// then stands under `application_credentials`. The text is never shown: it holds a key.
///
/// # Errors
/// [`ErrorKind::Configuration`] where it is neither, or of a kind that is not taken.
pub fn from_text(text: &str) -> Result<BTreeMap<String, String>> {
    let text = text.trim();
    if text.starts_with('{') {
        return parts(text).map_err(refused);
    }
    let is_path = text.ends_with(".json") || text.contains(['/', '\\']);
    if !is_path || text.contains("://") || text.chars().any(char::is_control) {
        return Err(refused("it is neither JSON nor the path of a file".into()));
    }
    Ok(BTreeMap::from([(FILE.to_owned(), text.to_owned())]))
}

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::Configuration, "the credentials of Google cannot be read")
        .with("reason", reason)
        .with_hint(
            "write a table, the content of the JSON file, `credentials = '''{ … }'''` in `.transload/secrets.toml`, or \
             its path",
        )
}

/// Takes a JSON file of Google's apart; else says what is wrong with it.
fn parts(text: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("not JSON from line {}, column {} on", error.line(), error.column())
    })?;
    let wanted: &[&str] = match value["type"].as_str() {
        Some("service_account") => &OF_AN_ACCOUNT,
        Some("authorized_user") => &OF_A_USER,
        Some("external_account") => {
            return Ok(BTreeMap::from([(WORKLOAD.to_owned(), text.to_owned())]));
        }
        _ => {
            return Err(
                "its `type` is none of `service_account`, `authorized_user`, `external_account`"
                    .into(),
            );
        }
    };
    let mut known: Vec<(&str, &Value)> =
        wanted.iter().filter_map(|name| Some((*name, value.get(*name)?))).collect();
    // A user has no project of its own, but one that pays.
    known.extend(value.get("quota_project_id").map(|project| ("project_id", project)));
    known
        .into_iter()
        .map(|(name, value)| match value.as_str() {
            Some(text) => Ok((name.to_owned(), text.to_owned())),
            None => Err(format!("its `{name}` is not a text")),
        })
        .collect()
}

/// The variable that names a file.
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// The file with the application default credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is the variable that names it.
    is_named: bool,
}

/// The file with the application default credentials: that of the variable, then what `gcloud` wrote. Source: Google Cloud,
/// "How Application Default Credentials works".
pub fn default_file(settings: &Settings) -> Option<DefaultFile> {
    if let Some(file) = settings.variable(VARIABLE) {
        return Some(DefaultFile { path: settings.path(Path::new(file)), is_named: true });
    }
    let folder = match settings.variable("CLOUDSDK_CONFIG") {
        Some(folder) => settings.path(folder),
        None => PathBuf::from(settings.variable("HOME")?).join(".config").join("gcloud"),
    };
    let path = folder.join("application_default_credentials.json");
    path.is_file().then_some(DefaultFile { path, is_named: false })
}

impl DefaultFile {
    /// What it says.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be read or holds no credentials.
    pub fn read(&self) -> Result<Credentials> {
        Credentials::in_file(&self.path).map_err(|reason| self.wrong(reason))
    }

    /// Says what is wrong with it, and who names it.
    pub fn wrong(&self, reason: impl fmt::Display) -> Error {
        let mut error = Error::new(
            ErrorKind::Configuration,
            "the application default credentials cannot be read",
        );
        let path = self.path.display().to_string();
        // The content of a file may stand where its path should.
        if !path.contains(['{', '"', '\n']) && !path.contains("-----BEGIN") {
            error = error.with("file", path);
        }
        if self.is_named {
            error = error.with("variable", VARIABLE);
        }
        error.with("reason", reason).with_hint(match self.is_named {
            true => "correct the file or the variable, or name another one in `credentials.application_credentials`",
            false => {
                "log in again (`gcloud auth application-default login`), or name a file in \
                 `credentials.application_credentials`"
            }
        })
    }
}

impl Credentials {
    /// What a file says, whose path stands under this key of the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be read or holds no credentials.
    pub fn of_file(settings: &Settings, key: &str, path: &Path) -> Result<Self> {
        Self::in_file(&settings.path(path)).map_err(|reason| settings.wrong(key, reason))
    }

    /// What a file says; else what is wrong with it.
    fn in_file(path: &Path) -> std::result::Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the file cannot be read: {}", error.kind()))?;
        if !text.trim_start().starts_with('{') {
            return Err("the file holds no JSON object".into());
        }
        let mut parts = parts(&text)?;
        let mut take = |key: &str| parts.remove(key);
        Ok(Self {
            project_id: take("project_id"),
            client_email: take("client_email"),
            private_key: take("private_key").map(Secret::from),
            private_key_id: take("private_key_id"),
            client_id: take("client_id"),
            client_secret: take("client_secret").map(Secret::from),
            refresh_token: take("refresh_token").map(Secret::from),
            external_account: take(WORKLOAD).map(Secret::from),
        })
    }

    /// Whether anything of this tells who asks. The id of a key without the key does not.
    pub fn say_who(&self) -> bool {
        let nobody = Self {
            project_id: self.project_id.clone(),
            private_key_id: self.private_key_id.clone(),
            ..Self::default()
        };
        *self != nobody
    }

    /// Refuses half an identity, whose keys stand in this table of the settings. None at all is that of the machine.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for the key that is missing.
    pub fn check_whole(&self, settings: &Settings, table: &str) -> Result<()> {
        let groups: [&[(&str, bool)]; 2] = [
            &[
                ("client_email", self.client_email.is_some()),
                ("private_key", self.private_key.is_some()),
            ],
            &[
                ("client_id", self.client_id.is_some()),
                ("client_secret", self.client_secret.is_some()),
                ("refresh_token", self.refresh_token.is_some()),
            ],
        ];
        for group in groups {
            let absent = group.iter().find(|(_, present)| !present);
            if let Some((key, _)) = absent
                && group.iter().any(|(_, present)| *present)
            {
                return Err(settings.missing(&format!("{table}.{key}")));
            }
        }
        Ok(())
    }

    /// What must never be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.private_key, &self.client_secret, &self.refresh_token, &self.external_account]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_FILE: &str = r#"{
        "type": "service_account",
        "project_id": "analytics-prod",
        "private_key_id": "0451c0ffee",
        "private_key": "-----BEGIN PRIVATE KEY-----\ncanary0451\n-----END PRIVATE KEY-----\n",
        "client_email": "loader@analytics-prod.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token"
    }"#;

    const USER: &str = r#"{"type": "authorized_user", "client_id": "i", "client_secret": "canary",
        "refresh_token": "canary", "quota_project_id": "payer"}"#;

    #[test]
    fn a_text_is_known_by_its_type() {
        let keys = |text: &str| from_text(text).unwrap().into_keys().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(KEY_FILE), "client_email private_key private_key_id project_id");
        assert_eq!(keys(USER), "client_id client_secret project_id refresh_token");
        let workload = r#"{"type": "external_account", "audience": "//iam"}"#;
        assert_eq!(from_text(workload).unwrap()["external_account"], workload);
        assert!(from_text(KEY_FILE).unwrap()["private_key"].contains("\ncanary0451\n"));
    }

    #[test]
    fn a_path_stands_for_the_file() {
        for path in ["/home/me/key.json", "loader.json", "keys/loader"] {
            let parts = from_text(&format!("{path}\n")).unwrap();
            assert_eq!(parts, [("application_credentials".to_owned(), path.to_owned())].into());
        }
    }

    #[test]
    fn a_text_that_is_no_credentials_is_refused_and_not_shown() {
        const KINDS: &str =
            "its `type` is none of `service_account`, `authorized_user`, `external_account`";
        const NEITHER: &str = "it is neither JSON nor the path of a file";
        for (text, reason) in [
            ("canary", NEITHER),
            ("", NEITHER),
            ("s3://canary/x", NEITHER),
            ("{ canary", "not JSON from line 1, column 3 on"),
            (r#"{"type": "canary"}"#, KINDS),
            (r#"{"type": "gdch_service_account", "private_key": "canary"}"#, KINDS),
            (
                r#"{"type": "service_account", "private_key": ["canary"]}"#,
                "its `private_key` is not a text",
            ),
        ] {
            let error = from_text(text).unwrap_err();
            assert_eq!(
                (error.kind(), error.context("reason")),
                (ErrorKind::Configuration, Some(reason))
            );
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn a_file_says_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { folder: folder.path().to_owned(), ..Settings::from_pairs("lake", &[]) };
        let of = |text: &str| {
            std::fs::write(folder.path().join("key.json"), text).unwrap();
            Credentials::of_file(&settings, "login.file", Path::new("key.json"))
        };
        let account = of(KEY_FILE).unwrap();
        assert!(account.say_who() && account.client_id.is_none());
        assert_eq!(account.private_key_id.as_deref(), Some("0451c0ffee"));
        assert_eq!(of(USER).unwrap().project_id.as_deref(), Some("payer"));
        let error = of("canary").unwrap_err();
        assert_eq!(error.context("key"), Some("destination.lake.login.file"));
        let error = Credentials::of_file(&settings, "f", Path::new("none.json")).unwrap_err();
        assert_eq!(error.context("key"), Some("destination.lake.f"));
        let nobody = Credentials {
            project_id: Some("p".into()),
            private_key_id: Some("k".into()),
            ..Default::default()
        };
        assert!(!nobody.say_who());
    }

    #[test]
    fn half_an_identity_is_refused() {
        let settings = Settings::from_pairs("lake", &[]);
        let text = || Some("x".to_owned());
        for (credentials, missing) in [
            (Credentials { client_email: text(), ..Default::default() }, Some("private_key")),
            (
                Credentials { private_key: Some("x".into()), ..Default::default() },
                Some("client_email"),
            ),
            (Credentials { client_id: text(), ..Default::default() }, Some("client_secret")),
            (Credentials::default(), None),
        ] {
            let key = credentials.check_whole(&settings, "login").err();
            let key = key.and_then(|error| error.context("key").map(str::to_owned));
            assert_eq!(key, missing.map(|key| format!("destination.lake.login.{key}")));
        }
    }

    #[test]
    fn application_default_credentials_are_found_where_google_looks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(".config").join("gcloud");
        std::fs::create_dir_all(&home).unwrap();
        let file_of = |variables: &[(&str, &str)]| {
            let mut settings = Settings::from_pairs("lake", &[]);
            for (name, value) in variables {
                settings.environment.insert((*name).to_owned(), (*value).into());
            }
            default_file(&settings)
        };
        let of = |variables: &[(&str, &str)]| file_of(variables).map(|file| file.path);
        let place = ("HOME", folder.path().to_str().unwrap());
        assert_eq!(of(&[place]), None);
        let file = home.join("application_default_credentials.json");
        std::fs::write(&file, USER).unwrap();
        assert_eq!(of(&[place]), Some(file.clone()));
        let nowhere = ("HOME", "/nowhere");
        assert_eq!(of(&[("CLOUDSDK_CONFIG", home.to_str().unwrap()), nowhere]), Some(file));
        let named = ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json");
        assert_eq!(of(&[place, named]), Some("/key.json".into()));
        assert_eq!(of(&[]), None);

        // Whoever names it is named, and what stands in the place of a path is not shown.
        let error = |variable| file_of(&[place, variable]).unwrap().read().unwrap_err();
        let gone = error(named);
        assert_eq!(
            (gone.context("file"), gone.context("variable")),
            (Some("/key.json"), Some("GOOGLE_APPLICATION_CREDENTIALS"))
        );
        let pasted = error(("GOOGLE_APPLICATION_CREDENTIALS", KEY_FILE));
        assert_eq!(pasted.context("variable"), Some("GOOGLE_APPLICATION_CREDENTIALS"));
        assert!(!format!("{pasted:?}").contains("canary"), "{pasted:?}");
        std::fs::write(home.join("application_default_credentials.json"), "{}").unwrap();
        let of_gcloud = file_of(&[place]).unwrap().read().unwrap_err();
        assert!(of_gcloud.context("file").is_some() && of_gcloud.context("variable").is_none());
        assert!(of_gcloud.hint().unwrap().contains("gcloud"), "{of_gcloud:?}");
    }
}
