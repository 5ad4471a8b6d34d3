"""What the supervisor does without."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys
from sandbank_runner.supervisor.lean_imports import keep_out
keep_out()
from sandbank_runner.supervisor import app
from sandbank.v1.execution_pb2 import Operation, OperationEvent
event = OperationEvent(session_id="s", time={"seconds": 5})
event.finished.operation.result["a"] = b"b"
event.finished.operation.usage.wall_time.FromNanoseconds(1_500_000_000)
assert OperationEvent.FromString(event.SerializeToString()) == event
assert event.finished.operation.usage.wall_time.seconds == 1
print("hello" in repr(event), *sorted(sys.modules))
"""

UNWANTED = {
    "IPython",
    "_ssl",
    "docker",
    "google.protobuf.internal.decoder",
    "google.protobuf.text_format",
    "grpc",
    "hashlib",
    "multiprocessing",
    "numpy",
    "sandbank_runner.files.gateway",
    "sandbank_runner.interpreter",
    "uvloop",
}


def test_the_supervisor_imports_nothing_that_it_does_not_use():
    """Each would cost memory in every sandbox; and the messages work all the same."""
    told = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    imported = set(told.stdout.split())
    assert "google._upb._message" in imported
    assert imported & UNWANTED == set()
