"""Complete and Inspect through the whole path, on each runtime."""

from __future__ import annotations

import json

from sandbank import Session
from sandbank.v1 import state_pb2, transaction_pb2

from tests.integration.test_reads import WAITS, finish, start
from tests.raw_api import Api, refused


def complete(api: Api, session: Session, code: str, **fields: object) -> state_pb2.CompleteResponse:
    """Complete code at its end."""
    fields = {"cursor_position": len(code), **fields}
    request = state_pb2.CompleteRequest(session_id=session.session_id, code=code, **fields)
    answer: state_pb2.CompleteResponse = api.state.Complete(request)
    return answer


def texts(answer: state_pb2.CompleteResponse) -> list[str]:
    """Return what could be put in."""
    return [match.text for match in answer.matches]


def inspect(api: Api, session: Session, code: str, **fields: object) -> state_pb2.InspectResponse:
    """Describe what is at the end of code."""
    fields = {"cursor_position": len(code), **fields}
    request = state_pb2.InspectRequest(session_id=session.session_id, code=code, **fields)
    answer: state_pb2.InspectResponse = api.state.Inspect(request)
    return answer


def test_code_is_completed(session: Session, api: Api) -> None:
    """Positions are in code points; each match says what it is."""
    operation = session.run(
        "def greet(name, *, loud=False):\n    '''Say hello.'''\n    return name\nprices = {'tea': 3}"
    ).operation
    answer = complete(api, session, "'ü𝄞'; gre")
    assert (answer.start_position, answer.end_position) == (6, 9)
    (match,) = answer.matches
    assert (match.text, match.type, match.signature) == ("greet", "function", "(name, *, loud=False)")
    assert (answer.as_of.operation_id, answer.as_of.stale) == (operation.operation_id, False)
    assert texts(complete(api, session, "greet(lou")) == ["loud="]
    assert texts(complete(api, session, "prices['")) == ["tea']"]
    assert texts(complete(api, session, "prices.ite")) == ["items"]
    assert texts(complete(api, session, "import jso")) == ["json"]
    assert texts(complete(api, session, "gre x", cursor_position=3)) == ["greet"]
    assert complete(api, session, "").matches[0].text == "greet"


def test_things_are_described(session: Session, api: Api) -> None:
    """In words and as data; the source where it is asked for."""
    session.run("def greet(name, *, loud=False):\n    '''Say hello.'''\n    return name\nprices = {'tea': 3}")
    answer = inspect(api, session, "greet(")
    assert answer.found
    assert answer.data["text/plain"].decode().splitlines() == [
        "Signature:  greet(name, *, loud=False)",
        "Type:       function",
        "Defined in: <cell 1>, line 1",
        "",
        "Documentation:",
        "Say hello.",
    ]
    facts = json.loads(inspect(api, session, "greet", detail_level=1).data["application/json"])
    assert facts["source"].startswith("def greet(name, *, loud=False):\n")
    assert json.loads(inspect(api, session, "prices").data["application/json"])["preview"] == "{'tea': 3}"
    answer = inspect(api, session, "unknown")
    assert (answer.found, dict(answer.data), answer.as_of.stale) == (False, {}, False)


def test_questions_are_answered_while_code_runs(session: Session, api: Api) -> None:
    """By the state before it, which the answer says; a transaction's by its own."""
    first = session.run("depth = 1").operation.operation_id
    running = start(
        api, session, "depot = 2" + WAITS, tx_policy=transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE
    )
    answer = complete(api, session, "dep")
    assert (texts(answer), answer.as_of.operation_id, answer.as_of.stale) == (["depth"], first, True)
    assert inspect(api, session, "depth").as_of.stale
    finish(api, session, running)
    assert texts(complete(api, session, "dep")) == ["depot", "depth"]
    with session.transaction() as transaction:
        transaction.run("deposit = 3")
        assert texts(complete(api, session, "depos")) == []
        assert texts(complete(api, session, "depos", transaction_id=transaction.transaction_id)) == [
            "deposit"
        ]


def test_hostile_code_costs_its_own_answer(session: Session, api: Api) -> None:
    """Loops, deaths and side effects stay in a copy; the session lives on."""
    session.run(
        "import os\nasked = 0\n"
        "class Dies:\n    known = 1\n    def __dir__(self): os._exit(1)\n"
        "class Loops:\n    known = 1\n    def __getattr__(self, name):\n        while True: pass\n"
        "class Counts:\n    @property\n    def more(self):\n        global asked\n"
        "        asked += 1\n        return self\n"
        "dies, loops, counts = Dies(), Loops(), Counts()"
    )
    assert texts(complete(api, session, "dies.kno")) == ["known"]
    assert texts(complete(api, session, "loops.deep.kno")) == []
    assert texts(complete(api, session, "counts.more.mor")) == ["more"]
    assert inspect(api, session, "dies").found
    assert session.run("asked").value == 0


def test_what_cannot_be_asked_says_why(session: Session, api: Api) -> None:
    """Positions beyond the code, other levels, too much code, and whose state there is none of."""
    for position in (-1, 4):
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "cursor_position"):
            complete(api, session, "ü𝄞x", cursor_position=position)
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "cursor_position"):
            inspect(api, session, "ü𝄞x", cursor_position=position)
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "detail_level"):
        inspect(api, session, "x", detail_level=2)
    with refused("INVALID_ARGUMENT", "CODE_TOO_LARGE", "code"):
        complete(api, session, "#" * (1024 * 1024 + 1))
    assert texts(complete(api, session, "#" * (1024 * 1024 - 6) + "\nprin")) == ["print"]
    with refused("FAILED_PRECONDITION", "NO_SUCH_TRANSACTION"):
        complete(api, session, "x", transaction_id="never-was")
    with refused("NOT_FOUND", "SESSION_NOT_FOUND"):
        api.state.Complete(state_pb2.CompleteRequest(session_id="ses-none"))
    with refused("INVALID_ARGUMENT", "BAD_ID", "session_id"):
        api.state.Inspect(state_pb2.InspectRequest(session_id="no id"))
