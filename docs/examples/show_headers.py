"""An app without a sign-in of its own: answers with what the proxy says of the user."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ShowHeaders(BaseHTTPRequestHandler):
    """Every path, read or written."""

    def do_GET(self) -> None:
        said = [f"{name}: {value}" for name, value in self.headers.items() if "Remote" in name]
        body = "\n".join([f"{self.command} {self.path}", *said, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 9000), ShowHeaders).serve_forever()
