//! The state of a pipeline, in the form in which dlt stores it.

use std::io::{Read, Write};

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha3::{Digest, Sha3_256};
use transload_core::{Error, ErrorKind, Result, StateRow, canonical_json};

/// The version of dlt's state format that is read and written.
const ENGINE_VERSION: u64 = 4;

/// What a pipeline remembers between runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PipelineState(Map<String, Value>);

/// What the state says of the pipeline itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) dataset: &'a str,
    pub(crate) schema: &'a str,
    pub(crate) destination: (&'a str, &'a str),
    pub(crate) staging: Option<(&'a str, &'a str)>,
}

impl PipelineState {
    /// The state before the first load.
    pub(crate) fn new() -> Self {
        let mut map = Map::new();
        map.insert("_state_version".into(), json!(0));
        map.insert("_state_engine_version".into(), json!(ENGINE_VERSION));
        Self(map)
    }

    /// Reads the state that a dataset holds.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where it cannot be read.
    pub(crate) fn from_row(row: &StateRow) -> Result<Self> {
        let refused = || {
            Error::new(ErrorKind::Terminal, "the stored state of the pipeline cannot be read")
                .with("pipeline", &row.pipeline_name)
                .with("version", row.version)
        };
        if row.engine_version != ENGINE_VERSION {
            return Err(refused()
                .with("format", row.engine_version)
                .with("understood", ENGINE_VERSION)
                .with_hint("load once with a current dlt, which brings the state to this format"));
        }
        let packed = base64::engine::general_purpose::STANDARD
            .decode(row.state.trim())
            .map_err(|error| refused().with_source(error))?;
        let mut text = String::new();
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_to_string(&mut text)
            .map_err(|error| refused().with_source(error))?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(refused()),
            Err(error) => Err(refused().with_source(error)),
        }
    }

    /// Writes down whose state it is.
    pub(crate) fn identify(&mut self, identity: &Identity<'_>) {
        self.0.insert("pipeline_name".into(), json!(identity.pipeline));
        self.0.insert("dataset_name".into(), json!(identity.dataset));
        self.0.insert("default_schema_name".into(), json!(identity.schema));
        let mut names: Vec<String> = match self.0.get("schema_names").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => Vec::new(),
        };
        if !names.iter().any(|name| name == identity.schema) {
            names.push(identity.schema.to_owned());
        }
        names.sort_unstable();
        self.0.insert("schema_names".into(), json!(names));
        let reference = |name: &str| format!("dlt.destinations.{name}");
        let name_of =
            |(name, kind): (&str, &str)| if name == kind { Value::Null } else { json!(name) };
        self.0.insert("destination_type".into(), json!(reference(identity.destination.1)));
        self.0.insert("destination_name".into(), name_of(identity.destination));
        if let Some(staging) = identity.staging {
            self.0.insert("staging_type".into(), json!(reference(staging.1)));
            self.0.insert("staging_name".into(), name_of(staging));
        }
    }

    /// What a resource remembers, where it remembers anything.
    pub(crate) fn resource(&self, schema: &str, resource: &str) -> Option<&Map<String, Value>> {
        let source = self.0.get("sources")?.get(schema)?;
        source.get("resources")?.get(resource)?.as_object()
    }

    /// Whether any resource remembers anything.
    pub(crate) fn remembers(&self) -> bool {
        let sources = self.0.get("sources").and_then(Value::as_object);
        let mut resources = sources
            .into_iter()
            .flat_map(Map::values)
            .filter_map(|source| source.get("resources")?.as_object())
            .flat_map(Map::values);
        resources.any(|resource| resource.as_object().is_some_and(|memory| !memory.is_empty()))
    }

    /// What a resource remembers, to be changed.
    pub(crate) fn resource_mut(&mut self, schema: &str, resource: &str) -> &mut Map<String, Value> {
        let source = object(object(&mut self.0, "sources"), schema);
        object(object(source, "resources"), resource)
    }

    /// Forgets what a resource remembers. What dlt does of a resource that replaces its table.
    pub(crate) fn forget_resource(&mut self, schema: &str, resource: &str) {
        // dlt makes the entry of the source for that, and so do we: the states of both have the same hash.
        let source = object(object(&mut self.0, "sources"), schema);
        if let Some(resources) = source.get_mut("resources").and_then(Value::as_object_mut) {
            resources.remove(resource);
        }
    }

    /// Brings version and hash up to date. Returns the row to store where the content had changed.
    pub(crate) fn bump(&mut self, created_at: &str, dlt_id: String) -> Option<StateRow> {
        let hash = self.content_hash();
        let before = self.0.get("_version_hash").and_then(Value::as_str);
        if before == Some(hash.as_str()) {
            return None;
        }
        let version = self.0.get("_state_version").and_then(Value::as_u64).unwrap_or(0) + 1;
        self.0.insert("_state_version".into(), json!(version));
        self.0.insert("_version_hash".into(), json!(hash));
        Some(StateRow {
            version,
            engine_version: ENGINE_VERSION,
            pipeline_name: self
                .0
                .get("pipeline_name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            state: self.pack(),
            created_at: created_at.to_owned(),
            version_hash: hash,
            dlt_id,
        })
    }

    /// dlt's hash: SHA3-256 over the JSON with sorted keys, without versions and what is local, in base64.
    fn content_hash(&self) -> String {
        let mut content = self.0.clone();
        for key in ["_state_version", "_state_engine_version", "_version_hash", "_local"] {
            content.remove(key);
        }
        let hash = Sha3_256::digest(canonical_json(&Value::Object(content)).as_bytes());
        base64::engine::general_purpose::STANDARD.encode(hash)
    }

    fn pack(&self) -> String {
        let mut content = self.0.clone();
        content.remove("_local");
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let text = Value::Object(content).to_string();
        // Writing into memory does not fail; were it to, an empty state would be refused when it is read.
        let packed =
            encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        base64::engine::general_purpose::STANDARD.encode(packed)
    }
}

