//! Tokens of Google's for the client of a bucket.

use std::error::Error as StdError;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::gcp::GcpCredential;
use transload_core::{Error, Result};
use transload_google_identity::{Tokens, client};

/// Gives each request a token that holds.
#[derive(Debug)]
pub(crate) struct Bearer {
    tokens: Tokens,
    http: reqwest::Client,
}

impl Bearer {
    pub(crate) fn new(tokens: Tokens) -> Result<Self> {
        Ok(Self { tokens, http: client()? })
    }
}

#[async_trait]
impl CredentialProvider for Bearer {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let token = self.tokens.token(&self.http).await.map_err(|error| {
            object_store::Error::Generic { store: "GCS", source: Box::new(error) }
        })?;
        let bearer = token.map(|token| token.expose().to_owned()).unwrap_or_default();
        Ok(Arc::new(GcpCredential { bearer }))
    }
}

/// Why there was no token, where that is what a request failed for.
pub fn without_token(error: &object_store::Error) -> Option<Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return Some(ours.report().into());
        }
        next = cause.source();
    }
    None
}
