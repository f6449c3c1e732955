//! What the errors of a store mean: one function, one row a code.

use std::error::Error as StdError;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};
use transload_core::{Error, ErrorKind, Redactor, StorageKind};
use transload_object_stores::{TABLE, role_refused, without_token};

const CREDENTIALS: &str = "check `credentials.aws_access_key_id`, `credentials.aws_secret_access_key` and \
                           `credentials.aws_session_token`";
const AZURE_CREDENTIALS: &str = "check `credentials.azure_storage_account_name` and `credentials.azure_storage_account_key`, \
                                 `credentials.azure_storage_sas_token` or the service principal \
                                 (`credentials.azure_tenant_id`, `credentials.azure_client_id`, \
                                 `credentials.azure_client_secret`); a shared access signature may have expired";
const GOOGLE_CREDENTIALS: &str = "check `credentials.client_email`, `credentials.private_key` and \
                                  `credentials.private_key_id`, or the file in `credentials.application_credentials`; the \
                                  account or its key may have been disabled";
const REGION: &str = "set `credentials.region_name` to the region of the bucket";

/// What can be read out of an error of the store.
///
/// The error itself is not kept: it quotes the URL and the body of the answer, which names keys and signatures.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    transport: Option<HttpErrorKind>,
    io: Option<(io::ErrorKind, Option<i32>)>,
    innermost: String,
    redirected: bool,
    without_identity: bool,
    /// It was not the store that answered but the server that gives out tokens.
    login: bool,
    /// It was the service that gives out roles.
    role: bool,
    /// It was asked for a key that signs for a container of Azure.
    delegation: bool,
    /// The file with Azure's token for whoever asks could not be read.
    token_file: bool,
}

impl Answer {
    fn of(error: &object_store::Error) -> Self {
        let text = error.to_string();
        let mut answer = Self {
            // The second is Azure's answer for one of the objects that were to be removed together.
            status: between(&text, "status code: ", " ")
                .or_else(|| between(&text, "(code: ", ")"))
                .and_then(|status| status.parse().ok()),
            code: element(&text, "Code"),
            message: element(&text, "Message"),
            redirected: text.contains("redirect without LOCATION"),
            without_identity: text.contains("//169.254.")
                || text.contains("//metadata.google.internal"),
            login: text.contains("Error performing token request"),
            role: text.contains("Generic STS error"),
            delegation: text.contains("Generic delegation error"),
            token_file: text.contains("Error reading federated token file"),
            ..Self::default()
        };
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(cause) = next {
            if let Some(http) = cause.downcast_ref::<HttpError>() {
                answer.transport = Some(http.kind());
            }
            if let (None, Some(io)) = (answer.transport, cause.downcast_ref::<io::Error>()) {
                answer.io = Some((io.kind(), io.raw_os_error()));
            }
            next = cause.source();
            if next.is_none() {
                answer.innermost = cause.to_string();
            }
        }
        answer
    }

    /// The words of the store or of the system: never a URL, never a whole answer.
    fn words(&self) -> Option<String> {
        match (&self.code, &self.message, self.status) {
            // Azure's messages go on with the number of the request and the time.
            (Some(code), Some(message), _) => {
                Some(format!("{code}: {}", message.lines().next().unwrap_or_default()))
            }
            (Some(code), None, _) => Some(code.clone()),
            (None, _, Some(status)) => Some(format!("HTTP status {status}")),
            (None, _, None) if self.transport.is_some() || self.io.is_some() => {
                Some(self.innermost.clone())
            }
            _ => None,
        }
        .map(|words| words.chars().take(300).collect())
    }
}

/// The text of an element, in which there is no markup.
pub(crate) fn element(text: &str, name: &str) -> Option<String> {
    between(text, &format!("<{name}>"), &format!("</{name}>"))
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(text[start..start + length].to_owned())
}

