"""Images of templates, built for real and looked into."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from dataclasses import replace

import docker
import pytest
from sandbank_server.templates import build as building
from sandbank_server.templates.base_image import STANDARD_BASE, ensure_base
from sandbank_server.templates.build import build_template
from sandbank_server.templates.context import runner_files
from sandbank_server.templates.engine import ImageEngine
from sandbank_server.templates.errors import TemplateBuildCancelledError, TemplateBuildError
from sandbank_server.templates.images import INSTALLATION_LABEL, PACKAGES_IMAGE_LABEL, find_image
from sandbank_server.templates.model import LOCKS, TemplateSpec
from sandbank_server.templates.options import BuildOptions, default_cache_directory
from sandbank_server.templates.progress import BuildPhase, BuildWatch

from tests.fakes.image_registry import serving_image, silent_registry

pytestmark = pytest.mark.engine

PYTHON = "/opt/sandbank/bin/python"


@pytest.fixture
def engine():
    """A connection to the engine."""
    connected = ImageEngine.connect()
    yield connected
    connected.close()


@pytest.fixture
def options(engine, monkeypatch):
    """The user's real cache, and an installation of the test's own: its images are removed afterwards."""
    own = BuildOptions(default_cache_directory(os.environ), installation=f"test-{secrets.token_hex(4)}")
    before = {image.labels[PACKAGES_IMAGE_LABEL] for image in engine.labelled(PACKAGES_IMAGE_LABEL)}
    yield own
    images = engine.labelled(f"{INSTALLATION_LABEL}={own.installation}")
    for image in images:
        for reference in image.references:
            engine.remove(reference)
    # Packages that only this test's templates had.
    wanted = {image.labels[PACKAGES_IMAGE_LABEL] for image in engine.labelled(PACKAGES_IMAGE_LABEL)}
    for name in {image.labels[PACKAGES_IMAGE_LABEL] for image in images} - wanted - before:
        engine.remove(name)


@pytest.fixture
def spec():
    """A template of the test's own with nothing but the runner."""
    return TemplateSpec(f"test-{secrets.token_hex(4)}")


@pytest.fixture(autouse=True)
def same_code(monkeypatch):
    """Whoever edits the runner while a test is going on must not change its images."""
    code = runner_files()
    monkeypatch.setattr(building, "runner_files", lambda: code)


def phases(engine, spec, options, **arguments):
    """Build and return the image and the phases that the build went through."""
    seen = []
    image = build_template(
        engine, spec, options, on_progress=lambda progress: seen.append(progress.phase), **arguments
    )
    return image, set(seen)


def inside(image, *argv, root=False):
    """Run a command in a container as locked up as a sandbox (unless as root), and return its output."""
    client = docker.from_env()
    try:
        output = client.containers.run(
            image.reference,
            list(argv[1:]),
            entrypoint=argv[0],
            remove=True,
            read_only=True,
            network_mode="none",
            user="0:0" if root else "12345:12345",
            cap_drop=[] if root else ["ALL"],
            tmpfs={"/tmp": "mode=1777"},
            labels={"sandbank-test": "templates"},
        )
    finally:
        client.close()
    return output.decode()


def test_an_image_holds_what_its_labels_say(engine, options, spec):
    """The runner, the messages, the locked packages, and nothing that only their installation needed."""
    image, _ = phases(engine, spec, options)
    found = json.loads(
        inside(
            image, PYTHON, "-c",
            "import importlib.metadata as m, json, platform\n"
            "import IPython, sandbank_runner, sandbank.v1.execution_pb2, sandbank_runner.v1.runner_pb2\n"
            "print(json.dumps([platform.python_version(), {d.name.lower().replace('_', '-'): d.version"
            " for d in m.distributions()}, json.load(open('/opt/sandbank/template.json'))]))",
        )
    )  # fmt: skip
    packages = {package.name: package.version for package in image.packages}
    assert found == [
        image.python_version,
        packages,
        {"python_version": image.python_version, "packages": packages},
    ]
    assert "pip" not in packages


