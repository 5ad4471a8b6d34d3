"""What a restore brought back, and what not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sandbank.v1 import checkpoint_pb2

from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.runners.checks import line_of

_REASON_CHARACTERS: Final = 500


def report_of(manifest: Manifest, loaded: Mapping[str, Any], seconds: float) -> checkpoint_pb2.RestoreReport:
    """Return what came back and what did not. ``loaded`` comes from a sandbox: only names of the manifest count."""
    said = loaded.get("lost")
    lost = {
        str(each.get("name")): line_of(str(each.get("reason")), _REASON_CHARACTERS)
        for each in (said if isinstance(said, list) else [])
        if isinstance(each, dict)
    }
    report = checkpoint_pb2.RestoreReport()
    for variable in manifest.variables():
        if variable.name in lost and variable.fidelity != checkpoint_pb2.FIDELITY_LOST:
            variable.fidelity = checkpoint_pb2.FIDELITY_LOST
            variable.reason = lost[variable.name]
        if variable.fidelity == checkpoint_pb2.FIDELITY_LOST:
            report.lost.append(variable)
        elif variable.fidelity == checkpoint_pb2.FIDELITY_RECOMPUTED:
            report.recomputed.append(variable)
        else:
            report.restored_count += 1
    report.lost_files.extend(
        each for each in manifest.file_messages() if each.fidelity == checkpoint_pb2.FIDELITY_LOST
    )
    report.wall_time.FromMicroseconds(int(seconds * 1e6))
    return report
