"""One generated dataset for all the tests of this folder."""

from __future__ import annotations

import pytest

from mocktrial.envs.dataset import Dataset
from mocktrial.synth.production.generate import generate


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """300 proved tasks from one seed."""
    return generate(7, 300)