/// What an error of the store means for the load.
pub(crate) fn classify(
    error: &object_store::Error,
    storage: StorageKind,
    redactor: &Redactor,
) -> Error {
    use ErrorKind::{Bug, Terminal, Unsupported};
    if let Some(refused) = without_token(error) {
        return refused.redacted(redactor);
    }
    let answer = Answer::of(error);
    let by_code = match storage {
        StorageKind::Azure => by_code_of_azure,
        StorageKind::Gcs => by_code_of_google,
        _ => by_code,
    };
    let (code, status) = (answer.code.as_deref(), answer.status);
    let by_role =
        answer.role.then(|| role_refused(code, status, answer.transport.is_some(), TABLE));
    let (kind, message, hint) = by_role.unwrap_or_else(|| {
        let (kind, message, hint) = by_code(&answer)
            .or(match error {
                object_store::Error::NotFound { .. } => {
                    Some((Terminal, "the object is not there", ""))
                }
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. } => {
                    Some((Terminal, "another object has this name", ""))
                }
                object_store::Error::NotSupported { .. }
                | object_store::Error::NotImplemented { .. } => {
                    Some((Unsupported, "the store cannot do this", ""))
                }
                object_store::Error::InvalidPath { .. } => {
                    Some((Terminal, "the store takes no object of this name", ""))
                }
                object_store::Error::JoinError { .. } => {
                    Some((Bug, "a task of the store ended", ""))
                }
                _ => None,
            })
            .or_else(|| without_identity(&answer, storage))
            .or_else(|| by_login(&answer, storage))
            .or_else(|| by_status(&answer, storage))
            .or_else(|| by_transport(&answer))
            .or_else(|| by_system(&answer))
            .unwrap_or((Terminal, "the store failed", ""));
        (kind, message, hint.to_owned())
    });
    let mut classified = Error::new(kind, message);
    if let Some(words) = answer.words() {
        classified = classified.with("answer", redactor.scrub(&words));
    }
    if hint.is_empty() { classified } else { classified.with_hint(hint) }
}

/// Whether the store refused without a word, with a status that has many reasons.
pub(crate) fn says_only_a_status(error: &object_store::Error) -> bool {
    let answer = Answer::of(error);
    answer.code.is_none() && matches!(answer.status, Some(400 | 401 | 403))
}

type Row = (ErrorKind, &'static str, &'static str);

/// Source: Amazon S3, "Error responses", list of error codes.
fn by_code(answer: &Answer) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal, Transient};
    Some(match answer.code.as_deref()? {
        "NoSuchBucket" => {
            (Configuration, "the bucket does not exist", "create it, or correct `bucket_url`")
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "InvalidSecurity"
        | "NotSignedUp" => (Configuration, "the store refused the credentials", CREDENTIALS),
        "ExpiredToken" | "TokenRefreshRequired" => (
            Terminal,
            "the credentials have expired",
            "get new temporary keys, then resume the load",
        ),
        "RequestTimeTooSkewed" => (
            Terminal,
            "the clock of this machine is wrong",
            "set it: signatures hold for 15 minutes",
        ),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => (
            Terminal,
            "the credentials do not allow this",
            "they need to list the bucket, and to read, write and delete objects under the prefix",
        ),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            (Terminal, "the bucket is in another region", REGION)
        }
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout"
        | "OperationAborted" => (Transient, "the store is overloaded", ""),
        // An upload that a life-cycle rule or another process ended: it begins again under the same name.
        "NoSuchUpload" => (Transient, "the upload was ended by someone else", ""),
        _ => return None,
    })
}

