"""Matplotlib and pandas, as a notebook shows them."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Done, Interpreter

PNG = b"\x89PNG\r\n\x1a\n"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n"


def _images(done: Done) -> int:
    images = [bundle["image/png"] for bundle in (*done.displays, done.result) if "image/png" in bundle]
    assert all(image.startswith(PNG) for image in images)
    return len(images)


FIGURES = [
    (PLOT + "None", 1),
    (PLOT + "plt.show()", 1),
    (PLOT + "plt.show()\nplt.plot([3])\nNone", 2),
    (PLOT + "fig = plt.gcf()\nfig", 1),
    (PLOT + "display(plt.gcf())\nNone", 1),
    (PLOT + "plt.gcf().show()\nNone", 1),
    (PLOT + "plt.close()", 0),
    (PLOT + "plt.savefig('figure.png')\nplt.close()", 0),
    ("import matplotlib.pyplot as plt\nfor n in range(3): plt.subplots()\nNone", 3),
    ("import matplotlib.pyplot as plt\nplt.figure()\nNone", 0),
    ("import matplotlib\nmatplotlib.use('Agg')\n" + PLOT + "None", 1),
    ("from matplotlib.figure import Figure\nf = Figure()\nf.add_subplot()\nf", 1),
    ("from matplotlib.figure import Figure\nf = Figure()\nf.add_subplot()\nNone", 0),
    ("%matplotlib inline\n" + PLOT + "None", 1),
    ("import pandas as pd\npd.Series([1, 2]).plot()\nNone", 1),
    (PLOT + "plt.figure()\nplt.title('second')\nNone", 2),
]


@pytest.mark.parametrize(("code", "count"), FIGURES)
def test_figures_are_shown_once(rich: Interpreter, code: str, count: int) -> None:
    """Without a call to show, at once with one, and closed afterwards; the next cell begins with none."""
    done = rich.ok(code)
    assert _images(done) == count, done.events
    assert done.stderr == ""
    assert rich.ok("import matplotlib.pyplot as plt\nplt.get_fignums()").text == "[]"
    assert rich.ok("1").displays == []
    assert rich.thread_count() == 1


def test_a_figure_can_be_shown_again(rich: Interpreter) -> None:
    """It outlives its closing."""
    rich.ok(PLOT + "fig = plt.gcf()")
    assert _images(rich.ok("fig")) == 1
    assert _images(rich.ok("fig.axes[0].plot([5])\ndisplay(fig)")) == 1
    rich.ok("fig.savefig('again.png')")
    assert (rich.workspace / "again.png").read_bytes().startswith(PNG)


def test_a_figure_is_shown_where_the_cell_failed(rich: Interpreter) -> None:
    """What was drawn before the error; not where the cell was interrupted."""
    done = rich.run(PLOT + "1/0")
    assert not done.ok
    assert _images(done) == 1


def test_a_figure_that_cannot_be_drawn_costs_only_itself(rich: Interpreter) -> None:
    """The reason is on stderr, the other figures are shown."""
    done = rich.ok(PLOT + "plt.title('$\\\\broken{$')\nplt.figure()\nplt.plot([1])\nNone")
    assert [set(bundle) for bundle in done.displays][1] == {"image/png", "text/plain"}
    assert "failed" in done.stderr


def test_printing_and_figures_keep_their_order(rich: Interpreter) -> None:
    """What is shown between two prints is between them."""
    done = rich.ok("print('a')\n" + PLOT + "plt.show()\nprint('b')")
    assert [event[0] for event in done.events] == ["stdout", "display", "stdout"]


def test_a_child_process_may_plot_too(interpreter: Interpreter) -> None:
    """It finds the backend, and has nobody to show to."""
    code = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}], capture_output=True, text=True)"
    )
    done = interpreter.ok(code.format(PLOT + "plt.show(); plt.savefig('child.png')") + ".returncode")
    assert done.text == "0"


def test_a_data_frame_is_html(rich: Interpreter) -> None:
    """And text, both of the frame as it is."""
    done = rich.ok("import pandas as pd\npd.DataFrame({'column': [1, 2]})")
    assert b"<table" in done.result["text/html"]
    assert (done.text or "").split() == ["column", "0", "1", "1", "2"]
    assert set(done.result) == {"text/html", "text/plain"}


def test_numbers_of_numpy_are_text(rich: Interpreter) -> None:
    """No JSON for what is more than its JSON."""
    assert set(rich.ok("import numpy as np\nnp.float64(1)").result) == {"text/plain"}
    assert set(rich.ok("np.arange(3)").result) == {"text/plain"}


def test_matplotlib_is_imported_by_the_cell_that_needs_it(interpreter: Interpreter) -> None:
    """Where the template has not preloaded it, figures are shown all the same."""
    assert interpreter.ok("import sys\n'matplotlib' in sys.modules").text == "False"
    assert _images(interpreter.ok(PLOT + "plt.show()\nplt.plot([3])\nNone")) == 2
    assert interpreter.thread_count() == 1
