"""``python -m sandbank_runner.compiling CACHE FOLDER...``: compiles the image's modules for small processes.

What a module takes of memory, it takes in every sandbox. Docstrings, annotations of functions and the columns of
instructions in the source are part of that, and nobody sees those of the runner: tracebacks for users leave its frames
out. So all in each ``FOLDER`` is compiled without them, assertions kept. Everything that the supervisor imports, the
standard library too, is compiled without docstrings and columns into ``CACHE``, which only the supervisor is told of
(``-X pycache_prefix``): user code has the library as it is.

To be run by the Python that will run the modules, with ``-X no_debug_ranges``. The files are never checked against
their sources.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_SEEN_BY_USERS: Final = ("sandbank_runner/interpreter/*.py", "sandbank_runner/interpreter/input/*.py")
"""User code finds what they define under its own names, ``display`` for one, and may ask for help about it."""

_SUPERVISOR: Final = """
import sys
from sandbank_runner.supervisor import __main__, app, stand_ins
for name in stand_ins.NAMES:
    stand_ins.import_itself(name)
for module in list(sys.modules.values()):
    path = getattr(getattr(module, "__spec__", None), "origin", None)
    if getattr(module.__spec__, "has_location", False) and path.endswith(".py"):
        print(path)
"""

_UNCHECKED: Final = (0b01).to_bytes(4, "little")


def compile_module(
    source: Path, target: Path, *, docstrings: bool = False, annotations: bool = False
) -> None:
    """Compile one file with what is to be kept. SyntaxError where it is no Python."""
    content = source.read_bytes()
    tree = ast.parse(content, source)
    for node in ast.walk(tree):
        if not docstrings:
            _take_docstring(node)
        if not annotations:
            _take_annotations(node)
    code = compile(tree, source, "exec", dont_inherit=True, optimize=0)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(content)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(header + marshal.dumps(code))


def _take_docstring(node: ast.AST) -> None:
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        match node.body:
            case [ast.Expr(ast.Constant(str()) as constant), *_]:
                constant.value = "."  # not none at all: a dataclass without one makes up a longer one


def _take_annotations(node: ast.AST) -> None:
    """Only those of functions: dataclasses are made of those of classes."""
    if isinstance(node, ast.arg):
        node.annotation = None
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        node.returns = None


def main(arguments: list[str]) -> int:
    """Compile ``arguments[1:]`` in place and what the supervisor imports into ``arguments[0]``."""
    cache, *folders = map(Path, arguments)
    for folder in folders:
        for source in sorted(folder.rglob("*.py")):
            seen = is_seen(source)
            compile_module(source, _cached(source, None), docstrings=seen, annotations=seen)
    for source in _supervisor_files():
        ours = any(source.is_relative_to(folder) for folder in folders)
        compile_module(source, _cached(source, cache), annotations=not ours)
    return 0


def _supervisor_files() -> Iterator[Path]:
    # In a process of its own: what this one has imported is not what the supervisor will.
    command = [sys.executable, "-I", "-B", "-c", _SUPERVISOR]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    yield from sorted(map(Path, set(said.splitlines())))


def is_seen(source: Path) -> bool:
    """Tell whether user code may ask for help about what is defined there."""
    return any(PurePosixPath(source).match(pattern) for pattern in _SEEN_BY_USERS)


def _cached(source: Path, cache: Path | None) -> Path:
    before, sys.pycache_prefix = sys.pycache_prefix, None if cache is None else str(cache)
    try:
        return Path(importlib.util.cache_from_source(str(source), optimization=""))
    finally:
        sys.pycache_prefix = before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
