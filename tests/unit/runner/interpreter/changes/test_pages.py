"""What the kernel tells of untouched memory: it spares the reading, and is believed only where it is proof."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank_runner.interpreter.changes import pages

from tests.unit.runner.interpreter.changes.observing import COULD_NOT, brief, execute, forget
from tests.unit.runner.interpreter.harness import Interpreter, Template
from tests.unit.runner.interpreter.snapshots.harness import Refused, Timeline

CHUNK = 1 << 16
BUFFERS = "__import__('sys').modules['sandbank_runner.interpreter.changes.buffers']"
COUNT = f"""
import sandbank_runner.interpreter.changes.buffers as _buffers
def _counting(data, digest=_buffers.digest, module=_buffers):
    if memoryview(data).nbytes == {CHUNK}:
        module.count += {CHUNK}
    return digest(data)
_buffers.digest, _buffers.count = _counting, 0
"""
ARRAY = "import numpy as np; x = np.arange(1_000_000)"
"""Of 8 MB."""
EDGES = 2 * CHUNK
"""What lies on the first and the last page of an array beside it may have been written to."""


class Watched:
    """An interpreter with snapshots, of which it is known how much memory its reports read."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.timeline = Timeline(interpreter)
        self.interpreter = interpreter
        execute(interpreter, COUNT, report=False)

    def begin(self, code: str) -> None:
        """Begin anew, with what ``code`` makes, and a snapshot."""
        self.timeline.close()
        forget(self.interpreter)
        self.report(code)
        self.timeline.snapshot()

    def report(self, code: str) -> str:
        """Return the changes that an operation reports, in brief."""
        return brief(execute(self.interpreter, code, report=True).header["changes"])

    def spares(self, code: str, changes: str, chunks: int = 0) -> bool:
        """Tell whether an operation reports these changes, and to find them reads few chunks."""
        found, size = self.read(code)
        assert found == changes
        return chunks * CHUNK <= size <= chunks * CHUNK + EDGES

    def read(self, code: str) -> tuple[str, int]:
        """Return the changes, and how many bytes of large buffers were read to find them."""
        found = self.report(f"{BUFFERS}.before = {BUFFERS}.count\n{code}")
        done = execute(self.interpreter, f"{BUFFERS}.count - {BUFFERS}.before", report=True)
        return found, int(done.text or "")


