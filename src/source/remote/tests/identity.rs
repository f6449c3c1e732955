//! Who asks a store for sources: as for staging, keys, profiles, roles, tokens and principals.

use std::sync::atomic::{AtomicU32, Ordering};

use transload_core::{ErrorKind, Secret};

use super::scripted::{Asked, serve};
use super::*;

const ARN: &str = "arn:aws:iam::1:role/reader";
const BASE: [(&str, &str); 2] = [("aws_access_key_id", "base"), ("aws_secret_access_key", "s")];

fn of(keys: &[(&str, &str)], variables: &[(&str, &str)]) -> Stores {
    let keys: Vec<(String, &str)> =
        keys.iter().map(|(key, value)| (format!("credentials.{key}"), *value)).collect();
    let pairs: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let mut settings = Settings::from_pairs("filesystem", &pairs);
    settings.section = Some("sources.filesystem".into());
    settings.environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), Secret::from(*value))).collect();
    Stores::impatient(settings)
}

/// A store with one object, which gives out a role for keys or for a token, and lets in whoever has the keys of this id.
fn amazon(let_in: &'static str) -> String {
    serve(move |asked: &Asked| {
        let signed = asked.header("authorization");
        let is_by = |id: &str| signed.contains(&format!(" Credential={id}/"));
        let is_asked = match asked.value("Action").as_str() {
            "AssumeRole" => is_by("base") && asked.value("ExternalId") == "x",
            "AssumeRoleWithWebIdentity" => {
                signed.is_empty() && asked.value("WebIdentityToken") == "a token"
            }
            _ if is_by(let_in) => return (200, "{}\n".into()),
            _ => false,
        };
        let keys = "<AccessKeyId>taken</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                    <SessionToken>t</SessionToken>";
        let refused = "<Code>AccessDenied</Code><Message>not by CANARY-of-a-profile</Message>";
        if is_asked && asked.value("RoleArn") == ARN {
            (200, keys.into())
        } else {
            (403, refused.into())
        }
    })
}

