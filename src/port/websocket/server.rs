//! The server side for the simulated service: one small HTTP request, then an answer or an upgrade.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::socket::Socket;
use super::stream::Stream;

/// Bytes of a request's head at most; a longer one is an error.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A client that is slower than this with its head is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Names and values, percent-decoded, in order.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if version != "HTTP/1.1" || words.next().is_some() {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { method: method.to_ascii_uppercase(), path: path.to_owned(), query, headers })
    }
}

/// Reads the head of one request, blocking for at most five seconds a read. What came after the head is returned
/// too. `InvalidData` for what is no HTTP/1.1.
pub fn read_request(tcp: &mut TcpStream) -> io::Result<(Request, Vec<u8>)> {
    tcp.set_read_timeout(Some(HEAD_TIMEOUT))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = std::str::from_utf8(&bytes).ok().and_then(Request::parse);
            return head.map(|head| (head, rest)).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match tcp.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// Answers with a JSON body and closes.
pub fn respond(tcp: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    write!(
        tcp,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Accepts the upgrade (RFC 6455 4.2.2); the socket does not block from then on. `InvalidData` when the request
/// asks for none.
pub fn upgrade(mut tcp: TcpStream, request: &Request, read_already: Vec<u8>) -> io::Result<Socket> {
    let asks = request.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && request.header("sec-websocket-version") == Some("13");
    let Some(key) = request.header("sec-websocket-key").filter(|_| asks) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    write!(
        tcp,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )?;
    tcp.set_nodelay(true)?;
    tcp.set_nonblocking(true)?;
    Ok(Socket::server(Stream::plain(tcp), read_already))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart_and_nonsense_is_refused() {
        let request =
            Request::parse("GET /a/b?agent_id=x%20y&c HTTP/1.1\r\nXi-Api-Key:  k \r\n\r\n").unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/a/b"));
        assert_eq!((request.parameter("agent_id"), request.parameter("c")), (Some("x y"), Some("")));
        assert_eq!((request.header("xi-api-key"), request.header("x")), (Some("k"), None));
        for head in ["", "GET", "GET / HTTP/1.0", "GET / x HTTP/1.1", "GET / HTTP/1.1\r\nnocolon"] {
            assert_eq!(Request::parse(head), None, "{head}");
        }
    }
}