@pytest.fixture(scope="module")
def served(rich_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One interpreter for all cases."""
    interpreter = Interpreter(rich_template, tmp_path_factory.mktemp("workspace"))
    yield Watched(interpreter)
    interpreter.close()


@pytest.fixture
def watched(served: Watched) -> Iterator[Watched]:
    """The interpreter; snapshots end with the test."""
    yield served
    served.timeline.close()


@pytest.fixture
def own(rich_template: Template, tmp_path: Path) -> Iterator[Watched]:
    """An interpreter of the test's own, for what leaves something behind."""
    interpreter = Interpreter(rich_template, tmp_path)
    made = Watched(interpreter)
    yield made
    made.timeline.close()
    interpreter.close()


def test_what_a_snapshot_shows_to_be_untouched_is_not_read(watched: Watched) -> None:
    """Nor does the report take anything for changed."""
    watched.begin(ARRAY)
    assert watched.spares("1 + 1", "")
    assert watched.spares("x.sum()", "")


def test_one_element_costs_one_chunk(watched: Watched) -> None:
    """Read again as long as nothing is shared anew."""
    watched.begin(ARRAY)
    assert watched.spares("x[505_000] = 7", "~x", 1)
    assert watched.spares("x[505_000] = 7", "", 1)
    watched.timeline.snapshot()
    assert watched.spares("1 + 1", "")
    assert watched.spares("x[100_000] = x[900_000] = 7", "~x", 2)


def test_what_is_glanced_at_is_spared_and_found_alike(watched: Watched) -> None:
    """A table and an array that did not change for a while: the kernel is asked of their memory as before."""
    names = ", ".join(f"z{number}" for number in range(9))
    watched.begin(
        f"import os, signal, numpy as np, pandas as pd; {names} = range(9)\n"
        "x = np.arange(1_000_000); t = pd.DataFrame({'a': np.arange(500_000), 'b': np.ones(500_000)})"
    )
    for _ in range(4):
        assert watched.report("1 + 1") == ""
    watched.timeline.snapshot()
    edges = 3 * EDGES
    found, size = watched.read("1 + 1")
    assert (found, size <= edges) == ("", True)
    found, size = watched.read("x[505_000] = 7")
    assert (found, CHUNK <= size <= CHUNK + edges) == ("~x", True)
    for _ in range(5):
        assert watched.report("1 + 1") == ""
    assert watched.report("t.loc[400_000, 'a'] = 7") == "~t"
    for _ in range(5):
        assert watched.report("1 + 1") == ""
    code = "x[3] = 33; child = os.fork()\nif not child:\n    while True: signal.pause()"
    assert watched.report(code) == "+child ~x"
    assert watched.report("os.kill(child, signal.SIGKILL); os.waitpid(child, 0); t.loc[4, 'b'] = 55") == "~t"


def test_without_a_snapshot_all_is_read(watched: Watched) -> None:
    """There is no evidence then."""
    watched.begin(ARRAY)
    watched.timeline.close()
    found, size = watched.read("1 + 1")
    assert found == ""
    assert size > 7_900_000


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_several_snapshots_and_dead_ones(watched: Watched, order: tuple[int, ...]) -> None:
    """Whichever of them a page is shared with, and whichever is gone: each change is told, once."""
    watched.begin("import numpy as np; x = np.zeros(1_000_000); y = bytearray(1_000_000)")
    taken = []
    for number in range(3):
        assert watched.report(f"x[{number} * 200_000] = 1; y[0] = {number} + 1") == "~x ~y"
        taken.append(watched.timeline.snapshot())
        assert watched.report("1 + 1") == ""
    for number in order:
        watched.timeline.drop(taken[number])
        assert watched.report("1 + 1") == ""
        assert watched.report(f"x[{number}] -= 1") == "~x"
        assert watched.report("y[-1] += 1") == "~y"


def test_after_a_rollback_it_is_another_process(own: Watched) -> None:
    """Its own pages are asked about, and what was looked at before the snapshot is what it begins with."""
    own.begin(ARRAY)
    snapshot = own.timeline.snapshot()
    assert own.report("x[1] = 5") == "~x"
    own.timeline.rollback(snapshot)
    assert own.report("1 + 1") == ""
    assert own.report("x[1] = 5") == "~x"
    own.timeline.snapshot()
    assert own.spares("1 + 1", "")
    assert own.spares("x[1] = 6", "~x", 1)


def test_a_child_of_the_users_does_not_hide_what_was_written_before_it(watched: Watched) -> None:
    """Pages that the operation wrote are shared with the child: the canary, too, so nothing is believed."""
    watched.begin(f"import os, signal; {ARRAY}")
    code = "x[3] = 33; child = os.fork()\nif not child:\n    while True: signal.pause()"
    assert watched.report(code) == "+child ~x"
    assert watched.spares("1 + 1", ""), "what the child shares now is evidence again"
    assert watched.report("x[4] = 44") == "~x"
    assert watched.report("os.kill(child, signal.SIGKILL); os.waitpid(child, 0); x[5] = 55") == "~x"
    assert watched.report("1 + 1") == ""


def test_a_child_that_writes_changes_nothing(watched: Watched) -> None:
    """Its memory is its own."""
    watched.begin(f"import os; {ARRAY}")
    code = "pid = os.fork()\nif not pid:\n    x[:] = 0; os._exit(0)\nos.waitpid(pid, 0); del pid"
    assert watched.report(code) == ""


def test_a_thread_that_writes_between_operations_is_found(own: Watched) -> None:
    """Its writes come after the last look and before the snapshot: nothing is believed where there was a thread."""
    own.begin(f"import os, threading; {ARRAY}; os.mkfifo('go')")
    assert (
        own.report(
            "def late():\n    open('go').read(); x[7] = 77\nt = threading.Thread(target=late); t.start()"
        )
        == "+late +t"
    )
    (own.interpreter.workspace / "go").write_text("now")
    while True:
        try:
            own.timeline.snapshot()
        except Refused:
            continue
        break
    assert "~x" in own.report("1 + 1").split()
    assert own.report("1 + 1") == ""


def test_a_finalizer_between_operations_does_not_hide(own: Watched) -> None:
    """What a collection between two operations would write is told by the one before or the one after it."""
    own.begin(ARRAY)
    code = """
import gc
class Late:
    def __del__(self): x[9] = 99
gc.collect(); gc.disable()
for z in range(5_000): globals()[f'z{z}'] = [z]
gc.collect(0); gc.set_threshold(2_500)
late = Late(); late.self = late; del late
gc.enable()
"""  # what a report remembers of the 5,000 is what makes a collection due
    first = own.report(code).split()
    own.timeline.snapshot()
    second = own.report("gc.set_threshold(700); gc.collect()").split()
    assert [*first, *second].count("~x") == 1
    assert first.count("~x") == 0, "or this test tests nothing"


def test_shared_memory_is_always_compared(watched: Watched) -> None:
    """Another process writes to it, and no page of ours tells."""
    watched.begin("import mmap, os, numpy as np; m = mmap.mmap(-1, 1_000_000); x = np.frombuffer(m, 'u1')")
    code = "pid = os.fork()\nif not pid:\n    x[5] = 5; os._exit(0)\nos.waitpid(pid, 0); del pid"
    assert watched.report(code) == "~m ~x"
    assert watched.report("1 + 1") == ""


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_a_mapping_of_a_file_is_always_compared(own: Watched, mode: str) -> None:
    """The file changes under it, whether or not what we write would go there."""
    path = own.interpreter.workspace / "numbers"
    path.write_bytes(bytes(1_000_000))
    own.begin(f"import numpy as np; x = np.memmap('numbers', 'u1', {mode!r}); y = np.asarray(x)")
    assert own.report("1 + 1") == ""
    with path.open("r+b") as file:
        file.seek(700_000)
        file.write(b"changed")
    assert own.report("1 + 1") == "~x ~y"
    own.timeline.close()


def test_mmap_objects_are_always_compared(watched: Watched) -> None:
    """Memory that is given back looks untouched, and reads as zeros."""
    flags = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"
    watched.begin(
        f"import mmap; m = mmap.mmap(-1, 1_000_000, flags={flags}); m.write(b'x' * 1_000_000); m.seek(0)"
    )
    assert watched.report("m[500_000]") == ""
    assert watched.report("m.madvise(mmap.MADV_DONTNEED); m[500_000]") == "~m"


@pytest.mark.parametrize("at", [0, 15, 7])
def test_memory_given_back_and_read_again_has_no_witness(watched: Watched, at: int) -> None:
    """It is all zeros, of the kernel's one page of them, which looks as shared as any."""
    watched.begin("import ctypes, mmap; x = bytearray(b'x' * 4_000_000)")
    code = f"""
view = (ctypes.c_char * len(x)).from_buffer(x)
start = ctypes.addressof(view) + 1_000_000 + {CHUNK}
address = start - (start - ctypes.addressof(view)) % {CHUNK}
address += -address % 4096
ctypes.CDLL(None).madvise(ctypes.c_void_p(address + {at} * 4096), 16 * 4096, 4)
view.raw.count(b'x'); del view, start, address
"""
    assert watched.report(code) == "~x"


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (
            "x = list(map(str, range(50_000)))",
            ["x[40_000] = 'new'", "x.append('more')", "x[0], x[1] = x[1], x[0]", "x.sort()", "x.pop(7)"],
        ),
        (
            "x = {f'k{n}': n * 1000 for n in range(50_000)}",
            [
                "x['k5'] = 5",
                "x['new'] = 1",
                "del x['k77']",
                "x['k9'] = float(x['k9'])",
                "x['k3'] = x.pop('k3')",
            ],
        ),
        (
            "x = {n * 1000: str(n) for n in range(50_000)}",
            ["x[5000] = 'five'", "x[1] = ''", "del x[77000]", "x.clear()"],
        ),
        ("x = set(map(str, range(50_000)))", ["x.add('new')", "x.discard('7')", "x ^= {'8', 'other'}"]),
        ("x = tuple(map(str, range(50_000)))", ["x = x[:-1] + ('other',)", "x = x[1:]"]),
    ],
    ids=["list", "dict of strings", "dict of numbers", "set", "tuple"],
)
def test_a_large_container_of_atoms_is_known_by_its_table(
    watched: Watched, make: str, changes: list[str]
) -> None:
    """Untouched it is not looked into; each change is told, and told once."""
    watched.begin(make)
    assert "~x" not in watched.report("import gc")
    for code in changes:
        assert watched.report(code) == "~x", code
        assert watched.report("1 + 1") == "", code
        watched.timeline.snapshot()
        assert watched.report("len(x)") == "", code
    assert watched.report("x = type(x)(x)") == ""


