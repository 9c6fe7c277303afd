"""The state of a component as two files: arrays as safetensors, everything else as JSON. Never pickle.

The JSON keeps the nesting; an array stands there as `{"$array": KEY}`, where KEY names the tensor: its path,
joined by `/` (`~` and `/` within a key are `~0` and `~1`, as in JSON pointers, RFC 6901).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from puffer_core.contracts.checkpointable import State
from puffer_core.durable import json_bytes, parse_json
from puffer_core.errors import CheckpointError

ARRAY, FLOAT = "$array", "$float"
_DTYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""NumPy's names and those of safetensors, in the order in which that library writes arrays: the largest items first."""
_RESERVED = "__metadata__"


def encode(state: State, to_numpy: Callable[[Any], Any] = np.asarray) -> dict[str, bytes]:
    """The files of a state: suffix to content. `.safetensors` is there only where the state has arrays.

    Args:
        state: what `state_dict` gave.
        to_numpy: makes NumPy arrays of the engine's.

    Raises:
        CheckpointError: a leaf is neither an array nor a JSON value; the message names its path.

    Example:
        >>> files = encode({"count": 3, "net": {"w": np.ones(2, np.float32)}})
        >>> sorted(files)
        ['.json', '.safetensors']
        >>> decode(files)["net"]["w"].tolist()
        [1.0, 1.0]
    """
    return {suffix: b"".join(parts) for suffix, parts in encoded(state, to_numpy).items()}


def encoded(state: State, to_numpy: Callable[[Any], Any] = np.asarray) -> dict[str, list[bytes | memoryview]]:
    """As `encode`, but each file in parts, which are views of the state's own arrays: nothing large is copied.

    Example:
        >>> weight = np.ones(2, np.float32)
        >>> parts = encoded({"w": weight})[".safetensors"]
        >>> weight[0] = 3.0
        >>> decode({".json": b'{"w": {"$array": "w"}}', ".safetensors": b"".join(parts)})["w"].tolist()
        [3.0, 1.0]
    """
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    files: dict[str, list[bytes | memoryview]] = {".json": [json_bytes(_split(state, "", tensors, to_numpy))]}
    if tensors:
        files[".safetensors"] = _safetensors(tensors)
    return files


def _safetensors(tensors: Mapping[str, np.ndarray[Any, Any]]) -> list[bytes | memoryview]:
    """A safetensors file in parts, byte for byte as that library writes it, which cannot do so without copies.

    https://huggingface.co/docs/safetensors: size of the header, header in JSON, then the arrays back to back.
    """
    kinds = list(_DTYPES)
    names = sorted(tensors, key=lambda name: (kinds.index(tensors[name].dtype.name), name))
    header, end = {}, 0
    for name in names:
        array = tensors[name]
        start, end = end, end + array.nbytes
        shape = list(array.shape)
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *(_bytes(tensors[name]) for name in names if tensors[name].size)]


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _split(value: Any, path: str, tensors: dict[str, np.ndarray[Any, Any]], to_numpy: Callable[[Any], Any]) -> Any:
    """The JSON side of `value`; its arrays go to `tensors`."""
    if isinstance(value, Mapping):
        return {_key(key, path): _split(item, _join(path, key), tensors, to_numpy) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and not isinstance(value, np.generic):
        return value if math.isfinite(value) else {FLOAT: repr(value)}
    if isinstance(value, list):
        return [_plain(_split(item, f"{path}[{i}]", {}, to_numpy), path) for i, item in enumerate(value)]
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise CheckpointError(f"{path}: a {type(value).__name__} cannot be saved; a state holds arrays and JSON values")
    array = value if isinstance(value, np.ndarray) else np.asarray(to_numpy(value))
    if array.dtype.name not in _DTYPES:
        raise CheckpointError(f"{path}: arrays of dtype {array.dtype} cannot be saved; give plain numbers or booleans")
    if path == _RESERVED:
        raise CheckpointError(f"{path}: an array cannot have this name, which safetensors keeps for itself")
    tensors[path] = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return {ARRAY: path}


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        raise CheckpointError(f"{path or 'state'}: key {key!r} cannot be saved; keys are strings without a leading '$'")
    return key


def _plain(item: Any, path: str) -> Any:
    if isinstance(item, dict) and ARRAY in item:
        raise CheckpointError(f"{path}: a list of arrays cannot be saved; stack them, or name them in a dict")
    return item


def _join(path: str, key: Any) -> str:
    escaped = str(key).replace("~", "~0").replace("/", "~1")
    return f"{path}/{escaped}" if path else escaped


def decode(files: Mapping[str, bytes]) -> State:
    """The state that `encode` made these files of; arrays are NumPy's, writable, in memory of their own.

    Raises:
        ValueError: the files are malformed, or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(files[".safetensors"]) if ".safetensors" in files else {}
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"the safetensors file is malformed: {error}") from error
    used: set[str] = set()
    state = _merge(parse_json(files[".json"]), tensors, used)
    if not isinstance(state, dict):
        raise ValueError("the JSON file holds no object")
    if set(tensors) != used:
        raise ValueError(f"the JSON file does not mention the arrays {sorted(set(tensors) - used)}")
    return state


def _merge(value: Any, tensors: dict[str, np.ndarray[Any, Any]], used: set[str]) -> Any:
    if isinstance(value, list):
        return [_merge(item, tensors, used) for item in value]
    if not isinstance(value, dict):
        return value
    if FLOAT in value:
        return float(value[FLOAT])
    if ARRAY not in value:
        return {key: _merge(item, tensors, used) for key, item in value.items()}
    key = value[ARRAY]
    if key not in tensors or key in used:
        raise ValueError(f"the array {key!r} is missing, or mentioned twice")
    used.add(key)
    return np.array(tensors[key])