def test_everything_is_compiled_and_nothing_is_setuid(engine, options, spec):
    """The root is read-only: what is not compiled now is compiled at every start of a sandbox."""
    image, _ = phases(engine, spec, options)
    missing = inside(
        image, PYTHON, "-c",
        "import importlib.util as u, pathlib, sysconfig\n"
        "roots = ['/opt/sandbank/lib', sysconfig.get_path('stdlib')]\n"
        "skip = {'tests', 'test', 'idlelib', 'turtledemo', 'site-packages', 'dist-packages', '_examples'}\n"
        "for root in roots:\n"
        "    for p in pathlib.Path(root).rglob('*.py'):\n"
        "        parts = set(p.relative_to(root).parts) - ({'site-packages'} if 'opt' in root else set())\n"
        "        if not parts & skip and not pathlib.Path(u.cache_from_source(str(p))).exists(): print(p)\n",
    )  # fmt: skip
    assert missing == ""
    assert inside(image, "find", "/", "-xdev", "-perm", "/6000", "-type", "f", root=True) == ""


def test_an_image_that_is_there_is_not_built_again(engine, options, spec):
    """Settings that are not part of the image do not change it either."""
    first, _ = phases(engine, spec, options)
    changed = replace(spec, memory_bytes=1 << 30, preload=("json",), environment={"A": "b"})
    again, seen = phases(engine, changed, options)
    assert (again, seen) == (first, {BuildPhase.DONE})


def test_new_code_makes_a_new_image_on_the_same_packages(engine, options, spec, monkeypatch):
    """The old one goes, since nothing runs from it; the packages are not touched."""
    first, _ = phases(engine, spec, options)
    code = {**runner_files(), "code/sandbank_runner/added.py": b"ANSWER = 42\n"}
    monkeypatch.setattr(building, "runner_files", lambda: code)
    second, seen = phases(engine, spec, options)
    assert seen == {BuildPhase.RUNNER, BuildPhase.DONE}
    assert inside(second, PYTHON, "-c", "import sandbank_runner.added as a; print(a.ANSWER)") == "42\n"
    assert find_image(engine, first.reference) is None
    old, new = (engine.find(image.image_id) for image in (first, second))
    assert old is None
    assert engine.find(new.labels[PACKAGES_IMAGE_LABEL]) is not None


def test_an_image_in_use_is_left_alone(engine, options, spec, monkeypatch):
    """Its sandboxes live on, and new ones start from the new image."""
    first, _ = phases(engine, spec, options)
    client = docker.from_env()
    container = client.containers.create(
        first.reference, network_mode="none", labels={"sandbank-test": "templates"}
    )
    try:
        monkeypatch.setattr(
            building, "runner_files", lambda: {**runner_files(), "code/sandbank_runner/a.py": b""}
        )
        second, _ = phases(engine, spec, options)
        assert find_image(engine, first.reference) == first
        assert second.reference != first.reference
    finally:
        container.remove(force=True)
        client.close()


def test_builds_of_one_template_at_once_build_once(options, spec):
    """Two servers may start at the same moment."""
    results, barrier = [], threading.Barrier(3)

    def work():
        connected = ImageEngine.connect()
        try:
            barrier.wait(30)
            results.append(phases(connected, spec, options))
        finally:
            connected.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len({image.image_id for image, _ in results}) == 1
    assert sorted(BuildPhase.RUNNER in seen for _, seen in results) == [False, False, True]


