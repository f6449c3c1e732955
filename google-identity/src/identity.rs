//! Who asks for a token.

use std::path::PathBuf;

use transload_core::{Result, Secret};

use crate::credentials::Credentials;
use crate::external_account::ExternalAccount;
use crate::service_account::ServiceAccount;

/// Where Google gives out tokens.
pub const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Who asks for a token.
#[derive(Debug)]
pub enum Identity {
    /// Nobody: a server that stands in for Google's on this machine asks for none.
    Nobody,
    /// A service account with its key.
    ServiceAccount(ServiceAccount),
    /// A user who logged in once.
    User {
        /// The id of the application.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// What the user was given.
        refresh_token: Secret,
        /// Where tokens are had.
        token_uri: String,
    },
    /// A workload that another provider knows.
    Workload(Box<ExternalAccount>),
    /// This machine, known to Google.
    Machine,
}

/// How an identity is asked for.
#[derive(Clone, Debug)]
pub struct How {
    /// Where tokens are had for accounts and users: [`TOKEN_URI`], but in tests.
    pub token_uri: String,
    /// Where relative paths of a workload identity begin.
    pub folder: PathBuf,
    /// Whether tokens of a workload may travel without encryption.
    pub allow_insecure: bool,
}

impl Identity {
    /// The identity that is configured; nothing where none is.
    ///
    /// # Errors
    /// [`transload_core::ErrorKind::Configuration`] for a key or a workload identity that cannot be taken.
    pub fn of(credentials: &Credentials, how: How) -> Result<Option<Self>> {
        let How { token_uri, folder, allow_insecure } = how;
        if let Some(text) = &credentials.external_account {
            let workload = ExternalAccount::read(text, folder, allow_insecure)?;
            return Ok(Some(Self::Workload(Box::new(workload))));
        }
        if let (Some(email), Some(key)) = (&credentials.client_email, &credentials.private_key) {
            let key_id = credentials.private_key_id.clone();
            let account = ServiceAccount::new(email.clone(), key, key_id, token_uri)?;
            return Ok(Some(Self::ServiceAccount(account)));
        }
        if let (Some(client_id), Some(client_secret), Some(refresh_token)) =
            (&credentials.client_id, &credentials.client_secret, &credentials.refresh_token)
        {
            return Ok(Some(Self::User {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                refresh_token: refresh_token.clone(),
                token_uri,
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_says_who_asks() {
        let how =
            || How { token_uri: TOKEN_URI.into(), folder: PathBuf::new(), allow_insecure: false };
        let of = |credentials: Credentials| Identity::of(&credentials, how()).unwrap();
        assert!(of(Credentials::default()).is_none());
        let key = include_str!("../tests/data/key-of-nobody.pem");
        // In a variable of the environment the ends of lines are often written out.
        for key in [key.to_owned(), key.replace('\n', "\\n")] {
            let account = of(Credentials {
                client_email: Some("a@b".into()),
                private_key: Some(key.into()),
                ..Default::default()
            });
            assert!(matches!(account, Some(Identity::ServiceAccount(_))));
        }
        let user = of(Credentials {
            client_id: Some("i".into()),
            client_secret: Some("canary".into()),
            refresh_token: Some("canary".into()),
            ..Default::default()
        });
        assert!(matches!(user, Some(Identity::User { .. })));
        assert!(!format!("{user:?}").contains("canary"));
    }
}
