"""The environment of the template, and of the user code that inherits it."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from sandbank_runner.supervisor.config import SandboxConfig

SANDBOX_VARIABLE = "SANDBANK_SANDBOX_ID"
"""Tells which sandbox a process belongs to; local mode finds by it what outlived its supervisor."""

_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "MPLCONFIGDIR", "MPLBACKEND", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
"""What an image may set for all that runs in it. Everything else of the supervisor's environment stays
behind: in local mode it is somebody's shell."""

_ONE_THREAD = (
    "BLIS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_MAX_THREADS", "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip
"""Numeric libraries compute in the calling thread: a process with more than one can be neither forked nor
snapshot."""


def user_environment(config: SandboxConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of user code; the template's own settings win."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    environment.update((name, inherited[name]) for name in _PASSED if name in inherited)
    environment.update(dict.fromkeys(_ONE_THREAD, "1"))
    environment.update(
        HOME=config.workspace,
        JE_ARROW_MALLOC_CONF="background_thread:false",  # importing pyarrow would start a thread otherwise
        LOGNAME="sandbox",
        PYTHONHASHSEED="0",  # the order of sets is part of a session's state
        SHELL="/bin/sh",
        TMPDIR=config.temporary,
        TOKENIZERS_PARALLELISM="false",
        USER="sandbox",
        XDG_CACHE_HOME=f"{config.temporary}/.cache",
    )
    environment.setdefault("MPLCONFIGDIR", f"{config.temporary}/.cache/matplotlib")
    environment.update(config.environment)
    environment[SANDBOX_VARIABLE] = config.sandbox_id
    return environment


_PYTHON_PATH, _NO_USER_SITE = "PYTHONPATH", "PYTHONNOUSERSITE"


def execution_environment(config: SandboxConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what the template is executed with: user code's, and where Python finds the runner.

    Packages below HOME are left out: that is the workspace, and the template still has privileges when it starts.
    """
    environment = user_environment(config, inherited)
    lists = (source.get(_PYTHON_PATH, "").split(os.pathsep) for source in (inherited, environment))
    # Absolute: the template starts in the root directory.
    paths = dict.fromkeys(os.path.abspath(path) for paths in lists for path in paths if path)
    if paths:
        environment[_PYTHON_PATH] = os.pathsep.join(paths)
    environment[_NO_USER_SITE] = "1"
    return environment


def settle(config: SandboxConfig, environment: MutableMapping[str, str]) -> None:
    """Turn the environment that the template was executed with into that of user code."""
    for name in (_PYTHON_PATH, _NO_USER_SITE):
        environment.pop(name, None)
        if name in config.environment:
            environment[name] = config.environment[name]