def test_a_large_list_of_lists_is_looked_into(watched: Watched) -> None:
    """Its table says nothing of what its items hold."""
    watched.begin("x = [[n] for n in range(20_000)]")
    assert watched.report("x[15_000].append(1)") == "~x"
    assert watched.report("1 + 1") == ""


def test_memory_of_a_library_is_never_believed(watched: Watched) -> None:
    """Nobody can list it: each report says that it could not be compared."""
    watched.begin("import zlib; packer = zlib.compressobj()")
    found = execute(watched.interpreter, "1 + 1", report=True).header["changes"]
    assert brief(found) == "~packer"
    assert COULD_NOT in found[0]["detail"]


def _pagemap(path: Path, **bytes_at: int) -> bytes:
    """Make a page map as another kernel would show it: the high byte of the canary's page, and of all other pages."""
    canary, others = bytes_at["canary"], bytes_at["others"]
    with path.open("wb") as file:
        first = pages._canary // pages.PAGE_BYTES
        file.seek((first - 8) * 8)
        file.write((bytes(7) + bytes([others])) * 17)
        file.seek(first * 8)
        file.write(bytes(7) + bytes([canary]))
    return os.fsencode(path)


@pytest.mark.parametrize(
    ("canary", "others", "believed", "clean"),
    [
        (0x81, 0x80, True, True),
        (0x80, 0x80, False, False),  # a kernel without the bit
        (0x00, 0x00, False, False),  # one that hides all
        (0x81, 0x81, True, False),
        (0x81, 0x00, True, False),  # not present
        (0x81, 0x40, True, False),  # swapped
        (0x81, 0xA0, True, False),  # of a file, or shared
        (0x81, 0x82, True, False),  # write-protected by a user of userfaultfd
        (0x81, 0x84, True, False),  # a guard
    ],
)
def test_what_counts_as_untouched(
    tmp_path: Path, canary: int, others: int, believed: bool, clean: bool
) -> None:
    """Present, shared, and nothing else; if the canary is not."""
    made = pages.Pages(usable=True, pagemap=_pagemap(tmp_path / "pagemap", canary=canary, others=others))
    try:
        assert made.are_believed is believed
        address = pages._canary + pages.PAGE_BYTES + 100
        size = pages.PAGE_BYTES * 2
        if believed:
            assert made.doubtful(address, size) == ([] if clean else [(0, size)])
    finally:
        made.close()


