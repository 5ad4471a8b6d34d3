"""Event loops, pools of threads and processes, numeric libraries: used before a thaw and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.snapshots.harness import Timeline


def thaw(timeline: Timeline, between: str = "pass") -> None:
    """Go back to now, after running something; nothing is lost by it."""
    snapshot = timeline.snapshot()
    timeline.ok(between)
    awake = timeline.rollback(snapshot)
    assert awake["warnings"] == []


# asyncio.


def test_tasks_of_the_session_go_on(timeline: Timeline) -> None:
    """Each is where it was at the snapshot; timers of the loop too."""
    timeline.ok(
        "import asyncio\nseen = []\nasync def count():\n    for n in range(10**9):\n        seen.append(n)\n"
        "        await asyncio.sleep(0.001)\nt = asyncio.create_task(count())\nawait asyncio.sleep(0.01)"
    )
    before = timeline.value("seen")
    thaw(timeline, "await asyncio.sleep(0.05)")
    assert timeline.value("seen") == before
    timeline.ok("await asyncio.sleep(0.02)")
    assert timeline.value("seen") == list(range(timeline.value("len(seen)")))
    assert timeline.value("len(seen)") > len(before)


def test_the_loop_can_be_woken_from_elsewhere(timeline: Timeline) -> None:
    """The pair of sockets by which it wakes itself is kept, and is no loss."""
    wake = (
        "import asyncio, threading\nf = asyncio.get_running_loop().create_future()\n"
        "call = asyncio.get_running_loop().call_soon_threadsafe\n"
        "t = threading.Thread(target=lambda: call(f.set_result, 1)); t.start()\nr = await f\nt.join()\nr"
    )
    assert timeline.ok(wake).text == "1"
    for _ in range(2):
        thaw(timeline, wake)
        assert timeline.ok(wake).text == "1"


def test_the_loop_sleeps_after_a_thaw(timeline: Timeline) -> None:
    """One whose own pair were at its end would be woken by it without end."""
    timeline.ok("import asyncio, time\nawait asyncio.sleep(0)")
    thaw(timeline)
    timeline.ok("c = time.process_time(); await asyncio.sleep(0.3); c = time.process_time() - c")
    assert timeline.value("c") < 0.1


def test_a_loop_of_the_users_own_sleeps_too(timeline: Timeline) -> None:
    """Also beside sockets of the user's, which are let go of."""
    timeline.ok(
        "import asyncio, socket, time\nl = asyncio.new_event_loop(); k = asyncio.new_event_loop()\n"
        "a, b = socket.socketpair()\n"
        "l.run_until_complete(asyncio.sleep(0))"
    )
    awake = timeline.rollback(timeline.snapshot())
    assert [len(warning["names"]) for warning in awake["warnings"]] == [2]
    timeline.ok(
        "c = time.process_time(); l.run_until_complete(asyncio.sleep(0.3)); c = time.process_time() - c"
    )
    assert timeline.value("c") < 0.1


def test_signal_handlers_of_the_loop_work(timeline: Timeline) -> None:
    """They are told through the loop's own pair."""
    timeline.ok(
        "import asyncio, os, signal\ngot = []\nawait asyncio.sleep(0)\n"
        "asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.append, 1)"
    )
    use = (
        "got.clear(); os.kill(os.getpid(), signal.SIGUSR1)\nfor _ in range(9): await asyncio.sleep(0.01)\ngot"
    )
    thaw(timeline, use)
    assert timeline.ok(use).text == "[1]"


def test_a_thread_of_asyncio_before_and_after(timeline: Timeline) -> None:
    """The default executor's idle threads are sent home for a snapshot and come back."""
    use = "import asyncio\nawait asyncio.to_thread(int, '7')"
    assert timeline.ok(use).text == "7"
    thaw(timeline, use)
    assert timeline.ok(use).text == "7"
    timeline.drop(timeline.snapshot())
    assert timeline.ok(use).text == "7"


