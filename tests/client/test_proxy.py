"""The client and the command behind real proxies: squid with every authentication, HTTPS, SOCKS5, and bad ones."""

import contextlib
import json
import os
import subprocess

import pytest

from programs import BUILD, PATIENCE, cli_env, wait_for
from proxies import HELPERS, PASSWORD, SQUID, USER, Kdc, Played, Refusing, Socks, Squid, missing, password_file
from relay import OPEN, SECRET, Relay, make_certificate

pytestmark = pytest.mark.skipif(missing(SQUID) != "", reason="squid is missing (package squid-openssl)")


def ways(folder, proxy, *more):
    """Options for a proxy."""
    ca = getattr(proxy, "ca", None)
    return ["--proxy", proxy.url, *(["--proxy-ca", str(ca)] if ca else []), *map(str, more)]


def known(folder, password=PASSWORD):
    return "--proxy-user", USER, "--proxy-password-file", password_file(folder, password)


def run(hub, folder, options, *words, env=None, timeout=PATIENCE):
    return subprocess.run([BUILD / "fairlead", words[0], "--ca", hub.data / "ca.pem", *options, *words[1:]],
                          stdin=subprocess.DEVNULL, capture_output=True, env=cli_env(hub) | (env or {}), timeout=timeout,
                          check=False)


def works(hub, start_client, folder, proxy, *more, env=None):
    """Enrolled, online, and a command's output, all through that proxy; the client's log."""
    options = ways(folder, proxy, *more)
    client = start_client(hub, *options, token=hub.token(), env=dict(os.environ, HOME=str(folder)) | (env or {}))
    client.said("hub-connected")
    wait_for(client.online)
    done = run(hub, folder, options, "connect", client.id, "--", "echo", "through", env=env)
    assert (done.stdout, done.returncode) == (b"through\n", 0), done.stderr
    return client


def expect_tunnels(hub, proxy, user):
    """squid writes a line when a tunnel ends: that of the enrolment has, and those of the command."""
    seen = wait_for(lambda: proxy.tunnels() if len(proxy.tunnels()) >= 2 else None)
    assert {who for who, _ in seen} == {user}
    assert {at for _, at in seen} <= {f"127.0.0.1:{hub.port}", f"localhost:{hub.port}"}


@pytest.mark.parametrize("auth", [None, "basic", "digest", "ntlm"])
def test_squid(hub, start_client, tmp_path, auth):
    with Squid(tmp_path, auth) as proxy:
        client = works(hub, start_client, tmp_path, proxy, *(known(tmp_path) if auth else ()))
        expect_tunnels(hub, proxy, USER if auth else "-")
        assert proxy.refusals() <= 6  # two questions at most for each of enrolment, hub, command
        assert PASSWORD not in client.log


def test_strongest_of_several(hub, start_client, tmp_path):
    with Squid(tmp_path, ["basic", "ntlm", "digest"]) as proxy:
        works(hub, start_client, tmp_path, proxy, *known(tmp_path))
        expect_tunnels(hub, proxy, USER)


@pytest.mark.skipif(missing("krb5kdc", "kadmin.local", "kinit") != "", reason="Kerberos' server is missing (krb5-kdc)")
def test_negotiate(hub, start_client, tmp_path):
    with Kdc(tmp_path) as kdc, Squid(tmp_path, "negotiate", kdc=kdc) as proxy:
        works(hub, start_client, tmp_path, proxy, env=kdc.ticket(tmp_path))
        expect_tunnels(hub, proxy, f"{USER}@LAB")
        without = run(hub, tmp_path, ways(tmp_path, proxy), "devices",
                      env=kdc.env | {"KRB5CCNAME": f"FILE:{tmp_path}/none"})
        assert without.returncode == 1
        assert "asks for Kerberos (Negotiate) and got no ticket" in without.stderr.decode()


def test_https_proxy(hub, start_client, tmp_path):
    with Squid(tmp_path, "basic", tls=True) as proxy:
        works(hub, start_client, tmp_path, proxy, *known(tmp_path))
        expect_tunnels(hub, proxy, USER)
        untrusted = run(hub, tmp_path, ["--proxy", proxy.url], "devices")
        assert "is not trusted" in untrusted.stderr.decode()
        assert "--proxy-ca" in untrusted.stderr.decode()


@pytest.mark.skipif(missing("microsocks") != "", reason="microsocks is missing")
def test_socks(hub, start_client, tmp_path):
    with Socks(USER, PASSWORD) as proxy:
        works(hub, start_client, tmp_path, proxy, *known(tmp_path))
        wrong = run(hub, tmp_path, ways(tmp_path, proxy, *known(tmp_path, "wrong")), "devices")
        assert "refused the user or the password" in wrong.stderr.decode()


