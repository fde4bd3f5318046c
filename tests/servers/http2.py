"""One HTTP/2 request by Node, with TLS or without (prior knowledge)."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from devtools.servers.processes import program

SCRIPT = """
const http2 = require("http2"), fs = require("fs");
const asked = JSON.parse(process.argv[1]);
const options = asked.authority ? {ca: fs.readFileSync(asked.authority)} : {};
const [scheme, rest] = asked.connect.split("://");
if (asked.name) options.servername = asked.name;
const session = http2.connect(scheme + "://" + rest, options);
session.on("error", error => { console.error(error); process.exit(1); });
const request = session.request(asked.headers);
let head, body = "";
request.on("response", headers => { head = headers; });
request.setEncoding("utf8");
request.on("data", part => { body += part; });
request.on("end", () => { console.log(JSON.stringify({head, body})); session.destroy(); });
request.end(asked.body || undefined);
"""


class Heard(NamedTuple):
    """headers: lower-case names."""

    status: int
    headers: dict[str, Any]
    text: str


def ask_http2(
    connect: str,
    path: str,
    headers: Mapping[str, str | list[str]],
    *,
    host: str,
    method: str = "GET",
    authority: Path | None = None,
    body: str = "",
) -> Heard:
    """connect: scheme://address:port. authority: the certificate to trust."""
    asked = {
        "connect": connect,
        "authority": str(authority) if authority else "",
        "name": host if authority else "",
        "headers": {":path": path, ":method": method, ":authority": host, **headers},
        "body": body,
    }
    command = [program("node"), "-e", SCRIPT, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout)
    return Heard(heard["head"][":status"], heard["head"], heard["body"])
