"""Variables set, exported and imported through the whole path, on each runtime."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
from sandbank import Client, Session, reasons
from sandbank.v1 import state_pb2, variable_pb2

from tests.raw_api import Api, refused

Change = variable_pb2.VariableChange
PLAIN: dict[str, Any] = {"a": [None, True, 7, -0.5, 10**40, "é\n"], "b": {}, "c": [[]], "": {"d": [1.5]}}


def set_json(
    api: Api, session: Session, name: str, text: str, **fields: Any
) -> state_pb2.SetVariableResponse:
    """Bind a variable to JSON."""
    request = state_pb2.SetVariableRequest(session_id=session.session_id, name=name, json=text, **fields)
    answer: state_pb2.SetVariableResponse = api.state.SetVariable(request)
    return answer


def test_plain_data_goes_in_as_it_is(session: Session) -> None:
    """With its types, and code sees it."""
    session.set("x", PLAIN)
    assert session.run("print(ascii(x))").stdout.strip() == ascii(PLAIN)
    with pytest.raises(TypeError):
        session.set("x", (1, 2))


def test_what_it_changed_is_told(session: Session) -> None:
    """As an operation tells it; nothing where it was so already."""
    change = session.set("x", [1, 2])
    assert change is not None
    assert (change.name, change.kind, change.type_name, change.preview) == (
        "x",
        Change.KIND_ADDED,
        "list",
        "[1, 2]",
    )
    change = session.set("x", "text")
    assert change is not None
    assert (change.kind, change.type_name, change.previous_type_name) == (Change.KIND_MODIFIED, "str", "list")
    assert session.set("x", "text") is None


def test_a_value_is_bound_in_its_turn(session: Session) -> None:
    """After what was submitted before it, before what comes after."""
    session.execute("import time, os\nwhile not os.path.exists('go'): time.sleep(.005)\nx = 1")
    setting = Thread(target=lambda: session.set("x", 2))
    setting.start()
    session.files.upload(b"", "go")
    setting.join(60)
    assert not setting.is_alive()
    assert session.run("x").value == 2


def test_a_transaction_is_minded(session: Session) -> None:
    """Refused from outside, undone with it, and seen by its members."""
    session.set("x", 1)
    with session.transaction() as tx:
        with pytest.raises(reasons.TransactionOpen):
            session.set("x", 9)
        tx.set("x", 2)
        assert tx.run("x").value == 2
        tx.rollback()
    assert session.run("x").value == 1
    with session.transaction() as tx:
        tx.set("x", 3)
    assert session.run("x").value == 3
    with pytest.raises(reasons.NoSuchTransaction):
        tx.set("x", 4)


BAD_JSON = [
    "",
    " ",
    "{",
    "[1] 2",
    "nan",
    "NaN",
    "-Infinity",
    "{'a': 1}",
    '"\n"',
    "1" * 5000,
    "[" * 100_000,
    "\0",
]


def test_what_is_no_json_is_refused(session: Session, api: Api) -> None:
    """And the variable stays."""
    session.set("x", "before")
    for text in BAD_JSON:
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "json"):
            set_json(api, session, "x", text)
    assert set_json(api, session, "x", ' \n["\\ud83d", 1e400] ').change.type_name == "list"
    assert session.run("x == ['\\ud83d', float('inf')]").value is True


BAD_NAMES = [
    "",
    "a b",
    "1a",
    "a.b",
    "class",
    "None",
    "ﬁ",
    "_",
    "__builtins__",
    "__name__",
    "x" * 1001,
    "a\0",
    "x\n",
]


def test_a_name_is_an_identifier(session: Session, api: Api) -> None:
    """That code can use; an underscore does not matter."""
    for name in BAD_NAMES:
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "name"):
            set_json(api, session, name, "1")
    for name in ("_private", "é", "match", "print", "x" * 1000):
        set_json(api, session, name, "1")
    assert session.run("_private + é + match + print").value == 4


def test_a_value_that_was_set_is_in_checkpoints(client: Client) -> None:
    """It is a change, also for the next one, which saves only what has changed."""
    with client.session(template="slim") as session:
        session.run("x = 1; y = 2")
        session.checkpoint()
        session.set("x", 3)
        saved = session.checkpoint()
        with client.session(template="slim", from_checkpoint_id=saved.checkpoint_id) as other:
            assert other.run("[x, y]").value == [3, 2]


def test_under_synchronous_it_is_durable_at_once(client: Client) -> None:
    """A checkpoint has it when the call returns."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        session.set("x", 5)
        saved = session.refresh().latest_checkpoint_id
        assert [each.name for each in client.checkpoint(saved).variables] == ["x"]
