//! What it means that Amazon gives out no user and password: one row a code.

use transload_core::{Error, ErrorKind};

use super::question::Question;

impl Question {
    /// What a refusal means.
    pub(super) fn refused(&self, code: &str, status: u16, message: Option<&str>) -> Error {
        use ErrorKind::{Configuration, Terminal, Transient};
        const CLOCK: &str = "set the clock of this machine: signatures hold for 15 minutes";
        let late = message.is_some_and(|message| {
            message.contains("ignature expired") || message.contains("ignature not yet current")
        });
        let (kind, words, hint) = match code {
            "RequestExpired" => (Terminal, "the clock of this machine is wrong", CLOCK),
            "SignatureDoesNotMatch" | "InvalidSignatureException" if late => {
                (Terminal, "the clock of this machine is wrong", CLOCK)
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired" => (
                Configuration,
                "the keys that ask for database credentials were refused",
                "check `credentials.aws_access_key_id`, `credentials.aws_secret_access_key` and `credentials.aws_session_token`, \
                 or those of the profile or the environment",
            ),
            "ExpiredToken" | "ExpiredTokenException" => (
                Terminal,
                "the keys that ask for database credentials have expired",
                "get new temporary keys, then resume the load",
            ),
            "AccessDenied"
            | "AccessDeniedException"
            | "NotAuthorized"
            | "UnauthorizedOperation" => {
                (Configuration, "whoever asks may not have database credentials", self.right())
            }
            "ClusterNotFound" | "ClusterNotFoundFault" => (
                Configuration,
                "there is no such cluster in the region",
                "check `credentials.cluster_identifier` and `credentials.region_name`; without them both are taken from the host, \
                 which does not tell them where it is that of an endpoint in a VPC",
            ),
            "ResourceNotFoundException" => (
                Configuration,
                "there is no such workgroup in the region",
                "check `credentials.workgroup_name` and `credentials.region_name`; without them both are taken from the host, \
                 which does not tell them where it is that of an endpoint in a VPC",
            ),
            "UnsupportedOperation" | "UnsupportedOperationFault" => (
                Configuration,
                "the cluster gives out no such credentials",
                "set `credentials.db_user`, or leave it out",
            ),
            "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "ServiceUnavailable"
            | "InternalFailure"
            | "InternalServerException" => {
                (Transient, "what gives out database credentials is busy", "")
            }
            "ValidationError"
            | "ValidationException"
            | "InvalidParameterValue"
            | "InvalidParameterCombination"
            | "MissingParameter" => (
                Configuration,
                "the request for database credentials is not right",
                "check `credentials.db_user`, `credentials.db_groups`, `credentials.database` and the name of the cluster or workgroup",
            ),
            _ if matches!(status, 429 | 500..=599) => {
                (Transient, "what gives out database credentials failed", "")
            }
            _ => (Terminal, "there are no database credentials", ""),
        };
        let mut error = Error::new(kind, words);
        let said = match message {
            Some(message) => format!("{code}: {message}"),
            None if code.is_empty() => format!("HTTP status {status}"),
            None => code.to_owned(),
        };
        error = error.with("answer", said.chars().take(300).collect::<String>());
        error = match self {
            Self::Cluster { identifier, .. } => error.with("cluster", identifier),
            Self::Workgroup { name, .. } => error.with("workgroup", name),
        };
        if hint.is_empty() { error } else { error.with_hint(hint) }
    }

    /// The right that is missing.
    fn right(&self) -> &'static str {
        match self {
            Self::Workgroup { .. } => "allow `redshift-serverless:GetCredentials` on the workgroup",
            Self::Cluster { user: None, .. } => {
                "allow `redshift:GetClusterCredentialsWithIAM` on `dbname:<cluster>/<database>`"
            }
            Self::Cluster { user: Some(_), .. } => {
                "allow `redshift:GetClusterCredentials` on `dbuser:<cluster>/<db_user>` and `dbname:<cluster>/<database>`, \
                 `redshift:CreateClusterUser` for `auto_create` and `redshift:JoinGroup` for `db_groups`"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transload_aws_identity::Answer;

    use super::super::question::tests::{cluster, workgroup};

    #[test]
    fn each_refusal_has_its_meaning() {
        let mut shown = String::new();
        for (status, code, message) in [
            (404, "ClusterNotFound", "Cluster examples not found."),
            (
                403,
                "AccessDenied",
                "User: arn:aws:iam::1:user/a is not authorized to perform: redshift:GetClusterCredentials",
            ),
            (403, "InvalidClientTokenId", "The security token included in the request is invalid."),
            (403, "SignatureDoesNotMatch", "The request signature we calculated does not match"),
            (
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 20260101T000000Z is now earlier than",
            ),
            (403, "ExpiredToken", "The security token included in the request is expired"),
            (400, "UnsupportedOperation", "no"),
            (400, "Throttling", "Rate exceeded"),
            (400, "ValidationError", "1 validation error detected"),
            (503, "", ""),
            (418, "Odd", "teapot"),
        ] {
            let body = match code {
                "" => "<html>busy</html>".to_owned(),
                code => format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>1</RequestId></ErrorResponse>"
                ),
            };
            let error = cluster().read(&Answer { status, body }).unwrap_err();
            shown.push_str(&format!("{}: {error:?}\n", error.kind()));
        }
        for (status, code, message) in [
            (400, "ResourceNotFoundException", "workgroup default not found"),
            (400, "com.amazon.coral.service#AccessDeniedException", "no"),
            (400, "UnrecognizedClientException", "no"),
            (400, "ExpiredTokenException", "no"),
            (400, "ThrottlingException", "no"),
            (500, "InternalServerException", "no"),
        ] {
            let body = json!({ "__type": code, "Message": message }).to_string();
            let error = workgroup().read(&Answer { status, body }).unwrap_err();
            shown.push_str(&format!("{}: {error:?}\n", error.kind()));
        }
        insta::assert_snapshot!(shown);
    }
}
