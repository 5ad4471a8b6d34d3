"""A registry of one tiny image, spoken to by a real engine; or one that takes connections and says nothing."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tiny_image(content: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Return the manifest and the blobs, by digest, of an image with one file."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    layer = gzip.compress(raw.getvalue())
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"sandbank-test": "registry"}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(raw.getvalue())]},
        }
    ).encode()

    def described(media_type: str, data: bytes) -> dict[str, object]:
        return {"mediaType": media_type, "size": len(data), "digest": _digest(data)}

    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described("application/vnd.docker.container.image.v1+json", config),
            "layers": [described("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        }
    ).encode()
    return manifest, {_digest(config): config, _digest(layer): layer}


@contextlib.contextmanager
def serving_image(content: bytes) -> Iterator[str]:
    """Serve an image; yields its name for the engine. Engines take plain HTTP from the loopback addresses."""
    manifest, blobs = tiny_image(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            last = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                self._answer(b"{}", "application/json")
            elif "/manifests/" in self.path and last in ("1", _digest(manifest)):
                self._answer(manifest, MANIFEST_TYPE)
            elif last in blobs:
                self._answer(blobs[last], "application/octet-stream")
            else:
                self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, data: bytes, media_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}/sandbank-test/tiny:1"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent_registry() -> Iterator[str]:
    """Take connections and never answer; yields the name of an image there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}/sandbank-test/tiny:1"