/// Source: Azure, "Common REST API error codes" and "Blob Storage error codes".
fn by_code_of_azure(answer: &Answer) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal, Transient};
    const RIGHTS: &str =
        "they need to list the container, and to read, write and delete blobs under the prefix";
    Some(match answer.code.as_deref()? {
        "ContainerNotFound" => (
            Configuration,
            "the container does not exist",
            "create it, or correct `bucket_url`: Transload makes no containers",
        ),
        // Azure names a signature that has expired no different from a wrong one; only its words tell.
        "AuthenticationFailed"
            if answer.message.as_deref().is_some_and(|words| words.contains("time frame")) =>
        {
            (
                Terminal,
                "the credentials have expired",
                "get a new shared access signature, then resume the load; or set the clock of this machine",
            )
        }
        "AuthenticationFailed"
        | "InvalidAuthenticationInfo"
        | "NoAuthenticationInformation"
        | "AuthorizationProtocolMismatch" => {
            (Configuration, "the store refused the credentials", AZURE_CREDENTIALS)
        }
        // So Azurite names a wrong key; in Azure it is a right that is missing.
        "AuthorizationFailure"
            if answer.message.as_deref().is_some_and(|words| words.contains("authenticate")) =>
        {
            (Configuration, "the store refused the credentials", AZURE_CREDENTIALS)
        }
        "AuthorizationFailure" | "AuthorizationPermissionMismatch" if answer.delegation => (
            Configuration,
            "the account gives no key that signs for its container",
            "give whoever stages the role Storage Blob Delegator on the account, or set \
             `credentials.azure_storage_sas_token`",
        ),
        "AuthorizationFailure"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "InsufficientAccountPermissions"
        | "PublicAccessNotPermitted"
        | "ResourceTypeMismatch" => (Terminal, "the credentials do not allow this", RIGHTS),
        "AuthorizationSourceIPMismatch" => (
            Terminal,
            "the store takes nothing from this network",
            "allow it in the firewall of the storage account or in the shared access signature",
        ),
        "AccountIsDisabled" | "ContainerDisabled" => {
            (Terminal, "the store is disabled", "ask whoever manages the storage account")
        }
        "BlobArchived" | "BlobBeingRehydrated" => (
            Terminal,
            "the object is archived",
            "bring it back to an online tier, then resume the load",
        ),
        "BlobImmutableDueToPolicy" => (
            Terminal,
            "a policy forbids to change the object",
            "use a container without an immutability policy",
        ),
        "ServerBusy"
        | "InternalError"
        | "OperationTimedOut"
        | "ContainerBeingDeleted"
        | "AccountBeingCreated" => (Transient, "the store is overloaded", ""),
        // Blocks that another upload of the same blob, or a week, took away: it begins again under the same name.
        "InvalidBlockList" => (Transient, "the upload was ended by someone else", ""),
        _ => return None,
    })
}

/// Source: Google Cloud Storage, "HTTP status and error codes for XML". Most of them are those of S3.
fn by_code_of_google(answer: &Answer) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal, Transient};
    Some(match answer.code.as_deref()? {
        "AuthenticationRequired"
        | "InvalidSecurity"
        | "InvalidAuthentication"
        | "MissingSecurityHeader"
        | "NotSignedUp"
        | "SignatureDoesNotMatch" => {
            (Configuration, "the store refused the credentials", GOOGLE_CREDENTIALS)
        }
        // The answer is the same for a bucket of someone else's, so that nobody learns which names are taken.
        "AccessDenied" | "AccountProblem" => (
            Terminal,
            "the credentials do not allow this",
            "they need to list the bucket, and to read, write and delete objects under the prefix: the role \
             `roles/storage.objectUser`",
        ),
        "UserProjectMissing" | "UserProjectAccountProblem" => (
            Terminal,
            "the bucket wants a project that pays for the request",
            "use a bucket without Requester Pays",
        ),
        "ObjectUnderActiveHold" | "RetentionPolicyNotMet" => (
            Terminal,
            "a policy forbids to change the object",
            "use a bucket without retention policy and holds",
        ),
        "TooManyRequests" => (Transient, "the store is overloaded", ""),
        _ => return by_code(answer),
    })
}

/// The server that gives out tokens refused a login: one of Google's was made once and may have ended.
fn by_login(answer: &Answer, storage: StorageKind) -> Option<Row> {
    let hint = match storage {
        StorageKind::Gcs => "log in again: `gcloud auth application-default login`",
        _ => AZURE_CREDENTIALS,
    };
    if answer.token_file {
        let message = "the file with the token cannot be read";
        let hint = "check `credentials.azure_federated_token_file`, or AZURE_FEDERATED_TOKEN_FILE";
        return Some((ErrorKind::Configuration, message, hint));
    }
    let refused = answer.login && matches!(answer.status, Some(400..=404));
    refused.then_some((ErrorKind::Configuration, "the store refused the credentials", hint))
}

/// Without keys in the settings the metadata service of the machine is asked, which off a cloud is not there.
fn without_identity(answer: &Answer, storage: StorageKind) -> Option<Row> {
    let refused = answer.status.is_none_or(|status| status < 500);
    let hint = match storage {
        StorageKind::Gcs => {
            "add `credentials.client_email` and `credentials.private_key`, or `credentials.application_credentials`, or run \
             on a machine with an identity of its own"
        }
        StorageKind::Azure => {
            "add `credentials.azure_storage_account_key` or `credentials.azure_storage_sas_token`, or run on a machine \
             with an identity of its own"
        }
        _ => {
            "add `credentials.aws_access_key_id` and `credentials.aws_secret_access_key`, or run on a machine with an \
             identity of its own"
        }
    };
    (answer.without_identity && refused).then_some((
        ErrorKind::Configuration,
        "there are no credentials for the store",
        hint,
    ))
}

