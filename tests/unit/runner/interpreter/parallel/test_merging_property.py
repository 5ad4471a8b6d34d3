"""Random operations beside each other, against a model that copies dictionaries."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.parallel.harness import Beside

NAMES = ("a", "b", "c", "d")

SESSION = "\n".join(
    f"def put_{name}(value):\n    global {name}\n    {name} = value\n"
    f"def drop_{name}():\n    global {name}\n    del {name}"
    for name in NAMES
)
"""Functions that write names by STORE_GLOBAL and DELETE_GLOBAL."""

STEPS = st.tuples(st.sampled_from(["bind", "delete", "put", "drop", "rebind"]), st.sampled_from(NAMES))
OPERATIONS = st.tuples(st.lists(STEPS, max_size=4), st.booleans())
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), OPERATIONS),
        st.tuples(st.just("end"), st.integers(0, 5)),
    ),
    max_size=14,
)


class Model:
    """Names by value, and which merge changed them last."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.changed: dict[str, int] = {}
        self.merges = 0
        self.newest = 1000

    def code(self, steps: list[tuple[str, str]], names: dict[str, int], *, fails: bool) -> str:
        """Return code for steps, and do them to ``names``."""
        lines = ["input()"]
        for kind, name in steps:
            if kind in ("delete", "drop"):
                if name not in names:
                    continue
                del names[name]
                lines.append(f"del {name}" if kind == "delete" else f"drop_{name}()")
            elif kind == "rebind":
                if name in names:
                    lines.append(f"{name} = {name}")
            else:
                self.newest += 1
                names[name] = self.newest
                lines.append(f"{name} = {self.newest}" if kind == "bind" else f"put_{name}({self.newest})")
        return "\n".join([*lines, *(["1/0"] if fails else [])])

    def end(self, base: dict[str, int], began: int, names: dict[str, int], *, fails: bool) -> list[str]:
        """Merge, and return the conflicts."""
        if fails:
            return []
        touched = [name for name in NAMES if base.get(name) != names.get(name)]
        conflicts = [name for name in touched if self.changed.get(name, 0) > began]
        if not conflicts:
            self.merges += 1
            for name in touched:
                self.changed[name] = self.merges
                if name in names:
                    self.names[name] = names[name]
                else:
                    del self.names[name]
        return sorted(conflicts)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS)
def test_whatever_runs_beside_each_other_ends_as_in_the_model(
    interpreter: Interpreter, actions: list[Any]
) -> None:
    """Outcome, conflicts and names, after every end; what an operation reads is its own copy."""
    interpreter.ok(f"for n in {NAMES!r}: globals().pop(n, None)")
    _compare(Beside(interpreter), actions)


def _compare(beside: Beside, actions: list[Any]) -> None:
    model = Model()
    beside.interpreter.ok(SESSION)
    running: list[tuple[str, Any, dict[str, int], int, dict[str, int], bool]] = []

    def end(at: int) -> None:
        operation, question, base, began, names, fails = running.pop(at)
        beside.interpreter.send({**question, "type": "input", "text": ""})
        done = beside.finish(operation)
        assert done.ok is not fails, done.header["error"]
        assert done.header["conflicts"] == model.end(base, began, names, fails=fails)
        assert done.header["warnings"] == []

    for kind, detail in actions:
        if kind == "begin":
            steps, fails = detail
            base, names = dict(model.names), dict(model.names)
            code = model.code(steps, names, fails=fails)
            operation = beside.begin(code, allow_input=True)
            running.append((operation, beside.message().header, base, model.merges, names, fails))
        elif running:
            end(detail % len(running))
    while running:
        end(0)
    look = f"{{n: globals()[n] for n in {NAMES!r} if n in globals()}}"
    assert beside.interpreter.ok(look).json == model.names
    assert beside.interpreter.thread_count() == 1
