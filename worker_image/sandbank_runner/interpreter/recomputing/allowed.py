"""What code may use that is to be rerun: it computes, gives the same each time, and does nothing else.

Whatever is not here is not known: files, time, randomness, addresses, hashes, text of objects, the order of sets.
"""

from __future__ import annotations

import builtins
import collections
import importlib
import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

BUILTINS: Final = frozenset([
    "abs", "all", "any", "bin", "bool", "bytearray", "bytes", "callable", "chr", "complex", "dict",
    "divmod", "enumerate", "filter", "float", "hex", "int", "iter", "len", "list", "map", "max",
    "memoryview", "min", "next", "oct", "ord", "pow", "range", "reversed", "round", "slice", "sorted",
    "sum", "tuple", "zip",
])  # fmt: skip
MODULES: Final[dict[str, frozenset[str]]] = {
    "_thread": frozenset(["allocate_lock"]),
    "bisect": frozenset(["bisect", "bisect_left", "bisect_right", "insort", "insort_left", "insort_right"]),
    "collections": frozenset(["OrderedDict", "deque"]),
    "functools": frozenset(["partial", "reduce"]),
    "hashlib": frozenset(["blake2b", "blake2s", "md5", "sha1", "sha224", "sha256", "sha384", "sha3_256", "sha512"]),
    "io": frozenset(["BytesIO", "StringIO"]),
    "itertools": frozenset([
        "accumulate", "batched", "chain", "combinations", "combinations_with_replacement", "compress",
        "count", "cycle", "dropwhile", "filterfalse", "groupby", "islice", "pairwise", "permutations",
        "product", "repeat", "starmap", "takewhile", "tee", "zip_longest",
    ]),
    "math": frozenset([
        "ceil", "comb", "cos", "e", "exp", "factorial", "floor", "fsum", "gcd", "inf", "isqrt", "lcm",
        "log", "log10", "log2", "nan", "perm", "pi", "pow", "prod", "sin", "sqrt", "tan", "tau", "trunc",
    ]),
    "operator": frozenset([
        "add", "and_", "contains", "eq", "floordiv", "ge", "getitem", "gt", "itemgetter", "le", "lt", "mod",
        "mul", "ne", "neg", "not_", "or_", "sub", "truediv", "xor",
    ]),
    "queue": frozenset(["LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]),
    "re": frozenset(["compile", "findall", "finditer", "fullmatch", "match", "search", "split", "sub"]),
    "threading": frozenset(["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]),
}  # fmt: skip
"""Names of modules that may be used, and what of each."""
_METHODS: Final = frozenset([
    "append", "appendleft", "capitalize", "casefold", "center", "conjugate", "copy", "count", "digest",
    "encode", "end", "endswith", "extend", "find", "findall", "finditer", "from_iterable", "fullmatch",
    "get", "group", "groups", "hexdigest", "index", "insert", "isalnum", "isalpha", "isdigit", "islower",
    "isspace", "isupper", "items", "join", "keys", "ljust", "lower", "lstrip", "match", "partition", "pop",
    "popleft", "removeprefix", "removesuffix", "replace", "reverse", "rfind", "rindex", "rjust", "rotate",
    "rpartition", "rsplit", "rstrip", "search", "setdefault", "sort", "span", "split", "splitlines",
    "start", "startswith", "strip", "sub", "swapcase", "title", "tobytes", "tolist", "translate", "update",
    "upper", "values", "write", "zfill",
])  # fmt: skip
ATTRIBUTES: Final = _METHODS.union(*MODULES.values())
"""Names that may stand behind a dot, whatever stands before it: that is data, or comes from what is allowed."""
CODES: Final = frozenset([
    "BINARY_OP", "BINARY_SLICE", "BINARY_SUBSCR", "BUILD_CONST_KEY_MAP", "BUILD_LIST", "BUILD_MAP",
    "BUILD_SLICE", "BUILD_TUPLE", "CACHE", "CALL", "CALL_FUNCTION_EX", "CALL_INTRINSIC_1", "CALL_KW",
    "CLEANUP_THROW", "COMPARE_OP", "CONTAINS_OP", "COPY", "COPY_FREE_VARS", "DELETE_FAST", "DICT_MERGE",
    "DICT_UPDATE", "END_FOR", "END_SEND", "EXTENDED_ARG", "FOR_ITER", "GET_ITER", "GET_YIELD_FROM_ITER",
    "IMPORT_FROM", "IMPORT_NAME", "IS_OP", "KW_NAMES", "LIST_APPEND", "LIST_EXTEND", "LIST_TO_TUPLE",
    "LOAD_ATTR", "LOAD_CLOSURE", "LOAD_CONST", "LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_AND_CLEAR",
    "LOAD_FAST_CHECK", "LOAD_FAST_LOAD_FAST", "LOAD_GLOBAL", "LOAD_METHOD", "LOAD_NAME", "MAKE_CELL",
    "MAKE_FUNCTION", "MAP_ADD", "NOP", "POP_EXCEPT", "POP_TOP", "PRECALL", "PUSH_EXC_INFO", "PUSH_NULL",
    "RERAISE", "RESUME", "RETURN_CONST", "RETURN_GENERATOR", "RETURN_VALUE", "SEND",
    "SET_FUNCTION_ATTRIBUTE", "STORE_DEREF", "STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST",
    "STORE_NAME", "STORE_SLICE", "STORE_SUBSCR", "SWAP", "TO_BOOL", "UNARY_INVERT", "UNARY_NEGATIVE",
    "UNARY_NOT", "UNARY_POSITIVE", "UNPACK_EX", "UNPACK_SEQUENCE", "YIELD_VALUE",
])  # fmt: skip
"""Instructions, beside jumps; what is not known is not allowed. None sets attributes or globals, or makes classes."""
JUMPS: Final = ("JUMP_", "POP_JUMP_")
INTRINSICS: Final = frozenset([
    "INTRINSIC_LIST_TO_TUPLE", "INTRINSIC_STOPITERATION_ERROR", "INTRINSIC_UNARY_POSITIVE",
])  # fmt: skip
_modules = sys.modules
_living = vars(builtins)
_originals: Final = {name: _living[name] for name in BUILTINS}
_ATOMS: Final = frozenset(
    map(identity, (int, float, complex, bool, str, bytes, type(None), type(...), range))
)
_genuine: dict[str, dict[str, Any]] = {}
"""What may be used of each module, as it was before user code ran."""
_PARTS: Final = 100_000
"""Objects of plain data that are looked at for one operation."""


def begin() -> None:
    """Take a look at the modules. To be called before user code runs."""
    for name, parts in MODULES.items():
        own = vars(importlib.import_module(name))
        _genuine[name] = {part: own[part] for part in parts if part in own}


def is_builtin(name: str) -> bool:
    """Tell whether a name is that of a builtin that may be used, and user code has put nothing in its place."""
    return name in BUILTINS and _living.get(name) is _originals[name]


def is_module(value: Any) -> bool:
    """Tell whether a value is a module that may be used, with nothing of the session's in it."""
    if type(value) is not types.ModuleType:
        return False
    name = vars(value).get("__name__")
    return type(name) is str and name in MODULES and _modules.get(name) is value and is_pristine(name)


def is_pristine(name: str) -> bool:
    """Tell whether what may be used of a module is what was there before user code ran."""
    module = _modules.get(name)
    if name not in _genuine or type(module) is not types.ModuleType:
        return False
    own = vars(module)
    return all(own.get(part) is found for part, found in _genuine[name].items())


def is_part(value: Any) -> bool:
    """Tell whether a value is something that may be used of a module."""
    return any(value is part for parts in _genuine.values() for part in parts.values())


def is_plain(value: Any) -> bool:
    """Tell whether a value is data and nothing else, all the way down, and not too much of it."""
    left, seen = [value], set()
    while left:
        part = left.pop()
        kind = type(part)
        if identity(kind) in _ATOMS or kind is bytearray:
            continue
        if identity(part) in seen:
            continue
        seen.add(identity(part))
        if len(seen) > _PARTS or not (kind is list or kind is tuple or kind is dict or kind is _deque):
            return False
        left += [*part, *part.values()] if kind is dict else part
        if len(left) > _PARTS:
            return False
    return True


_deque: Any = collections.deque
