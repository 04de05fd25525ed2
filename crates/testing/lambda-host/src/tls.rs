//! A server of one's own with a certificate of one's own: TLS before something that has none.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Such a front; it ends with the runtime that it runs on.
#[derive(Clone, Debug)]
pub struct TlsFront {
    /// Its address, `https://localhost:PORT`.
    pub url: String,
    /// The authority that signed its certificate, PEM. No system trusts it.
    pub authority: String,
}

impl TlsFront {
    /// Passes on to this address (`http://127.0.0.1:PORT`).
    ///
    /// # Errors
    /// When no port can be had, or no certificate can be made.
    pub async fn start(to: &str) -> Result<Self, String> {
        let (authority, config) = certified().map_err(|error| format!("make a certificate: {error}"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("listen: {error}"))?;
        let port = listener.local_addr().map_err(|error| format!("listen: {error}"))?.port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let to = to.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends here.
                    let Ok(mut inside) = acceptor.accept(stream).await else { return };
                    let Ok(mut outside) = TcpStream::connect(&to).await else { return };
                    let _ = copy_bidirectional(&mut inside, &mut outside).await;
                });
            }
        });
        Ok(Self { url: format!("https://localhost:{port}"), authority })
    }
}

fn certified() -> Result<(String, rustls::ServerConfig), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
    Ok((authority.pem(), config))
}
