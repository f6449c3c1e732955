//! Local files: `PUT` into an internal stage, which is Snowflake's own bucket.
//!
//! The stage is one of ours, in the staging dataset, with encryption by the bucket: the files of a table's or a user's
//! stage would have to be encrypted here, with a key of Snowflake's. The answer to `PUT` says where the bucket is and
//! brings keys for it that end soon.

use std::path::Path;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt as _, StaticCredentialProvider, WriteMultipart,
};
use tokio::io::AsyncReadExt as _;
use transload_core::sql::{Dialect as _, Statement};
use transload_core::{
    DataFile, Error, ErrorKind, Load, Redactor, Result, Secret, Sha256Hex, check_encrypted,
};

use crate::answer::{StageInfo, Upload};
use crate::dialect::{SnowflakeDialect, literal};

/// The stage, in the staging dataset. No table of a user begins like this.
const NAME: &str = "_transload_files";

/// What is read of a file at once. Buckets want parts of 5 MB or more.
const PART: usize = 8 << 20;

/// The stage, quoted and qualified.
pub(crate) fn name(dialect: &SnowflakeDialect, load: &Load) -> String {
    format!("{}.{}", dialect.dataset(&load.dataset.staging), dialect.quote(NAME))
}

/// Where the files of a load lie in the stage.
fn folder(load: &Load) -> String {
    format!("{}/", load.load_id.tag())
}

/// Where a file lies in the stage.
pub(crate) fn path(load: &Load, file: &DataFile) -> String {
    // Buckets and their clients disagree on which characters of a key are written otherwise in its URL.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let table = match file.table.chars().all(is_plain) {
        true => file.table.clone(),
        false => Sha256Hex::of(file.table.as_bytes()).short().to_owned(),
    };
    format!("{}{table}/{}", folder(load), file.name)
}

/// The statements that make the staging dataset, whose tables need no fail-safe, and the stage. Snowflake documentation,
/// "CREATE SCHEMA" and "CREATE STAGE".
pub(crate) fn make_dataset(dialect: &SnowflakeDialect, load: &Load) -> Statement {
    let dataset = dialect.dataset(&load.dataset.staging);
    Statement::new(format!("CREATE TRANSIENT SCHEMA IF NOT EXISTS {dataset}"))
}

pub(crate) fn make(dialect: &SnowflakeDialect, load: &Load) -> Statement {
    Statement::new(format!(
        "CREATE STAGE IF NOT EXISTS {} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')",
        name(dialect, load)
    ))
}

/// The statement that asks where a file is to go. "PUT".
pub(crate) fn put(
    dialect: &SnowflakeDialect,
    load: &Load,
    file: &DataFile,
    local: &Path,
) -> Statement {
    let path = path(load, file);
    let folder = path.rfind('/').map_or("", |at| &path[..at]);
    Statement::new(format!(
        "PUT {} {} PARALLEL = 1 AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE",
        literal(&format!("file://{}", local.display())),
        literal(&format!("@{}/{folder}/", name(dialect, load))),
    ))
}

/// The statement that removes the files of a load. "REMOVE".
pub(crate) fn remove(dialect: &SnowflakeDialect, load: &Load) -> Statement {
    let place = format!("@{}/{}", name(dialect, load), folder(load));
    Statement::new(format!("REMOVE {}", literal(&place)))
}

/// Brings a file to where Snowflake wants it.
pub(crate) async fn upload(upload: &Upload, file: &DataFile, local: &Path) -> Result<()> {
    if !upload.encryption_material.is_null() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the stage wants files that are encrypted here",
        )
        .with_hint("drop the stage `_TRANSLOAD_FILES` of the staging dataset: it is made anew"));
    }
    let info = &upload.stage_info;
    let (bucket, prefix) = info.location.split_once('/').unwrap_or((&info.location, ""));
    let secrets: Vec<Secret> = info
        .creds
        .iter()
        .flatten()
        .filter_map(|(_, value)| value.clone())
        .map(Secret::from)
        .collect();
    let redactor = Redactor::new(&secrets);
    let store = store(info, bucket).map_err(|error| error.redacted(&redactor))?;
    let key = Key::from(format!(
        "{prefix}{}{}",
        if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" },
        file.name
    ));
    send(store.as_ref(), &key, local).await.map_err(|error| {
        error.with("file", &file.name).with("storage", &info.location_type).redacted(&redactor)
    })
}

