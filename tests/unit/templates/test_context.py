"""Build contexts hold what an image needs, the same bytes every time."""

from __future__ import annotations

import io
import os
import tarfile

from sandbank_server.templates.context import digest, packages_dockerfile, runner_files, write_context


def written(files):
    """Return the context's bytes."""
    target = io.BytesIO()
    write_context(target, files)
    return target.getvalue()


def test_the_same_content_gives_the_same_bytes(tmp_path):
    """Whoever builds it, whenever, under whatever umask: the engine's cache and the digests rely on it."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    first = written({"b/c": path, "a": b"x"})
    os.utime(path, (1, 1))
    path.chmod(0o600)
    assert written({"a": b"x", "b/c": path}) == first


def test_members_belong_to_root_and_are_readable_by_all():
    """User code runs as another user than the one that owns the image's files."""
    with tarfile.open(fileobj=io.BytesIO(written({"code/x.py": b""}))) as archive:
        members = {member.name: (member.uid, member.gid, member.mode) for member in archive}
    assert members == {"code": (0, 0, 0o755), "code/x.py": (0, 0, 0o644)}


def test_the_image_gets_the_runner_and_the_messages_alone():
    """The client and its servicer stubs have no place in a sandbox."""
    files = runner_files()
    assert {
        "Dockerfile",
        "code/sandbank_runner/__init__.py",
        "code/sandbank/v1/execution_pb2.py",
    } <= files.keys()
    assert [name for name in files if name.endswith(("_grpc.py", ".pyi", ".pyc")) or "/cli/" in name] == []
    assert "code/sandbank/errors.py" not in files


def test_a_digest_stands_for_names_and_contents():
    """Moving bytes from one file to the next is another content."""
    digests = [digest(parts) for parts in ({"a": "xy", "b": ""}, {"a": "x", "b": "y"}, {"a": "xy", "c": ""})]
    assert len(set(digests)) == 3
    assert digest({"b": "", "a": b"xy"}) == digests[0]


def test_the_build_has_no_network_to_lean_on():
    """Every install in the packages' Dockerfile is from files and by hash."""
    text = packages_dockerfile().decode()
    assert "--no-index" in text
    assert "--require-hashes" in text
    assert "apt-get" not in text
