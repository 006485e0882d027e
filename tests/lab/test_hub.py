"""Hub, clients and the command in the lab: names are found, and the routes of real programs are those of theory."""

import json
import subprocess


def test_names(hub, lab):
    """Every host asks the lab's DNS server, with and without IPv4, and knows nothing else."""
    for site, address in ((lab.site("symmetric"), "198.18.0.20"), (lab.site("ipv6-only"), "2001:db8::20")):
        process = site.popen("getent", "ahosts", "hub.lab.test", stdout=subprocess.PIPE, text=True)
        assert address in process.communicate()[0].split()
        assert site.popen("getent", "hosts", "example.org").wait() == 2


def test_route(hub, lab):
    a, b = lab.site("full-cone"), lab.site("symmetric")
    client = a.start_client()
    done = b.cli("route", client.id, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "punched", done.stdout
    done = b.cli("connect", client.id, "sh", "-c", "echo here")
    assert (done.returncode, done.stdout) == (0, b"here\n"), done.stderr
