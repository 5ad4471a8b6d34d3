"""TLS, from the settings to the clients, with certificates of a real authority."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank import Client, RetryPolicy, Unavailable

from tests.certificates import Authority
from tests.server_process import SANDBANK, ServerProcess, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the server's certificate comes from."""
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A control plane that speaks TLS."""
    pair = authority.sign("server")
    options = ("--min-ready", "slim=1,data=0", "--tls-certificate", str(pair.certificate))
    process = ServerProcess(
        "local", tmp_path_factory.mktemp("server"), (*options, "--tls-key", str(pair.key))
    )
    with serving(process):
        yield process


def sandbank(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBANK_")}
    command = [SANDBANK, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_code_runs_over_tls(server: ServerProcess, authority: Authority) -> None:
    """The client names whom it trusts, and streams come through as they do without."""
    roots = authority.root.read_bytes()
    with (
        Client(server.address, root_certificates=roots) as client,
        client.session(template="slim") as session,
    ):
        result = session.run("print('over TLS'); 6 * 7")
        assert (result.stdout, result.text) == ("over TLS\n", "42")


def test_the_command_line_speaks_tls(server: ServerProcess, authority: Authority) -> None:
    """`exec` as a user types it, and `health` as a healthcheck does."""
    roots = str(authority.root)
    ran = sandbank("exec", "--address", server.address, "--root-certificates", roots, "6 * 7")
    assert (ran.returncode, ran.stdout) == (0, "42\n"), ran.stderr
    told = sandbank("health", "--address", server.address, "--ca", roots)
    assert (told.returncode, told.stdout) == (0, "SERVING\n"), told.stderr


def test_who_does_not_trust_the_authority_is_not_served(server: ServerProcess, tmp_path: Path) -> None:
    """Neither with another root, nor without TLS: the call fails, and says it could not connect."""
    stranger = Authority(tmp_path, "stranger").root
    for fields in ({"root_certificates": stranger.read_bytes()}, {}):
        # It looks like a server that is just being restarted, for which a client otherwise waits.
        impatient = Client(server.address, retry=RetryPolicy(budget=0), **fields)
        with impatient as client, pytest.raises(Unavailable):
            client.info()
    refused = sandbank("health", "--address", server.address, "--ca", str(stranger))
    assert refused.returncode == 1
    assert "UNAVAILABLE" in refused.stderr
