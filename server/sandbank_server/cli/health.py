"""`sandbank health`: for container health checks and scripts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sandbank_server.cli.options import fail, load_or_fail
from sandbank_server.config import Settings
from sandbank_server.listen import split_address


def health(
    address: Annotated[str, typer.Option(help="HOST:PORT. [SANDBANK_ADDRESS, else the setting listen]")] = "",
    service: Annotated[str, typer.Option(help="One service; all of the server if empty.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 5.0,
    ca: Annotated[
        Path | None, typer.Option(help="The certificate to trust, PEM; with it TLS is spoken.")
    ] = None,
) -> None:
    """Ask a server whether it serves: exit code 0 if so, 1 if not or if it does not answer."""
    import grpc  # noqa: PLC0415 - slow to import
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    settings = load_or_fail().settings
    address = address or os.environ.get("SANDBANK_ADDRESS", "") or reachable(settings)
    trust = ca or settings.tls_certificate
    try:
        channel = (
            grpc.insecure_channel(address)
            if trust is None
            else grpc.secure_channel(address, grpc.ssl_channel_credentials(trust.read_bytes()))
        )
        with channel:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}") from None
    except grpc.RpcError as error:
        raise fail(f"{address}: {error.code().name}: {error.details()}") from None
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    typer.echo(status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise typer.Exit(1)


def reachable(settings: Settings) -> str:
    """Return an address to reach a server at that listens as the settings say, from the same machine."""
    host, port = split_address(settings.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