def test_subprocesses_of_asyncio_before_and_after(timeline: Timeline) -> None:
    """Finished ones leave nothing behind."""
    use = (
        "import asyncio\np = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)\n"
        "r = (await p.communicate(b'x'))[0]\nr"
    )
    assert timeline.ok(use).text == "b'x'"
    thaw(timeline, use)
    assert timeline.ok(use).text == "b'x'"


def test_connections_of_asyncio_end(timeline: Timeline) -> None:
    """A server and a client of before the thaw are at their end, which asyncio sees; new ones work."""
    serve = (
        "import asyncio\nasync def echo(r, w):\n    while d := await r.read(9): w.write(d)\n    w.close()\n"
        "s = await asyncio.start_server(echo, '127.0.0.1', 0); port = s.sockets[0].getsockname()[1]\n"
        "r, w = await asyncio.open_connection('127.0.0.1', port); w.write(b'x')\nawait r.read(1)"
    )
    assert timeline.ok(serve).text == "b'x'"
    awake = timeline.rollback(timeline.snapshot())
    assert len(awake["warnings"]) == 1
    assert timeline.ok("await asyncio.wait_for(r.read(1), 9)").text == "b''"
    assert timeline.ok("s.close()\n" + serve).text == "b'x'"


def test_an_epoll_of_any_library_is_rebuilt(timeline: Timeline) -> None:
    """What the live interpreter does to its own is not the sleeper's; what was let go of is at its end there."""
    timeline.ok(
        "import os, select\nr, w = os.pipe(); e = select.epoll(); e.register(r, select.EPOLLIN)\n"
        "f = select.epoll(); f.register(e, select.EPOLLIN)"
    )
    snapshot = timeline.snapshot()
    timeline.ok("e.unregister(r); assert e.poll(0) == f.poll(0) == []")
    timeline.rollback(snapshot)
    assert timeline.value(
        "len(e.poll(0)), e.poll(0)[0][0] == r, bool(e.poll(0)[0][1] & select.EPOLLHUP)"
    ) == (1, True, True)
    assert timeline.ok("e.unregister(r); e.poll(0)").text == "[]"


def test_a_loop_of_another_make_works_before_and_after(timeline: Timeline) -> None:
    """Such as uvloop, which wakes itself by a counter and has a pipe for signals."""
    pytest.importorskip("uvloop")
    timeline.ok("import uvloop, asyncio, time\nl = uvloop.new_event_loop()")
    use = "l.run_until_complete(asyncio.sleep(0.01, 5))"
    assert timeline.ok(use).text == "5"
    timeline.rollback(timeline.snapshot())
    assert timeline.ok(use).text == "5"


# Pools of threads.

POOL = "from concurrent.futures import ThreadPoolExecutor\np = ThreadPoolExecutor(3)\n"


def test_a_pool_of_threads_before_and_after(timeline: Timeline) -> None:
    """Its idle threads are sent home for a snapshot; it is the same pool afterwards, in both interpreters."""
    timeline.ok(POOL + "list(p.map(abs, [-1, -2, -3]));")
    for _ in range(3):
        thaw(timeline, "assert list(p.map(abs, [-1, -2])) == [1, 2]")
        assert timeline.ok("list(p.map(abs, [-1, -2, -3]))").text == "[1, 2, 3]"
        timeline.drop(timeline.snapshot())
        assert timeline.ok("p.submit(len, 'abc').result()").text == "3"
    assert timeline.ok("p.shutdown(); p.submit").text is not None
    assert timeline.run("p.submit(int)").error["type_name"] == "RuntimeError"
    assert timeline.ask()["type"] == "snapshot_taken"