def test_the_data_template_computes_and_draws_without_writing(engine, options):
    """All six packages import on a read-only root as a user without rights; matplotlib finds its fonts' list."""
    spec = TemplateSpec(f"test-{secrets.token_hex(4)}", requirements=LOCKS / "data.txt")
    image, _ = phases(engine, spec, options)
    output = inside(
        image, PYTHON, "-W", "error", "-c",
        "import os, shutil; os.environ['MPLCONFIGDIR'] = '/tmp/matplotlib'; os.environ['HOME'] = '/tmp'\n"
        "shutil.copytree('/opt/sandbank/matplotlib', '/tmp/matplotlib')\n"
        "import logging; logging.basicConfig(level='INFO')\n"
        "import numpy, pandas, pyarrow, scipy.stats, sklearn.linear_model, matplotlib\n"
        "matplotlib.use('agg')\n"
        "import matplotlib.pyplot as plt\n"
        "pandas.DataFrame({'x': [1, 2]}).to_parquet('/tmp/x.parquet')\n"
        "plt.title('Übung'); plt.plot([1, 2]); plt.savefig('/tmp/x.png')\n"
        "print(os.path.getsize('/tmp/x.png') > 1000, sorted(os.listdir('/tmp/matplotlib')))",
    )  # fmt: skip
    assert output.startswith("True ['fontlist-")
    assert "generated new fontManager" not in output
    names = {package.name for package in image.packages}
    assert names >= {"numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "matplotlib"}


def test_packages_without_a_lock_are_locked_and_installed(engine, options, spec):
    """The template says `packages = [...]`; a second build finds everything again."""
    image, _ = phases(engine, replace(spec, packages=("six>=1.16,<2",)), options)
    assert "six" in {package.name for package in image.packages}
    assert inside(image, PYTHON, "-c", "import six; print(six.PY3)") == "True\n"


def test_a_version_that_does_not_exist_is_an_error_with_the_reason(engine, options, spec):
    """In the words of the tool that looked for it."""
    with pytest.raises(TemplateBuildError) as caught:
        phases(engine, replace(spec, packages=("six==999",)), options)
    assert f"locking templates.{spec.name}.packages" in str(caught.value)
    assert any("six==999" in line for line in caught.value.log_tail)


def test_a_package_that_needs_another_version_of_the_runners_is_refused(engine, options, spec):
    """The supervisor's own packages are not for templates to change."""
    with pytest.raises(TemplateBuildError):
        phases(engine, replace(spec, packages=("protobuf<6",)), options)


def test_a_cancelled_build_stops_and_leaves_nothing(engine, options, spec, monkeypatch):
    """In the middle of a step that says nothing for a minute."""
    slow = {**runner_files(), "Dockerfile": b"ARG PACKAGES\nFROM ${PACKAGES}\nRUN echo begun; sleep 60\n"}
    monkeypatch.setattr(building, "runner_files", lambda: slow)
    cancel, begun = threading.Event(), []

    def stop(progress):
        if progress.detail == "begun":
            begun.append(time.monotonic())
            cancel.set()

    with pytest.raises(TemplateBuildCancelledError):
        build_template(engine, spec, options, on_progress=stop, cancel=cancel)
    assert time.monotonic() - begun[0] < 10
    client = docker.from_env()
    try:
        # The engine removes the step's container when it notices that nobody listens any more.
        deadline = time.monotonic() + 30
        while running := [
            found for found in client.api.containers(all=True) if "sleep 60" in found["Command"]
        ]:
            assert time.monotonic() < deadline, running
    finally:
        client.close()
    assert engine.labelled(f"{INSTALLATION_LABEL}={options.installation}") == []


def test_a_build_that_takes_too_long_ends(engine, options, spec, monkeypatch):
    """With what it last said."""
    slow = {**runner_files(), "Dockerfile": b"ARG PACKAGES\nFROM ${PACKAGES}\nRUN echo begun; sleep 61\n"}
    monkeypatch.setattr(building, "runner_files", lambda: slow)
    monkeypatch.setattr(building, "_RUNNER_SECONDS", 3.0)
    with pytest.raises(TemplateBuildError, match="not done after 3 s") as caught:
        build_template(engine, spec, options)
    assert "begun" in caught.value.log_tail


def test_a_silent_registry_is_given_up_in_time(engine, options, spec):
    """The engine would wait for minutes."""
    started = time.monotonic()
    with silent_registry() as name, pytest.raises(TemplateBuildError, match="no registry answered"):
        build_template(engine, replace(spec, base=name), replace(options, registry_seconds=1.0))
    assert time.monotonic() - started < 8


def test_an_image_is_pulled_where_a_registry_answers(engine, options):
    """Asked and pulled by the engine, from a registry that speaks its protocol; this one's image has no Python."""
    content = secrets.token_bytes(16)
    with serving_image(content) as name:
        assert engine.registry_has(name, timeout=10)
        try:
            with pytest.raises(TemplateBuildError, match="cannot run python3"):
                ensure_base(engine, name, options, BuildWatch("t"))
            assert engine.find(name).labels == {"sandbank-test": "registry"}
        finally:
            engine.remove(name)


@pytest.mark.long
def test_a_base_image_is_made_from_packages_where_no_registry_is(engine, options, monkeypatch):
    """By mmdebstrap, in a quarter of a minute, under a name of its own so that the real one stays."""
    own = f"sandbank-base:test-{secrets.token_hex(4)}"
    monkeypatch.setattr("sandbank_server.templates.base_image.STANDARD_BASE", own)
    with silent_registry() as name:
        made = ensure_base(
            engine, "", replace(options, registry_image=name, registry_seconds=1.0), BuildWatch("t")
        )
    try:
        assert made.python_minor == "3.13"
        assert engine.find(own).image_id == made.image_id
        assert own != STANDARD_BASE
    finally:
        engine.remove(own)
