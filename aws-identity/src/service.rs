//! Requests to services of Amazon's, signed by whoever asks.
//!
//! Source: AWS Identity and Access Management User Guide, "AWS Signature Version 4 for API requests".

use std::error::Error as StdError;
use std::time::Duration;

use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, ReqwestConnector};
use object_store::{ClientOptions, Error, Result, RetryConfig};
use url::form_urlencoded::Serializer;

/// The headers of a request whose body is a [`form`].
pub const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// The service that gives out roles.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Its address, without a slash at its end.
    pub endpoint: String,
    /// Its region.
    pub region: String,
}

/// A service of Amazon's.
#[derive(Debug)]
pub struct Service {
    title: &'static str,
    name: &'static str,
    endpoint: String,
    region: String,
    client: HttpClient,
}

/// What a service answered. It is not printed: the body may hold secrets.
#[derive(Clone)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Service {
    /// A service by its title in errors and its name in signatures. Opens no connection.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(
        title: &'static str,
        name: &'static str,
        endpoint: &str,
        region: &str,
    ) -> Result<Self> {
        let options = options().with_allow_http(endpoint.starts_with("http:"));
        let client = ReqwestConnector::default().connect(&options)?;
        let (endpoint, region) = (endpoint.to_owned(), region.to_owned());
        Ok(Self { title, name, endpoint, region, client })
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Asks, by a POST that these keys sign. Any status is an answer.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn ask(
        &self,
        headers: &[(&'static str, &'static str)],
        body: String,
        keys: Option<&AwsCredential>,
    ) -> Result<Answer> {
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = "POST".parse().map_err(|_| self.failed("no method"))?;
        let address = format!("{}/", self.endpoint).parse();
        *request.uri_mut() = address.map_err(|_| self.failed("no address"))?;
        for (name, value) in headers {
            let value = value.parse().map_err(|_| self.failed("no header"))?;
            request.headers_mut().insert(*name, value);
        }
        if let Some(keys) = keys {
            let authorizer = AwsAuthorizer::new(keys, self.name, &self.region);
            authorizer.try_authorize(&mut request, None)?;
        }
        let answer = self.client.execute(request).await.map_err(|error| self.failed(error))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().bytes().await.map_err(|error| self.failed(error))?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// An error that bears the title of the service.
    pub fn failed(&self, why: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::Generic { store: self.title, source: why.into() }
    }
}

/// The body of a request whose values are in a form, as services of XML want it.
pub fn form<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    Serializer::new(String::new()).extend_pairs(values).finish()
}

/// The text of an element of XML. Keys and messages hold no markup but what stands for single signs.
pub fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    let signs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#43;", "+"),
        ("&amp;", "&"),
    ];
    Some(signs.iter().fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// How Amazon is spoken to: its answers here are short.
pub(crate) fn options() -> ClientOptions {
    // reqwest panics where no provider is installed; one that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(30))
}

pub(crate) fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_read_as_it_was_meant() {
        let body = "<a><Code> Odd </Code><Message>&lt;b&gt; &amp;amp; &quot;c&quot;</Message></a>";
        assert_eq!(element(body, "Code").as_deref(), Some("Odd"));
        assert_eq!(element(body, "Message").as_deref(), Some("<b> &amp; \"c\""));
        assert_eq!(element(body, "Type"), None);
    }
}
