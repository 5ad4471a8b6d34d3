"""Lock files are read strictly and cut down to the image's Python."""

from __future__ import annotations

import pytest
from sandbank_server.templates.base_image import BaseImage
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.lockfiles import LockedPackage, combine, is_locked, parse_lock, render
from sandbank_server.templates.model import LOCKS

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
BASE = BaseImage("sha256:0", "x86_64", "3.13.5", 41)


def parse(text, base=BASE):
    """Parse a lock for an image."""
    return parse_lock(text, "lock.txt", base)


def test_a_lock_is_names_versions_and_hashes():
    """Continuation lines, comments and annotations are what lock tools write."""
    text = (
        f"# made by a tool\nNumPy==2.4.6 \\\n    --hash={ONE} \\\n    --hash={TWO}\n"
        f"    # via pandas\n\nsix==1.0 --hash={ONE}\n"
    )
    assert parse(text) == {
        "numpy": LockedPackage("numpy", "2.4.6", (ONE, TWO)),
        "six": LockedPackage("six", "1.0", (ONE,)),
    }


@pytest.mark.parametrize(
    ("python", "version"), [("3.11.7", "2.4.6"), ("3.12.0", "2.5.5"), ("3.13.5", "2.5.5")]
)
def test_markers_are_judged_for_the_image(python, version):
    """The Python that builds the image is another one than the image's."""
    text = (
        f"numpy==2.4.6 ; python_full_version < '3.12' --hash={ONE}\n"
        f"numpy==2.5.5 ; python_full_version >= '3.12' --hash={TWO}\n"
        f"colorama==0.4.6 ; sys_platform == 'win32' --hash={TWO}\n"
    )
    packages = parse(text, BaseImage("x", "aarch64", python, 36))
    assert {name: package.version for name, package in packages.items()} == {"numpy": version}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"six==1.0 --hash={ONE}\npandas==3.0\n", "line 2: pandas has no --hash"),
        (f"six>=1.0 --hash={ONE}\n", "line 1: must be one exact version"),
        (f"six==1.* --hash={ONE}\n", "must be one exact version"),
        (f"six @ file:///x.whl --hash={ONE}\n", "must be one exact version"),
        (f"--index-url=x\nsix==1.0 --hash={ONE}\n", "line 1: options are not supported"),
        (f"-e . --hash={ONE}\n", "options are not supported"),
        (f"six==1.0 --hash=md5:{'1' * 32}\n", "options are not supported"),
        (f"six==1.0 ; python_version ~~ '3' --hash={ONE}\n", "line 1"),
        (f"six==1.0 --hash={ONE}\nSix==1.1 --hash={ONE}\n", "line 2: six is there twice"),
        ("#" * (8 << 20) + "\n", "is larger than"),
    ],
)
def test_what_is_no_lock_is_refused_with_its_line(text, complaint):
    """Nothing is installed that is not pinned by a hash, and no option reaches pip."""
    with pytest.raises(TemplateBuildError) as caught:
        parse(text)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("lock.txt")


def test_the_runner_and_the_template_must_agree():
    """One image holds one version of a package."""
    own, wanted = parse(f"protobuf==7.0 --hash={ONE}"), parse(f"protobuf==6.0 --hash={ONE}")
    with pytest.raises(TemplateBuildError, match=r"protobuf 6\.0, but the runner is locked with 7\.0"):
        combine(own, wanted, "mine.txt")


def test_the_form_of_the_sources_does_not_show():
    """Equal content gives equal text, so the digest of an image depends on the content alone."""
    left = parse(f"b==1 --hash={TWO} --hash={ONE}\na==1 --hash={ONE}\n")
    right = parse(f"# other\nA==1 \\\n  --hash={ONE}\nb==1 --hash={ONE} --hash={TWO}\n")
    text = render(combine(left, {}, "l"))
    assert text == render(combine({}, right, "r")) == f"a==1 --hash={ONE}\nb==1 --hash={ONE} --hash={TWO}\n"
    assert parse(text) == {"a": left["a"], "b": LockedPackage("b", "1", (ONE, TWO))}


@pytest.mark.parametrize("python", ["3.11.2", "3.12.1", "3.13.5"])
@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_the_shipped_locks_hold_for_every_supported_image(python, architecture):
    """The runner's and the data template's packages fit together on each Python and machine."""
    base = BaseImage("x", architecture, python, 41)
    runner, data = ((LOCKS / name).read_text() for name in ("runner.txt", "data.txt"))
    assert is_locked(runner)
    names = {package.name for package in combine(parse(runner, base), parse(data, base), "data.txt")}
    assert names >= {
        "protobuf",
        "ipython",
        "numpy",
        "pandas",
        "matplotlib",
        "pyarrow",
        "scipy",
        "scikit-learn",
    }
