"""A server for what the real service never does: each connection is answered by the next function of a script."""

import json
import socket
import threading
from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import callscoot_client  # noqa: E402,F401  (so that every test finds it)


class Hostile:
    """`with Hostile(answer, answer, …) as server`: the last answer serves all further connections."""

    def __init__(self, *answers, family=socket.AF_INET, wrap=None):
        self.answers = list(answers)
        self.heads = []
        self.bodies = []
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.base_url = f"http://{'[::1]' if family == socket.AF_INET6 else '127.0.0.1'}:{self.port}"
        self.over = threading.Event()
        self.wrap = wrap or (lambda sock: sock)

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            threading.Thread(target=self.serve, args=(sock, answer), daemon=True).start()

    def serve(self, sock, answer):
        try:
            with self.wrap(sock) as wrapped:
                wrapped.settimeout(20)
                if answer is unread:
                    return answer(wrapped)
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = wrapped.recv(65536)
                    if not piece:
                        return None
                    head += piece
                head, _, body = head.partition(b"\r\n\r\n")
                head = head.decode("latin-1")
                length = int(header(head, "Content-Length") or 0)
                while len(body) < length:
                    body += wrapped.recv(65536)
                self.heads.append(head)
                self.bodies.append(body)
                if answer.__code__.co_argcount == 1:
                    return answer(wrapped)
                return answer(wrapped, self.over)
        except OSError:
            pass

    @property
    def paths(self):
        return [head.split(" ")[1] for head in self.heads]


def header(head, name):
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


def raw(*pieces):
    """Sends these bytes and closes."""

    def answer(sock):
        for piece in pieces:
            sock.sendall(piece)

    return answer


def reply(status, body, *headers):
    """A whole reply."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(text)}", "Connection: close", *headers]
    return raw("\r\n".join(head).encode() + b"\r\n\r\n" + text)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


def stream(*pieces):
    """An event stream of these bytes, which then ends."""
    return raw(STREAM_HEAD, *pieces)


def silent_stream(*pieces):
    """An event stream of these bytes, which then says nothing more."""

    def answer(sock, over):
        raw(STREAM_HEAD, *pieces)(sock)
        over.wait(20)

    return answer


def silent(sock, over):
    """Never answers."""
    over.wait(20)


def dripping(sock, over):
    """One byte of a header now and then, for ever."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.02):
        sock.sendall(b"x")


def unread(sock):
    """Refuses at once and closes without having read the request."""
    text = b'{"error": "the body is too large"}'
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


def event(number, **members):
    """One event as the service streams it."""
    return f"id: {number}\ndata: {json.dumps(members)}\n\n".encode()
