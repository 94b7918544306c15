"""A device beside the processor, for machines without one: what lies there is kept in memory, and an operation that mixes
the two fails as it does on CUDA.

Only where tensors are is played, not speed, streams, kernels or half precision. Stricter than CUDA in one thing: a tensor
there cannot be indexed by one here, which CUDA allows at the price of a copy. `prepare` registers the device for the whole
process, which other tests would notice: use it in a process of its own (`on_second_device`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

_NAME = "beside"
_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default)
_MATH = 0  # of the kinds of scaled dot product attention: the one that any device has


def prepare() -> torch.device:
    """Register the device with torch; once a process."""
    _setup_privateuseone_for_python_backend(_NAME, backend_module=_Backend())
    return torch.device(_NAME, 0)


class _Backend(_DummyBackendModule):  # type: ignore[misc]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class There(Tensor):
    """A tensor on the second device; `kept` has its numbers."""

    kept: Tensor

    @staticmethod
    def __new__(cls, kept: Tensor) -> There:
        made = Tensor._make_wrapper_subclass(
            cls, kept.shape, strides=kept.stride(), storage_offset=kept.storage_offset(), dtype=kept.dtype,
            device=torch.device(_NAME, 0), requires_grad=kept.requires_grad,
        )  # fmt: skip
        made.kept = kept
        return made

    def __repr__(self, **_: Any) -> str:
        return f"There({self.kept})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Do `func` on what is kept; its result is where its operands are, or where it is told to be."""
    tensors = [one for one in tree_iter((args, kwargs)) if isinstance(one, Tensor)]
    there = {id(one.kept): one for one in tensors if isinstance(one, There)}
    here = [one for one in tensors if not isinstance(one, There) and one.dim() > 0]
    if there and here and func not in _MOVES:
        raise RuntimeError(f"{func}: tensors on {_NAME} and on the processor, the latter {[*here[0].shape]}")
    if func is _aten._fused_sdp_choice.default:
        return _MATH
    named = kwargs.get("device")
    if func is _aten._local_scalar_dense.default:
        stays = False
    elif func is _aten.copy_.default:
        stays = isinstance(args[0], There)
    else:
        stays = _is_there(named) if named is not None else bool(there)
    plain_args, plain = tree_map(lambda one: one.kept if isinstance(one, There) else one, (args, dict(kwargs)))
    if _is_there(named):
        plain["device"] = torch.device("cpu")
    out = func(*plain_args, **plain)
    return tree_map(lambda one: _put(one, there), out) if stays else out


def _put(one: Any, there: Mapping[int, There]) -> Any:
    """On the second device; what was changed in place is the tensor that it was."""
    if not isinstance(one, Tensor):
        return one
    return there[id(one)] if id(one) in there else There(one)


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == _NAME


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd):
            with self:  # in inference mode they come whole
                return func.decompose(*args, **kwargs)
        if _is_there(kwargs.get("device")) or any(isinstance(one, There) for one in tree_iter((args, kwargs))):
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


class _Made(TorchFunctionMode):
    """Torch makes tensors of Python's numbers and lists below the dispatcher: made here, they are moved."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and _is_there(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(kwargs["device"])
        own = args[0] if args else None
        if isinstance(own, There) and func is Tensor.tolist:
            return own.kept.tolist()
        if isinstance(own, There) and func is Tensor.new_tensor:
            return torch.tensor(*args[1:], **{"dtype": own.dtype, **kwargs}).to(own.device)
        if isinstance(own, There) and func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (own, _index(args[1], own.device), *args[2:])
        return func(*args, **kwargs)


def _index(given: Any, device: torch.device) -> Any:
    if isinstance(given, tuple):
        return tuple(_index(one, device) for one in given)
    return torch.tensor(given).to(device) if isinstance(given, list) else given


class Beside:
    """While entered, the second device can be used."""

    def __enter__(self) -> None:
        self._modes = (_Made(), _Operations())
        for mode in self._modes:
            mode.__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)
