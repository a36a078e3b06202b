//! An adb server on loopback: the simulated server of the crate behind real TCP, slow, broken or gone as a test wants.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use callscoot::adb::sim::{ConnectionId, Output, Server};

#[derive(Default)]
struct State {
    server: Server,
    streams: BTreeMap<u64, TcpStream>,
    last: u64,
    delay: Duration,
    garbage: Option<Vec<u8>>,
    listening: bool,
}

/// A server; it is gone when dropped.
pub struct AdbServer {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl AdbServer {
    /// Listens on a port of the system's choice.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { state: Arc::default(), address };
        server.listen(listener);
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn listen(&self, listener: TcpListener) {
        self.state.lock().unwrap().listening = true;
        let state = Arc::clone(&self.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut locked = state.lock().unwrap();
                if !locked.listening {
                    return;
                }
                locked.last += 1;
                let id = locked.last;
                locked.streams.insert(id, stream.try_clone().unwrap());
                locked.server.connected(ConnectionId(id));
                drop(locked);
                let state = Arc::clone(&state);
                thread::spawn(move || serve(&state, id, stream));
            }
        });
    }

    /// The server ends, with every connection.
    pub fn stop(&self) {
        let mut state = self.state.lock().unwrap();
        state.listening = false;
        for stream in std::mem::take(&mut state.streams).into_values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
    }

    /// It listens again, where it did.
    pub fn start_again(&self) {
        // The old listener is closed by its own thread.
        let bound = super::wait::until("the port", || TcpListener::bind(self.address).ok());
        self.listen(bound);
    }

    /// Every answer comes so late.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Every request is answered with this from now on; `None`: as it should be.
    pub fn garbage(&self, bytes: Option<Vec<u8>>) {
        self.state.lock().unwrap().garbage = bytes;
    }

    /// Lets something happen at the server or to its phones.
    pub fn with<T>(&self, happen: impl FnOnce(&mut Server) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let happened = happen(&mut state.server);
        state.send();
        happened
    }
}

impl Drop for AdbServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn send(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send(id, bytes) => {
                    if let Some(stream) = self.streams.get_mut(&id.0) {
                        let _ = stream.write_all(&bytes);
                    }
                }
                Output::Close(id) => {
                    if let Some(stream) = self.streams.remove(&id.0) {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                }
            }
        }
    }
}

fn serve(state: &Mutex<State>, id: u64, mut stream: TcpStream) {
    let mut buffer = [0; 2048];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let delay = state.lock().unwrap().delay;
        thread::sleep(delay);
        let mut locked = state.lock().unwrap();
        if let Some(garbage) = locked.garbage.clone() {
            let _ = stream.write_all(&garbage);
            continue;
        }
        locked.server.handle_input(ConnectionId(id), &buffer[..read]);
        locked.send();
    }
    let mut locked = state.lock().unwrap();
    locked.streams.remove(&id);
    locked.server.closed(ConnectionId(id));
}
