"""Bad input gets a clear error; nothing is lost; others are unharmed."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Client, Session
from sandbank.v1 import (
    execution_pb2,
    file_pb2,
    info_pb2,
    pool_pb2,
    session_pb2,
    state_pb2,
)

from tests.raw_api import Api, refused
from tests.server_process import ServerProcess

Operation = execution_pb2.Operation
Execute = execution_pb2.ExecuteRequest
MIB = 1024 * 1024


def run(api: Api, **fields) -> execution_pb2.RunResponse:
    """Call Run."""
    return api.execution.Run(execution_pb2.RunRequest(execute=Execute(**fields)))


def test_code_over_the_limit(api: Api, session: Session) -> None:
    """1 MiB is the limit, in bytes."""
    with refused("INVALID_ARGUMENT", "CODE_TOO_LARGE", "execute.code"):
        run(api, session_id=session.session_id, code="#" * (MIB + 1))
    assert (
        run(api, session_id=session.session_id, code="#" * MIB).operation.state == Operation.STATE_SUCCEEDED
    )


def test_a_null_byte_in_code_is_the_codes_own_fault(session: Session) -> None:
    """It is an error of the code, and the session goes on."""
    result = session.run("x = 1\0", check=False)
    assert result.operation.state == Operation.STATE_FAILED
    assert "null byte" in result.operation.error.message
    assert session.run("1").value == 1


@pytest.mark.parametrize("bad", ["a b", "ü", "x" * 129, "a/b", "../x", "a\nb"])
def test_ids_that_do_not_match(api: Api, session: Session, bad: str) -> None:
    """Ids of clients are checked wherever they come in."""
    with refused("INVALID_ARGUMENT", "BAD_ID", "execute.operation_id"):
        run(api, session_id=session.session_id, operation_id=bad, code="1")
    with refused("INVALID_ARGUMENT", "BAD_ID", "session_id"):
        api.sessions.GetSession(session_pb2.GetSessionRequest(session_id=bad))
    with refused("INVALID_ARGUMENT", "BAD_ID", "request_id"):
        api.sessions.CreateSession(session_pb2.CreateSessionRequest(request_id=bad, template="slim"))


def test_invalid_utf8_in_an_id(api: Api) -> None:
    """What no proto library would send is answered by us, not by the decoder."""
    call = api.channel.unary_unary("/sandbank.v1.SessionService/GetSession")
    with refused("INVALID_ARGUMENT", "BAD_FIELD"):
        call(b"\x0a\x02\xff\xfe")


@pytest.mark.parametrize("timeout", [Duration(seconds=-1), Duration(seconds=3601), Duration(nanos=-5)])
def test_timeouts_out_of_bounds(api: Api, session: Session, timeout: Duration) -> None:
    """Negative or over an hour."""
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "execute.timeout"):
        run(api, session_id=session.session_id, code="1", timeout=timeout)


def test_what_is_not_there(api: Api, session: Session) -> None:
    """Each kind of thing has a reason of its own."""
    with refused("NOT_FOUND", "SESSION_NOT_FOUND"):
        run(api, session_id="ses-none", code="1")
    with refused("NOT_FOUND", "TEMPLATE_NOT_FOUND"):
        api.sessions.CreateSession(session_pb2.CreateSessionRequest(template="none"))
    with refused("NOT_FOUND", "OPERATION_NOT_FOUND"):
        api.execution.GetOperation(
            execution_pb2.GetOperationRequest(session_id=session.session_id, operation_id="none")
        )
    with refused("NOT_FOUND", "FILE_NOT_FOUND"):
        api.files.StatFile(file_pb2.StatFileRequest(session_id=session.session_id, path="none"))
    with refused("NOT_FOUND", "TEMPLATE_NOT_FOUND"):
        api.pool.GetPool(pool_pb2.GetPoolRequest(template="none"))


def test_the_features_say_what_works(api: Api) -> None:
    """By names that stay."""
    features = set(api.info.GetServerInfo(info_pb2.GetServerInfoRequest()).features)
    assert {
        "execute",
        "files",
        "input",
        "interact",
        "change-reports",
        "completion",
        "hibernation",
        "recompute",
        "set-variables",
        "arrow",
        "exports",
    } <= features


Part = state_pb2.ImportVariableRequest
Header = state_pb2.ImportVariableHeader


@pytest.mark.parametrize(
    ("header", "parts", "field"),
    [
        (None, [], "header"),
        (None, [Part(chunk=b"1")], "header"),
        ({"name": "x"}, [], "header.format"),
        ({"name": "x", "format": "VALUE_FORMAT_MIME"}, [], "header.format"),
        ({"name": "x y", "format": "VALUE_FORMAT_JSON"}, [], "header.name"),
        ({"name": "x", "format": "VALUE_FORMAT_JSON", "arrow_as": 7}, [], "header.arrow_as"),
        ({"name": "x", "format": "VALUE_FORMAT_JSON", "transaction_id": "a b"}, [], "header.transaction_id"),
        ({"name": "x", "format": "VALUE_FORMAT_JSON"}, [], "chunk"),
        ({"name": "x", "format": "VALUE_FORMAT_JSON"}, [Part(chunk=b"1"), Part(header=Header())], "chunk"),
        ({"name": "x", "format": "VALUE_FORMAT_JSON"}, [Part(chunk=b"1"), Part()], "chunk"),
    ],
)
def test_an_import_that_is_none(
    api: Api, session: Session, header: dict[str, Any] | None, parts: list[Part], field: str
) -> None:
    """Each answers with the field; nothing is bound, and the session goes on."""
    first = [] if header is None else [Part(header=Header(session_id=session.session_id, **header))]
    reason = "BAD_ID" if field.endswith("_id") else "BAD_FIELD"
    with refused("INVALID_ARGUMENT", reason, field):
        api.state.ImportVariable(iter([*first, *parts]))
    assert session.run("'x' in globals()").value is False


def test_left_unset_means_what_works(session: Session) -> None:
    """input() gives EOFError at once."""
    result = session.run("input('name? ')", check=False)
    assert result.operation.error.type_name == "EOFError"


def test_labels_and_environments_are_bounded(api: Api) -> None:
    """Neither names nor values of secrets are repeated in the error."""
    for fields, name in (
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {f"k{n}": "v" for n in range(65)}}, "labels"),
        ({"env": {"1BAD": "x"}}, "env"),
        ({"secret_env": {"BAD-NAME": "s3cr3t"}}, "secret_env"),
        ({"secret_env": {"X": "s3cr3t\0"}}, "secret_env"),
        ({"secret_env": {"X": "s3cr3t" * 30_000}}, "secret_env"),
    ):
        with refused("INVALID_ARGUMENT", "BAD_FIELD", name) as found:
            api.sessions.CreateSession(session_pb2.CreateSessionRequest(template="slim", **fields))
        assert "s3cr3t" not in str(found)


def test_page_tokens_are_checked(api: Api, session: Session) -> None:
    """A token of another listing, or none of ours, is refused."""
    for token in ("garbage", "AAAA", "é"):
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "page_token"):
            api.sessions.ListSessions(session_pb2.ListSessionsRequest(page_token=token))
    for n in range(3):
        session.run(str(n))
    first = api.execution.ListOperations(
        execution_pb2.ListOperationsRequest(session_id=session.session_id, page_size=1)
    )
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "page_token"):
        api.sessions.ListSessions(session_pb2.ListSessionsRequest(page_token=first.next_page_token))


def test_a_message_over_the_limit(api: Api, session: Session) -> None:
    """A request a little over the limit is told so."""
    with refused("RESOURCE_EXHAUSTED", "TOO_LARGE"):
        run(api, session_id=session.session_id, code="1", operation_id="x" * (17 * MIB))


def _memory_bytes(server: ServerProcess) -> int:
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_an_output_flood_is_bounded_and_counted(server: ServerProcess, session: Session) -> None:
    """200 MB of output: 8 MiB are kept, the rest is counted, and the control plane does not grow by it."""
    before = _memory_bytes(server)
    result = session.run(
        "import os\nline = b'x' * 65536\nfor _ in range(3200): os.write(1, line)", timeout=120
    )
    operation = result.operation
    assert operation.state == Operation.STATE_SUCCEEDED
    assert operation.output_bytes + operation.dropped_output_bytes == 3200 * 65536
    assert operation.output_bytes <= 8 * MIB
    assert len(result.stdout_bytes) == operation.output_bytes
    assert _memory_bytes(server) - before < 64 * MIB


def test_endless_prints_with_a_reader_that_reads_nothing(
    server: ServerProcess, api: Api, session: Session
) -> None:
    """A stream that nobody reads holds up neither the interpreter nor other calls, and costs no memory."""
    request = Execute(
        session_id=session.session_id,
        operation_id="flood",
        code="n = 0\nwhile True:\n    print(n)\n    n += 1",
        timeout=Duration(seconds=3),
    )
    before = _memory_bytes(server)
    stream = api.execution.Execute(request)
    next(stream)
    ended = session.watch("flood").result(check=False).operation
    assert ended.state == Operation.STATE_TIMED_OUT
    assert session.run("n > 10000").value is True
    assert _memory_bytes(server) - before < 64 * MIB
    stream.cancel()


def test_a_huge_result_and_a_huge_display_do_not_break_the_stream(session: Session) -> None:
    """What does not fit is cut or dropped, never an error of the call."""
    result = session.run("'x' * 50_000_000")
    assert result.operation.state == Operation.STATE_SUCCEEDED
    assert session.run("1").value == 1


@pytest.mark.parametrize(
    "path", ["../escape", "/etc/passwd", "a/../../b", "x\0y", "", "a" * 5000, "link/passwd", "link"]
)
def test_paths_are_confined_to_the_workspace(api: Api, session: Session, path: str) -> None:
    """Neither `..` nor links lead out, for reading and for writing."""
    session.run("import os\nif not os.path.lexists('link'): os.symlink('/etc', 'link')")
    request = file_pb2.DownloadFileRequest(session_id=session.session_id, path=path)
    with pytest.raises(grpc.RpcError) as caught:
        list(api.files.DownloadFile(request))
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    if path == "link":
        return  # writing to the name of a link replaces the link itself
    header = file_pb2.UploadHeader(session_id=session.session_id, path=path)
    parts = [file_pb2.UploadFileRequest(header=header), file_pb2.UploadFileRequest(chunk=b"x")]
    with pytest.raises(grpc.RpcError) as caught:
        api.files.UploadFile(iter(parts))
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert not os.path.exists("/etc/escape")


def test_an_upload_with_the_wrong_hash_or_size_leaves_nothing(api: Api, session: Session) -> None:
    """Atomic: whole and checked, or not there."""
    for fields in ({"sha256": "0" * 64}, {"size_bytes": 5, "sha256": ""}, {"size_bytes": 1}):
        header = file_pb2.UploadHeader(session_id=session.session_id, path="f", **fields)
        parts = [file_pb2.UploadFileRequest(header=header), file_pb2.UploadFileRequest(chunk=b"abc")]
        with refused("INVALID_ARGUMENT", "CHECKSUM_MISMATCH"):
            api.files.UploadFile(iter(parts))
        assert [each.path for each in session.files.list()] == []


def test_an_upload_cut_off_half_way_leaves_nothing(api: Api, session: Session) -> None:
    """The old content stays."""
    session.files.upload(b"old", "f")
    gone = RuntimeError("cut off")

    def parts():
        yield file_pb2.UploadFileRequest(
            header=file_pb2.UploadHeader(session_id=session.session_id, path="f", size_bytes=10 * MIB)
        )
        yield file_pb2.UploadFileRequest(chunk=b"n" * MIB)
        raise gone

    with pytest.raises(grpc.RpcError):
        api.files.UploadFile(parts())
    assert session.files.download("f") == b"old"
    assert [each.path for each in session.files.list()] == ["f"]


def test_upload_must_begin_with_a_header(api: Api) -> None:
    """A chunk alone has no place to go."""
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "header"):
        api.files.UploadFile(iter([file_pb2.UploadFileRequest(chunk=b"x")]))
    with refused("INVALID_ARGUMENT", "BAD_FIELD", "header"):
        api.files.UploadFile(iter([]))


def test_a_directory_that_is_not_empty(api: Api, session: Session) -> None:
    """Deleting it needs recursive."""
    session.files.upload(b"x", "d/e/f")
    request = file_pb2.DeleteFileRequest(session_id=session.session_id, path="d")
    with refused("FAILED_PRECONDITION", "DIRECTORY_NOT_EMPTY"):
        api.files.DeleteFile(request)
    session.files.delete("d", recursive=True)
    assert list(session.files.list(recursive=True)) == []


def test_files_go_in_and_out_whole(session: Session) -> None:
    """Bytes, ranges, modes, listings and hashes."""
    data = os.urandom(3 * MIB + 17)
    info = session.files.upload(data, "sub/data.bin")
    assert session.files.download("sub/data.bin") == data
    assert session.files.stat("sub/data.bin").sha256 == info.sha256
    assert (
        session.run("import hashlib; hashlib.sha256(open('sub/data.bin','rb').read()).hexdigest()").value
        == info.sha256
    )
    assert [each.path for each in session.files.list(recursive=True)] == ["sub", "sub/data.bin"]
    session.run("open('made', 'w').write('by code')")
    assert session.files.download("made") == b"by code"


def test_too_many_queued_operations(api: Api, session: Session) -> None:
    """The queue has an end; what was refused was not recorded."""
    blocker = session.execute("import time; print('on', flush=True); time.sleep(60)", operation_id="blocker")
    next(iter(blocker))
    streams = []
    for number in range(64):
        request = Execute(session_id=session.session_id, operation_id=f"q{number}", code="1")
        streams.append(api.execution.Execute(request))
    while sum(1 for _ in session.operations(page_size=1000)) < 65:
        pass
    with refused("RESOURCE_EXHAUSTED", "OPERATION_QUEUE_FULL") as found:
        run(api, session_id=session.session_id, operation_id="over", code="1")
    assert found[0].retry_seconds is not None
    with refused("NOT_FOUND", "OPERATION_NOT_FOUND"):
        session_id = session.session_id
        api.execution.GetOperation(
            execution_pb2.GetOperationRequest(session_id=session_id, operation_id="over")
        )
    session.cancel("blocker")
    assert [list(each)[-1].finished.operation.state for each in streams] == [Operation.STATE_SUCCEEDED] * 64


def test_neighbours_are_unharmed(client: Client) -> None:
    """While one session misbehaves in every way, another answers."""
    with client.session(template="slim") as bad, client.session(template="slim") as good:
        for code, fails in (
            ("x = []\nwhile True: x.append(bytearray(10_000_000))", True),
            ("import os\nwhile True: os.fork()", True),
            ("open('big', 'wb').write(b'x' * 10**9)", True),
            # The kernel spares the sender, and whom else it reaches is the sandbox's business.
            ("import os, signal; os.kill(-1, signal.SIGKILL)", False),
        ):
            if client.info().runtime == "local":
                break  # isolates nothing: it says so
            execution = bad.execute(code, timeout=timedelta(seconds=5))
            assert good.run("1 + 1").value == 2
            state = execution.result(check=False).operation.state
            assert not (fails and state == Operation.STATE_SUCCEEDED), code
            assert good.run("1 + 1").value == 2
            assert bad.run("'alive'", timeout=30).value == "alive"