fn by_status(answer: &Answer, storage: StorageKind) -> Option<Row> {
    use ErrorKind::{Configuration, Terminal, Transient, Unsupported};
    let credentials = match storage {
        StorageKind::Azure => AZURE_CREDENTIALS,
        StorageKind::Gcs => GOOGLE_CREDENTIALS,
        _ => CREDENTIALS,
    };
    if answer.redirected {
        return Some((Terminal, "the bucket is in another region", REGION));
    }
    Some(match answer.status? {
        301 | 302 | 307 | 308 => (Terminal, "the bucket is in another region", REGION),
        401 | 403 => (Configuration, "the store refused the credentials", credentials),
        408 | 409 | 425 | 429 => (Transient, "the store is overloaded", ""),
        501 => (Unsupported, "the store cannot do this", ""),
        507 => (Terminal, "the store is full", "free space, then resume the load"),
        500..=599 => (Transient, "the store failed", ""),
        _ => (Terminal, "the store refused the request", ""),
    })
}

fn by_transport(answer: &Answer) -> Option<Row> {
    use ErrorKind::{Terminal, Transient};
    answer.transport?;
    if answer.innermost.to_lowercase().contains("certificate") {
        let hint =
            "the endpoint must show a certificate that this machine trusts, for its own name";
        return Some((Terminal, "the certificate of the store is not trusted", hint));
    }
    Some((
        Transient,
        "the store could not be reached",
        "check the account or `credentials.endpoint_url`, and the network",
    ))
}

fn by_system(answer: &Answer) -> Option<Row> {
    use ErrorKind::{Terminal, Transient};
    const TOO_MANY_OPEN_FILES: i32 = 24;
    let (kind, code) = answer.io?;
    Some(match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            Terminal,
            "the folder cannot be written or read",
            "give this user the right to it, or choose another `bucket_url`",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Terminal, "the disk is full", "free space, then resume the load")
        }
        // A folder vanishes when another process removed the last file in it.
        io::ErrorKind::NotFound
        | io::ErrorKind::Interrupted
        | io::ErrorKind::TimedOut
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::ResourceBusy => (Transient, "the file system did not answer", ""),
        _ if code == Some(TOO_MANY_OPEN_FILES) => (Transient, "too many files are open", ""),
        _ => (Terminal, "the file system failed", ""),
    })
}

/// Whether an error of a write leaves open if the write was made.
///
/// `AlreadyExists` does: when a first answer was lost, the repetition inside `object_store` meets the object that the
/// first request wrote.
pub(crate) fn leaves_open(error: &object_store::Error) -> bool {
    // Without a token nothing was sent.
    if without_token(error).is_some() {
        return false;
    }
    match error {
        object_store::Error::InvalidPath { .. }
        | object_store::Error::NotSupported { .. }
        | object_store::Error::NotImplemented { .. }
        | object_store::Error::NotFound { .. }
        | object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => false,
        other => {
            let answer = Answer::of(other);
            match answer.status {
                Some(status @ 300..=499) => matches!(status, 408 | 409 | 412 | 429),
                // What went wrong was getting the keys: the write was not even sent.
                _ => {
                    !answer.without_identity && !answer.login && !answer.role && !answer.token_file
                }
            }
        }
    }
}

/// Whether it is the bucket that is missing, not the object.
pub(crate) fn bucket_is_missing(error: &object_store::Error) -> bool {
    matches!(Answer::of(error).code.as_deref(), Some("NoSuchBucket" | "ContainerNotFound"))
}

#[cfg(test)]
mod tests {
    use transload_core::Secret;

    use super::*;

