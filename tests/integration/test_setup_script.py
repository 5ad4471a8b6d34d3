"""scripts/setup: makes .venv from the locks, once, and says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the script looks at, with nothing set up in it."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("scripts", "requirements", "clients/python", "worker_image", "server"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name, ignore=ignore)
    return tmp_path / "checkout"


def run(checkout, *words, **environment):
    """Run the script with a home of its own, and pip's and TLS' settings of this machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_", "UV_INDEX", "UV_DEFAULT"))
    }
    return subprocess.run(
        [checkout / "scripts/setup", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(checkout.parent / "home"), **kept, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_wrong_use_shows_the_manual(checkout):
    """Exit code 2."""
    result = run(checkout, "--fast")
    assert result.returncode == 2
    assert "scripts/setup --force" in result.stderr


def test_a_python_that_is_none_is_named(checkout):
    """Exit code 3, and nothing is made."""
    result = run(checkout, SANDBANK_PYTHON="/bin/sh")
    assert result.returncode == 3
    assert "SANDBANK_PYTHON is /bin/sh, which is no Python 3.11 or newer" in result.stderr
    assert not (checkout / ".venv/bin").exists()


@pytest.mark.long
def test_the_environment_is_made_once_and_follows_the_locks(checkout):
    """A second run changes nothing and takes no time; a changed lock is noticed."""
    first = run(checkout, SANDBANK_PYTHON=sys.executable)
    assert first.returncode == 0, first.stderr
    python = checkout / ".venv/bin/python"
    script = "import sandbank, sandbank_runner, sandbank_server; print(sandbank_server.__file__)"
    found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout.startswith(f"{checkout}/server/")

    started = time.monotonic()
    second = run(checkout, SANDBANK_PYTHON=sys.executable)
    assert (second.returncode, second.stderr) == (0, "")
    assert time.monotonic() - started < 1

    lock = checkout / "requirements/dev.txt"
    lock.write_text(lock.read_text().replace("--hash=sha256:", "--hash=sha256:0", 1))
    third = run(checkout, SANDBANK_PYTHON=sys.executable)
    assert third.returncode == 4
    assert "failed: installing the locked dependencies" in third.stderr


def test_a_python_without_its_venv_module_is_named(checkout):
    """Only a distribution's Python gets the module as a package; for another one it is said what to do."""
    pretend = checkout.parent / "python3"
    pretend.write_text(
        "#!/bin/sh\n"
        'case "$*" in *ensurepip*) exit 1;; *sys.executable*) echo "$0";; '
        f'*) exec {sys.executable} "$@";; esac\n'
    )
    pretend.chmod(0o755)
    result = run(checkout, SANDBANK_PYTHON=str(pretend))
    assert result.returncode == 3
    assert f"{pretend} has no venv module" in result.stderr


def test_without_root_the_packages_are_named():
    """Nothing is tried that cannot work: the command to run is printed."""
    prefix = ["setpriv", "--reuid=12345", "--clear-groups"] if os.geteuid() == 0 else []
    script = (ROOT / "scripts/apt-install").read_text()
    result = subprocess.run(
        [*prefix, "bash", "-s", "setup: no venv", "python3.11-venv", "make"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3
    assert "python3.11-venv make" in result.stderr
