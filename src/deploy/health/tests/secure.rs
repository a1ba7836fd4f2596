//! Probes over HTTPS, against a server with certificates of every kind.

use super::look;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

/// An authority whose certificate lies in a folder as `ca.pem`.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// Serves `ok` with a certificate for a name that ends with a year; gives the port.
    fn serve(&self, name: &str, year: i32) -> u16 {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let session = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(session, connection.unwrap());
                let lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        port
    }

    fn ask(&self, host: &str, port: u16, more: &str) -> Result<(), String> {
        let text = format!("[[http]]\nurl = 'https://{host}:{port}'\n{more}");
        look(self.folder.path(), &text)
    }
}

#[test]
fn certificates() {
    let authority = Authority::new();
    let good = authority.serve("127.0.0.1", 2100);
    authority.ask("127.0.0.1", good, "trust = 'ca.pem'\nbody = 'ok'").unwrap();
    let error = authority.ask("127.0.0.1", good, "").unwrap_err();
    assert!(error.contains("its certificate is not accepted: "), "{error}");
    assert!(error.contains("UnknownIssuer"), "{error}");
    let old = authority.serve("127.0.0.1", 2020);
    let error = authority.ask("127.0.0.1", old, "trust = 'ca.pem'").unwrap_err();
    assert!(error.contains("its certificate is not accepted: certificate expired"), "{error}");
    let other = authority.serve("app.example", 2100);
    let error = authority.ask("127.0.0.1", other, "trust = 'ca.pem'").unwrap_err();
    assert!(error.contains("its certificate is not accepted: "), "{error}");
    assert!(error.contains("app.example"), "{error}");
}

#[test]
fn a_server_that_speaks_no_tls() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = connection.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = authority.ask("127.0.0.1", port, "").unwrap_err();
    assert!(error.contains("no secure connection: "), "{error}");
}

#[test]
fn files_that_vouch_for_nobody() {
    let authority = Authority::new();
    let port = authority.serve("127.0.0.1", 2100);
    let error = authority.ask("127.0.0.1", port, "trust = 'gone.pem'").unwrap_err();
    assert!(error.contains("gone.pem`: No such file"), "{error}");
    fs::write(authority.folder.path().join("empty.pem"), "nothing").unwrap();
    let error = authority.ask("127.0.0.1", port, "trust = 'empty.pem'").unwrap_err();
    assert!(error.contains("empty.pem`: it holds no certificate"), "{error}");
}
