"""Sandboxes as processes of the control plane's own user: for development, they isolate nothing."""

from sandbank_server.runtimes.local.runtime import LocalRuntime
from sandbank_server.runtimes.local.settings import LocalSettings

__all__ = ["LocalRuntime", "LocalSettings"]