/// The object under a key; it is made where there is none.
fn object<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let value = map.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made an object if it was none")
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity<'_> = Identity {
        pipeline: "my_pipeline",
        dataset: "d",
        schema: "my",
        destination: ("duckdb", "duckdb"),
        staging: None,
    };

    #[test]
    fn the_hash_is_the_one_that_dlt_computes() {
        let mut state = PipelineState::new();
        state.identify(&IDENTITY);
        // The state whose hash dlt gave had this entry of a source that keeps nothing.
        object(&mut state.0, "sources").insert("my".into(), json!({}));
        let row = state.bump("2026-11-22T17:45:39.0Z", "id".into()).unwrap();
        assert_eq!(row.version_hash, "phTf6HUJYPFaTzk8unqoIbGO4StsVrMBIUvGl3ntsr4=");
        assert_eq!((row.version, row.engine_version), (1, 4));
    }

    #[test]
    fn an_unchanged_state_is_not_stored_again() {
        let mut state = PipelineState::new();
        state.identify(&IDENTITY);
        let row = state.bump("t", "id".into()).unwrap();
        let mut back = PipelineState::from_row(&row).unwrap();
        assert_eq!(back, state);
        back.identify(&IDENTITY);
        assert_eq!(back.bump("t", "id".into()), None);
        back.identify(&Identity { staging: Some(("lake", "filesystem")), ..IDENTITY });
        assert_eq!(back.bump("t", "id".into()).unwrap().version, 2);
    }

    /// The state of a dlt pipeline with two cursors, one of them a point in time, and with a key that is not dlt's.
    const OF_DLT: &str = r#"{
        "_state_version": 0, "_state_engine_version": 4, "_local": {"first_run": false},
        "_version_hash": "c279/mLMgeZwUTtB9VIEVMvSPk8BK+X0j5eJp7eeidE=",
        "pipeline_name": "p", "schema_names": ["p"], "default_schema_name": "p", "dataset_name": "d",
        "destination_type": "dlt.destinations.duckdb", "destination_name": null,
        "sources": {"p": {"resources": {
            "r": {
                "incremental": {
                    "c": {
                        "initial_value": null, "last_value": 3, "unique_hashes": ["kh9qjwkTY69oGWiLFCKn"],
                        "start_value": 2
                    },
                    "a.b[0].c": {
                        "initial_value": 1e+16, "last_value": 0.1, "unique_hashes": [], "start_value": null
                    }
                },
                "transload_files": {"format": 1, "count": 1, "hashes": "AAAAAAAAAAE="}
            },
            "ä": {"incremental": {"t": {
                "initial_value": "\uf0282024-01-01", "last_value": "\uf0272024-01-02T12:00:00+00:00",
                "unique_hashes": [], "start_value": null
            }}}
        }}}
    }"#;

    #[test]
    fn the_hash_of_a_state_with_cursors_is_the_one_that_dlt_computes() {
        let Value::Object(map) = serde_json::from_str(OF_DLT).unwrap() else { panic!("an object") };
        let mut state = PipelineState(map);
        assert_eq!(state.content_hash(), "c279/mLMgeZwUTtB9VIEVMvSPk8BK+X0j5eJp7eeidE=");
        assert_eq!(state.bump("t", "id".into()), None, "nothing has changed");
        let last = |state: &PipelineState| {
            state.resource("p", "r").unwrap()["incremental"]["c"]["last_value"].clone()
        };
        assert_eq!(last(&state), 3);
        state.resource_mut("p", "r")["incremental"]["c"]["last_value"] = json!(4);
        let row = state.bump("t", "id".into()).unwrap();
        assert_eq!(last(&PipelineState::from_row(&row).unwrap()), 4);
        state.resource_mut("p", "r")["incremental"]["c"]["last_value"] = json!(3);
        assert_eq!(
            state.bump("t", "id".into()).unwrap().version_hash,
            "c279/mLMgeZwUTtB9VIEVMvSPk8BK+X0j5eJp7eeidE="
        );
    }

    #[test]
    fn what_resources_remember_is_apart_and_can_be_forgotten() {
        let mut state = PipelineState::new();
        state.identify(&IDENTITY);
        assert_eq!(state.resource("my", "a"), None);
        state.resource_mut("my", "a").insert("k".into(), json!(1));
        state.resource_mut("other", "a").insert("k".into(), json!(2));
        state.resource_mut("my", "b").insert("k".into(), json!(3));
        state.forget_resource("my", "a");
        state.forget_resource("my", "none");
        state.forget_resource("none", "a");
        assert_eq!(state.resource("my", "a"), None);
        assert_eq!(state.resource("other", "a").unwrap()["k"], 2);
        assert_eq!(state.resource("my", "b").unwrap()["k"], 3);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_refused() {
        let mut state = PipelineState::new();
        state.identify(&IDENTITY);
        let row = state.bump("t", "id".into()).unwrap();
        let damaged = StateRow { state: row.state[..20].to_owned(), ..row.clone() };
        assert_eq!(PipelineState::from_row(&damaged).unwrap_err().kind(), ErrorKind::Terminal);
        let newer = StateRow { engine_version: 5, ..row };
        assert_eq!(PipelineState::from_row(&newer).unwrap_err().context("format"), Some("5"));
    }
}
