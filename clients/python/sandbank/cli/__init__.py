"""The command line: `sandbank …`.

Exit codes: 0 all went well; 1 the code failed; 2 wrong usage, or a local file that cannot be read or written;
3 the server refused or could not be reached; 130 interrupted.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the console script."""
    import gc  # noqa: PLC0415 - this package is imported by whoever imports a part of it
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    # grpc reads it when it is imported, and the server is one of the commands. Otherwise sockets are read by threads of
    # their own, that then wake the one that waits: two changes of thread more for each message.
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client")
    # What imports make stays: the collector would walk all of it again and again, and find nothing.
    gc.disable()
    from sandbank.cli.app import build_app  # noqa: PLC0415 - rich and typer are slow to import

    app = build_app(sys.argv[1:])
    gc.freeze()
    gc.enable()
    app(prog_name="sandbank")
