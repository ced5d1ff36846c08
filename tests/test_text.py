"""One way to open text: every compression and line end gives every reader the same lines."""

import bz2
import gzip
import io
import lzma
import os
import re
import struct
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioq.dataset.targets import read_target_table
from bioq.errors import BioqError
from bioq.files import text as text_module
from bioq.files.text import about_invisible, open_content, open_text, read_text, split_lines
from bioq.genome import open_genome, read_bed, read_chrom_alias
from bioq.genome.vcf import read_variants
from bioq.inputs import RegionWindows, SequenceWindows
from bioq.motifs import read_meme

CONTENT = b"first\nsecond line\n\nlast"


def bgzip(content: bytes) -> bytes:
    path = Path(os.environ.get("TMPDIR", "/tmp"), f"bioq-test-{os.getpid()}.gz")
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(content)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


PACKED = {"none": bytes, "gzip": gzip.compress, "bgzip": bgzip}
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def zip_of(content: bytes, name: str = "x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tar_of(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("x")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


OTHER = {
    "zstd": lambda content: b"\x28\xb5\x2f\xfd" + content,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "zip": zip_of,
}


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_packing_and_line_end_gives_the_same_text(tmp_path, packing, end, mark):
    file = tmp_path / "x"
    file.write_bytes(PACKED[packing](mark + CONTENT.replace(b"\n", end)))
    with open_text(file, "text") as text:
        assert text.read() == CONTENT
    assert read_text(file, "text") == CONTENT.decode()
    with open_content(file, "text") as content:
        assert content.compression == packing


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"bc"]), max_size=30), st.integers(1, 4))
def test_line_ends_are_found_wherever_a_block_ends(tmp_path, monkeypatch, pieces, block):
    monkeypatch.setattr(text_module, "_BUFFER_BYTES", block)
    file = tmp_path / "x"
    content = b"x" + b"".join(pieces)
    file.write_bytes(content)
    with open_text(file, "text") as text:
        assert text.read() == content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


