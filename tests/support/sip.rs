//! SIP by hand, for what no peer does: a question to see whether someone is there, and 200 to whatever comes.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Sends one request to a SIP element and gives its first answer, if one comes within a moment.
pub fn ask(method: &str, port: u16) -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let own = socket.local_addr().unwrap().port();
    let request = format!(
        "{method} sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKask{own};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ask@127.0.0.1>;tag=ask\r\nTo: <sip:ask@127.0.0.1>\r\n\
         Call-ID: ask{own}@127.0.0.1\r\nCSeq: 1 {method}\r\nContact: <sip:ask@127.0.0.1:{own}>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), (Ipv4Addr::LOCALHOST, port)).ok()?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// 200 to a request, with a description when there is one.
pub fn ok(request: &str, contact: SocketAddr, description: &str) -> String {
    let mut answer = vec!["SIP/2.0 200 OK".to_owned()];
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        match line.split(':').next().unwrap_or("").trim().to_lowercase().as_str() {
            "to" if !line.contains("tag=") => answer.push(format!("{line};tag=by-hand")),
            "via" | "from" | "to" | "call-id" | "cseq" | "record-route" | "expires" => {
                answer.push(line.to_owned());
            }
            // A registrar tells what is registered; everybody else where to send what follows.
            "contact" if request.starts_with("REGISTER ") => answer.push(line.to_owned()),
            _ => {}
        }
    }
    if !request.starts_with("REGISTER ") {
        answer.push(format!("Contact: <sip:by-hand@{contact}>"));
    }
    if !description.is_empty() {
        answer.push("Content-Type: application/sdp".to_owned());
    }
    answer.push(format!("Content-Length: {}", description.len()));
    format!("{}\r\n\r\n{description}", answer.join("\r\n"))
}
