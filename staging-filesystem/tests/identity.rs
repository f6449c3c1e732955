//! Who asks a store without keys of its own in the settings: roles, profiles, tokens, machines.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Package, Place, variable};
use scripted::{Asked, serve};
use transload_core::settings::Settings;
use transload_core::{
    AccessKind, AccessRequest, ErrorKind, FollowUp, Registry, Scope, Secret, StagedFile,
    StagingAccess, StagingDestination, StorageCredentials,
};

const ID: &str = "credentials.aws_access_key_id";
const SECRET: &str = "credentials.aws_secret_access_key";
const ROLE: &str = "credentials.role_arn";

fn made(mut settings: Settings, environment: &[(&str, &str)]) -> Arc<dyn StagingDestination> {
    let variables = environment.iter();
    settings.environment =
        variables.map(|(name, value)| ((*name).to_owned(), Secret::from(*value))).collect();
    let registry = Registry::linked();
    let (_, create) = registry.staging("filesystem").unwrap();
    create(&settings).unwrap()
}

/// The keys that are handed on to who copies from there.
async fn keys(staging: &Arc<dyn StagingDestination>) -> transload_core::Result<StorageCredentials> {
    let request = AccessRequest { files: Vec::new(), takes: vec![AccessKind::Credentials] };
    match staging.grant(&request).await? {
        StagingAccess::Credentials(keys) => Ok(keys),
        other => panic!("{other:?}"),
    }
}

