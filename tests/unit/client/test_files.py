"""Files go up and come down whole, or not at all."""

import io
from pathlib import Path

import grpc
import pytest
from sandbank import AsyncClient, Client, reasons
from sandbank.errors import BadAnswer

from tests.fakes.api_server import BreakAfter, FakeServer, Refuse

CONTENT = bytes(range(256)) * 4096  # four chunks


class Pipe(io.RawIOBase):
    """A file object that cannot seek."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "pipe"])
def test_every_kind_of_source_arrives_with_its_hash(
    server: FakeServer, client: Client, tmp_path: Path, kind: str
) -> None:
    """Paths, bytes, files from where they stand, and what cannot seek."""
    path = tmp_path / "data.bin"
    path.write_bytes(b"skip" + CONTENT if kind == "file" else CONTENT)
    with path.open("rb") as file:
        file.seek(4)
        source = {"path": path, "bytes": CONTENT, "file": file, "pipe": Pipe(CONTENT)}[kind]
        sent = client.session().files.upload(source, None if kind == "path" else "up/data.bin")
    assert server.files == {sent.path: CONTENT}
    assert sent.path == ("data.bin" if kind == "path" else "up/data.bin")


def test_an_upload_begins_anew_for_each_try(server: FakeServer, client: Client, tmp_path: Path) -> None:
    """After a lost connection the whole file is sent again, hash and all."""
    (tmp_path / "f").write_bytes(CONTENT)
    server.sabotage["UploadFile"].append(Refuse(grpc.StatusCode.UNAVAILABLE))
    client.session().files.upload(tmp_path / "f")
    assert server.files == {"f": CONTENT}
    assert len(server.called("UploadFile")) == 2


def test_an_upload_needs_a_name(client: Client) -> None:
    """Bytes have none of their own."""
    with pytest.raises(ValueError, match="needs a path"):
        client.session().files.upload(b"x")


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (5, 0), (0, 10), (1000, 3000), (10**9, 0)])
def test_a_download_gives_what_was_asked_for(
    server: FakeServer, client: Client, tmp_path: Path, offset: int, length: int
) -> None:
    """The whole or a part, in memory or to a path."""
    server.files["f"] = CONTENT
    wanted = CONTENT[offset:][: length or None]
    files = client.session().files
    assert files.download("f", offset=offset, length=length) == wanted
    assert files.download("f", tmp_path / "here", offset=offset, length=length) == b""
    assert (tmp_path / "here").read_bytes() == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("fault", ["corrupt", "cut", "missing"])
def test_a_failed_download_leaves_nothing_and_replaces_nothing(
    server: FakeServer, client: Client, tmp_path: Path, fault: str
) -> None:
    """A wrong hash, a stream that ends early, a file that is not there."""
    server.corrupt_downloads = fault == "corrupt"
    if fault != "missing":
        server.files["f"] = CONTENT
    if fault == "cut":
        server.sabotage["DownloadFile"].append(BreakAfter(3, politely=True))
    target = tmp_path / "here"
    target.write_bytes(b"old")
    with pytest.raises(reasons.FileNotFound if fault == "missing" else BadAnswer):
        client.session().files.download("f", target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


async def test_the_async_client_moves_files_alike(server: FakeServer, async_client: AsyncClient) -> None:
    """Up, down, list, stat, delete, make a directory."""
    async with async_client.session() as session:
        await session.files.upload(CONTENT, "f")
        assert await session.files.download("f") == CONTENT
        assert [file.path async for file in session.files.list()] == ["f"]
        assert (await session.files.stat("f")).size_bytes == len(CONTENT)
        assert (await session.files.mkdir("d")).is_directory
        await session.files.delete("f")
        with pytest.raises(reasons.FileNotFound):
            await session.files.stat("f")
