"""An object store in memory, for both of our ways to one: fsspec, and the HTTP that TensorStore speaks with gs://.

As in the real one there are no directories, nothing can be renamed or appended to, and an object appears whole when its
writing ends.
"""

import contextlib
import errno
import http.server
import io
import json
import os
import threading
import urllib.parse
from collections.abc import Iterator
from unittest import mock

from etils.epath.backend import fsspec_backend
from fsspec.registry import _registry
from fsspec.spec import AbstractFileSystem

OBJECTS: dict[str, bytes] = {}
"""Content by bucket/name."""
REFUSALS: list[Exception] = []
"""Errors that the next writes through fsspec meet, one each."""
FULL: set[str] = set()
"""The ways, "fsspec" and "http", by which nothing more can be written."""


class Store(AbstractFileSystem):
    """What fsspec is given for gs:// and s3://."""

    protocol = ("gcs", "gs", "s3")
    cachable = False

    def info(self, path, **_):
        path = self._strip_protocol(path)
        if path in OBJECTS:
            return {"name": path, "size": len(OBJECTS[path]), "type": "file"}
        if any(name.startswith(f"{path}/") for name in list(OBJECTS)):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        names = [name for name in list(OBJECTS) if name.startswith(f"{path}/")]
        if not names:
            return [self.info(path)] if detail else [self.info(path)["name"]]
        children = sorted({f"{path}/{name[len(path) + 1 :].split('/')[0]}" for name in names})
        return [self.info(child) for child in children] if detail else children

    def _open(self, path, mode="rb", **_):
        if mode == "rb":
            self.info(path)
            return io.BufferedReader(io.BytesIO(OBJECTS[path]))  # read bit by bit, as what comes from afar
        if mode != "wb":
            raise NotImplementedError(f"objects cannot be opened with {mode!r}")
        if REFUSALS:
            raise REFUSALS.pop(0)
        if "fsspec" in FULL:
            raise OSError(errno.EDQUOT, "Quota exceeded")
        return _Arriving(path)

    def mkdir(self, path, create_parents=True, **_):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def rm_file(self, path):
        OBJECTS.pop(self._strip_protocol(path), None)

    def rmdir(self, path):
        pass

    def mv(self, path1, path2, **_):
        raise NotImplementedError("objects cannot be renamed")

    rename = move = mv


class _Arriving(io.BytesIO):
    def __init__(self, path):
        super().__init__()
        self._path = path

    def close(self):
        if not self.closed:
            OBJECTS[self._path] = self.getvalue()
        super().close()


class _Server(http.server.BaseHTTPRequestHandler):
    """As much of the JSON API of Google Cloud Storage as TensorStore uses."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, query = self._asked()
        bucket, _, name = path.removeprefix("/storage/v1/b/").partition("/o")
        if not name:
            prefix = f"{bucket}/{query.get('prefix', '')}"
            found = sorted(name for name in list(OBJECTS) if name.startswith(prefix))
            return self._answer({"items": [_told(name) for name in found]})
        name = f"{bucket}/{urllib.parse.unquote(name[1:])}"
        if name not in OBJECTS:
            return self._answer({}, 404)
        return self._content(OBJECTS[name]) if query.get("alt") == "media" else self._answer(_told(name))

    def do_POST(self):
        path, query = self._asked()
        name = f"{path.removeprefix('/upload/storage/v1/b/').partition('/o')[0]}/{query['name']}"
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "http" in FULL:
            return self._answer({}, 403)
        OBJECTS[name] = content
        return self._answer(_told(name))

    def do_DELETE(self):
        path, _ = self._asked()
        bucket, _, name = path.removeprefix("/storage/v1/b/").partition("/o/")
        was_there = OBJECTS.pop(f"{bucket}/{urllib.parse.unquote(name)}", None) is not None
        self._answer({}, 204 if was_there else 404)

    def _asked(self):
        url = urllib.parse.urlsplit(self.path)
        return url.path, dict(urllib.parse.parse_qsl(url.query))

    def _content(self, content):
        status, span = 200, self.headers.get("Range")
        headers = {"x-goog-generation": "1", "Content-Type": "application/octet-stream"}
        if span:
            first, last = span.removeprefix("bytes=").split("-")
            first, last = (len(content) - int(last), None) if not first else (int(first), int(last or len(content)))
            last = len(content) - 1 if last is None else min(last, len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        self._send(status, content, headers)

    def _answer(self, told, status=200):
        self._send(status, b"" if status == 204 else json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def clear() -> None:
    """The store is empty again, and refuses nothing."""
    for kept in (OBJECTS, REFUSALS, FULL):
        kept.clear()


def _told(name):
    bucket, _, name_there = name.partition("/")
    size = str(len(OBJECTS[name]))
    return {"bucket": bucket, "name": name_there, "generation": "1", "metageneration": "1", "size": size}


def forget_clients() -> None:
    """The next path asks fsspec again which class is behind its protocol: epath keeps the first answer of a process."""
    fsspec_backend._get_filesystem.cache_clear()


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """gs:// is the store in memory, for fsspec and for TensorStore, and s3:// for fsspec alone."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = {
        "TENSORSTORE_GCS_HTTP_URL": f"http://127.0.0.1:{server.server_port}",
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
    }
    try:
        with mock.patch.dict(os.environ, told), mock.patch.dict(_registry, dict.fromkeys(Store.protocol, Store)):
            forget_clients()
            yield
    finally:
        forget_clients()
        server.shutdown()
        server.server_close()