def test_a_pools_threads_are_prepared_anew(timeline: Timeline) -> None:
    """By its initializer, as its first ones were; their number is bounded as before."""
    timeline.ok(
        "import threading, concurrent.futures\nmine = threading.local()\ndef prepare(): mine.x = 5\n"
        "p = concurrent.futures.ThreadPoolExecutor(2, initializer=prepare)\np.submit(lambda: mine.x).result();"
    )
    thaw(timeline)
    assert timeline.ok("p.submit(lambda: mine.x).result()").text == "5"
    timeline.ok("import time; list(p.map(time.sleep, [0.01] * 8));")
    assert timeline.ok("len(p._threads)").text == "2"


def test_a_pool_at_work_is_named(timeline: Timeline) -> None:
    """A thread of it that is in user code would be missing; and a task that waits for one."""
    timeline.ok(POOL + "import threading\ne = threading.Event(); f = [p.submit(e.wait) for _ in range(5)]")
    refused = timeline.ask()
    assert (refused["reason"], sorted(refused["threads"])) == (
        "threads",
        [f"ThreadPoolExecutor-0_{n}" for n in range(3)],
    )
    assert timeline.ok("e.set(); [x.result() for x in f]").text == str([True] * 5)
    assert timeline.ask()["type"] == "snapshot_taken"


def test_a_pool_that_user_code_has_changed_is_only_named(timeline: Timeline) -> None:
    """Nothing of it is touched, and nothing of the user's called for it."""
    timeline.ok(POOL + "p.submit(int).result(); s = p._idle_semaphore; p._idle_semaphore = lambda: None")
    assert timeline.ask()["reason"] == "threads"
    timeline.ok("p._idle_semaphore = s; assert p.submit(int).result() == 0")
    assert timeline.ask()["type"] == "snapshot_taken"


def test_the_monitor_of_progress_bars_goes_home(timeline: Timeline) -> None:
    """The thread that the first one starts would stay for ever; its lock between processes is named."""
    use = "from tqdm import tqdm\nimport threading\nfor _ in tqdm(range(3)): pass\nlen(threading.enumerate())"
    assert timeline.ok(use).text == "2"
    snapshot = timeline.snapshot()
    assert timeline.ok(use).text == "2"
    awake = timeline.rollback(snapshot)
    named = [name for warning in awake["warnings"] for name in warning["names"]]
    assert all(name.startswith("/dev/shm/sem.") for name in named), awake
    assert timeline.ok(use).text == "2"


# Processes.


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_processes_before_and_after(timeline: Timeline, method: str) -> None:
    """By every method of starting them; the server that forks and the tracker of resources make no warning."""
    timeline.ok(f"import gc, multiprocessing as m\nc = m.get_context('{method}')")
    use = "with c.Pool(2) as p: r = p.map(abs, [-1, -2])\ndel p; gc.collect(); r"
    assert timeline.ok(use).text == "[1, 2]"
    snapshot = timeline.snapshot()
    assert timeline.ok(use).text == "[1, 2]"
    awake = timeline.rollback(snapshot)
    assert awake["warnings"] == []
    done = timeline.ok(use)
    assert (done.text, done.stderr) == ("[1, 2]", "")


def test_shared_memory_is_tracked_on(timeline: Timeline) -> None:
    """The tracker must not take the live interpreter's death for the end: it would unlink what is in use."""
    timeline.ok(
        "from multiprocessing import shared_memory as s\nm = s.SharedMemory(create=True, size=9); m.buf[0] = 1"
    )
    timeline.rollback(timeline.snapshot())
    assert timeline.ok("k = s.SharedMemory(m.name); k.buf[0]").text == "1"
    done = timeline.ok(
        "m.close(); k.close(); m.unlink(); n = s.SharedMemory(create=True, size=9); n.close(); n.unlink()"
    )
    assert done.stderr == ""


# Numbers.


@pytest.fixture
def numeric(start: Callable[..., Interpreter]) -> Iterator[Timeline]:
    """An interpreter that has computed in parallel with scikit-learn, and by BLAS."""
    pytest.importorskip("sklearn")
    made = Timeline(start())
    made.ok(
        "import numpy as np\nfrom sklearn.ensemble import RandomForestClassifier as F\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier as H\nfrom sklearn.cluster import KMeans\n"
        "g = np.random.default_rng(1); x = g.random((200, 4)); y = (x[:, 0] > 0.5).astype(int)"
    )
    yield made
    made.close()