    fn answered(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn status(status: u16, code: &str) -> object_store::Error {
        answered(&format!(
            "Error performing PUT https://lake.example/a?X-Amz-Signature=CANARY in 3ms - Server returned non-2xx status \
             code: {status} Whatever: <?xml?><Error><Code>{code}</Code><Message>about CANARY</Message>\
             <AWSAccessKeyId>AKIACANARY</AWSAccessKeyId></Error>"
        ))
    }

    #[test]
    fn each_answer_has_its_meaning() {
        use ErrorKind::{Configuration, Terminal, Transient, Unsupported};
        for (error, kind, message) in [
            (status(404, "NoSuchBucket"), Configuration, "the bucket does not exist"),
            (
                status(403, "SignatureDoesNotMatch"),
                Configuration,
                "the store refused the credentials",
            ),
            (status(400, "ExpiredToken"), Terminal, "the credentials have expired"),
            (status(403, "RequestTimeTooSkewed"), Terminal, "the clock of this machine is wrong"),
            (status(403, "AccessDenied"), Terminal, "the credentials do not allow this"),
            (status(301, "PermanentRedirect"), Terminal, "the bucket is in another region"),
            (status(503, "SlowDown"), Transient, "the store is overloaded"),
            (status(500, "Odd"), Transient, "the store failed"),
            (status(429, "Odd"), Transient, "the store is overloaded"),
            (status(507, "Odd"), Terminal, "the store is full"),
            (status(501, "Odd"), Unsupported, "the store cannot do this"),
            (status(400, "Odd"), Terminal, "the store refused the request"),
            (
                answered("Received redirect without LOCATION, …"),
                Terminal,
                "the bucket is in another region",
            ),
            (answered("what"), Terminal, "the store failed"),
        ] {
            let classified = classify(&error, StorageKind::S3, &Redactor::default());
            assert_eq!((classified.kind(), classified.message()), (kind, message), "{error}");
        }
    }

    #[test]
    fn each_answer_of_azure_has_its_meaning() {
        use ErrorKind::{Configuration, Terminal, Transient};
        let expired = "Error performing PUT in 3ms - Server returned non-2xx status code: 403 Forbidden: \
                       <Error><Code>AuthenticationFailed</Code><Message>Signature not valid in the specified time \
                       frame\nRequestId:1</Message></Error>";
        let bulk = "Bulk delete request failed for key a: Forbidden (code: 403)";
        for (error, kind, message) in [
            (status(404, "ContainerNotFound"), Configuration, "the container does not exist"),
            (
                status(403, "AuthenticationFailed"),
                Configuration,
                "the store refused the credentials",
            ),
            (answered(expired), Terminal, "the credentials have expired"),
            (
                status(403, "AuthorizationPermissionMismatch"),
                Terminal,
                "the credentials do not allow this",
            ),
            (answered(bulk), Configuration, "the store refused the credentials"),
            (status(503, "ServerBusy"), Transient, "the store is overloaded"),
            (status(503, "Odd"), Transient, "the store failed"),
            (status(409, "BlobArchived"), Terminal, "the object is archived"),
            (status(400, "InvalidBlockList"), Transient, "the upload was ended by someone else"),
        ] {
            let classified = classify(&error, StorageKind::Azure, &Redactor::default());
            assert_eq!((classified.kind(), classified.message()), (kind, message), "{error}");
        }
        let expired = classify(&answered(expired), StorageKind::Azure, &Redactor::default());
        assert!(!format!("{expired:?}").contains("RequestId"), "{expired:?}");
        for missing in ["NoSuchBucket", "ContainerNotFound"] {
            assert!(bucket_is_missing(&status(404, missing)));
        }
    }

    #[test]
    fn each_answer_of_google_has_its_meaning() {
        use ErrorKind::{Configuration, Terminal, Transient};
        let refused = "the store refused the credentials";
        let login = "Error performing token request: Error performing POST https://accounts.google.com/o/oauth2/token in \
                     3ms - Server returned non-2xx status code: 400 Bad Request: {\"error\": \"invalid_grant\"}";
        let machine = "Error performing token request: Error performing GET \
                       http://metadata.google.internal/computeMetadata/v1 in 3ms";
        for (error, kind, message) in [
            (status(404, "NoSuchBucket"), Configuration, "the bucket does not exist"),
            (status(401, "AuthenticationRequired"), Configuration, refused),
            (answered("x status code: 401 Unauthorized: "), Configuration, refused),
            (answered(login), Configuration, refused),
            (answered(machine), Configuration, "there are no credentials for the store"),
            (status(403, "AccessDenied"), Terminal, "the credentials do not allow this"),
            (
                status(403, "RetentionPolicyNotMet"),
                Terminal,
                "a policy forbids to change the object",
            ),
            (status(429, "TooManyRequests"), Transient, "the store is overloaded"),
            (status(503, "SlowDown"), Transient, "the store is overloaded"),
            (status(404, "NoSuchUpload"), Transient, "the upload was ended by someone else"),
        ] {
            let classified = classify(&error, StorageKind::Gcs, &Redactor::default());
            assert_eq!((classified.kind(), classified.message()), (kind, message), "{error}");
            let hint = classified.hint().unwrap_or_default();
            assert!(!hint.contains("aws") && !hint.contains("azure"), "{hint}");
        }
        assert!(!leaves_open(&answered(login)) && !leaves_open(&answered(machine)));
    }

    #[test]
    fn what_takes_on_a_role_is_told_from_the_store() {
        use ErrorKind::{Configuration, Terminal, Transient};
        let sts = |status: u16, code: &str| object_store::Error::Generic {
            store: "STS",
            source: format!(
                "status code: {status} : <Code>{code}</Code><Message>about CANARY</Message>"
            )
            .into(),
        };
        let redactor = Redactor::new(&[Secret::from("CANARY")]);
        for (error, kind, message) in [
            (sts(403, "AccessDenied"), Configuration, "the role cannot be taken on"),
            (
                sts(403, "InvalidClientTokenId"),
                Configuration,
                "the keys that take on the role were refused",
            ),
            (sts(400, "ExpiredTokenException"), Terminal, "the credentials have expired"),
            (sts(400, "InvalidIdentityToken"), Configuration, "the token for the role was refused"),
            (sts(400, "Throttling"), Transient, "the service that gives out roles failed"),
            (sts(503, "Odd"), Transient, "the service that gives out roles failed"),
        ] {
            let classified = classify(&error, StorageKind::S3, &redactor);
            assert_eq!((classified.kind(), classified.message()), (kind, message), "{error}");
            assert!(!format!("{classified:?}").contains("CANARY") && !leaves_open(&error));
        }
    }

    #[test]
    fn neither_urls_nor_bodies_nor_secrets_are_shown() {
        let redactor = Redactor::new(&[Secret::from("CANARY")]);
        for code in ["SignatureDoesNotMatch", "AccessDenied", "Odd"] {
            let shown = format!("{:?}", classify(&status(403, code), StorageKind::S3, &redactor));
            assert!(shown.contains(code), "{shown}");
            assert!(!shown.contains("CANARY") && !shown.contains("https"), "{shown}");
        }
    }

    #[test]
    fn a_machine_without_an_identity_is_told_so() {
        let from_metadata = "Error performing PUT http://169.254.169.254/latest/api/token in 3ms";
        for (answer, kind, closed) in [
            ("", ErrorKind::Configuration, true),
            (
                " - Server returned non-2xx status code: 403 Forbidden: ",
                ErrorKind::Configuration,
                true,
            ),
            (" - Server returned non-2xx status code: 503 Busy: ", ErrorKind::Transient, true),
        ] {
            let error = answered(&format!("{from_metadata}{answer}"));
            let classified = classify(&error, StorageKind::S3, &Redactor::default());
            assert_eq!((classified.kind(), leaves_open(&error)), (kind, !closed), "{answer}");
        }
    }

    #[test]
    fn errors_of_the_system_are_told_apart() {
        for (code, kind) in [
            (13, ErrorKind::Terminal),
            (28, ErrorKind::Terminal),
            (24, ErrorKind::Transient),
            (2, ErrorKind::Transient),
            (5, ErrorKind::Terminal),
        ] {
            let source = io::Error::from_raw_os_error(code);
            let error = object_store::Error::Generic { store: "Local", source: source.into() };
            assert_eq!(
                classify(&error, StorageKind::S3, &Redactor::default()).kind(),
                kind,
                "{code}"
            );
        }
    }

    #[test]
    fn a_write_for_which_there_was_no_token_was_not_sent() {
        for kind in [ErrorKind::Configuration, ErrorKind::Transient] {
            let source = Box::new(Error::new(kind, "Google gives no token").with("status", 400));
            let error = object_store::Error::Generic { store: "GCS", source };
            let classified = classify(&error, StorageKind::Gcs, &Redactor::default());
            assert_eq!((classified.kind(), leaves_open(&error)), (kind, false));
        }
    }

    #[test]
    fn only_a_clear_refusal_closes_a_write() {
        for code in [400, 403, 404, 413] {
            assert!(!leaves_open(&status(code, "Odd")), "{code}");
        }
        for code in [408, 409, 412, 429, 500, 503] {
            assert!(leaves_open(&status(code, "Odd")), "{code}");
        }
        assert!(leaves_open(&answered("connection reset")));
    }
}
