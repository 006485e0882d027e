"""The console's files and the headers of every answer."""

import gzip
import os
import time

import pytest


@pytest.fixture
def dist(tmp_path):
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Fairlead</title>")
    script = "console.log(1);" * 20000
    (folder / "assets" / "app-1a2b.js").write_text(script)
    (folder / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(script.encode()))
    (folder / "assets" / "app-1a2b.js.br").write_bytes(b"brotli's bytes")
    (folder / "assets" / "app-1a2b.js.map").write_text("{}")
    (folder / ".hidden").write_text("x")
    return folder


@pytest.fixture
def hub(start, dist):
    return start("--console", str(dist))


def test_pages(hub):
    for path in ("/", "/devices", "/devices/abc", "/sign-in"):
        answer = hub.ask("GET", path)
        assert answer.status == 200 and b"Fairlead" in answer.body
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
    tag = answer.headers["etag"]
    answer = hub.ask("GET", "/", headers={"If-None-Match": tag})
    assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == tag
    answer = hub.ask("HEAD", "/")
    assert answer.status == 200 and answer.body == b"" and answer.headers["content-length"] == "38"


def test_codings(hub):
    path = "/assets/app-1a2b.js"
    plain = hub.ask("GET", path)
    assert len(plain.body) == 300000 and "content-encoding" not in plain.headers
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["vary"] == "accept-encoding"
    packed = hub.ask("GET", path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    best = hub.ask("GET", path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert best.headers["content-encoding"] == "br" and best.body == b"brotli's bytes"
    assert len({a.headers["etag"] for a in (plain, packed, best)}) == 3


@pytest.mark.parametrize("path", ["/assets/none.js", "/assets/app-1a2b.js.map", "/.hidden", "/hub.key"])
def test_not_there(hub, path):
    answer = hub.ask("GET", path)
    assert answer.status == 404 and answer.code == "not-found"


def test_security_headers(hub):
    for path in ("/", "/assets/app-1a2b.js", "/health", "/api/devices", "/nothing.js"):
        h = hub.ask("GET", path).headers
        assert h["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
            f"connect-src 'self' wss://127.0.0.1:{hub.port}; media-src 'self' blob: mediastream:; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
        assert h["x-content-type-options"] == "nosniff" and h["referrer-policy"] == "no-referrer"
        assert h["cross-origin-opener-policy"] == "same-origin" and "strict-transport-security" not in h
    h = hub.ask("GET", "/", headers={"Host": "hub.example"}).headers
    assert h["strict-transport-security"] == "max-age=31536000" and "wss://hub.example;" in h["content-security-policy"]
    h = hub.ask("GET", "/", headers={"Host": "hub.example;script-src"}).headers
    assert "hub.example" not in str(h)


def test_new_build_is_noticed(hub, dist):
    assert b"Fairlead" in hub.ask("GET", "/").body
    (dist / "new.html").write_text("<!doctype html><title>Newer</title>")
    os.replace(dist / "new.html", dist / "index.html")
    time.sleep(0.6)
    assert b"Newer" in hub.ask("GET", "/").body


def test_large_file_to_a_slow_reader(hub):
    connection = hub.http(timeout=20)
    connection.request("GET", "/assets/app-1a2b.js")
    time.sleep(0.3)
    assert len(connection.getresponse().read()) == 300000
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
