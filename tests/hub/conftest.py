import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from hub import Hub  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """Starts hubs and ends them; each gets a data folder of its own unless told otherwise."""
    running = []

    def begin(*args, data=None, **more):
        running.append(Hub(data or tmp_path / f"hub{len(running)}", *args, **more))
        return running[-1]

    yield begin
    for hub in running:
        if hub.process and hub.process.poll() is None:
            # in good order, so that a sanitizer has its say
            assert hub.stop() == 0, "".join(hub.log)
        assert "runtime error" not in "".join(hub.log)


@pytest.fixture
def hub(start):
    return start()
