"""Other packages in environments of their own, for tests with the mark `peers`.

`python -m tests.support.peers [NAME ...]` makes them under `.peers` (or where MOCKTRIAL_PEERS says), a package each. What
a package does not bring itself it finds in ours: mocktrial, and for TRL also torch. One that needs another Python
finds nothing of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("MOCKTRIAL_PEERS", ROOT / ".peers"))
NEEDS = {
    "inspect-ai": ["inspect-ai==0.3.285"],
    "nemo-gym": ["nemo-gym==0.4.0"],
    "openai-agents": ["openai-agents==0.24.0"],
    "openenv-core": ["openenv-core==0.3.0"],
    "trl": ["--no-deps", "trl==1.16.0", "accelerate==1.15.0"],
    "verifiers": ["verifiers==0.1.14"],
}
PYTHONS = {"nemo-gym": "python3.13"}


def python_of(name: str) -> Path:
    return FOLDER / name / "bin" / "python"


def missing(name: str) -> str:
    """Why a test with the mark `peers(name)` cannot run; empty when it can."""
    return "" if python_of(name).exists() else f"needs the environment of {name}: python -m tests.support.peers {name}"


def beside(name: str, script: str, given: Any) -> Any:
    """What `tests/peers/SCRIPT` prints as JSON in its package's environment, with `given` as JSON on its input."""
    command = [str(python_of(name)), str(ROOT / "tests" / "peers" / script)]
    quiet = {"TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=540, check=False, cwd=ROOT,
        env=os.environ | quiet,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def make(name: str) -> None:
    folder = FOLDER / name
    subprocess.run([PYTHONS.get(name, sys.executable), "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python_of(name)), "-m", "pip", "install", *NEEDS[name]], check=True)
    if name in PYTHONS:
        return
    theirs = next((folder / "lib").glob("python3*")) / "site-packages"
    ours = sysconfig.get_paths()["purelib"]
    # After its own: `agents` is openai-agents there, and only then our folder.
    (theirs / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n{ROOT}\n", encoding="utf-8")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or NEEDS:
        make(wanted)