ESTIMATORS = {
    "boosting with OpenMP": "H(max_iter=5).fit(x, y).score(x, y)",
    "a forest in threads": "F(10, n_jobs=2, random_state=1).fit(x, y).score(x, y)",
    "clusters with OpenMP": "round(KMeans(3, n_init=2, random_state=1).fit(x).inertia_, 6)",
    "decompositions": "[round(float(s), 6) for s in np.linalg.svd(x)[1]] + [round(float(np.linalg.det(x.T @ x)), 6)]",
}


@pytest.mark.parametrize("fit", ESTIMATORS.values(), ids=ESTIMATORS)
def test_numeric_libraries_work_on_both_sides(numeric: Timeline, fit: str) -> None:
    """With one thread each: a pool of OpenMP's with two would wait for one that no fork copies."""
    expected = numeric.ok(fit).text
    snapshot = numeric.snapshot()
    assert numeric.ok(fit).text == expected
    numeric.rollback(snapshot)
    assert numeric.ok(fit).text == expected
    thaw(numeric, fit)
    assert numeric.ok(fit).text == expected


ARROW = {
    "reading Parquet": "pd.read_parquet('p').x.sum()",
    "reading text": "pd.read_csv('c', engine='pyarrow').x.sum()",
    "a join": "t.join(t.select(['x']), 'x').num_rows",
}


@pytest.mark.parametrize("work", ARROW.values(), ids=ARROW)
def test_arrow_works_on_both_sides(timeline: Timeline, work: str) -> None:
    """It keeps its threads for good; while they wait for work, its own handlers see them through a fork."""
    pytest.importorskip("pyarrow")
    timeline.ok(
        "import pandas as pd, pyarrow as pa, os\nd = pd.DataFrame({'x': range(1000), 'y': list('ab') * 500})\n"
        "d.to_parquet('p'); d.to_csv('c'); t = pa.table(d)"
    )
    expected = timeline.ok(work).text
    assert timeline.value("len(os.listdir('/proc/self/task'))") > 1
    for _ in range(3):
        snapshot = timeline.snapshot()
        assert timeline.ok(work).text == expected
        timeline.ok("d.loc[:, 'x'] = 0; del t")
        assert timeline.rollback(snapshot)["warnings"] == []
        assert timeline.ok(work).text == expected
        assert timeline.ok("try: os.wait()\nexcept ChildProcessError: print('none')").stdout == "none\n"
    assert timeline.value("int(d.x.sum())") == 499500


def test_arrow_at_work_is_named(timeline: Timeline) -> None:
    """One of its threads that is in a function of the user's, which Python does not list."""
    pytest.importorskip("pyarrow")
    timeline.ok(
        "import pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset as ds, pyarrow.parquet as pq, threading\n"
        "e = threading.Event(); began = threading.Event(); pq.write_table(pa.table({'x': [1, 2]}), 'p')\n"
        "def wait(c, x):\n    began.set(); e.wait(); return x\n"
        "pc.register_scalar_function(wait, 'wait', {'summary': '', 'description': ''}, {'x': pa.int64()}, pa.int64())\n"
        "b = ds.dataset('p').scanner(columns={'y': ds.field('')._call('wait', [ds.field('x')])}).to_reader()\n"
        "assert began.wait(20)"
    )
    refused = timeline.ask()
    assert refused["reason"] == "threads"
    assert len(refused["threads"]) == timeline.value("len(__import__('os').listdir('/proc/self/task'))") - 1
    assert timeline.ok("e.set(); b.read_all().to_pydict()").text == "{'y': [1, 2]}"
    assert timeline.ask()["type"] == "snapshot_taken"
