"""Downloads, descriptions and listings."""

from __future__ import annotations

import hashlib
import os
import stat
import threading

import pytest

from tests.unit.runner.files.helper_probe import FileFailure, HelperProbe


def listed(files: HelperProbe, path: str = "", **fields) -> list[str]:
    """Return the paths of a whole listing, put together from its pages."""
    fields = {"recursive": True, "limit": 0, **fields}
    found, after = [], ""
    while True:
        answer = files.ask("list", path, after_path=after, **fields)
        found += [entry["path"] for entry in answer["list"]]
        if not answer["more"]:
            return found
        after = found[-1]


def test_a_download_describes_the_whole_file_and_gives_the_range(files: HelperProbe):
    """Hash and size are those of the whole file, whatever part is asked for."""
    content = os.urandom(600_000)
    files.upload("f", content)
    for offset, length, expected in (
        (0, 0, content),
        (10, 20, content[10:30]),
        (599_990, 100, content[-10:]),
        (700_000, 0, b""),
    ):
        entry, got = files.download("f", offset, length)
        assert got == expected
        assert entry["size_bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("request_kind", ["download", "stat", "list", "delete"])
def test_what_is_not_there_is_not_found(files: HelperProbe, request_kind: str):
    """Also below something that is no directory."""
    files.upload("f")
    fields = {
        "download": {"offset_bytes": 0, "length_bytes": 0},
        "stat": {"with_sha256": True},
        "list": {"recursive": False, "after_path": "", "limit": 0},
        "delete": {"recursive": False},
    }[request_kind]
    for path in ("missing", "missing/deeper", "f/below"):
        with pytest.raises(FileFailure) as failure:
            files.exchange(request_kind, path, **fields)
        assert failure.value.reason == "FILE_NOT_FOUND"


def test_negative_ranges_are_bad_fields(files: HelperProbe):
    """Neither offset nor length."""
    files.upload("f")
    for offset, length in ((-1, 0), (0, -1)):
        with pytest.raises(FileFailure) as failure:
            files.download("f", offset, length)
        assert failure.value.reason == "BAD_FIELD"


def test_only_regular_files_are_read_and_a_fifo_wakes_nobody(files: HelperProbe):
    """A fifo or directory is refused without waiting for anyone, and a writer that waits at the fifo waits on."""
    os.mkfifo(files.workspace / "fifo")
    (files.workspace / "d").mkdir()
    woken = threading.Event()

    def wait_at_the_fifo():
        with open(files.workspace / "fifo", "wb"):
            woken.set()

    writer = threading.Thread(target=wait_at_the_fifo)
    writer.start()
    for path in ("fifo", "d"):
        with pytest.raises(FileFailure) as failure:
            files.download(path)
        assert failure.value.reason == "BAD_FIELD"
    assert not woken.is_set()
    os.close(os.open(files.workspace / "fifo", os.O_RDONLY | os.O_NONBLOCK))
    writer.join(20)


def test_a_link_is_described_as_what_it_is(files: HelperProbe):
    """Neither a directory nor followed, in a description and in a listing."""
    files.upload("d/f", b"12345")
    (files.workspace / "to_directory").symlink_to("d")
    (files.workspace / "out").symlink_to("/etc")
    entry = files.ask("stat", "out", with_sha256=True)["entry"]
    assert stat.S_ISLNK(entry["mode"])
    assert not entry["is_directory"]
    assert listed(files) == ["d", "d/f", "out", "to_directory"]


def test_the_workspace_itself_can_be_described_and_listed(files: HelperProbe):
    """By the empty path."""
    assert files.ask("stat", "", with_sha256=True)["entry"]["is_directory"]
    assert listed(files) == []


def test_a_description_has_the_hash_where_asked(files: HelperProbe):
    """Of regular files only."""
    files.upload("f", b"abc")
    assert files.ask("stat", "f", with_sha256=False)["entry"]["sha256"] == ""
    assert files.ask("stat", "f", with_sha256=True)["entry"]["sha256"] == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_a_recursive_listing_is_sorted_by_path_whatever_the_pages(files: HelperProbe, limit: int):
    """The order of the paths as strings, through all levels, with nothing lost or shown twice between pages."""
    for path in ("a/b", "a/b.c/d", "a.txt", "a-b", "ab/c/d/e", "z", "a/0", "é/ü"):
        files.upload(path)
    (files.workspace / "empty").mkdir()
    expected = sorted(files.names())
    assert listed(files, limit=limit) == expected
    assert listed(files, "a", limit=limit) == [path for path in expected if path.startswith("a/")]


def test_a_flat_listing_stays_in_its_directory(files: HelperProbe):
    """Directories are shown, not entered."""
    files.upload("a/b")
    assert listed(files, recursive=False) == ["a"]


def test_a_huge_directory_is_paged_in_bounded_memory(files: HelperProbe):
    """A page costs what a page holds, not what the directory holds."""
    import tracemalloc

    for number in range(20_000):
        (files.workspace / f"{number:05}").touch()
    tracemalloc.start()
    answer = files.ask("list", "", recursive=True, after_path="00009", limit=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [entry["path"] for entry in answer["list"]] == [f"{number:05}" for number in range(10, 20)]
    assert answer["more"]
    assert peak < 1_000_000


def test_long_paths_make_shorter_pages(files: HelperProbe):
    """A page is bounded in bytes too, and goes on where it stopped."""
    deep = "/".join(["d" * 250] * 14)
    os.makedirs(files.workspace / deep)
    for number in range(600):
        (files.workspace / deep / f"{number:03}").touch()
    first = files.ask("list", deep, recursive=False, after_path="", limit=1000)
    assert first["more"]
    assert len(first["list"]) < 600
    assert len(listed(files, deep, recursive=False)) == 600


def test_a_tree_deeper_than_any_path_is_listed_as_far_as_paths_reach(files: HelperProbe):
    """No error, no recursion limit."""
    directory = os.open(files.workspace, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("dddd", dir_fd=directory)
        below = os.open("dddd", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    found = listed(files)
    files.ask("clear")  # no other tool could
    assert 700 < len(found) < 1500


def test_names_that_are_not_utf8_are_backslash_escaped(files: HelperProbe):
    """They show, as bytes."""
    open(os.path.join(os.fsencode(files.workspace), b"caf\xe9"), "w").close()
    assert listed(files) == ["caf\\xe9"]


@pytest.mark.parametrize("limit", [-1, 1001])
def test_a_limit_beyond_the_page_is_a_bad_field(files: HelperProbe, limit: int):
    """0 means 1000."""
    with pytest.raises(FileFailure) as failure:
        files.ask("list", "", recursive=False, after_path="", limit=limit)
    assert failure.value.reason == "BAD_FIELD"


def test_a_file_cannot_be_listed(files: HelperProbe):
    """It is no directory: nothing of that name is there to list."""
    files.upload("f")
    with pytest.raises(FileFailure) as failure:
        files.ask("list", "f", recursive=False, after_path="", limit=0)
    assert failure.value.reason == "FILE_NOT_FOUND"
