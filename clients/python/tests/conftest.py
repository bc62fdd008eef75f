"""The executable and the picture that the tests use."""

import os
import pathlib

import pytest

import pgc

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="session")
def executable() -> str:
    """The compiled demo, which make test-clients names."""
    return os.environ["PGC_DEMO"]


@pytest.fixture(scope="session")
def pages() -> str:
    """A compiled model that makes embeddings."""
    return os.environ["PGC_PAGES"]


@pytest.fixture(scope="session")
def picture() -> str:
    return str(ROOT / "models/paligemma/demo/pictures/05-purple.png")


@pytest.fixture()
def model(executable: str):
    with pgc.Model(executable) as m:
        yield m
