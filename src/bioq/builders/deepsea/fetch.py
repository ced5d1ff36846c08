"""Downloads and unpacks the DeepSEA bundle.

The DeepSEA site publishes no checksum of its bundle. The length is always checked; the SHA-256 is
checked if the caller gives one, and always printed.
"""

import gzip
import tarfile
import zlib
from pathlib import Path

from bioq import files
from bioq.errors import BioqError
from bioq.files.checksum import Checksum, check_checksum
from bioq.files.download import fetch
from bioq.progress import progress, say

DEEPSEA_URL = "http://deepsea.princeton.edu/media/code/deepsea_train_bundle.v0.9.tar.gz"
SOURCE = "source.json"
_BUNDLE = files.FolderKind(SOURCE, ("*.mat", "*.txt", "README*", "deepsea_train"))
"""The file beside the unpacked ones that records their address."""


def fetch_deepsea(
    out: Path, *, url: str = DEEPSEA_URL, sha256: str | None = None, force: bool = False
) -> None:
    """Download the DeepSEA training bundle and unpack it as the folder `out`.

    The archive is stored beside `out` until it is unpacked; an interrupted download is resumed. The
    .mat files in it are already compressed, so unpacking needs about the same space again.
    `out`/source.json records the address; with `force` a folder that has this file is replaced.
    Raises BioqError if `out` exists, the disk has too little space or the server does not answer.
    """
    out = Path(out)
    replaces = _BUNDLE if force else None
    files.require_absent(out, replaces=replaces)
    archive = out.with_name(url.rsplit("/", 1)[-1] or "bundle.tar.gz")
    checksum = None if sha256 is None else Checksum("SHA-256", sha256)
    if archive.exists():
        _check_archive(archive, checksum, url)
    else:
        fetch(url, archive, checksum=checksum, room_factor=2.0)
    _unpack(archive, out, url, replaces)
    archive.unlink()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        say(f"{path}: {path.stat().st_size:,} bytes")


def _check_archive(archive: Path, checksum: Checksum | None, url: str) -> None:
    """Compare an archive that was downloaded before; it is removed if it is another file."""
    try:
        check_checksum(archive, checksum, url, label=archive.name)
    except BioqError:
        archive.unlink()
        raise


def _unpack(archive: Path, out: Path, url: str, replaces: files.FolderKind | None) -> None:
    """Unpack a tar archive as the folder `out`, with its address; refuse members outside it."""
    try:
        with (
            files.new_folder(out, replaces=replaces) as folder,
            tarfile.open(archive) as tar,
            progress(f"unpack {archive.name}", archive.stat().st_size, "bytes") as advance,
        ):
            for member in tar:
                tar.extract(member, folder, filter="data")
                advance(member.size)
            files.write_json(folder / SOURCE, {"url": url})
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else "it ends too early"
        raise BioqError(
            f"{archive}: cannot be unpacked ({reason}); remove it and download it again"
        ) from error
