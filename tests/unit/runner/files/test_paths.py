"""Paths are confined to the workspace, whatever they say and whatever links lie there."""

from __future__ import annotations

import os

import pytest

from tests.unit.runner.files.helper_probe import FileFailure, HelperProbe

BAD_PATHS = {
    "absolute": "/etc/passwd",
    "up": "../outside/secret",
    "up_inside": "a/../../outside/secret",
    "null": "a\0b",
    "long": "a/" * 2049,
    "long_part": "a" * 256,
    "itself": "",
    "itself_dotted": "./.",
    "surrogate": "a\udcff",
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
@pytest.mark.parametrize("request_kind", ["upload", "download", "delete"])
def test_a_path_that_is_not_one_of_the_workspace_is_a_bad_field(
    files: HelperProbe, path: str, request_kind: str
):
    """Absolute, with `..`, a null character, too long, or the workspace itself: refused before anything is touched."""
    asks = {
        "upload": lambda: files.upload(path),
        "download": lambda: files.download(path),
        "delete": lambda: files.ask("delete", path, recursive=True),
    }
    with pytest.raises(FileFailure) as failure:
        asks[request_kind]()
    assert failure.value.reason == "BAD_FIELD"
    assert files.names() == []


def test_dots_and_double_slashes_mean_nothing(files: HelperProbe):
    """`./a//b` is `a/b`."""
    assert files.upload("./a//b", b"1")["path"] == "a/b"
    assert files.download("a/./b")[1] == b"1"


@pytest.mark.parametrize("target", ["../outside/secret", "/etc/passwd", "/proc/self/root/etc/passwd"])
def test_a_link_out_of_the_workspace_is_a_bad_field(files: HelperProbe, target: str):
    """Neither relative nor absolute links lead out; the kernel decides while it resolves."""
    (files.workspace / "link").symlink_to(target)
    with pytest.raises(FileFailure) as failure:
        files.download("link")
    assert failure.value.reason == "BAD_FIELD"


@pytest.mark.parametrize("request_kind", ["upload", "make_directory", "delete", "list", "stat"])
def test_nothing_is_reached_through_a_directory_link_out(files: HelperProbe, request_kind: str):
    """A link to a directory outside is no way to write, delete, list or look there."""
    (files.workspace / "out").symlink_to(files.workspace.parent / "outside")
    asks = {
        "upload": lambda: files.upload("out/new"),
        "make_directory": lambda: files.ask("make_directory", "out/new"),
        "delete": lambda: files.ask("delete", "out/secret", recursive=False),
        "list": lambda: files.ask("list", "out", recursive=True, after_path="", limit=0),
        "stat": lambda: files.ask("stat", "out/secret", with_sha256=False),
    }
    with pytest.raises(FileFailure) as failure:
        asks[request_kind]()
    assert failure.value.reason == "BAD_FIELD"
    assert os.listdir(files.workspace.parent / "outside") == ["secret"]


def test_links_that_stay_in_the_workspace_are_followed(files: HelperProbe):
    """Through directories and to files, up and down, as long as they end beneath."""
    files.upload("data/real.txt", b"content")
    (files.workspace / "data" / "up").symlink_to("../data")
    (files.workspace / "short").symlink_to("data/up/real.txt")
    assert files.download("short")[1] == b"content"
    files.upload("data/up/other.txt", b"more")
    assert (files.workspace / "data" / "other.txt").read_bytes() == b"more"


def test_a_loop_of_links_is_a_bad_field(files: HelperProbe):
    """The kernel gives up after forty."""
    (files.workspace / "loop").symlink_to("loop")
    with pytest.raises(FileFailure) as failure:
        files.download("loop")
    assert failure.value.reason == "BAD_FIELD"
