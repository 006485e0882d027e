import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import pytest  # noqa: E402
from relay import SECRET, Relay  # noqa: E402


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def start(request):
    """Starts relays that are ended with the test."""
    running = []

    def begin(*options, **more):
        running.append(Relay(*options, **more))
        return running[-1]

    yield begin
    for relay in running:
        relay.kill()