async fn send(store: &dyn ObjectStore, key: &Key, local: &Path) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorKind::Terminal, "a file of the load cannot be read").with_source(error)
    };
    let refused = |error: object_store::Error| {
        Error::new(ErrorKind::Transient, "a file could not be brought into Snowflake's stage")
            .with_source(error)
    };
    let mut file = tokio::fs::File::open(local).await.map_err(unreadable)?;
    let bytes = file.metadata().await.map_err(unreadable)?.len();
    if bytes <= PART as u64 {
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).await.map_err(unreadable)?;
        return store.put(key, whole.into()).await.map(drop).map_err(refused);
    }
    let parts = store.put_multipart(key).await.map_err(refused)?;
    let mut writer = WriteMultipart::new_with_chunk_size(parts, PART);
    let mut buffer = vec![0; PART];
    loop {
        let read = file.read(&mut buffer).await.map_err(unreadable)?;
        if read == 0 {
            break;
        }
        writer.wait_for_capacity(4).await.map_err(refused)?;
        writer.write(&buffer[..read]);
    }
    writer.finish().await.map(drop).map_err(refused)
}

/// The bucket behind a stage. Source: the drivers of Snowflake, which are told the same.
fn store(info: &StageInfo, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let value = |key: &str| info.creds.as_ref().and_then(|creds| creds.get(key).cloned().flatten());
    let needed = |key: &'static str| value(key).ok_or_else(|| unknown(info).with("missing", key));
    let unfit = |error: object_store::Error| unknown(info).with_source(error);
    let endpoint = info.end_point.as_deref().filter(|endpoint| !endpoint.is_empty());
    let mut options = ClientOptions::new();
    // It is a host, but for a test server, which has an address on this machine.
    let endpoint = match endpoint {
        Some(url) if url.starts_with("http://") => {
            let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            check_encrypted(false, &host.unwrap_or_default(), false, "allow_insecure")?;
            options = options.with_allow_http(true);
            Some(url.to_owned())
        }
        Some(host) => Some(format!("https://{host}")),
        None => None,
    };
    match info.location_type.as_str() {
        "S3" => {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_access_key_id(needed("AWS_KEY_ID")?)
                .with_secret_access_key(needed("AWS_SECRET_KEY")?)
                .with_client_options(options);
            if let Some(token) = value("AWS_TOKEN") {
                builder = builder.with_token(token);
            }
            if let Some(region) = &info.region {
                builder = builder.with_region(region);
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            Ok(Arc::new(builder.build().map_err(unfit)?))
        }
        "AZURE" => {
            let Some(account) = &info.storage_account else {
                return Err(unknown(info).with("missing", "storageAccount"));
            };
            let token = needed("AZURE_SAS_TOKEN")?;
            let pairs = url::form_urlencoded::parse(token.trim_start_matches('?').as_bytes())
                .into_owned()
                .collect::<Vec<_>>();
            let mut builder = MicrosoftAzureBuilder::new()
                .with_account(account)
                .with_container_name(bucket)
                .with_sas_authorization(pairs)
                .with_client_options(options);
            // "blob.core.windows.net", before which the account stands.
            if let Some(host) = info.end_point.as_deref().filter(|host| !host.is_empty()) {
                builder = builder.with_endpoint(format!("https://{account}.{host}"));
            }
            Ok(Arc::new(builder.build().map_err(unfit)?))
        }
        "GCS" => {
            let bearer = needed("GCS_ACCESS_TOKEN")?;
            let credential = StaticCredentialProvider::new(GcpCredential { bearer });
            let builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(bucket)
                .with_credentials(Arc::new(credential))
                .with_client_options(options);
            Ok(Arc::new(builder.build().map_err(unfit)?))
        }
        _ => Err(unknown(info)),
    }
}

fn unknown(info: &StageInfo) -> Error {
    Error::new(ErrorKind::Unsupported, "Snowflake's stage lies in a storage that is not known")
        .with("storage", &info.location_type)
        .with_hint("load through a staging destination: `--staging filesystem`")
}

#[cfg(test)]
mod tests {
    use transload_core::{Dataset, Epoch, FileFormat, LoadId};

    use super::*;
    use crate::dialect::tests::dialect;

    fn load() -> Load {
        Load {
            load_id: LoadId::new("1795369539.5"),
            pipeline: "p".into(),
            dataset: Dataset::new("chess"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(4),
        }
    }

    fn file() -> DataFile {
        let sha256 = Sha256Hex::of(b"");
        DataFile {
            table: "it's".into(),
            name: DataFile::name_of(1, &sha256, FileFormat::Jsonl, true),
            format: FileFormat::Jsonl,
            gzip: true,
            rows: 3,
            bytes: 100,
            sha256,
            columns: Vec::new(),
            bounds: Default::default(),
            longest: Default::default(),
        }
    }

    #[test]
    fn a_stage_is_made_filled_and_emptied_by_these_statements() {
        let (dialect, load) = (dialect(), load());
        let shown: String = [
            make_dataset(&dialect, &load),
            make(&dialect, &load),
            put(&dialect, &load, &file(), Path::new("/a folder/it's.jsonl.gz")),
            remove(&dialect, &load),
        ]
        .iter()
        .map(|statement| format!("{statement};\n"))
        .collect();
        insta::assert_snapshot!(shown);
    }

    fn told(info: serde_json::Value) -> Upload {
        serde_json::from_value(serde_json::json!({ "stageInfo": info })).unwrap()
    }

    #[test]
    fn every_vendors_bucket_is_known_and_others_are_not() {
        let s3 = |more: serde_json::Value| {
            let mut info = serde_json::json!({
                "locationType": "S3", "location": "bucket/stages/1/", "region": "eu-west-1",
                "creds": {"AWS_KEY_ID": "k", "AWS_SECRET_KEY": "canary", "AWS_TOKEN": "canary"},
            });
            for (key, value) in more.as_object().unwrap() {
                info[key] = value.clone();
            }
            info
        };
        let azure = serde_json::json!({
            "locationType": "AZURE", "location": "container/1/", "storageAccount": "account",
            "endPoint": "blob.core.windows.net", "creds": {"AZURE_SAS_TOKEN": "?sv=1&sig=canary"},
        });
        let gcs = serde_json::json!({
            "locationType": "GCS", "location": "bucket/1/", "creds": {"GCS_ACCESS_TOKEN": "canary"},
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (info, bucket) in [
            (s3(serde_json::json!({})), "bucket"),
            (s3(serde_json::json!({"endPoint": "s3.eu-west-1.amazonaws.com"})), "bucket"),
            (s3(serde_json::json!({"endPoint": "http://127.0.0.1:8333"})), "bucket"),
            (azure, "container"),
            (gcs, "bucket"),
        ] {
            let upload = told(info);
            assert!(!format!("{upload:?}").contains("canary"));
            store(&upload.stage_info, bucket).unwrap();
        }
        for info in [
            serde_json::json!({"locationType": "LOCAL_FS", "location": "/tmp/x", "creds": {}}),
            serde_json::json!({"locationType": "S3", "location": "bucket/1/", "creds": {}}),
        ] {
            let error = store(&told(info).stage_info, "bucket").err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        let open = s3(serde_json::json!({"endPoint": "http://10.0.0.1:8333"}));
        let error = store(&told(open).stage_info, "bucket").err().unwrap();
        assert_eq!(error.context("code"), Some("E_TLS_REQUIRED"));
    }

    #[tokio::test]
    async fn a_stage_that_wants_encrypted_files_is_refused() {
        let mut upload = told(serde_json::json!({"locationType": "S3", "location": "b/1/"}));
        upload.encryption_material = serde_json::json!({"queryStageMasterKey": "canary"});
        let error = super::upload(&upload, &file(), Path::new("/nothing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(!format!("{error:?} {upload:?}").contains("canary"), "{error:?}");
    }
}