READERS = {
    "a BED file": (lambda path: len(read_bed(path)), b"chr1\t1\t9\nchr1\t20\t30\n", 2),
    "VCF": (
        lambda path: len(list(read_variants(path))),
        b"##fileformat=VCFv4.3\nchr1\t5\t.\tA\tC\nchr1\t6\t.\tC\tT\n",
        2,
    ),
    "FASTA": (
        lambda path: SequenceWindows(path, window_bp=4, stride_bp=4).count(),
        b">a\nACGT\n>b\nACG\nT\n",
        2,
    ),
    "a genome": (lambda path: open_genome(path).lengths, b">a\nACGT\n>b\nACG\n", {"a": 4, "b": 3}),
    "contig names": (
        lambda path: read_chrom_alias(path).lines,
        b"chr1\tI\nchr2\tII\n",
        ((1, ("chr1", "I")), (2, ("chr2", "II"))),
    ),
    "a target table": (lambda path: len(read_target_table(path)), b"name\tx\na\t1\nb\t2\n", 2),
    "motifs": (
        lambda path: [len(motif) for motif in read_meme(path)],
        b"MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0.25 0.25 0.25 0.25\n",
        [1],
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("end", LINE_ENDS)
def test_every_reader_takes_every_packing_and_line_end(tmp_path, reader, packing, end):
    read, content, expected = READERS[reader]
    file = tmp_path / "x"
    file.write_bytes(PACKED[packing](content.replace(b"\n", end)))
    assert read(file) == expected


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("end", LINE_ENDS)
def test_regions_take_every_packing_and_line_end(tmp_path, packing, end):
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 20 + "\n")
    file = tmp_path / "x"
    file.write_bytes(PACKED[packing](b"chr1\t1\t9\nchr1\t20\t28\tb\n".replace(b"\n", end)))
    with open_genome(tmp_path / "g.fa") as genome:
        regions = list(RegionWindows(file, genome, window_bp=8, bin_bp=4, stride_bp=4).regions())
    assert [(region.start, region.end, region.name) for region in regions] == [
        (1, 9, ""),
        (20, 28, "b"),
    ]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", OTHER)
def test_another_compression_is_named(tmp_path, reader, name):
    read, content, _ = READERS[reader]
    file = tmp_path / "x"
    file.write_bytes(OTHER[name](content))
    with pytest.raises(BioqError, match=f"x: is compressed with {name}; BioQ reads plain, gzip"):
        read(file)


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_gzip_a_missing_file_and_a_folder_are_named(tmp_path, reader):
    read, content, _ = READERS[reader]
    file = tmp_path / "x"
    with pytest.raises(BioqError, match="x: no such file; expected "):
        read(file)
    file.write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(BioqError, match="x: its gzip compression is cut short or damaged"):
        read(file)
    with pytest.raises(BioqError, match="could not be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("packing", PACKED)
def test_a_pipe_is_read(tmp_path, packing):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = CONTENT * 50_000
    writer = threading.Thread(target=lambda: pipe.write_bytes(PACKED[packing](content)))
    writer.start()
    with open_text(pipe, "text") as text:
        assert text.read() == content
    writer.join()


@pytest.mark.parametrize("packing", PACKED)
def test_a_pipe_whose_first_bytes_come_one_by_one_is_read(tmp_path, packing):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            content = PACKED[packing](b"\xef\xbb\xbf" + CONTENT)
            for byte in content[:20]:
                file.write(bytes([byte]))
                time.sleep(0.005)
            file.write(content[20:])

    writer = threading.Thread(target=write)
    writer.start()
    with open_text(pipe, "text") as text:
        assert text.read() == CONTENT
    writer.join()


def test_a_bgzip_file_without_its_last_block_is_read_with_one_warning(tmp_path, capsys):
    file = tmp_path / "x.gz"
    file.write_bytes(bgzip(CONTENT)[:-28])
    for _ in range(2):
        with open_text(file, "text") as text:
            assert text.read() == CONTENT
    err = capsys.readouterr().err
    assert err.count("x.gz: the empty block that ends a bgzip file is not there") == 1
    warnings: list[str] = []
    with open_content(file, "text", label="upload", warn=warnings.append) as content:
        assert content.stream.read() == CONTENT
    assert len(warnings) == 1
    assert warnings[0].startswith("upload: the empty block")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("packing", ["gzip", "bgzip"])
@pytest.mark.parametrize("padding", [b"", b"\0", bytes(3_000_000)])
def test_members_in_a_row_and_zeros_behind_them_are_read(tmp_path, packing, padding, capsys):
    file = tmp_path / "x.gz"
    pack = PACKED[packing]
    file.write_bytes(pack(CONTENT[:9]) + pack(b"") + pack(CONTENT[9:]) + padding)
    with open_text(file, "text") as text:
        assert text.read() == CONTENT
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("packing", ["gzip", "bgzip"])
@pytest.mark.parametrize("change", ["cut in a block", "cut in a header", "rubbish behind it"])
def test_gzip_that_is_cut_or_followed_by_other_bytes_is_refused(tmp_path, packing, change):
    file = tmp_path / "x.gz"
    packed = PACKED[packing](CONTENT)
    contents = {
        "cut in a block": packed[:40] if packing == "gzip" else packed[:-40],
        "cut in a header": packed + packed[:5],
        "rubbish behind it": packed + b"rubbish",
    }
    file.write_bytes(contents[change])
    with pytest.raises(BioqError, match=r"x\.gz: its gzip compression is cut short or damaged"):
        with open_text(file, "text") as text:
            text.read()


UTF_16 = "name\tpeaks\n".encode("utf-16")
FORMATS = {
    "a spreadsheet": lambda: zip_of(CONTENT, "[Content_Types].xml"),
    "a spreadsheet (Excel)": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "a tar archive": lambda: tar_of(CONTENT),
    "2bit": lambda: struct.pack(">I", 0x1A412743) + bytes(100),
    "bigBed": lambda: struct.pack("<I", 0x8789F2EB) + bytes(100),
    "bigWig": lambda: struct.pack(">I", 0x888FFC26) + bytes(100),
    "BAM": lambda: bgzip(b"BAM\1" + bytes(50)),
    "CRAM": lambda: b"CRAM\3\0" + bytes(20),
    "a tabix index": lambda: bgzip(b"TBI\1" + bytes(50)),
    "a CSI index": lambda: bgzip(b"CSI\1" + bytes(50)),
    "HDF5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(100),
    "Parquet": lambda: b"PAR1\x15\x04" + bytes(10),
    "UTF-16": lambda: UTF_16,
    "UTF-16 or": lambda: UTF_16[2:],
    "a web page": lambda: b"\n <!doctype HTML>\n<html>not found</html>",
    "a web page (HTML": lambda: gzip.compress(b'<?xml version="1.0"?><Error>NoSuchKey</Error>'),
    "a pointer of Git LFS": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "compressed with zip": lambda: zip_of(CONTENT),
    "compressed with compress": lambda: b"\x1f\x9d\x90" + CONTENT,
    "compressed with lz4": lambda: struct.pack("<I", 0x184D2204) + CONTENT,
    "compressed with 7z": lambda: b"7z\xbc\xaf\x27\x1c" + CONTENT,
    "compressed twice": lambda: gzip.compress(bgzip(CONTENT)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_in_another_format_is_named_with_the_way_out(tmp_path, name, reader):
    file = tmp_path / "x"
    file.write_bytes(FORMATS[name]())
    if (name, reader) == ("2bit", "a genome"):
        return
    with pytest.raises(BioqError, match=f"x: is {re.escape(name)}.*:? .*") as caught:
        READERS[reader][0](file)
    assert "\n" not in str(caught.value)


def test_a_2bit_genome_in_gzip_is_named(tmp_path):
    (tmp_path / "x").write_bytes(gzip.compress(FORMATS["2bit"]()))
    with pytest.raises(BioqError, match=r"is a 2bit genome in gzip; .* \(gunzip\)"):
        open_genome(tmp_path / "x")


@pytest.mark.parametrize(
    "text", [b"PAR1\t5\t9\n", b"BZ\t5\t9\n", b"CRAM\t5\t9\n", b"version\t5\t9\n"]
)
def test_a_contig_with_the_name_of_a_format_is_text(tmp_path, text):
    (tmp_path / "x").write_bytes(text)
    assert len(read_bed(tmp_path / "x")) == 1


def test_lines_end_at_line_ends_only():
    assert split_lines("a\nb\r\nc\rd\x0be\x1c\u2028\n") == ["a", "b", "c", "d\x0be\x1c\u2028", ""]


def test_a_table_of_names_without_a_name_says_so(tmp_path, capsys):
    (tmp_path / "alias.tsv").write_bytes(b"# other\tgenome\r\r")
    assert read_chrom_alias(tmp_path / "alias.tsv").lines == ()
    assert "alias.tsv: holds no contig names" in capsys.readouterr().err


def test_the_bytes_of_the_file_are_reported_as_they_are_read(tmp_path):
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(os.urandom(3_000_000)))
    seen: list[int] = []
    with open_text(file, "text", advance=lambda done, note="": seen.append(done)) as text:
        text.read()
    assert sum(seen) == file.stat().st_size
    assert len(seen) > 2


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("peaks/a b.bed", ""),
        ("Größe (µm)", ""),
        (" a ", ", with a space at its start and a space at its end"),
        ("a\xa0b", ", with no-break space (U+00A0)"),
        ("\ufeffa\u200b", ", with a byte order mark (U+FEFF) and zero width space (U+200B)"),
        ("a\0", ", with a control character (U+0000)"),
    ],
)
def test_characters_that_a_terminal_does_not_show_are_named(text: str, note: str) -> None:
    assert about_invisible(text) == note


def test_small_text_in_another_encoding_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    file.write_bytes("name\r\nCafé\r\n".encode("latin-1"))
    with pytest.raises(BioqError, match=r"x.tsv:2: has the byte 0xE9, which is not UTF-8 text"):
        read_text(file, "a table")
