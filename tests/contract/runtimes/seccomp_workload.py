"""Runs in a container under the profile, as a user without capabilities: what people do must work."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import pty
import subprocess
import sys
import threading
from multiprocessing import shared_memory

DONE = []


def square(number: int) -> int:
    """Work for a pool."""
    return number * number


def scientific() -> None:
    """Every package of the data template that has native code."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from joblib import Parallel, delayed
    from scipy import linalg
    from sklearn.cluster import KMeans

    matrix = np.random.default_rng(0).normal(size=(300, 300))
    assert np.allclose(matrix @ linalg.inv(matrix), np.eye(300), atol=1e-6)
    frame = pd.DataFrame({"a": range(1000), "b": np.arange(1000) % 7})
    assert frame.groupby("b").a.mean().shape == (7,)
    pq.write_table(pa.Table.from_pandas(frame), "frame.parquet")
    assert pd.read_parquet("frame.parquet").equals(frame)
    os.environ["OMP_NUM_THREADS"] = "2"
    assert KMeans(3, n_init=2).fit(matrix).labels_.shape == (300,)
    assert Parallel(n_jobs=2, backend="loky")(delayed(square)(n) for n in range(8)) == [
        n * n for n in range(8)
    ]
    plt.plot([1, 2, 3])
    plt.savefig("figure.png")
    assert os.path.getsize("figure.png") > 1000
    DONE.append("scientific")


def processes() -> None:
    """Children of every kind."""
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
        DONE.append(method)
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    try:
        block.buf[:5] = b"hello"
        again = shared_memory.SharedMemory(block.name)
        assert bytes(again.buf[:5]) == b"hello"
        again.close()
    finally:
        block.close()
        block.unlink()
    DONE.append("shared memory")
    assert (
        subprocess.run("echo $((6*7)) | cat", shell=True, capture_output=True, check=True).stdout == b"42\n"
    )
    DONE.append("subprocess")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execlp("echo", "echo", "from a terminal")
    assert b"terminal" in os.read(terminal, 100)
    os.waitpid(pid, 0)
    DONE.append("pty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "env"], check=True)
    assert (
        subprocess.run(["env/bin/python", "-c", "print(1)"], capture_output=True, check=True).stdout == b"1\n"
    )
    DONE.append("venv")


def concurrency() -> None:
    """Threads, event loops and sockets of this machine."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(100))) == 328350
    lock = threading.Lock()
    assert lock.acquire(timeout=0.1)
    DONE.append("threads")

    async def echo() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async with await asyncio.start_unix_server(serve, "echo.sock"):
            reader, writer = await asyncio.open_unix_connection("echo.sock")
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert (await process.communicate(b"x"))[0] == b"x"

    asyncio.run(echo())
    DONE.append("asyncio")


if __name__ == "__main__":
    scientific()
    processes()
    concurrency()
    print(" ".join(DONE))
