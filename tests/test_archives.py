"""bioq.files.archives: archives that strangers make, with what must not get out of them."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bioq.errors import BioqError
from bioq.files import archives
from bioq.files.archives import MOST_ENTRIES, unpack

FILES = {"run/config.json": b"{}", "run/members/a/model.safetensors": bytes(range(256)) * 9000}


def everything(names: Sequence[str]) -> Mapping[str, str]:
    return {name: name for name in names}


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(
    path: Path, files: Mapping[str, bytes], mode: str = "w:gz", kind: bytes = tarfile.REGTYPE
) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.size, member.linkname = 0, content.decode()
            archive.addfile(member, io.BytesIO(content))
    return path


def write_plain_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    return write_tar(path, files, "w:")


Writer = Callable[[Path, Mapping[str, bytes]], Path]
each_kind = pytest.mark.parametrize("write", [write_zip, write_tar, write_plain_tar])


def refused(path: Path, folder: Path, choose: archives.Choose = everything) -> str:
    """Return the line of the refusal; nothing may be outside of the folder afterwards."""
    folder.mkdir()
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(BioqError) as caught:
        unpack(path, folder, choose, label="it")
    outside = [file for file in folder.parent.rglob("*") if not file.is_relative_to(folder)]
    assert sorted([*outside, folder]) == before
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("it: ")
    return line


@each_kind
def test_the_chosen_files_are_written_and_the_others_are_named(
    write: Writer, tmp_path: Path
) -> None:
    path = write(tmp_path / "archive", {**FILES, "run/notes.txt": b"x"})
    (tmp_path / "out").mkdir()
    chosen = {name: name.removeprefix("run/") for name in FILES}
    assert unpack(path, tmp_path / "out", lambda names: chosen, label="it") == ["run/notes.txt"]
    written = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_bytes()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    assert written == {chosen[name]: content for name, content in FILES.items()}


@each_kind
@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "run/../../evil", "a\\..\\evil", "run/./x", "a\nb", "run//x"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(
    write: Writer, name: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "archive", {**FILES, name: b"evil"})
    assert "which leads out of the folder" in refused(path, tmp_path / "out")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_with_links_or_devices_is_refused(kind: bytes, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "archive", {"run/model.safetensors": b"../secret"}, kind=kind)
    assert "is a link or a device" in refused(path, tmp_path / "out")


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("run/model.safetensors")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a link or a device" in refused(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_bomb_is_refused_before_it_is_written(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "archive", {"config.json": b"{}", "zeros": bytes(100 << 20)})
    assert path.stat().st_size < 200_000
    assert "unpacked" in refused(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_header_that_takes_memory_is_refused(tmp_path: Path) -> None:
    """The header of a name in a tar has any length, which Python's library reads in one piece."""
    path = tmp_path / "archive"
    with tarfile.open(path, "w:gz") as archive:
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, 50 << 20
        archive.addfile(header, io.BytesIO(bytes(header.size)))
    assert "a header that is too long" in refused(path, tmp_path / "out")


@each_kind
def test_more_files_than_a_run_has_are_refused(
    write: Writer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MOST_ENTRIES > 64 * 10
    monkeypatch.setattr(archives, "MOST_ENTRIES", 3)
    path = write(tmp_path / "archive", {str(number): b"" for number in range(4)})
    assert "has more than 3 files" in refused(path, tmp_path / "out")


@each_kind
def test_one_name_twice_is_refused(write: Writer, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    if write is write_zip:
        content = write_zip(path, {"a": b"1", "b": b"2"}).read_bytes()
        path.write_bytes(content.replace(b"b", b"a"))
    else:
        with tarfile.open(path, "w") as tar:
            for content in (b"1", b"2"):
                member = tarfile.TarInfo("a")
                member.size = 1
                tar.addfile(member, io.BytesIO(content))
    assert "has 'a' twice" in refused(path, tmp_path / "out")


@each_kind
def test_an_archive_that_was_cut_short_or_changed_is_refused(write: Writer, tmp_path: Path) -> None:
    content = write(tmp_path / "archive", FILES).read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    assert "cannot be unpacked" in refused(tmp_path / "cut", tmp_path / "out")
    if write is not write_plain_tar:  # which has no checksum of contents
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        (tmp_path / "changed").write_bytes(changed)
        refused(tmp_path / "changed", tmp_path / "other")


def test_a_zip_that_announces_another_size_is_refused(tmp_path: Path) -> None:
    content = write_zip(tmp_path / "archive", {"a": bytes(1000)}, zipfile.ZIP_STORED).read_bytes()
    for announced in (999, 1001):
        new = content.replace(struct.pack("<II", 1000, 1000), struct.pack("<II", 1000, announced))
        path = tmp_path / f"announces-{announced}"
        path.write_bytes(new)
        refused(path, tmp_path / f"out-{announced}")


def test_an_encrypted_zip_and_another_file_are_refused(tmp_path: Path) -> None:
    content = bytearray(write_zip(tmp_path / "archive", {"a": b"text"}).read_bytes())
    content[6] |= 1  # the flag of encryption, in the header of the file and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret").write_bytes(content)
    assert "encrypted" in refused(tmp_path / "secret", tmp_path / "out")
    (tmp_path / "page").write_bytes(b"<html>")
    assert "is no zip and no tar archive" in refused(tmp_path / "page", tmp_path / "other")