/// Whether files can be brought there and back.
async fn works(staging: &Arc<dyn StagingDestination>) {
    staging.check().await.unwrap();
    let package = Package::new("1.5").with("players", b"rows");
    let job = package.stage_job(&package.files[0]);
    staging.stage(&job, &package.context()).await.unwrap();
    assert_eq!(staging.list(&Scope::default()).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_role_is_taken_on_and_its_keys_are_handed_on() {
    let place = Place::s3();
    let staging = made(place.settings(&[(ROLE, &variable("S3_ROLE"))]), &[]);
    works(&staging).await;
    let given = keys(&staging).await.unwrap();
    assert_ne!(given.access_key_id, variable("S3_KEY"));
    assert!(given.session_token.is_some());
    // Taken on once, kept until they are about to end.
    assert_eq!(keys(&staging).await.unwrap().access_key_id, given.access_key_id);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_role_that_cannot_be_taken_on_is_told_from_one_that_may_nothing() {
    let place = Place::s3();
    let with = |changed: &[(&str, &str)]| made(place.settings(changed), &[]);
    let powerless = with(&[(ROLE, &variable("S3_POWERLESS_ROLE"))]);
    let error = powerless.check().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Terminal, "the credentials do not allow this"),
        "{error:?}"
    );
    let unknown = with(&[(ROLE, "arn:aws:iam::123456789012:role/nobody")]);
    let refused = with(&[(ROLE, &variable("S3_ROLE")), (SECRET, "CANARY")]);
    for (staging, message) in [
        (unknown, "the role cannot be taken on"),
        (refused, "the keys that take on the role were refused"),
    ] {
        for error in [staging.check().await.unwrap_err(), keys(&staging).await.unwrap_err()] {
            assert_eq!(
                (error.kind(), error.message()),
                (ErrorKind::Configuration, message),
                "{error:?}"
            );
            assert!(error.hint().is_some() && !format!("{error:?}").contains("CANARY"));
        }
    }
    let nowhere = with(&[
        (ROLE, &variable("S3_ROLE")),
        ("credentials.sts_endpoint_url", "http://127.0.0.1:9"),
    ]);
    let error = nowhere.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_profile_says_who_asks() {
    let place = Place::s3();
    let home = place.folder.path().join("home");
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    let config = format!(
        "[default]\nregion = us-east-1\n[profile chain]\nrole_arn = {}\nsource_profile = loader\n",
        variable("S3_ROLE")
    );
    let credentials = format!(
        "[loader]\naws_access_key_id = {}\naws_secret_access_key = {}\n[wrong]\naws_access_key_id = x\n\
         aws_secret_access_key = CANARY-of-a-profile\n",
        variable("S3_KEY"),
        variable("S3_SECRET")
    );
    std::fs::write(home.join(".aws/config"), config).unwrap();
    std::fs::write(home.join(".aws/credentials"), credentials).unwrap();
    let environment = [("HOME", home.to_str().unwrap())];
    let with = |name: &str| {
        let changed = [(ID, ""), (SECRET, ""), ("credentials.profile_name", name)];
        made(place.settings(&changed), &environment)
    };
    works(&with("loader")).await;
    works(&with("chain")).await;
    assert!(keys(&with("chain")).await.unwrap().session_token.is_some());
    let error = with("wrong").check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    assert!(!format!("{error:?} {:?}", error.report()).contains("CANARY"), "{error:?}");
    // The variables stand in for the settings, and their profile for the default one.
    let keyless = place.settings(&[(ID, ""), (SECRET, "")]);
    works(&made(keyless.clone(), &[environment[0], ("AWS_PROFILE", "loader")])).await;
    let (id, secret) = (variable("S3_KEY"), variable("S3_SECRET"));
    let variables = [("AWS_ACCESS_KEY_ID", id.as_str()), ("AWS_SECRET_ACCESS_KEY", &secret)];
    works(&made(keyless, &variables)).await;
}

#[tokio::test]
async fn a_role_is_asked_for_with_all_that_it_wants_to_be_told() {
    let place = Place::local();
    let sts = serve(|asked: &Asked| {
        let signed = asked.header("authorization");
        let is_asked = signed.starts_with("AWS4-HMAC-SHA256 Credential=id/")
            && signed.contains("/eu-west-3/sts/aws4_request")
            && asked.value("Action") == "AssumeRole"
            && asked.value("ExternalId") == "x & y"
            && asked.value("RoleSessionName") == "nightly"
            && asked.value("RoleArn") == "arn:aws:iam::1:role/loader";
        let keys = "<AccessKeyId>taken</AccessKeyId><SecretAccessKey>a&#43;b/c</SecretAccessKey>\
                    <SessionToken>token==</SessionToken>";
        if is_asked { (200, keys.into()) } else { (403, "<Code>AccessDenied</Code>".into()) }
    });
    let settings = |external_id: &str| {
        place.settings(&[
            ("bucket_url", "s3://lake"),
            ("credentials.aws_access_key_id", "id"),
            ("credentials.aws_secret_access_key", "secret"),
            ("credentials.region_name", "eu-west-3"),
            ("credentials.sts_endpoint_url", &sts),
            (ROLE, "arn:aws:iam::1:role/loader"),
            ("credentials.role_external_id", external_id),
            ("credentials.role_session_name", "nightly"),
        ])
    };
    let given = keys(&made(settings("x & y"), &[])).await.unwrap();
    assert_eq!(
        (given.access_key_id.as_str(), given.region.as_deref()),
        ("taken", Some("eu-west-3"))
    );
    assert_eq!(given.secret_access_key.expose(), "a+b/c");
    assert_eq!(given.session_token.unwrap().expose(), "token==");
    let error = keys(&made(settings("other"), &[])).await.unwrap_err();
    assert_eq!(error.message(), "the role cannot be taken on");
}

/// Keys that end, as whoever gives them out would give them.
async fn session(place: &Place) -> StorageCredentials {
    keys(&made(place.settings(&[(ROLE, &variable("S3_ROLE"))]), &[])).await.unwrap()
}

fn as_json(keys: &StorageCredentials) -> String {
    serde_json::json!({
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_access_key.expose(),
        "Token": keys.session_token.as_ref().map(Secret::expose),
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string()
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_token_in_a_file_stands_in_for_keys() {
    let place = Place::s3();
    let keys = session(&place).await;
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        keys.access_key_id,
        keys.secret_access_key.expose(),
        keys.session_token.unwrap().expose()
    );
    let role = variable("S3_ROLE");
    let wanted = role.clone();
    let sts = serve(move |asked: &Asked| {
        let is_asked = asked.line == "POST /"
            && asked.value("Action") == "AssumeRoleWithWebIdentity"
            && asked.value("RoleArn") == wanted
            && asked.header("authorization").is_empty();
        match (is_asked, asked.value("WebIdentityToken").as_str()) {
            (true, "a token") => (200, answer.clone()),
            (true, "CANARY old") => (
                400,
                "<Error><Code>ExpiredTokenException</Code><Message>CANARY old</Message></Error>"
                    .into(),
            ),
            _ => (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".into()),
        }
    });
    let file = place.folder.path().join("token");
    let path = file.to_str().unwrap().to_owned();
    let settings = |more: &[(&str, &str)]| {
        let changed = [(ID, ""), (SECRET, ""), ("credentials.sts_endpoint_url", sts.as_str())];
        place.settings(&[&changed[..], more].concat())
    };
    std::fs::write(&file, "a token\n").unwrap();
    let configured = [(ROLE, role.as_str()), ("credentials.web_identity_token_file", &path)];
    works(&made(settings(&configured), &[])).await;
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str()), ("AWS_ROLE_ARN", &role)];
    works(&made(settings(&[]), &variables)).await;
    for (token, kind, message) in [
        (Some("CANARY old"), ErrorKind::Terminal, "the credentials have expired"),
        (Some("CANARY"), ErrorKind::Configuration, "the role cannot be taken on"),
        (None, ErrorKind::Configuration, "the file with the token for the role cannot be read"),
    ] {
        match token {
            Some(token) => std::fs::write(&file, token).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let error = made(settings(&configured), &[]).check().await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message), "{error:?}");
    }
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn an_instance_and_a_container_are_told_their_keys() {
    let place = Place::s3();
    let answer = as_json(&session(&place).await);
    let service = serve(move |asked: &Asked| {
        let is_known = asked.header("x-aws-ec2-metadata-token") == "a session";
        match asked.line.as_str() {
            "PUT /latest/api/token" => (200, "a session".into()),
            "GET /latest/meta-data/iam/security-credentials/" if is_known => (200, "loader".into()),
            "GET /latest/meta-data/iam/security-credentials/loader" if is_known => {
                (200, answer.clone())
            }
            "GET /v1/credentials" if asked.header("authorization") == "a token" => {
                (200, answer.clone())
            }
            _ => (403, String::new()),
        }
    });
    let keyless = || place.settings(&[(ID, ""), (SECRET, "")]);
    works(&made(keyless(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service)])).await;

    let file = place.folder.path().join("token");
    std::fs::write(&file, "a token").unwrap();
    let (url, file) = (format!("{service}/v1/credentials"), file.to_str().unwrap());
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file),
    ];
    works(&made(keyless(), &container)).await;
    std::fs::write(file, "another").unwrap();
    let error = made(keyless(), &container).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}

