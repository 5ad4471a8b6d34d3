"""`sandbank serve`."""

from __future__ import annotations

import gc

import structlog

from sandbank_server.cli.options import fail
from sandbank_server.configuration.loading import Loaded
from sandbank_server.observability.logs import configure_logs


def serve(loaded: Loaded) -> None:
    """Serve the API in the foreground, until SIGTERM or Ctrl-C.

    It listens at once, also while images are still being built. At the end the sandboxes of sessions run
    on, for the next start to take over; `sandbank drain --end` ends them too.
    """
    settings = loaded.settings
    configure_logs(settings.log_level, settings.log_format)
    log = structlog.get_logger("sandbank.serve")
    if loaded.file is not None:
        log.debug("settings", file=str(loaded.file))
    for name in loaded.unknown_variables:
        log.warning("a variable is no setting, and ignored", variable=name)
    # Late: everything that the server needs takes a while to import, and mistakes in settings should show
    # at once. Off until it serves: the collector finds nothing in what is imported and set up.
    gc.disable()
    from sandbank_server.app import run  # noqa: PLC0415
    from sandbank_server.catalog.base import CatalogError  # noqa: PLC0415
    from sandbank_server.instance import InstanceError  # noqa: PLC0415
    from sandbank_server.listen import ListenError  # noqa: PLC0415
    from sandbank_server.runtimes.base import RuntimeUnavailable  # noqa: PLC0415
    from sandbank_server.templates.errors import TemplateError  # noqa: PLC0415

    try:
        run(settings)
    except (CatalogError, InstanceError, ListenError, RuntimeUnavailable, TemplateError) as error:
        raise fail(str(error)) from None
