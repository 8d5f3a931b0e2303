"""Takes events on port 8083 (or the one given) and answers each with another event."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        order = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("ce-specversion", "1.0")
        self.send_header("ce-id", "priced-" + self.headers.get("ce-id", ""))
        self.send_header("ce-source", "/pricing")
        self.send_header("ce-type", "com.example.order.priced")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(order)))
        self.end_headers()
        self.wfile.write(order)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 8083
server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
print("answering on port", server.server_port, flush=True)
server.serve_forever()
