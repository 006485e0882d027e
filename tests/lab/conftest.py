import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import pytest  # noqa: E402
from lab import Lab, Unsupported  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    try:
        made = Lab(delay=os.environ.get("FAIRLEAD_DELAY"))
    except Unsupported as reason:
        pytest.skip(str(reason))
    with made:
        made.start_relay()
        yield made


@pytest.fixture(scope="module")
def hub(lab):
    try:
        return lab.start_hub()
    except Unsupported as reason:
        pytest.skip(str(reason))
