"""Where the base image comes from, and which ones can be built on."""

from __future__ import annotations

import json

import pytest
from sandbank_server.templates import base_image
from sandbank_server.templates.base_image import STANDARD_BASE, ensure_base
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildWatch

from tests.fakes.image_engine import PROBE, FakeImageEngine

OFFICIAL = "python:3.13-slim-trixie"


@pytest.fixture(autouse=True)
def debian(monkeypatch):
    """Pretend to make a root file system: an archive with its settings in it."""

    def make(archive, *, architecture, mirror, watch):
        archive.write_text(f"debian for {architecture} from {mirror or 'debian'}")

    monkeypatch.setattr(base_image, "make_root_file_system", make)


@pytest.fixture
def ensure(tmp_path):
    """Ask for the base image."""
    options = BuildOptions(tmp_path, debian_mirror="mirror", registry_seconds=7)
    return lambda engine, base="": ensure_base(engine, base, options, BuildWatch("t"))


def test_the_official_image_is_taken_where_a_registry_answers(ensure):
    """It gets the standard name, so that it is found next time."""
    engine = FakeImageEngine(registry={OFFICIAL})
    base = ensure(engine)
    assert engine.asked[:2] == [f"registry {OFFICIAL} 7", f"pull {OFFICIAL}"]
    assert engine.find(STANDARD_BASE).image_id == base.image_id
    assert (base.python_version, base.python_minor, base.glibc) == ("3.13.5", "3.13", 41)


def test_an_equal_one_is_made_where_none_does(ensure):
    """From Debian's packages, for the engine's machine, from the mirror that was set."""
    engine = FakeImageEngine()
    ensure(engine)
    assert engine.asked[1] == f"import debian for x86_64 from mirror as {STANDARD_BASE}"


def test_a_pull_that_breaks_off_is_no_dead_end(ensure):
    """A registry may answer and then not deliver."""
    engine = FakeImageEngine(registry={OFFICIAL}, pull_fails=True)
    ensure(engine)
    assert engine.asked[-2].startswith("import debian")


def test_a_base_that_is_there_is_used_as_it_is(ensure):
    """Neither registry nor mirror is asked, and the image's Python only once."""
    engine = FakeImageEngine()
    engine.add("mine:1")
    assert ensure(engine, "mine:1") == ensure(engine, "mine:1")
    assert engine.asked == ["run in sha256:000000000"]


def test_a_named_base_is_never_replaced_by_another(ensure):
    """It is pulled or it is an error that names it."""
    engine = FakeImageEngine()
    with pytest.raises(TemplateBuildError, match=r"the engine has no image mine:1, and no registry answered"):
        ensure(engine, "mine:1")
    assert ensure(FakeImageEngine(registry={"mine:1"}), "mine:1").python_version == "3.13.5"


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"python_version": "3.10.1"}, "CPython 3.10.1; the runner needs CPython 3.11, 3.12 or 3.13"),
        ({"python_version": "3.14.0"}, "the runner needs"),
        ({"implementation": "PyPy"}, "PyPy 3.13.5"),
        ({"c_library": ""}, "the C library (not glibc)"),
        ({"c_library": "glibc 2.27"}, "glibc 2.28 or newer"),
    ],
)
def test_a_base_that_the_wheels_do_not_fit_is_refused(ensure, told, complaint):
    """Before anything is downloaded for it."""
    with pytest.raises(TemplateBuildError) as caught:
        ensure(FakeImageEngine(probe=json.dumps({**PROBE, **told})))
    assert complaint in str(caught.value)


@pytest.mark.parametrize("output", ["", "null", "[]", "{}", "Traceback (most recent call last):"])
def test_a_base_that_answers_nonsense_is_refused(ensure, output):
    """The base may be any image at all."""
    with pytest.raises(TemplateBuildError, match="no sensible answer"):
        ensure(FakeImageEngine(probe=output))


def test_a_spoilt_note_is_asked_anew(ensure, tmp_path):
    """The cache may hold what another version wrote, or half a file."""
    engine = FakeImageEngine()
    engine.add("mine:1")
    base = ensure(engine, "mine:1")
    (note,) = (tmp_path / "bases").iterdir()
    for spoilt in ("", "{}", '{"image_id": 1}', "[]"):
        note.write_text(spoilt)
        assert ensure(engine, "mine:1") == base
