//! Who asks Google: found in the settings of a plugin, in the variables and files of Google's own tools, or on the machine.
//!
//! More than one plugin asks Google for something, and each of them has to find out the same way in whose name. This crate
//! is for them: it has no settings of its own, and registers nothing.
//!
//! Source: Google Cloud, "How Application Default Credentials works"; Google Identity, "Using OAuth 2.0 for server to server
//! applications"; AIP-4110 to AIP-4117.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod boundary;
mod clocks;
mod credentials;
mod external_account;
mod identity;
mod service_account;
mod signed_url;
mod tokens;

pub use boundary::{CLOUD, STS, downscoped};
pub use clocks::Clocks;
pub use credentials::{Credentials, DefaultFile, default_file, from_text};
pub use external_account::ExternalAccount;
pub use identity::{How, Identity, TOKEN_URI};
pub use service_account::ServiceAccount;
pub use signed_url::Object;
pub use tokens::{Token, Tokens, client};
