"""What the template does so that forks copy little."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNTED = sys.version_info < (3, 12)
"""No object of this Python is immortal."""

KEEP = """
import gc, json, os, sys
from sandbank_runner.template.sharing import keep_shared
held = ["a list", {"with": ("a", "tuple")}]
done = keep_shared()
immortal = sys.getrefcount(None)
for each in json, vars(json), json.dumps, json.dumps.__code__, json.dumps.__code__.co_names, held, held[1]["with"]:
    assert (sys.getrefcount(each) == immortal) == bool(done), each
assert sys.getrefcount([]) < 10 and sys.getrefcount(object()) < 10
import decimal, dataclasses
assert sys.getrefcount(decimal) < 1000
held.append(decimal); held.clear(); del held
more = [json.dumps] * 100_000
del more
gc.unfreeze(); gc.collect()
assert json.loads(json.dumps({"a": [1, None]})) == {"a": [1, None]}
pid = os.fork()
if pid == 0:
    os._exit(json.loads("7"))
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
print(done)
"""


def test_what_the_template_has_imported_is_never_counted_again():
    """All that there was then is immortal, what comes later is not; everything goes on working, a collection too."""
    told = subprocess.run([sys.executable, "-c", KEEP], capture_output=True, text=True, check=True)
    assert (int(told.stdout) == 0) == COUNTED


FORK = """
import gc, json, os, sys
import sandbank_runner.interpreter
from sandbank_runner.template.preload import freeze
from sandbank_runner.template.sharing import keep_shared
if sys.argv[1] == "shared":
    keep_shared()
freeze()
told, tell = os.pipe()
def dirty():
    with open("/proc/self/smaps_rollup", "rb") as file:
        return int(file.read().split(b"Private_Dirty:")[1].split()[0])
if os.fork() == 0:
    before = dirty()
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            pass
    os.write(tell, b"%d" % (dirty() - before))
    os._exit(0)
os.wait()
print(os.read(told, 100).decode())
"""


@pytest.mark.skipif(COUNTED, reason="this Python counts the references to every object")
def test_a_fork_that_looks_at_what_is_shared_copies_next_to_nothing():
    """To look at each name of each module copies less than a third of the pages that it does where all is counted."""
    copied = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FORK, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("counted", "shared")
    }
    assert copied["shared"] * 3 < copied["counted"]
