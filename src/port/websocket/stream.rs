//! The byte stream below a socket: TCP on loopback, TLS everywhere else. Reading goes on while writing is blocked.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A TLS session and its socket.
pub(super) struct Tls {
    session: ClientConnection,
    tcp: TcpStream,
}

/// Bytes to and from the peer; never blocks.
pub(super) struct Stream {
    kind: Kind,
    /// The last write found the socket full.
    write_is_blocked: bool,
}

enum Kind {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

impl Stream {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { kind: Kind::Plain(tcp), write_is_blocked: false }
    }

    /// TLS 1.2 or 1.3 towards `host`, trusted by Mozilla's roots unless others are given.
    pub(super) fn tls(tcp: TcpStream, host: &str, config: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let config = config.map_or_else(client_config, Ok)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self { kind: Kind::Tls(Box::new(Tls { session, tcp })), write_is_blocked: false })
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.kind {
            Kind::Plain(tcp) => tcp,
            Kind::Tls(tls) => &tls.tcp,
        }
    }

    /// Whether something waits for the socket to take it.
    pub(super) fn wants_write(&self) -> bool {
        self.write_is_blocked
            || match &self.kind {
                Kind::Plain(_) => false,
                Kind::Tls(tls) => tls.session.wants_write(),
            }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Plain(tcp) => tcp.read(buf),
            Kind::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = match &mut self.kind {
            Kind::Plain(tcp) => tcp.write(buf),
            Kind::Tls(tls) => tls.write(buf),
        };
        self.write_is_blocked = is_blocked(&written);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.kind {
            Kind::Plain(_) => Ok(()),
            Kind::Tls(tls) => tls.send_records(),
        };
        self.write_is_blocked = is_blocked(&flushed);
        flushed
    }
}

fn is_blocked<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            // An end without close_notify is reported by the reader at the next turn.
            let received = self.session.read_tls(&mut self.tcp)?;
            let processed = self.session.process_new_packets().map_err(io::Error::other);
            // Handshake answers, alerts and key updates; a full socket is met again by the next write.
            match self.send_records() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => sent?,
            }
            processed?;
            if received == 0 && self.session.is_handshaking() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // What waits goes first, so that a full socket is felt here and nothing piles up.
        if !self.session.is_handshaking() {
            self.send_records()?;
        }
        match self.session.writer().write(buf)? {
            0 if !buf.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn send_records(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.tcp)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// One for the process, so that later calls resume the session of earlier ones.
fn client_config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