def test_environment(hub, tmp_path):
    """As people expect of a command; this machine itself is never asked for through a proxy."""
    with Played(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        there = {"https_proxy": proxy.url, "FAIRLEAD_HUB": "https://hub.invalid"}
        done = run(hub, tmp_path, [], "devices", env=there)
        assert "does not let us to hub.invalid:443 (it answered 403)" in done.stderr.decode()
        done = run(hub, tmp_path, [], "devices", env=there | {"no_proxy": ".invalid"})
        assert "name hub.invalid was not found" in done.stderr.decode()
        asked = proxy.asked
        assert run(hub, tmp_path, [], "devices", env={"https_proxy": proxy.url}).returncode == 0
        assert run(hub, tmp_path, ["--proxy", "none"], "devices", env=there).returncode == 1
        assert proxy.asked == asked == 1


def test_config_file(hub, start_client, tmp_path):
    with Squid(tmp_path, "basic") as proxy:
        config = tmp_path / "client.conf"
        config.write_text(f"proxy = {proxy.url}\nproxy-user = {USER}\nproxy-password-file = {password_file(tmp_path)}\n",
                          encoding="utf-8")
        client = start_client(hub, "--config", config, token=hub.token())
        client.said("hub-connected")
        client.stop()
        config.write_text("proxi = none\n", encoding="utf-8")
        status, log = client.finish()
        assert status == 2
        assert 'client.conf:1: unknown key "proxi"' in log


@pytest.mark.parametrize("auth, answers", [("basic", 2), ("digest", 2), ("ntlm", 3)])
def test_wrong_password_is_shown_once(hub, start_client, tmp_path, auth, answers):
    """Until the file changes, through many attempts to come back; then the client is there by itself."""
    with Squid(tmp_path, auth) as proxy:
        client = start_client(hub, *ways(tmp_path, proxy, *known(tmp_path, "not hers")), token=hub.token())
        client.said("refused the user or the password")
        # several more attempts, which wait longer and longer
        with pytest.raises(AssertionError):
            wait_for(lambda: proxy.refusals() > answers, 2.5)
        assert proxy.refusals() == answers
        assert client.process.poll() is None
        password_file(tmp_path)
        client.said("hub-connected")


BAD = {
    "refused": (None, "Nothing answers at the proxy"),
    "hangs": (None, "did not answer in time"),
    "closes": (b"", "closed the connection instead of answering"),
    "html": (b"<!DOCTYPE html>\n<html>Welcome to our network</html>\r\n\r\n", "Is it a proxy, and is this its port?"),
    "page": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Please sign in</html>", "in a browser behind this proxy"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://sign.in/\r\nContent-Length: 0\r\n\r\n", "answered 302 to CONNECT"),
    "unknown-scheme": (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Fancy\r\nContent-Length: 0\r\n\r\n",
                       "an authentication that Fairlead does not have"),
    "who": (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
            "Give a user and password with --proxy-user"),
    "denied": (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "does not let us to"),
    "gateway": (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "could not reach"),
    "lies": (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 99999\r\n\r\nshort", "The proxy"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_proxies(hub, start_client, tmp_path, kind):
    """Each is named with its remedy within a bounded time; the command ends, the client goes on trying."""
    answer, says = BAD[kind]
    with contextlib.ExitStack() as ends:
        proxy = ends.enter_context(Refusing() if kind == "refused" else Played(answer))
        client = start_client(hub, "--proxy", proxy.url, token=hub.token())
        done = run(hub, tmp_path, ["--proxy", proxy.url], "devices")
        assert done.returncode == 1
        assert says in done.stderr.decode()
        client.said(says)
        assert client.process.poll() is None


@pytest.mark.parametrize("options, says", [
    (["--proxy", "http://nora:word@proxy:3128"], "A password has no place on the command line"),
    (["--proxy", "proxy"], "port has to be named"),
    (["--proxy", "http://proxy:3128", "--proxy-user", "nora", "--proxy-password-file", "/nonexistent"], "cannot be read"),
])
def test_bad_options(hub, start_client, tmp_path, options, says):
    done = run(hub, tmp_path, options, "devices")
    assert done.returncode == 2
    assert says in done.stderr.decode()
    status, log = start_client(hub, *options, start=False).finish(hub.token())
    assert status == 2
    assert says in log


@pytest.mark.parametrize("transport", ["tcp", "tls", "wss"])
def test_relay_through_it(start_hub, start_client, tmp_path, transport):
    """Only the proxy finds the relay: its name means nothing here."""
    cert, key = make_certificate(tmp_path, "relay.test")
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="ascii")
    with Relay(*OPEN, "--cert", cert, "--key", key, "--secret", SECRET, listen=(transport,)) as relay, \
            Squid(tmp_path, "basic", hosts={"relay.test": "127.0.0.1"}) as proxy:
        url = f"turn{'' if transport == 'tcp' else 's'}:relay.test:{relay.ports[transport]}"
        url += "?transport=wss" if transport == "wss" else "?transport=tcp"
        hub = start_hub("--turn", url, "--turn-secret-file", secret)
        options = ways(tmp_path, proxy, *known(tmp_path))
        client = start_client(hub, *options, token=hub.token())
        client.said("hub-connected")
        def rows():
            done = run(hub, tmp_path, [*options, "--json"], "route", client.id)
            assert done.returncode == 0, done.stderr
            return {(s["via"], s["state"]) for s in json.loads(done.stdout)["servers"] if s["url"] == url}

        wait_for(lambda: {("direct", "failed"), ("proxy", "answered")} <= rows())
        # both ends, each with a tunnel of its own
        wait_for(lambda: proxy.tunnels().count((USER, f"relay.test:{relay.ports[transport]}")) >= 2)


@pytest.mark.parametrize("trusted", [False, True])
def test_inspection(hub, start_client, tmp_path, trusted):
    """squid opens TLS and lets "Upgrade: WebSocket" pass, but not "websocket"."""
    with Squid(tmp_path, inspect="Example Inspection CA") as proxy:
        env = dict(os.environ, HOME=str(tmp_path)) | ({"SSL_CERT_FILE": str(proxy.inspector)} if trusted else {})
        client = start_client(hub, "--proxy", proxy.url, token=hub.token(), env=env)
        client.said("hub-connected")
        wait_for(client.online)
        assert client.log.count('inspected issuer="Example Inspection CA"') == 1
        assert "hub-transport transport=websocket-case" in client.log
        done = run(hub, tmp_path, [], "connect", client.id, "--", "head", "-c", "1000000", "/dev/zero")
        assert (len(done.stdout), done.returncode) == (1000000, 0), done.stderr
