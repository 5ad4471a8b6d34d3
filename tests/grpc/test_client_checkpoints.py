"""Checkpoints by the Python client and the command line, against the real server."""

from __future__ import annotations

import json
import subprocess

import pytest
from sandbank import AsyncClient, Client, NotFound, Session
from sandbank.v1 import checkpoint_pb2, session_pb2

from tests.server_process import SANDBANK, ServerProcess


def test_a_state_is_saved_and_brought_back(client: Client, unsaved: Session) -> None:
    """Also in a fork; what was deleted is not found."""
    session = unsaved
    session.run("a = [1]; b = a; lost = (n for n in ())")
    saved = session.checkpoint(labels={"kind": "test"}, verify=True)
    assert saved.verified
    session.run("a.append(2)")
    report = session.restore(saved.checkpoint_id)
    assert [each.name for each in report.lost] == ["lost"]
    assert session.run("[a, a is b]").value == [[1], True]
    assert [each.checkpoint_id for each in session.checkpoints()] == [saved.checkpoint_id]
    assert saved.checkpoint_id in [each.checkpoint_id for each in client.checkpoints()]
    found = {each.name: each.fidelity for each in client.checkpoint(saved.checkpoint_id).variables}
    assert found["lost"] == checkpoint_pb2.FIDELITY_LOST
    (fork,) = session.fork()
    assert session.restored == report
    assert fork.restored is not None
    with fork:
        assert fork.run("a").value == [1]
    with client.session(template="slim", from_checkpoint_id=saved.checkpoint_id) as other:
        assert other.restored is not None
        assert [each.name for each in other.restored.lost] == ["lost"]
        assert other.run("b").value == [1]
    client.delete_checkpoint(saved.checkpoint_id)
    with pytest.raises(NotFound):
        client.checkpoint(saved.checkpoint_id)


async def test_the_async_client_does_the_same(server: ServerProcess) -> None:
    """Save, restore, fork, list."""
    async with (
        AsyncClient(server.address) as client,
        client.session(template="slim", checkpoint_policy="none") as session,
    ):
        await session.run("a = 1")
        saved = await session.checkpoint()
        await session.run("a = 2")
        await session.restore(saved.checkpoint_id)
        assert (await session.run("a")).value == 1
        assert [each.checkpoint_id async for each in session.checkpoints()] == [saved.checkpoint_id]
        (fork,) = await session.fork()
        assert fork.restored is not None
        async with fork:
            assert (await fork.run("a")).value == 1


def test_a_session_sleeps_and_wakes(session: Session) -> None:
    """It has no sandbox meanwhile; whatever uses it next finds its state."""
    session.run("a = 1")
    asleep = session.hibernate()
    assert (asleep.state, asleep.sandbox_id) == (session_pb2.Session.STATE_HIBERNATED, "")
    assert session.get("a").value == 1
    assert session.refresh().generation == asleep.generation + 1


async def test_a_session_of_the_async_client_sleeps_and_wakes(server: ServerProcess) -> None:
    """The same."""
    async with AsyncClient(server.address) as client, client.session(template="slim") as session:
        await session.run("a = 1")
        asleep = await session.hibernate()
        assert asleep.state == session_pb2.Session.STATE_HIBERNATED
        assert (await session.run("a")).value == 1


def test_the_command_line_makes_compares_and_deletes(server: ServerProcess, unsaved: Session) -> None:
    """Each command as a program sees it."""
    session = unsaved

    def sandbank(*arguments: str) -> str:
        command = [SANDBANK, *arguments, "--address", server.address]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    session.run("kept = 1; gone = 2; open('f', 'w').write('1')")
    sandbank("checkpoints", "make", session.session_id)
    session.run("del gone; new = 'x' * 100; open('f', 'w').write('22')")
    sandbank("checkpoints", "make", session.session_id, "--verify")
    listed = json.loads(sandbank("checkpoints", "list", session.session_id, "--json"))
    new, old = (each["checkpoint_id"] for each in listed)
    changes = json.loads(sandbank("checkpoints", "diff", old, new, "--json"))
    assert {(each["change"], each["what"]) for each in changes} == {
        ("removed", "gone"),
        ("added", "new"),
        ("changed", "./f"),
    }
    assert "kept" in sandbank("checkpoints", "show", new)
    assert sandbank("checkpoints", "diff", new, new) == ""
    made = sandbank("sessions", "fork", session.session_id, "--count", "2").split()
    assert [sandbank("exec", "new", "--session", each).strip() for each in made] == [repr("x" * 100)] * 2
    sandbank("sessions", "delete", *made)
    assert sandbank("exec", "gone", "--template", "slim", "--from-checkpoint", old).strip() == "2"
    assert "restored" in sandbank("checkpoints", "restore", session.session_id, old)
    assert session.run("gone").value == 2
    asleep = json.loads(sandbank("sessions", "hibernate", session.session_id, "--json"))
    assert asleep["state"] == "STATE_HIBERNATED"
    assert "HIBERNATED" in sandbank("sessions", "show", session.session_id)
    assert session.run("gone").value == 2
    sandbank("checkpoints", "delete", asleep["latest_checkpoint_id"])
    sandbank("checkpoints", "delete", old, new)
    left = {
        each["checkpoint_id"]
        for each in json.loads(sandbank("checkpoints", "list", session.session_id, "--json"))
    }
    assert left.isdisjoint({asleep["latest_checkpoint_id"], old, new})
