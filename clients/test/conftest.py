"""A server of the compiled demo, which the tests ask."""

import base64
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PICTURE = ROOT / "models/paligemma/demo/pictures/05-purple.png"


def serve(executable, *flags):
    """Starts a server on a free port, and returns the process and its address."""
    process = subprocess.Popen([executable, "serve", "--addr", "127.0.0.1:0", *flags], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"answers at (http://[^/\s]+)", line):
            return process, found[1]
    raise AssertionError(f"the server ended with status {process.wait()}")


@pytest.fixture(scope="session")
def url():
    process, address = serve(os.environ["PGC_DEMO"])
    yield address
    process.terminate()
    assert process.wait(30) == 0
    process.stderr.close()


@pytest.fixture(scope="session")
def base64_picture():
    return base64.b64encode(PICTURE.read_bytes()).decode()


@pytest.fixture(scope="session")
def data_uri(base64_picture):
    return "data:image/png;base64," + base64_picture
