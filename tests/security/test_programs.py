"""What must work behind the walls: the libraries and the ways to start processes that honest code uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.sandbox import Sandbox, running

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A container of the data template."""
    with running(tmp_path_factory.mktemp("data"), "data") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(data: Sandbox) -> Iterator[Sandbox]:
    """The module's container, with a fresh interpreter and an empty workspace."""
    data.reset()
    yield data
    data.still_serves()


WORK = {
    "numpy": """
import numpy as np
a = np.random.default_rng(0).random((300, 300))
assert np.allclose(a @ np.linalg.inv(a), np.eye(300))
np.save("a.npy", a); assert (np.load("a.npy", mmap_mode="r") == a).all()
""",
    "pandas": """
import pandas as pd
df = pd.DataFrame({"a": range(1000), "b": list("xy") * 500})
df.to_csv("f.csv"); df.to_parquet("f.parquet")
assert pd.read_csv("f.csv").groupby("b").a.sum().sum() == 499500
assert pd.read_parquet("f.parquet").equals(df)
""",
    "pyarrow": """
import pyarrow as pa, pyarrow.compute as pc
t = pa.table({"a": range(100_000)}); assert pc.sum(t["a"]).as_py() == 4999950000
assert t.group_by("a").aggregate([]).num_rows == 100_000
""",
    "matplotlib": """
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt, os
plt.plot([1, 2, 3]); plt.savefig("f.png"); assert os.path.getsize("f.png") > 1000
""",
    "scipy_and_scikit_learn": """
import numpy as np, scipy.optimize
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
assert abs(scipy.optimize.brentq(np.cos, 0, 3) - np.pi / 2) < 1e-6
x = np.random.default_rng(0).random((500, 3)); y = x.sum(1)
assert HistGradientBoostingRegressor(max_iter=10).fit(x, y).score(x, y) > 0.5
assert RandomForestRegressor(n_estimators=10, n_jobs=2).fit(x, y).score(x, y) > 0.5  # loky, threads
""",
    "joblib_processes": """
from joblib import Parallel, delayed
assert Parallel(n_jobs=2, backend="loky")(delayed(pow)(n, 2) for n in range(10)) == [n * n for n in range(10)]
""",
    "multiprocessing_fork": "KIND = 'fork'\n",
    "multiprocessing_spawn": "KIND = 'spawn'\n",
    "multiprocessing_forkserver": "KIND = 'forkserver'\n",
    "executors": """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
for kind in (ProcessPoolExecutor, ThreadPoolExecutor):
    with kind(2) as pool: assert list(pool.map(abs, [-1, -2])) == [1, 2]
""",
    "shared_memory": """
from multiprocessing import shared_memory, Lock, Semaphore, Value
import subprocess, sys
s = shared_memory.SharedMemory(create=True, size=1000); s.buf[:3] = b"abc"
code = f"import multiprocessing.shared_memory as m; s = m.SharedMemory({s.name!r}, track=False); s.buf[:3] = b'xyz'"
subprocess.run([sys.executable, "-c", code], check=True)
assert bytes(s.buf[:3]) == b"xyz"; s.close(); s.unlink()
with Lock(), Semaphore(2): assert Value("i", 5).value == 5
""",
    "subprocess": """
import subprocess
assert subprocess.run("echo a | tr a b; exit 3", shell=True, capture_output=True).stdout == b"b\\n"
p = subprocess.Popen(["cat"], stdin=-1, stdout=-1, start_new_session=True)
assert p.communicate(b"x" * 200_000)[0] == b"x" * 200_000
import os; assert os.system("true") == 0 and os.popen("pwd").read() == "/workspace\\n"
pid = os.posix_spawn("/bin/true", ["true"], {}); assert os.waitpid(pid, 0)[1] == 0
""",
    "pty": """
import os, pty, tty, termios
pid, master = pty.fork()
if pid == 0: os.execvp("sh", ["sh", "-c", "tty; stty size"])
said = b""
try:
    while part := os.read(master, 1000): said += part
except OSError: pass
assert b"/dev/pts/" in said, said
assert os.waitpid(pid, 0)[1] == 0
""",
    "asyncio": """
import asyncio
async def main():
    p = await asyncio.create_subprocess_exec("echo", "a", stdout=-1); assert (await p.communicate())[0] == b"a\\n"
    assert await asyncio.to_thread(sum, [1, 2]) == 3
    async def serve(reader, writer): writer.write(await reader.readline()); writer.close()
    here = ("127.0.0.1", 8765)
    for server, dial in ((await asyncio.start_unix_server(serve, "s"), lambda: asyncio.open_unix_connection("s")),
                         (await asyncio.start_server(serve, *here), lambda: asyncio.open_connection(*here))):
        reader, writer = await dial(); writer.write(b"hello\\n"); assert await reader.readline() == b"hello\\n"
        writer.close(); server.close()
await main()
""",
    "venv": """
import subprocess, sys
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "v"], check=True)
said = subprocess.run(["v/bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
assert said.stdout == "/workspace/v\\n"
""",
    "sqlite_and_locks": """
import fcntl, sqlite3
c = sqlite3.connect("f.db"); c.execute("pragma journal_mode=wal"); c.execute("create table t (a)")
c.executemany("insert into t values (?)", [(n,) for n in range(1000)]); c.commit()
assert c.execute("select sum(a) from t").fetchone() == (499500,)
with open("lock", "w") as f: fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX)
""",
    "files": """
import mmap, os, shutil, tempfile, pathlib
with tempfile.TemporaryDirectory() as d: pathlib.Path(d, "a").write_text("1")
with tempfile.TemporaryFile() as f: f.write(b"1" * 10_000); f.flush(); assert mmap.mmap(f.fileno(), 0)[:1] == b"1"
os.makedirs("a/b"); pathlib.Path("a/f").write_text("x"); os.rename("a/f", "a/b/f"); os.link("a/b/f", "a/g")
os.symlink("b/f", "a/l"); os.truncate("a/g", 0); shutil.copytree("a", "c", symlinks=True)
shutil.rmtree("a"); os.mkfifo("p"); os.memfd_create("m"); os.eventfd(0)
os.copy_file_range(os.open("c/g", os.O_RDONLY), os.open("z", os.O_CREAT | os.O_WRONLY), 10)
""",
    "compiled_module_in_the_workspace": """
import ctypes, glob, shutil, sys, math
source = next(iter(glob.glob("/lib/*/libm.so.6"))); shutil.copy(source, "m.so")
assert ctypes.CDLL("/workspace/m.so").abs is not None
""",
    "signals_and_timers": """
import signal, time, threading
hit = []
signal.signal(signal.SIGALRM, lambda *_: hit.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.01)
deadline = time.monotonic() + 5
while not hit: assert time.monotonic() < deadline
""",
}
MULTIPROCESSING = """
import multiprocessing, sys
open("work.py", "w").write("def square(n): return n * n")
import work
context = multiprocessing.get_context(KIND)
with context.Pool(2) as pool: assert pool.map(work.square, range(5)) == [0, 1, 4, 9, 16]
queue = context.Queue(); process = context.Process(target=queue.put, args=("hello",)); process.start()
assert queue.get(timeout=20) == "hello"; process.join(); assert process.exitcode == 0
"""


@pytest.mark.parametrize("name", WORK)
def test_honest_code_works(sandbox: Sandbox, name: str):
    """Behind users, capabilities, Landlock and two filters, as anywhere else."""
    code = WORK[name] + (MULTIPROCESSING if name.startswith("multiprocessing") else "")
    ran = sandbox.run(code + "\nprint('worked')", timeout=60)
    assert (ran.state, ran.stdout.splitlines()[-1:]) == ("SUCCEEDED", ["worked"]), (
        ran.operation.error.traceback_text + ran.stderr
    )


def test_forks_of_a_template_have_random_numbers_of_their_own(sandbox: Sandbox):
    """Python's and NumPy's, though both were imported before the fork."""
    drawn = []
    for _ in range(2):
        drawn.append(
            sandbox.value(
                "import json, random, numpy\nprint(json.dumps([random.random(), numpy.random.random()]))"
            )
        )
        sandbox.reset()
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]