def test_a_page_map_that_cannot_be_read_is_no_evidence(tmp_path: Path) -> None:
    """Missing, empty, or not to be asked."""
    assert not pages.Pages(usable=True, pagemap=os.fsencode(tmp_path / "none")).are_believed
    (tmp_path / "empty").touch()
    empty = pages.Pages(usable=True, pagemap=os.fsencode(tmp_path / "empty"))
    assert not empty.are_believed
    empty.close()
    assert not pages.Pages(usable=False).are_believed


def test_the_parts_that_are_in_doubt_are_told_by_where_they_are() -> None:
    """Of a process with a fork of it: the pages that were written since."""
    size = 64 * pages.PAGE_BYTES
    memory = bytearray(b"x" * (size + pages.PAGE_BYTES))
    view = (ctypes.c_char * len(memory)).from_buffer(memory)
    address = ctypes.addressof(view)
    address += -address % pages.PAGE_BYTES
    offset = address - ctypes.addressof(view)
    ready, end = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.write(ready[1], b"x")
        os.close(end[1])
        os.read(end[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    pages.mark()
    memory[offset + 3 * pages.PAGE_BYTES] = memory[offset + 5 * pages.PAGE_BYTES] = 1
    memory[offset + size - 1] = 1
    made = pages.Pages(usable=True)
    try:
        assert made.are_believed
        page = pages.PAGE_BYTES
        assert made.doubtful(address, size) == [
            (3 * page, 4 * page), (5 * page, 6 * page), (63 * page, size),
        ]  # fmt: skip
        assert made.doubtful(address + 100, size - 200) == [
            (3 * page - 100, 4 * page - 100), (5 * page - 100, 6 * page - 100), (63 * page - 100, size - 200),
        ]  # fmt: skip
    finally:
        made.close()
        os.close(end[1])
        os.close(end[0])
        os.close(ready[0])
        os.close(ready[1])
        os.waitpid(pid, 0)
