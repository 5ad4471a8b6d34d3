"""Errors of the API as exceptions."""

import re
from pathlib import Path

import grpc
import pytest
import sandbank
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from sandbank import Client, errors, reasons
from sandbank.errors import CodeError, FieldViolation
from sandbank.status import build_error

from tests.fakes.api_server import FakeServer, Refuse

README = Path(__file__).parents[3] / "protos" / "README.md"


def table() -> list[tuple[str, str]]:
    """The (code, reason) rows of the table of error reasons."""
    rows = re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \|", README.read_text("utf-8"), re.MULTILINE)
    assert rows
    return rows


def test_every_reason_of_the_table_has_a_class_and_every_class_a_row() -> None:
    """protos/README.md and `reasons` say the same."""
    assert {(cls.code, reason) for reason, cls in CodeError.by_reason.items()} == set(table())


@pytest.mark.parametrize(("code", "reason"), table())
def test_a_reason_becomes_its_class_with_all_that_the_server_said(
    server: FakeServer, client: Client, code: str, reason: str
) -> None:
    """Class, code, reason, metadata and message arrive."""
    server.sabotage["GetSession"].append(Refuse(grpc.StatusCode[code], reason, {"session_id": "s-9"}))
    with pytest.raises(CodeError.by_reason[reason]) as caught:
        client.get_session("s-9")
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert caught.value.metadata == {"session_id": "s-9"}
    assert reason in str(caught.value)


def test_refused_arguments_are_named(server: FakeServer, client: Client) -> None:
    """BadRequest's fields are in the exception and in its text."""
    server.sabotage["GetSession"].append(
        Refuse(grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD", field="session_id")
    )
    with pytest.raises(reasons.BadField) as caught:
        client.get_session("")
    assert caught.value.violations == (FieldViolation("session_id", "is not known"),)
    assert "session_id: is not known" in str(caught.value)


def test_a_reason_of_a_newer_server_becomes_the_class_of_its_code(server: FakeServer, client: Client) -> None:
    """What is not known yet is still caught by code, and has its reason."""
    server.sabotage["GetSession"].append(Refuse(grpc.StatusCode.FAILED_PRECONDITION, "SOMETHING_NEW"))
    with pytest.raises(errors.FailedPrecondition) as caught:
        client.get_session("s-1")
    assert caught.value.reason == "SOMETHING_NEW"
    assert type(caught.value) is errors.FailedPrecondition


def test_an_error_that_is_not_sandbanks_has_no_reason() -> None:
    """A proxy's ErrorInfo of another domain is not taken for ours."""
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="SESSION_NOT_FOUND", domain="elsewhere"))
    error = build_error("NOT_FOUND", "?", status_pb2.Status(details=[packed]))
    assert (type(error), error.reason) == (errors.NotFound, "")


def test_damaged_details_do_not_hide_the_error() -> None:
    """The status is reported even where its details cannot be read."""
    bad = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    assert type(build_error("NOT_FOUND", "gone", status_pb2.Status(details=[bad]))) is errors.NotFound


def test_a_reason_under_another_code_is_judged_by_the_code() -> None:
    """The code decides what may be retried, so it wins."""
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="DRAINING", domain="sandbank"))
    error = build_error("INTERNAL", "?", status_pb2.Status(details=[packed]))
    assert (type(error), error.reason) == (errors.Internal, "DRAINING")


def test_reasons_can_be_imported_from_the_package() -> None:
    """`from sandbank import SessionNotFound` works, and what does not exist is an AttributeError."""
    assert sandbank.SessionNotFound is reasons.SessionNotFound
    with pytest.raises(AttributeError):
        sandbank.NoSuchThing  # noqa: B018
