//! Encrypted connections: rustls with ring, as `sslmode` asks for it.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use transload_core::{Error, ErrorKind, Result};

use crate::config::SslMode;

/// Makes encrypted connections.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// TLS that trusts these authorities, or the system's.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where no authority can be read.
    pub(crate) fn new(sslmode: SslMode, authorities: Option<&Path>) -> Result<Self> {
        let roots = Arc::new(roots(authorities)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let mut config = match sslmode {
            SslMode::VerifyCa => {
                let whole = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(unusable)?;
                let verifier = Arc::new(AnyName { whole });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
            _ => builder.with_root_certificates(roots).with_no_client_auth(),
        };
        // Sessions are few and long.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Configuration, "TLS cannot be set up").with_source(error)
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = authorities else {
        // Some of a system's certificates are often of a kind that nobody reads: the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match roots.is_empty() {
            false => Ok(roots),
            true => Err(Error::new(ErrorKind::Configuration, "the system trusts no authority")
                .with_hint(
                    "install its certificates (Debian: ca-certificates), or set `sslrootcert`",
                )),
        };
    };
    let wrong = |reason: &'static str| {
        Error::new(ErrorKind::Configuration, "the authorities to trust cannot be read")
            .with("sslrootcert", file.display())
            .with("reason", reason)
            .with_hint("it is a file of certificates in PEM: `-----BEGIN CERTIFICATE-----`")
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(|error| wrong("it cannot be opened").with_source(error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong("it is no PEM").with_source(error))?;
        roots
            .add(certificate)
            .map_err(|error| wrong("a certificate is broken").with_source(error))?;
    }
    if roots.is_empty() { Err(wrong("it holds no certificate")) } else { Ok(roots) }
}

/// Checks a certificate and not the name in it: `verify-ca`, for tunnels.
#[derive(Debug)]
struct AnyName {
    whole: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.whole.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        // The name is looked at last, when all the rest is right.
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.whole.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.whole.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.whole.supported_verify_schemes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = TlsTo;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<TlsTo> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no name"))?;
        Ok(TlsTo { config: Arc::clone(&self.config), name })
    }
}

/// An encrypted connection to one host.
pub(crate) struct TlsTo {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for TlsTo {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = TlsConnector::from(self.config);
            connector.connect(self.name, stream).await.map(|stream| Encrypted(Box::new(stream)))
        })
    }
}

/// The stream of such a connection.
pub(crate) struct Encrypted<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S> TlsStream for Encrypted<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        // Redshift authenticates in no way that binds a channel.
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use transload_core::Destination as _;
    use transload_core::settings::Settings;

    use super::*;
    use crate::RedshiftDestination;
    use crate::config::tests::{CANARY, COMPLETE};

    fn file(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/testdata").join(name)
    }

    /// Reads the first message, and answers that the password is wrong: so far only a connection that is trusted gets.
    async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
        let length = stream.read_u32().await.unwrap() as usize;
        let mut message = vec![0; length - 4];
        stream.read_exact(&mut message).await.unwrap();
        let fields = b"SFATAL\0C28P01\0Mwrong password\0\0";
        stream.write_all(b"E").await.unwrap();
        stream.write_all(&(fields.len() as u32 + 4).to_be_bytes()).await.unwrap();
        stream.write_all(fields).await.unwrap();
        stream.shutdown().await.unwrap();
        message
    }

    /// A server for one connection, that encrypts or says that it does not. Returns what it was sent.
    async fn serve(listener: TcpListener, encrypts: bool) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        stream.peek(&mut request).await.unwrap();
        if request != [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f] {
            return greet(stream).await;
        }
        stream.read_exact(&mut request).await.unwrap();
        if !encrypts {
            stream.write_all(b"N").await.unwrap();
            let mut rest = Vec::new();
            // A connection that is torn down tells as much as one that is closed.
            let _ = stream.read_to_end(&mut rest).await;
            return rest;
        }
        stream.write_all(b"S").await.unwrap();
        match acceptor().accept(stream).await {
            Ok(stream) => greet(stream).await,
            Err(_) => Vec::new(),
        }
    }

    fn acceptor() -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                chain.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_file(file("server.key")).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// What a login says, and what the server saw of it.
    async fn login(
        host: &str,
        sslmode: &str,
        authority: Option<&str>,
        encrypts: bool,
    ) -> (Error, Vec<u8>) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let server = tokio::spawn(serve(listener, encrypts));
        let mut pairs = COMPLETE.to_vec();
        pairs.retain(|(key, _)| *key != "credentials.host");
        pairs.extend([
            ("credentials.host", host),
            ("credentials.port", &port),
            ("credentials.sslmode", sslmode),
        ]);
        let authority = authority.map(|name| file(name).display().to_string());
        if let Some(authority) = &authority {
            pairs.push(("credentials.sslrootcert", authority));
        }
        let destination =
            RedshiftDestination::new(&Settings::from_pairs("redshift", &pairs)).unwrap();
        let error = destination.check().await.unwrap_err();
        (error, server.await.unwrap())
    }

    #[tokio::test]
    async fn only_who_shows_the_right_certificate_is_told_anything() {
        let trusted = Some("authority.pem");
        for (host, sslmode, authority, is_trusted) in [
            ("localhost", "verify-full", trusted, true),
            ("localhost", "require", trusted, true),
            ("127.0.0.1", "verify-ca", trusted, true),
            ("127.0.0.1", "verify-full", trusted, false),
            ("127.0.0.1", "require", trusted, false),
            ("localhost", "verify-full", Some("another-authority.pem"), false),
            ("localhost", "verify-ca", Some("another-authority.pem"), false),
            ("localhost", "verify-full", None, false),
        ] {
            let case = format!("{sslmode} to {host} by {authority:?}");
            let (error, seen) = login(host, sslmode, authority, true).await;
            assert_eq!(error.kind(), ErrorKind::Configuration, "{case}: {error:?}");
            let said = format!("{error:?}");
            assert_eq!(said.contains("wrong password"), is_trusted, "{case}: {said}");
            assert_eq!(said.contains("no encrypted connection"), !is_trusted, "{case}: {said}");
            assert_eq!(!seen.is_empty(), is_trusted, "{case}");
            assert!(!said.contains(CANARY), "{said}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_encrypt_is_told_nothing_unless_that_is_asked_for() {
        let (error, seen) = login("localhost", "require", Some("authority.pem"), false).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert!(
            seen.is_empty() && format!("{error:?}").contains("no encrypted connection"),
            "{error:?}"
        );
        let (error, seen) = login("localhost", "disable", None, false).await;
        assert!(format!("{error:?}").contains("wrong password"), "{error:?}");
        assert!(String::from_utf8_lossy(&seen).contains("application_name\0transload\0"));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = Tls::new(SslMode::VerifyFull, Some(&file("server.key"))).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_may_be_tried_again() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err());
        let pairs = [&COMPLETE[..], &[("credentials.port", port.as_str())]].concat();
        let settings = Settings::from_pairs("redshift", &pairs);
        let error = RedshiftDestination::new(&settings).unwrap().check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
        assert!(error.hint().unwrap().contains("security group"));
    }
}
