"""Complete and Inspect at the supervisor: the state that is asked, and what hostile code costs."""

from __future__ import annotations

from typing import Any

from sandbank.v1.state_pb2 import CompleteResponse, InspectResponse
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds


async def complete(session: Connection, code: str, **fields: Any) -> tuple[list[str], pb.Reply]:
    """Complete code at its end; return the texts, and the reply."""
    asked = pb.Read.Complete(code=code, cursor_position=len(code))
    reply = await session.ask(read=pb.Read(timeout=seconds(20), complete=asked, **fields))
    assert not reply.HasField("failure"), reply.failure
    found = CompleteResponse.FromString(reply.read.response)
    assert found.end_position == len(code)
    return [match.text for match in found.matches], reply


async def inspect(session: Connection, code: str, **fields: Any) -> InspectResponse:
    """Describe what is at the end of code."""
    asked = pb.Read.Inspect(code=code, cursor_position=len(code), **fields)
    reply = await session.ask(read=pb.Read(timeout=seconds(20), inspect=asked))
    assert not reply.HasField("failure"), reply.failure
    return InspectResponse.FromString(reply.read.response)


async def test_code_is_completed_by_the_state_of_the_session(start: Start) -> None:
    """And the reply says which that was."""
    async with start() as running:
        session = await running.session()
        assert (await complete(session, "alph"))[0] == []
        await session.run("a", "alphabet = 'x'; alpha = 1")
        texts, reply = await complete(session, "x = alph")
        assert (texts, reply.read.as_of_operation_id, reply.read.stale) == (["alpha", "alphabet"], "a", False)
        found = await inspect(session, "alphabet")
        assert (found.found, sorted(found.data)) == (True, ["application/json", "text/plain"])
        assert b"Value:      'x'" in found.data["text/plain"]
        assert await inspect(session, "nothing") == InspectResponse(found=False)
        # Code that is longer than a packet, with characters of many bytes.
        assert (await complete(session, "# ü" * 200_000 + "\nalphab"))[0] == ["alphabet"]


async def test_code_that_ends_the_process_costs_what_it_would_have_said(start: Start) -> None:
    """Another copy answers without running any."""
    async with start() as running:
        session = await running.session()
        await session.run(
            "a",
            "import os, ctypes\n"
            "class Dies:\n    known = 1\n    def __dir__(self): os._exit(3)\n"
            "    def __repr__(self): ctypes.string_at(0)\n"
            "class Hangs:\n    known = 1\n    def __dir__(self): return sum(range(10 ** 13))\n"
            "dies, hangs = Dies(), Hangs()",
        )
        assert (await complete(session, "dies.kno"))[0] == ["known"]
        assert (await complete(session, "hangs.kno"))[0] == ["known"]
        assert b"__main__.Dies" in (await inspect(session, "dies")).data["text/plain"]
        assert (await complete(session, "import os.pa"))[0] == ["path"]
