//! Logging in by IAM: the stand-in checks who signed, makes a user that holds for a while, and PostgreSQL lets it in.

use transload::{ErrorKind, LoadStatus, Resource};

use crate::cluster::case::variable;
use crate::cluster::{Case, destination, login_by_iam, pipeline_as, query};

/// How often a user and a password were given out to this user.
async fn given(user: &str) -> String {
    let sql = format!(
        "SELECT COUNT(*) FROM sys_query_history WHERE query_type = 'IAM' AND query_text LIKE '% {user}'"
    );
    query(&sql).await.remove(0)
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn whoever_may_ask_loads_as_a_temporary_user() {
    let role = variable("TRANSLOAD_TEST_S3_ROLE");
    let name = role.rsplit('/').next().unwrap();
    let assumed = format!("IAMR:{name}");
    let (cluster, workgroup) = (("cluster_identifier", "examples"), ("workgroup_name", "default"));
    for (more, user, stands_for) in [
        (&[cluster][..], "IAM:tester", "IAM:tester"),
        (&[cluster, ("role_arn", role.as_str())], &assumed, &assumed),
        (&[workgroup], "IAM:tester", "IAM:tester"),
        (&[cluster, ("db_user", "loader")], "IAM:loader", "loader"),
    ] {
        let case = Case::new("iam");
        let login = login_by_iam(&case.name, more);
        let pipeline = pipeline_as(login.clone(), "by_iam", &case.name, case.folder());
        let rows = Resource::json("events", "{\"n\": 1}\n{\"n\": 2}\n");
        let info = pipeline.staging("filesystem").build().unwrap().run(rows).await.unwrap();
        assert_eq!(info.loads[0].status, LoadStatus::Loaded);
        let seen = destination(login);
        let count =
            seen.query(&format!("SELECT COUNT(*) FROM {}.events", case.name)).await.unwrap();
        assert_eq!(count, [[Some("2".to_owned())]], "{more:?}");
        let users = seen.query("SELECT SESSION_USER, CURRENT_USER").await.unwrap();
        assert_eq!(users, [[Some(user.to_owned()), Some(stands_for.to_owned())]], "{more:?}");
    }
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn a_user_is_made_where_that_is_asked_for_and_asked_for_once_while_its_password_holds() {
    let case = Case::new("made");
    let user = case.name.as_str();
    let who = [("cluster_identifier", "examples"), ("db_user", user)];
    let absent = destination(login_by_iam(user, &who)).query("SELECT 1").await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Configuration, "{absent:?}");
    assert!(absent.hint().unwrap().contains("auto_create"), "{absent:?}");

    let made = [&who[..], &[("auto_create", "true"), ("db_groups", "loaders")]].concat();
    let login = login_by_iam(user, &made);
    let pipeline = pipeline_as(login.clone(), "by_iam", user, case.folder());
    let rows = Resource::json("events", "{\"n\": 1}\n");
    pipeline.staging("filesystem").build().unwrap().run(rows).await.unwrap();
    let temporary = format!("IAMA:{user}");
    assert_eq!(given(&temporary).await, "1", "a load has more than one session");

    // A password that has ended lets nobody in: it is fetched anew, and the load does not see it.
    let seen = destination(login);
    let ask = || seen.query("SELECT CURRENT_USER");
    assert_eq!(ask().await.unwrap(), [[Some(user.to_owned())]]);
    assert_eq!(given(&temporary).await, "2");
    query(&format!("STAND_IN EXPIRE '{temporary}'")).await;
    // The session that is kept breaks.
    case.stand_in("LOSE BEFORE 'SELECT 7'").await;
    assert_eq!(seen.query("SELECT 7").await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(ask().await.unwrap(), [[Some(user.to_owned())]]);
    assert_eq!(given(&temporary).await, "3");
}

#[tokio::test]
#[ignore = "needs the stand-in for Redshift: cargo xtask e2e redshift"]
async fn whoever_may_not_ask_is_told_why_and_no_secret_shows() {
    let (cluster, workgroup) = (("cluster_identifier", "examples"), ("workgroup_name", "default"));
    let canary = ("aws_secret_access_key", "CANARY-secret");
    let stranger = ("aws_access_key_id", "AKIASTRANGER");
    let expired = ("aws_session_token", "CANARY-token");
    for (more, code) in [
        (&[cluster, canary][..], "SignatureDoesNotMatch"),
        (&[workgroup, canary], "InvalidSignatureException"),
        (&[cluster, canary, stranger], "InvalidClientTokenId"),
        (&[workgroup, expired], "UnrecognizedClientException"),
        (&[("cluster_identifier", "nowhere")], "ClusterNotFound"),
        (&[("workgroup_name", "nowhere")], "ResourceNotFoundException"),
        (&[cluster, ("role_arn", "arn:aws:iam::123456789012:role/nobody")], "AccessDenied"),
    ] {
        let error = destination(login_by_iam("denied", more)).query("SELECT 1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(error.context("answer").unwrap().starts_with(code), "{error:?}");
        let shown = format!("{error:?} {error}");
        assert!(error.hint().is_some() && !shown.contains("CANARY"), "{shown}");
        assert!(!shown.contains(&variable("TRANSLOAD_TEST_S3_SECRET")), "{shown}");
    }
}
