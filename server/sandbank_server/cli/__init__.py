"""The server's commands: `sandbank serve | config | drain | health | templates`."""

from __future__ import annotations

from sandbank_server.cli.main import app

__all__ = ["app"]
