"""Spans of OpenTelemetry, where the program has set it up."""

import subprocess
import sys

import pytest
from sandbank import AsyncClient, Client

from tests.fakes.api_server import FakeServer

opentelemetry_sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the SDK is not installed")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> object:
    """A provider that keeps the spans it is given."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def test_calls_and_streams_have_spans_and_hand_them_on(
    server: FakeServer, client: Client, spans: object
) -> None:
    """One client span per call; `traceparent` names it; a failed one says so."""
    session = client.session()
    session.execute("1+1").result()
    assert "traceparent" in server.metadata[-1]
    finished = spans.get_finished_spans()  # type: ignore[attr-defined]
    assert [span.name for span in finished] == [
        "sandbank.v1.SessionService/CreateSession",
        "sandbank.v1.ExecutionService/Execute",
    ]
    assert format(finished[-1].context.span_id, "016x") in server.metadata[-1]["traceparent"]
    with pytest.raises(Exception, match="NOT_FOUND"):
        client.get_session("none")
    failed = spans.get_finished_spans()[-1]  # type: ignore[attr-defined]
    assert (failed.status.is_ok, failed.status.description) == (False, "SessionNotFound")


async def test_async_calls_have_spans_alike(
    server: FakeServer, async_client: AsyncClient, spans: object
) -> None:
    """The same, without making the span current in the caller's context."""
    async with async_client.session() as session:
        await session.run("1+1")
    assert "traceparent" in server.metadata[-1]
    assert len(spans.get_finished_spans()) == 3  # type: ignore[attr-defined]


def test_without_a_provider_nothing_is_sent_or_imported(server: FakeServer, client: Client) -> None:
    """Off by default, and then free of cost."""
    client.info()
    assert "traceparent" not in server.metadata[-1]
    code = "import sys, sandbank; sandbank.Client; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