/// A home with profiles in it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config =
        format!("[profile chain]\nrole_arn = {ARN}\nexternal_id = x\nsource_profile = base\n");
    let credentials = "[base]\naws_access_key_id = base\naws_secret_access_key = s\n\
                       [wrong]\naws_access_key_id = wrong\naws_secret_access_key = CANARY-of-a-profile\n";
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_s3_is_asked_by_keys_a_profile_a_role_or_a_token() {
    let (home, folder) = (home(), tempfile::tempdir().unwrap());
    let home = ("HOME", home.path().to_str().unwrap());
    let token = folder.path().join("token");
    std::fs::write(&token, "a token\n").unwrap();
    let token = token.to_str().unwrap();
    let role = [&BASE[..], &[("role_arn", ARN), ("role_external_id", "x")]].concat();
    let web_identity = [("role_arn", ARN), ("web_identity_token_file", token)];
    let of_variables = [("AWS_ACCESS_KEY_ID", "base"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let of_kubernetes = [("AWS_WEB_IDENTITY_TOKEN_FILE", token), ("AWS_ROLE_ARN", ARN)];
    for (keys, variables, asked_by) in [
        (&BASE[..], &[][..], "base"),
        (&role, &[], "taken"),
        (&[("profile_name", "base")], &[home], "base"),
        (&[("profile_name", "chain")], &[home], "taken"),
        (&[], &[home, ("AWS_PROFILE", "chain")], "taken"),
        (&web_identity, &[], "taken"),
        (&[], &of_variables, "base"),
        (&[], &of_kubernetes, "taken"),
    ] {
        let server = amazon(asked_by);
        // By the setting, and by the variable of Amazon's.
        let configured = [keys, &[("endpoint_url", server.as_str())]].concat();
        let in_variable = [variables, &[("AWS_ENDPOINT_URL_S3", server.as_str())]].concat();
        for stores in [of(&configured, variables), of(keys, &in_variable)] {
            let object = find(&stores, "s3://lake/rows.jsonl").await;
            assert_eq!(object.unwrap().identity().bytes, Some(3), "{keys:?} {variables:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_named_and_a_secret_of_a_profile_is_not_shown() {
    let (home, server) = (home(), amazon("nobody"));
    let home = ("HOME", home.path().to_str().unwrap());
    let here = ("endpoint_url", server.as_str());
    let wrong = of(&[here, ("profile_name", "wrong")], &[home]);
    let error = wrong.find("s3://lake/*.jsonl").await.unwrap_err();
    assert_eq!(error.message(), "the credentials do not allow to read the source");
    assert!(error.context("answer").unwrap().starts_with("AccessDenied: not by "), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");

    let without_id = of(&[&BASE[..], &[here, ("role_arn", ARN)]].concat(), &[]);
    let error = without_id.find("s3://lake/*.jsonl").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, "the role cannot be taken on")
    );
    assert!(error.hint().unwrap().contains("sources.filesystem.credentials.role_external_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_a_body_is_asked_for_its_words() {
    const REGION: &str = "the bucket of the source is in another region";
    for (status, code, message) in [
        (301, "", REGION),
        (400, "AuthorizationHeaderMalformed", REGION),
        (400, "ExpiredToken", "the credentials of the source have expired"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong"),
        (403, "", "the credentials do not allow to read the source"),
        (404, "NoSuchBucket", "the bucket of the source does not exist"),
        (404, "", "there is no such source file"),
    ] {
        let server = serve(move |asked: &Asked| {
            let is_head = asked.line.starts_with("HEAD ");
            let words = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            (status, if is_head || code.is_empty() { String::new() } else { words })
        });
        let stores = of(&[&BASE[..], &[("endpoint_url", server.as_str())]].concat(), &[]);
        for source in ["s3://lake/rows.jsonl", "s3://lake/*.jsonl"] {
            let error = stores.find(source).await.unwrap_err();
            assert_eq!(error.message(), message, "{status} {code} {source} {error:?}");
            assert!(error.message() != REGION || error.hint().unwrap().contains("region_name"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_out_keys_and_fails_once_is_asked_again() {
    let given = AtomicU32::new(0);
    let server = serve(move |asked: &Asked| {
        let keys = "<AccessKeyId>taken</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                    <SessionToken>t</SessionToken>";
        let list = "<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>rows.jsonl</Key><Size>3</Size>\
                    <LastModified>2015-10-21T07:28:00.000Z</LastModified></Contents></ListBucketResult>";
        match asked.value("Action").as_str() {
            "AssumeRole" if given.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                (503, "<Code>ServiceUnavailable</Code>".into())
            }
            "AssumeRole" => (200, keys.into()),
            _ if asked.value("list-type") == "2" => (200, list.into()),
            _ => (200, "{}\n".into()),
        }
    });
    for source in ["s3://lake/rows.jsonl", "s3://lake/*.jsonl"] {
        let keys = [&BASE[..], &[("endpoint_url", &server), ("role_arn", ARN)]].concat();
        let found = of(&keys, &[]).find(source).await.unwrap();
        assert_eq!(found[0].origin(), "s3://lake/rows.jsonl");
    }
}

#[tokio::test]
async fn what_is_wrong_with_who_asks_is_said_by_the_keys_of_sources() {
    let off = [("AWS_EC2_METADATA_DISABLED", "true")];
    for (keys, variables, named) in [
        (&[("profile_name", "none")][..], &[][..], "profile_name"),
        (&[BASE[0], BASE[1], ("role_arn", "CANARY")], &[], "role_arn"),
        (&[("web_identity_token_file", "/run/token")], &[], "role_arn"),
        (&[], &off, "aws_access_key_id"),
        (&[], &[off[0], ("AWS_ENDPOINT_URL", "https://me:CANARY@host")], "endpoint_url"),
    ] {
        let error = of(keys, variables).find("s3://lake/rows.jsonl").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        let key = format!("sources.filesystem.credentials.{named}");
        assert_eq!(error.context("key"), Some(key.as_str()), "{keys:?}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_that_azure_does_not_know_is_told_apart_from_a_store_that_refuses() {
    let server = serve(|_: &Asked| {
        (400, r#"{"error": "invalid_request", "error_description": "about CANARY"}"#.into())
    });
    let stores = of(
        &[
            ("endpoint_url", server.as_str()),
            ("azure_authority_host", server.as_str()),
            ("azure_storage_account_name", "account"),
            ("azure_tenant_id", "other"),
            ("azure_client_id", "client"),
            ("azure_client_secret", "a secret"),
        ],
        &[],
    );
    for source in ["az://lake/rows.jsonl", "az://lake/*.jsonl"] {
        let error = stores.find(source).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Configuration, "the login to the store of the source was refused")
        );
        assert!(error.hint().unwrap().contains("azure_tenant_id"), "{error:?}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_asked_by_a_principal_or_a_workload() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a token").unwrap();
    let token = token.to_str().unwrap();
    let server = serve(|asked: &Asked| {
        let proof = [asked.value("client_secret"), asked.value("client_assertion")].concat();
        let is_login = asked.line == "POST /tenant/oauth2/v2.0/token"
            && asked.value("client_id") == "client"
            && ["a secret", "a token"].contains(&proof.as_str());
        let list = "<?xml version=\"1.0\"?><EnumerationResults><Blobs><Blob><Name>rows.jsonl</Name><Properties>\
                    <Last-Modified>Wed, 21 Oct 2015 07:28:00 GMT</Last-Modified><Etag>0x1</Etag>\
                    <Content-Length>3</Content-Length><Content-Type>text/plain</Content-Type>\
                    </Properties></Blob></Blobs><NextMarker/></EnumerationResults>";
        let granted = r#"{"token_type": "Bearer", "expires_in": 3600, "access_token": "t0ken"}"#;
        match asked.header("authorization") {
            "" if is_login => (200, granted.into()),
            "Bearer t0ken" => (200, list.into()),
            _ => (403, "<Error><Code>AuthenticationFailed</Code></Error>".into()),
        }
    });
    let base = [
        ("endpoint_url", server.as_str()),
        ("azure_authority_host", server.as_str()),
        ("azure_storage_account_name", "account"),
    ];
    let begun = [("azure_tenant_id", "tenant"), ("azure_client_id", "client")];
    let secret = [("azure_client_secret", "a secret")];
    let workload = [("azure_federated_token_file", token)];
    let of_variables = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", token),
    ];
    for (keys, variables) in [
        ([&begun[..], &secret].concat(), &[][..]),
        ([&begun[..], &workload].concat(), &[]),
        // What is configured is completed by the variables.
        (begun.to_vec(), &[("AZURE_CLIENT_SECRET", "a secret")]),
        (Vec::new(), &of_variables),
    ] {
        let stores = of(&[&base[..], &keys].concat(), variables);
        let found = stores.find("az://lake/*.jsonl").await;
        assert_eq!(found.unwrap()[0].origin(), "az://lake/rows.jsonl", "{keys:?} {variables:?}");
    }
}
