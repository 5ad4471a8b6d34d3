"""An upload is whole or not there."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from sandbank_runner.files import upload as upload_module
from sandbank_runner.files.protocol import DATA, FrameSocket, pack, pack_header

from tests.unit.runner.files.helper_probe import FileFailure, HelperProbe


@pytest.fixture(params=["nameless", "hidden"])
def files(request, files: HelperProbe, monkeypatch) -> HelperProbe:
    """On file systems with nameless files and on those without."""
    if request.param == "hidden":
        real = os.open

        def without_nameless(path, flags, *rest, **keywords):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return real(path, flags, *rest, **keywords)

        monkeypatch.setattr(upload_module.os, "open", without_nameless)
    return files


def test_a_file_arrives_with_its_content_mode_and_hash(files: HelperProbe):
    """Parents are made; the answer describes what was written."""
    content = os.urandom(700_000)
    entry = files.upload("a/b/c.bin", content, mode=0o750, size_bytes=len(content))
    assert (files.workspace / "a/b/c.bin").read_bytes() == content
    assert entry["path"] == "a/b/c.bin"
    assert entry["size_bytes"] == len(content)
    assert stat.S_IMODE(entry["mode"]) == 0o750
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_mode_is_0644_where_none_is_given(files: HelperProbe):
    """Whatever the umask."""
    assert stat.S_IMODE(files.upload("f")["mode"]) == 0o644


def test_an_existing_file_is_replaced_not_written_into(files: HelperProbe):
    """Who has the old file open keeps the old content."""
    files.upload("f", b"old")
    with open(files.workspace / "f", "rb") as old:
        files.upload("f", b"new")
        assert old.read() == b"old"
    assert (files.workspace / "f").read_bytes() == b"new"
    assert files.names() == ["f"]


def test_a_link_at_the_target_is_replaced_not_followed(files: HelperProbe):
    """What it led to is untouched."""
    (files.workspace / "f").symlink_to("../outside/secret")
    files.upload("f", b"new")
    assert not (files.workspace / "f").is_symlink()
    assert (files.workspace.parent / "outside/secret").read_text() == "secret"


@pytest.mark.parametrize(
    "announced", [{"sha256": "0" * 64}, {"size_bytes": 4}, {"size_bytes": 2}, {"size_bytes": 0}], ids=str
)
def test_what_is_not_as_announced_is_not_written(files: HelperProbe, announced: dict):
    """Hash or size wrong: CHECKSUM_MISMATCH, the old file still there, no new directory, nothing hidden left."""
    files.upload("f", b"old")
    for path in ("f", "new/g"):
        with pytest.raises(FileFailure) as failure:
            files.upload(path, b"abc", **announced)
        assert failure.value.reason == "CHECKSUM_MISMATCH"
    assert (files.workspace / "f").read_bytes() == b"old"
    assert files.names() == ["f"]


def test_an_upload_cut_off_half_way_leaves_nothing(files: HelperProbe):
    """The connection ends before the last piece."""
    ours, thread = files.start()
    with ours:
        frames = FrameSocket(ours)
        frames.send(
            pack_header({"request": "upload", "path": "a/f", "mode": 0, "size_bytes": 9, "sha256": ""})
        )
        frames.send(pack(DATA, b"abc"))
    thread.join(20)
    assert files.names() == []


@pytest.mark.parametrize("path", ["d", "d/"])
def test_a_directory_is_not_replaced_by_a_file(files: HelperProbe, path: str):
    """BAD_FIELD, and the directory keeps what it has."""
    files.upload("d/f", b"1")
    with pytest.raises(FileFailure) as failure:
        files.upload(path, b"2")
    assert failure.value.reason == "BAD_FIELD"
    assert files.names() == ["d", "d/f"]


def test_a_file_in_the_way_of_a_directory_is_a_bad_field(files: HelperProbe):
    """Also a link that leads nowhere."""
    files.upload("f")
    (files.workspace / "nowhere").symlink_to("missing")
    for path in ("f/g", "nowhere/g"):
        with pytest.raises(FileFailure) as failure:
            files.upload(path)
        assert failure.value.reason == "BAD_FIELD"


@pytest.mark.parametrize(
    "fields", [{"mode": 0o4755}, {"size_bytes": -2}, {"sha256": "A" * 64}, {"sha256": "00"}], ids=str
)
def test_a_malformed_announcement_is_a_bad_field(files: HelperProbe, fields: dict):
    """Set-user-id bits, a negative size, a hash that is none."""
    with pytest.raises(FileFailure) as failure:
        files.upload("f", **fields)
    assert failure.value.reason == "BAD_FIELD"


def test_a_full_disk_is_workspace_full(files: HelperProbe, monkeypatch):
    """ENOSPC half-way: the answer says so, and nothing is left; a really full tmpfs is filled in tests/security."""

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload_module.os, "write", full)
    with pytest.raises(FileFailure) as failure:
        files.upload("a/f", b"abc")
    assert failure.value.reason == "WORKSPACE_FULL"
    assert files.names() == []
