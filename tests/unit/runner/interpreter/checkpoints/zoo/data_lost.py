"""What of the data libraries cannot be saved: code that binds it to ``v``, and a part of the reason."""

from __future__ import annotations

DATA_LOST: dict[str, tuple[str, str]] = {
    "memory-mapped-array": (
        ("import numpy as np\nv = np.memmap('m', 'i4', 'w+', shape=(4,)); v[:] = 7"),
        "memory",
    ),
    "view-of-a-memory-mapped-array": (
        ("import numpy as np\nv = np.asarray(np.memmap('m', 'i4', 'w+', shape=(4,)))[1:]"),
        "memory",
    ),
    "array-over-a-memory-map": (
        ("import mmap, numpy as np\nv = np.frombuffer(mmap.mmap(-1, 16), 'u1')"),
        "memory",
    ),
    "array-iterator": (
        ("import numpy as np\nv = np.nditer(np.arange(3))"),
        "nditer",
    ),
    "flat-iterator": (
        ("import numpy as np\nv = np.arange(3).flat; next(v)"),
        "flatiter",
    ),
    "vectorized-function-once-called": (
        ("import numpy as np\ndef plus(x, y): return x + y\nv = np.vectorize(plus, otypes=[int]); v([1], 2)"),
        "ufunc",
    ),
    "ufunc-of-python": (
        ("import numpy as np\nv = np.frompyfunc(lambda x: x, 1, 1)"),
        "ufunc",
    ),
    "frame-of-generators": (
        ("import pandas as pd\nv = pd.Series([(i for i in 'ab')], dtype=object)"),
        "generator",
    ),
    "excel-or-csv-reader": (
        (
            "import pandas as pd\n"
            "pd.DataFrame({'a': [1, 2]}).to_csv('c.csv'); v = pd.read_csv('c.csv', chunksize=1)"
        ),
        "file",
    ),
    "arrow-memory-map": (
        ("import pyarrow as pa\nopen('m', 'wb').write(b'abc'); v = pa.memory_map('m')"),
        "no default __reduce__",
    ),
    "arrow-reader": (
        ("import pyarrow as pa\nv = pa.RecordBatchReader.from_batches(pa.schema([('a', pa.int64())]), [])"),
        "cannot be converted",
    ),
    "arrow-file": (
        (
            "import pyarrow as pa, pyarrow.parquet as pq\n"
            "pq.write_table(pa.table({'a': [1]}), 'p'); v = pq.ParquetFile('p')"
        ),
        "no default __reduce__",
    ),
    "animation": (
        (
            "import matplotlib; matplotlib.use('Agg')\n"
            "import matplotlib.pyplot as plt, matplotlib.animation as ma\n"
            "f, ax = plt.subplots(); v = ma.FuncAnimation(f, lambda i: [], frames=iter('ab'), "
            "cache_frame_data=False); f.savefig('x.png')"
        ),
        "generator",
    ),
    "model-with-a-lambda-over-a-file": (
        (
            "from sklearn.preprocessing import FunctionTransformer\n"
            "def made():\n"
            "    f = open('/dev/null')\n"
            "    return lambda x: f\n"
            "v = FunctionTransformer(made())"
        ),
        "open file",
    ),
}
