"""Every objective and decoding keep their tensors on the model's device: what a first run on a GPU would break on.

The device is played (`tests.support.second_device`); the numbers are those of the processor, up to the kernels of attention.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.on_second_device import OBJECTIVES


@lru_cache
def _found() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.on_second_device"]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=Path(__file__).parents[2])
    return cast(dict[str, Any], json.loads(done.stdout))


@pytest.mark.parametrize("name", [*OBJECTIVES, "turns"])
def test_it_runs_on_a_device_beside_the_processor_with_the_same_numbers(name: str) -> None:
    found = _found()[name]
    assert "broken" not in found, found["broken"]
    assert found["there"] == pytest.approx(found["here"], rel=1e-4, abs=1e-5)
