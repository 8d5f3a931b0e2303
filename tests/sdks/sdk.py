"""The CloudEvents SDK for Python as producer and as receiver.

    sdk.py produce URL...   posts every case in every mode to each URL; a line of JSON for each answer
    sdk.py receive          takes events on a free port; a line of JSON for each event
"""

import base64
import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http, from_json


def cases():
    """Every kind of attribute and of data that the SDK can express."""
    fixed = {"source": "/sdk/python", "type": "com.example.sdk"}
    full = {
        "subject": "plain",
        "time": "2025-03-04T05:06:07.089+09:00",
        "dataschema": "http://example.com/schema",
        "text": "a b%20c",
        "number": "-7",
        "flag": "true",
        "partitionkey": "k",
    }
    table = {
        "json": ({"datacontenttype": "application/json"}, {"price": 1.5, "name": "Größe"}),
        "attributes": ({**full, "datacontenttype": "application/json"}, {}),
        "non-ascii": ({"subject": "Größe/€/日本/😀", "datacontenttype": "application/json"}, []),
        "binary": ({"datacontenttype": "application/octet-stream"}, bytes(range(256))),
        "text": ({"datacontenttype": "text/plain"}, "grün\n\ttext"),
        "text-empty": ({"datacontenttype": "text/plain"}, b""),
        "xml": ({"datacontenttype": "application/xml"}, b"<a>\xc3\xbc</a>"),
        "nothing": ({}, None),
    }
    for name, (more, data) in table.items():
        yield name, {**fixed, **more}, data


def messages():
    """Headers and body of every message, and its name."""
    for name, attributes, data in cases():
        event = lambda mode: CloudEvent({**attributes, "id": f"python-{mode}-{name}"}, data)
        marshal = (lambda value: value.encode()) if isinstance(data, str) else None
        headers, body = to_binary(event("binary"), marshal)
        yield headers, body
        yield to_structured(event("structured"))
    members = [to_structured(CloudEvent({**more, "id": f"python-batch-{name}"}, data))[1] for name, more, data in cases()]
    yield {"content-type": "application/cloudevents-batch+json"}, b"[" + b", ".join(members) + b"]"


def produce(urls):
    for headers, body in messages():
        for url in urls:
            place = urlsplit(url)
            connection = http.client.HTTPConnection(place.netloc, timeout=30)
            # The SDK leaves the values as they are; on the wire they are UTF-8.
            raw = {name: str(value).encode() for name, value in headers.items()}
            connection.request("POST", place.path, body=body or b"", headers=raw)
            print(json.dumps({"url": url, "status": connection.getresponse().status}), flush=True)
            connection.close()


def shown(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


# One thread a connection, one line at a time.
printing = threading.Lock()


def say(line):
    with printing:
        print(json.dumps(line, sort_keys=True), flush=True)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value.encode("latin-1").decode() for name, value in self.headers.items()}
        status = 204
        try:
            for event in self.events(headers, body):
                line = {"path": self.path, "attributes": dict(event.get_attributes()), "data": shown(event.data)}
                say(line)
        except Exception as error:
            say({"path": self.path, "error": repr(error)})
            status = 400
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def events(self, headers, body):
        kind = headers.get("content-type", "")
        if kind.startswith("application/cloudevents-batch+json"):
            return [from_json(json.dumps(member)) for member in json.loads(body)]
        untouched = None if kind.startswith("application/cloudevents") else (lambda data: data)
        return [from_http(headers, body, untouched)]

    def log_message(self, *_):
        pass


if sys.argv[1] == "produce":
    produce(sys.argv[2:])
else:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
