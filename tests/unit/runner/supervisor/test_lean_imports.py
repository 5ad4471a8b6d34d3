"""What the supervisor does without."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys
from sandbank_runner.supervisor import __main__
from sandbank_runner.supervisor.lean_imports import keep_out
keep_out()
import asyncio
async def nothing():
    asyncio.get_running_loop().add_signal_handler(15, print)
asyncio.run(nothing())
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
    "ast",
    "dis",
    "docker",
    "google.protobuf.internal.decoder",
    "google.protobuf.text_format",
    "grpc",
    "hashlib",
    "locale",
    "multiprocessing",
    "numpy",
    "platform",
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


ASK = """
from sandbank_runner.supervisor import stand_ins
stand_ins.install()
import inspect, subprocess, traceback
try:
    1 / 0
except ZeroDivisionError as error:
    assert traceback.format_exception(error)[-1].startswith("ZeroDivisionError")
assert traceback.extract_stack()[-1].name == "<module>"
assert inspect.getsource(inspect.signature)
assert subprocess.run(["true"]).returncode == 0
assert (subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT) == (-3, -1, -2)
async def coroutine(): ...
for ask in inspect.iscoroutinefunction, stand_ins.import_itself("inspect").iscoroutinefunction:
    assert ask(coroutine) and not ask(print) and not ask(stand_ins.install)
import importlib, sys
assert importlib.import_module("traceback").print_exc and "linecache" in sys.modules
"""


def test_who_asks_a_stand_in_for_more_gets_the_module_itself():
    """An error of the supervisor is told with its traceback, whatever was left out until then."""
    subprocess.run([sys.executable, "-c", ASK], check=True)