/// A service that exchanges tokens and a bucket with nothing in it, which lists to whoever has what was exchanged.
fn google() -> String {
    serve(|asked: &Asked| {
        if asked.line == "POST /v1/token" {
            let is_known = asked.value("subject_token") == "a token"
                && asked.value("audience") == "//iam.googleapis.com/pool"
                && asked.value("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange";
            return match is_known {
                true => (200, r#"{"access_token": "t0ken", "expires_in": 3600}"#.into()),
                false => {
                    (400, r#"{"error": "invalid_grant", "error_description": "unknown"}"#.into())
                }
            };
        }
        match asked.header("authorization") {
            "Bearer t0ken" => (
                200,
                "<?xml version=\"1.0\"?><ListBucketResult><Name>lake</Name></ListBucketResult>"
                    .into(),
            ),
            _ => (
                401,
                "<Error><Code>AuthenticationRequired</Code><Message>no</Message></Error>".into(),
            ),
        }
    })
}

#[tokio::test]
async fn a_workload_shows_google_the_token_of_its_provider() {
    let place = Place::local();
    let server = google();
    let folder = place.folder.path();
    let file = folder.join("workload.json");
    let workload = format!(
        r#"{{"type": "external_account", "audience": "//iam.googleapis.com/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "{server}/v1/token", "credential_source": {{"file": "{}"}}}}"#,
        folder.join("token").display()
    );
    std::fs::write(&file, workload).unwrap();
    let staging = |token: &str| {
        std::fs::write(folder.join("token"), token).unwrap();
        let settings = place.settings(&[
            ("bucket_url", "gs://lake"),
            ("credentials.endpoint_url", &server),
            ("credentials.application_credentials", file.to_str().unwrap()),
        ]);
        made(settings, &[])
    };
    assert_eq!(staging("a token\n").list(&Scope::default()).await.unwrap(), []);
    let refused = staging("CANARY");
    for error in [
        refused.list(&Scope::default()).await.unwrap_err(),
        // What was not sent leaves nothing open.
        refused.write_manifest(&Package::new("1.5").manifest().seal()).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.message(), error.context("code")),
            (
                ErrorKind::Configuration,
                "Google gives no token for these credentials",
                Some("invalid_grant")
            )
        );
        assert!(error.hint().is_some() && !format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[tokio::test]
async fn a_provider_that_sends_a_workload_elsewhere_gives_it_no_token() {
    let (place, server) = (Place::local(), google());
    for (status, kind) in [
        (302, ErrorKind::Configuration),
        (403, ErrorKind::Configuration),
        (503, ErrorKind::Transient),
    ] {
        let provider = serve(move |_| (status, "a token".into()));
        let file = place.folder.path().join("workload.json");
        let workload = format!(
            r#"{{"type": "external_account", "audience": "//iam.googleapis.com/pool",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "{server}/v1/token",
                "credential_source": {{"url": "{provider}/token?key=CANARY"}}}}"#
        );
        std::fs::write(&file, workload).unwrap();
        let settings = place.settings(&[
            ("bucket_url", "gs://lake"),
            ("credentials.endpoint_url", &server),
            ("credentials.application_credentials", file.to_str().unwrap()),
        ]);
        let error = made(settings, &[]).list(&Scope::default()).await.unwrap_err();
        let shown = format!("{error:?}");
        assert_eq!((error.kind(), error.context("status")), (kind, Some(&*status.to_string())));
        let url = format!("{provider}/token");
        assert_eq!(error.context("url"), Some(&*url), "{shown}");
        assert!(!shown.contains("CANARY") && !shown.contains("a token"), "{shown}");
    }
}

/// The key that signs for a principal, as the service gives it. Its value is Base64 of `CANARY`.
const DELEGATED: &str = "<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid>\
                         <SignedStart>2026-11-22T17:30:39Z</SignedStart><SignedExpiry>2026-11-23T17:45:39Z</SignedExpiry>\
                         <SignedService>b</SignedService><SignedVersion>2020-12-06</SignedVersion>\
                         <Value>Q0FOQVJZ</Value></UserDelegationKey>";

/// A login server and a container with nothing in it, which lists to whoever has the token. It gives a key that signs as
/// often as it is told.
fn azure(keys: u32) -> String {
    let given = AtomicU32::new(0);
    serve(move |asked: &Asked| {
        let granted = r#"{"token_type": "Bearer", "expires_in": 3600, "access_token": "t0ken"}"#;
        let refused = r#"{"error": "invalid_client", "error_description": "about CANARY"}"#;
        if asked.line == "POST /tenant/oauth2/v2.0/token" {
            let proof = [asked.value("client_secret"), asked.value("client_assertion")].concat();
            let is_known = asked.value("client_id") == "client"
                && asked.value("grant_type") == "client_credentials"
                && ["a secret", "a token"].contains(&proof.as_str());
            return if is_known { (200, granted.into()) } else { (401, refused.into()) };
        }
        if asked.line.starts_with("GET /identity?") {
            let is_known =
                asked.header("metadata") == "true" && asked.value("client_id") == "client";
            let granted =
                r#"{"token_type": "Bearer", "expires_on": "4070908800", "access_token": "t0ken"}"#;
            return if is_known { (200, granted.into()) } else { (400, refused.into()) };
        }
        if asked.line == "POST /?restype=service&comp=userdelegationkey" {
            let is_asked = asked.body.contains("<Start>20") && asked.body.contains("<Expiry>20");
            let is_given = given.fetch_add(1, Ordering::Relaxed) < keys;
            return match asked.header("authorization") {
                "Bearer t0ken" if is_asked && is_given => (200, DELEGATED.into()),
                _ => (403, "<Error><Code>AuthorizationPermissionMismatch</Code><Message>CANARY</Message></Error>".into()),
            };
        }
        match asked.header("authorization") {
            "Bearer t0ken" => (
                200,
                "<?xml version=\"1.0\"?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>".into(),
            ),
            _ => (403, "<Error><Code>AuthenticationFailed</Code><Message>no</Message></Error>".into()),
        }
    })
}

#[tokio::test]
async fn azure_is_asked_by_a_principal_a_workload_or_the_machine() {
    let place = Place::local();
    let server = azure(0);
    let file = place.folder.path().join("token");
    std::fs::write(&file, "a token").unwrap();
    let file = file.to_str().unwrap();
    let base = [
        ("bucket_url", "az://lake"),
        ("credentials.endpoint_url", server.as_str()),
        ("credentials.azure_storage_account_name", "account"),
        ("credentials.azure_authority_host", &server),
    ];
    let of_tenant =
        [("credentials.azure_tenant_id", "tenant"), ("credentials.azure_client_id", "client")];
    let list = async |more: &[(&str, &str)], environment: &[(&str, &str)]| {
        let settings = place.settings(&[&base[..], more].concat());
        made(settings, environment).list(&Scope::default()).await
    };
    let principal = [&of_tenant[..], &[("credentials.azure_client_secret", "a secret")]].concat();
    let workload = [&of_tenant[..], &[("credentials.azure_federated_token_file", file)]].concat();
    let of_variables = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", file),
    ];
    let identity = format!("{server}/identity");
    let of_machine = [("AZURE_CLIENT_ID", "client"), ("IDENTITY_ENDPOINT", identity.as_str())];
    for (settings, variables) in
        [(&principal[..], &[][..]), (&workload, &[]), (&[], &of_variables), (&[], &of_machine)]
    {
        assert_eq!(list(settings, variables).await.unwrap(), [], "{settings:?} {variables:?}");
    }

    let wrong = [&of_tenant[..], &[("credentials.azure_client_secret", "CANARY")]].concat();
    let lost = [&of_tenant[..], &[("credentials.azure_federated_token_file", "/nowhere")]].concat();
    let other = [("AZURE_CLIENT_ID", "other"), ("IDENTITY_ENDPOINT", identity.as_str())];
    for (settings, variables, message) in [
        (&wrong[..], &[][..], "the store refused the credentials"),
        (&lost, &[], "the file with the token cannot be read"),
        (&[], &other, "the store refused the credentials"),
    ] {
        let error = list(settings, variables).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, message),
            "{error:?}"
        );
        assert!(error.hint().is_some() && !format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[tokio::test]
async fn a_principal_signs_for_its_container_with_a_key_that_the_account_gives_it_once() {
    let place = Place::local();
    let server = azure(1);
    let staging = || {
        let settings = place.settings(&[
            ("bucket_url", "az://lake"),
            ("credentials.endpoint_url", server.as_str()),
            ("credentials.azure_storage_account_name", "account"),
            ("credentials.azure_authority_host", &server),
            ("credentials.azure_tenant_id", "tenant"),
            ("credentials.azure_client_id", "client"),
            ("credentials.azure_client_secret", "a secret"),
        ]);
        made(settings, &[])
    };
    let request = AccessRequest { files: Vec::new(), takes: vec![AccessKind::Credentials] };
    let first = staging();
    for _ in 0..2 {
        let access = first.grant(&request).await.unwrap();
        let StagingAccess::SharedAccess(access) = access else { panic!("{access:?}") };
        let token = access.token.expose();
        for part in ["sr=c", "sp=rl", "skoid=oid", "sktid=tid", "sks=b", "sig="] {
            assert!(token.contains(part), "{token}");
        }
    }
    // Another one gets none: the right is missing.
    let error = staging().grant(&request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, "the account gives no key that signs for its container"),
        "{error:?}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("Storage Blob Delegator")));
}

/// The staging destination with the lent keys in place of its own.
fn with_keys(place: &Place, keys: &StorageCredentials) -> Arc<dyn StagingDestination> {
    let token = keys.session_token.as_ref().map_or("", Secret::expose);
    made(
        place.settings(&[
            (ID, &keys.access_key_id),
            (SECRET, keys.secret_access_key.expose()),
            ("credentials.aws_session_token", token),
        ]),
        &[],
    )
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn lent_keys_read_the_files_of_the_load_and_nothing_else() {
    let place = Place::s3();
    let owner = made(place.settings(&[("credentials.access_role_arn", &variable("S3_ROLE"))]), &[]);
    let mut staged = Vec::new();
    for load in ["1.5", "1.55"] {
        let package = Package::new(load).with("players", load.as_bytes());
        let job = package.stage_job(&package.files[0]);
        let outcome = owner.stage(&job, &package.context()).await.unwrap();
        let FollowUp::Copy(file) = outcome.follow_ups[0].clone() else { panic!("{outcome:?}") };
        staged.push(file);
    }
    let takes = vec![AccessKind::TemporaryCredentials, AccessKind::Credentials];
    let request = AccessRequest { files: vec![staged[0].clone()], takes };
    let StagingAccess::Credentials(lent) = owner.grant(&request).await.unwrap() else { panic!() };
    assert!(lent.session_token.is_some() && lent.access_key_id != variable("S3_KEY"));
    assert!(!format!("{lent:?}").contains(lent.secret_access_key.expose()));

    let reader = with_keys(&place, &lent);
    let to = place.folder.path().join("fetched");
    reader.fetch(&staged[0], &to).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"1.5");
    // Another load, though its id begins with the same letters; anything that changes the bucket; the whole of it.
    reader.remove(std::slice::from_ref(&staged[0].key)).await.unwrap_err();
    for error in [
        reader.fetch(&staged[1], &to).await.unwrap_err(),
        reader.list(&Scope::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.message(), "the credentials do not allow this", "{error:?}");
    }
    assert_eq!(owner.list(&Scope::default()).await.unwrap().len(), 2);
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_role_that_cannot_be_lent_is_an_error_and_no_reason_to_hand_out_the_keys() {
    let place = Place::s3();
    let nobody = "arn:aws:iam::123456789012:role/nobody";
    let owner = made(place.settings(&[("credentials.access_role_arn", nobody)]), &[]);
    owner.check().await.unwrap();
    let takes = vec![AccessKind::TemporaryCredentials, AccessKind::Credentials];
    let error = owner.grant(&AccessRequest { files: Vec::new(), takes }).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, "the role cannot be taken on"),
        "{error:?}"
    );
}

#[tokio::test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
async fn a_signed_url_of_s3_reads_one_object() {
    a_signed_url_reads_one_object(&Place::s3()).await;
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_signed_url_of_google_reads_one_object() {
    a_signed_url_reads_one_object(&Place::gcs()).await;
}

#[tokio::test]
#[ignore = "needs a stand-in for Azure: cargo xtask e2e filesystem"]
async fn a_signed_url_of_azure_reads_one_object() {
    a_signed_url_reads_one_object(&Place::azure()).await;
}

#[tokio::test]
async fn a_signature_of_the_settings_is_in_no_address_of_a_file() {
    let place = Place::local();
    let staging = made(
        place.settings(&[
            ("bucket_url", "az://lake"),
            ("credentials.endpoint_url", "http://127.0.0.1:9"),
            ("credentials.azure_storage_account_name", "account"),
            ("credentials.azure_storage_sas_token", "sv=1&sp=racwdl&sig=CANARY"),
        ]),
        &[],
    );
    let grant = async |takes| staging.grant(&AccessRequest { files: Vec::new(), takes }).await;
    let error = grant(vec![AccessKind::SignedUrls]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("it gives")),
        (ErrorKind::Unsupported, Some("credentials"))
    );
    assert!(error.hint().unwrap().contains("azure_storage_account_key"), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    // As such it is handed on to whoever takes it.
    let access = grant(vec![AccessKind::SignedUrls, AccessKind::Credentials]).await.unwrap();
    assert!(matches!(access, StagingAccess::SharedAccess(_)), "{access:?}");
}

async fn a_signed_url_reads_one_object(place: &Place) {
    let url = signed_url(place).await;
    let url = url.expose();
    let client = reqwest::Client::new();
    let answer = client.get(url).send().await.unwrap();
    let status = answer.status();
    let said = answer.text().await.unwrap();
    assert_eq!((status.as_u16(), said.as_str()), (200, "rows"));
    // It is signed for this object alone.
    let other = url.replacen("players", "gamers", 1);
    assert!(client.get(other).send().await.unwrap().status().is_client_error());
    assert!(client.delete(url).send().await.unwrap().status().is_client_error());
}

/// The address of a file that holds `rows`, under a name in which everything has to be escaped that can be.
async fn signed_url(place: &Place) -> Secret {
    let root = format!("{}/a+b%c é'~/&=;,!", place.url);
    let staging = made(place.settings(&[("bucket_url", root.as_str())]), &[]);
    let package = Package::new("1.5").with("players", b"rows");
    let job = package.stage_job(&package.files[0]);
    let outcome = staging.stage(&job, &package.context()).await.unwrap();
    let FollowUp::Copy(file) = outcome.follow_ups[0].clone() else { panic!("{outcome:?}") };
    let request = AccessRequest { files: vec![file.clone()], takes: vec![AccessKind::SignedUrls] };
    let StagingAccess::SignedUrls(urls) = staging.grant(&request).await.unwrap() else { panic!() };
    let url = urls[&file.key].clone();
    assert!(!format!("{urls:?}").contains(url.expose()));
    url
}

/// The settings with which the stand-in narrows tokens.
fn narrowing(place: &Place) -> Arc<dyn StagingDestination> {
    let endpoint = variable("GCS_ENDPOINT");
    let changed = [
        ("credentials.access_boundary", "true"),
        ("credentials.token_uri", &format!("{endpoint}/_token")),
        ("credentials.sts_endpoint_url", &format!("{endpoint}/_sts")),
    ];
    made(place.settings(&changed), &[])
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_narrowed_token_reads_the_files_of_the_load_and_nothing_else() {
    let place = Place::gcs();
    let owner = narrowing(&place);
    let mut staged = Vec::new();
    for load in ["1.5", "1.55"] {
        let package = Package::new(load).with("players", load.as_bytes());
        let job = package.stage_job(&package.files[0]);
        let outcome = owner.stage(&job, &package.context()).await.unwrap();
        let FollowUp::Copy(file) = outcome.follow_ups[0].clone() else { panic!("{outcome:?}") };
        staged.push(file);
    }
    let takes = vec![AccessKind::TemporaryCredentials, AccessKind::SignedUrls];
    let request = AccessRequest { files: vec![staged[0].clone()], takes };
    let StagingAccess::Token(given) = owner.grant(&request).await.unwrap() else { panic!() };
    assert!(!format!("{given:?}").contains(given.token.expose()));
    assert!(given.ends_at.starts_with("20") && given.ends_at.ends_with('Z'), "{given:?}");
    let [prefix] = &given.prefixes[..] else { panic!("{given:?}") };
    let place_of = |file: &StagedFile| file.url.split_once("://").unwrap().1.to_owned();
    assert!(place_of(&staged[0]).starts_with(&format!("{}/{prefix}", given.bucket)), "{given:?}");

    let client = reqwest::Client::new();
    let ask = async |method: &str, place: &str, token: &str| {
        // The names of folders have escapes of their own, which are not those of an address.
        let url = format!("{}/{}", variable("GCS_ENDPOINT"), place.replace('%', "%25"));
        let request = client.request(method.parse().unwrap(), url).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let token = given.token.expose();
    assert_eq!(ask("GET", &place_of(&staged[0]), token).await, (200, "1.5".to_owned()));
    let list = |prefix: &str| format!("{}?list-type=2&prefix={prefix}", given.bucket);
    let (status, listed) = ask("GET", &list(prefix), token).await;
    assert!(status == 200 && listed.matches("<Key>").count() == 1, "{status} {listed}");
    // Another load, though its id begins with the same letters; the whole bucket; anything that changes it; the other API.
    let of_json = format!("storage/v1/b/{}/o", given.bucket);
    for (method, place) in [
        ("GET", place_of(&staged[1])),
        ("GET", list("")),
        ("DELETE", place_of(&staged[0])),
        ("GET", of_json),
    ] {
        assert_eq!(ask(method, &place, token).await.0, 403, "{method} {place}");
    }
    assert_eq!(ask("GET", &place_of(&staged[0]), "another").await.0, 401);
    assert_eq!(owner.list(&Scope::default()).await.unwrap().len(), 2);
}

#[tokio::test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
async fn a_token_that_cannot_be_narrowed_is_an_error_and_no_reason_to_hand_out_another() {
    let place = Place::gcs();
    let endpoint = variable("GCS_ENDPOINT");
    let (token_uri, sts) = (format!("{endpoint}/_token"), format!("{endpoint}/_sts"));
    let takes = vec![AccessKind::TemporaryCredentials, AccessKind::SignedUrls];
    for (changed, kind) in [
        (("credentials.private_key_id", "another"), ErrorKind::Configuration),
        (("credentials.sts_endpoint_url", "http://127.0.0.1:9"), ErrorKind::Transient),
    ] {
        let mut settings = vec![
            ("credentials.access_boundary", "true"),
            ("credentials.token_uri", &token_uri),
            ("credentials.sts_endpoint_url", &sts),
        ];
        settings.retain(|(key, _)| *key != changed.0);
        settings.push(changed);
        let owner = made(place.settings(&settings), &[]);
        let package = Package::new("1.5").with("players", b"rows");
        let key = package.manifest().key_of(&package.files[0]);
        let url = owner.url(&key);
        let file = StagedFile { file: package.files[0].clone(), key, url, etag: None };
        let request = AccessRequest { files: vec![file], takes: takes.clone() };
        let error = owner.grant(&request).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(!format!("{error:?}").contains("BEGIN"), "{error:?}");
    }
}

/// Of the right form, and nobody's.
const PEM: &str = concat!(
    "-----BEGIN PRIVATE KEY-----\n",
    include_str!("../../xtask/src/stack/gcs.key"),
    "-----END PRIVATE KEY-----\n"
);

/// The request to be let at one file by a narrowed token.
fn one_file() -> AccessRequest {
    let package = Package::new("1.5").with("players", b"rows");
    let key = package.manifest().key_of(&package.files[0]);
    let url = format!("gs://lake/{key}");
    let file = StagedFile { file: package.files[0].clone(), key, url, etag: None };
    AccessRequest { files: vec![file], takes: vec![AccessKind::TemporaryCredentials] }
}

#[tokio::test]
async fn a_token_is_narrowed_of_one_that_holds_for_fifty_minutes_or_is_new() {
    let place = Place::local();
    for (expires_in, kept) in [(3600, true), (2990, false), (60, false), (u64::MAX, true)] {
        let given = AtomicU32::new(0);
        let server = serve(move |asked: &Asked| {
            let token = match asked.line.as_str() {
                "POST /token" => format!("own-{}", given.fetch_add(1, Ordering::Relaxed)),
                // Which one it was made of.
                _ => format!("of-{}", asked.value("subject_token")),
            };
            let expires_in = match token.starts_with("own") {
                true => format!(r#", "expires_in": {expires_in}"#),
                false => String::new(),
            };
            (200, format!(r#"{{"access_token": "{token}"{expires_in}}}"#))
        });
        let staging = made(
            place.settings(&[
                ("bucket_url", "gs://lake"),
                ("credentials.client_email", "a@b"),
                ("credentials.private_key", PEM),
                ("credentials.access_boundary", "true"),
                ("credentials.token_uri", &format!("{server}/token")),
                ("credentials.sts_endpoint_url", &format!("{server}/sts")),
            ]),
            &[],
        );
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let access = staging.grant(&one_file()).await.unwrap();
            let StagingAccess::Token(token) = access else { panic!("{access:?}") };
            tokens.push(token.token.expose().to_owned());
        }
        let second = if kept { "of-own-0" } else { "of-own-1" };
        assert_eq!(tokens, ["of-own-0", second], "{expires_in}");
    }
}

#[tokio::test]
async fn without_the_key_of_an_account_no_address_of_google_is_signed() {
    let place = Place::local();
    let changed =
        [("bucket_url", "gs://lake/a"), ("credentials.endpoint_url", "http://127.0.0.1:9")];
    let staging = made(place.settings(&changed), &[]);
    let request = AccessRequest { files: Vec::new(), takes: vec![AccessKind::SignedUrls] };
    let error = staging.grant(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.hint().unwrap().contains("credentials.private_key"), "{error:?}");
}
