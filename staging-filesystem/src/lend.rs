//! Keys that are lent to a destination: those of a role, narrowed by a session policy to the files that it is to read.
//!
//! Source: IAM User Guide, "Policies and permissions", session policies; Amazon Redshift Database Developer Guide,
//! "Authorizing access to the COPY operation": what a destination needs of the bucket.

use std::collections::BTreeSet;

use serde_json::json;
use transload_aws_identity::{AwsCredential, AwsCredentialProvider, Role, Roles, Sts, Trust};

/// Lends keys.
#[derive(Debug)]
pub(crate) struct Lender {
    /// The role of the keys.
    pub(crate) role: Role,
    /// Whoever stages, whom the role trusts.
    pub(crate) by: AwsCredentialProvider,
    /// The service for roles.
    pub(crate) roles: Roles,
}

impl Lender {
    /// Keys that read what lies below these prefixes of a bucket and nothing else, for an hour.
    pub(crate) async fn lend(
        &self,
        bucket: &str,
        prefixes: &BTreeSet<String>,
    ) -> object_store::Result<AwsCredential> {
        let trust = Trust::Keys(self.by.clone());
        let sts = Sts::new(self.role.clone(), trust, &self.roles)?;
        sts.narrowed_to(policy(self.partition(), bucket, prefixes)).take_on().await
    }

    /// `aws`, or that of another part of the cloud, as the role says it.
    fn partition(&self) -> &str {
        self.role.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// What the keys may do, whatever else the role may.
fn policy(partition: &str, bucket: &str, prefixes: &BTreeSet<String>) -> String {
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let below: Vec<String> =
        prefixes.iter().map(|prefix| format!("{}*", literal(prefix))).collect();
    let objects: Vec<String> = below.iter().map(|below| format!("{bucket}/{below}")).collect();
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": objects },
            { "Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [bucket] },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [bucket],
                "Condition": { "StringLike": { "s3:prefix": below } },
            },
        ],
    })
    .to_string()
}

/// A prefix in which nothing stands for anything else. Source: IAM User Guide, "IAM policy elements: Variables and tags".
fn literal(prefix: &str) -> String {
    let mut text = String::with_capacity(prefix.len());
    for sign in prefix.chars() {
        match sign {
            '*' | '?' | '$' => text.push_str(&format!("${{{sign}}}")),
            _ => text.push(sign),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_keys_read_what_lies_below_the_load_and_nothing_else() {
        let prefixes = BTreeSet::from(["raw/d/p/1.5/".to_owned(), "a*b?$/d/p/1.6/".to_owned()]);
        let policy: serde_json::Value =
            serde_json::from_str(&policy("aws-cn", "lake", &prefixes)).unwrap();
        let allowed = &policy["Statement"];
        assert_eq!(
            allowed[0]["Resource"],
            json!([
                "arn:aws-cn:s3:::lake/a${*}b${?}${$}/d/p/1.6/*",
                "arn:aws-cn:s3:::lake/raw/d/p/1.5/*"
            ])
        );
        assert_eq!(allowed[0]["Action"], json!(["s3:GetObject"]));
        assert_eq!(allowed[1]["Resource"], json!(["arn:aws-cn:s3:::lake"]));
        let listed = &allowed[2]["Condition"]["StringLike"]["s3:prefix"];
        assert_eq!(listed, &json!(["a${*}b${?}${$}/d/p/1.6/*", "raw/d/p/1.5/*"]));
        assert_eq!(allowed.as_array().map(Vec::len), Some(3));
    }
}
