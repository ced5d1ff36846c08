"""bioq.files.download and the DeepSEA bundle, against a local server with faults."""

import hashlib
import io
import json
import socket
import tarfile

import pytest
from download_site import CONTENT

from bioq.builders.deepsea.fetch import fetch_deepsea
from bioq.errors import BioqError
from bioq.files import download
from bioq.files.checksum import Checksum
from bioq.files.download import TRIES, fetch


def _no_sleep(_):
    pass


def _left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_whole_and_nothing_else_is_left(site, tmp_path, capsys):
    fetch(site.url, tmp_path / "new" / "bundle")
    assert (tmp_path / "new" / "bundle").read_bytes() == CONTENT
    assert _left(tmp_path / "new") == ["bundle"]
    output = capsys.readouterr()
    assert output.out == ""
    assert hashlib.sha256(CONTENT).hexdigest() in output.err
    assert "no expected value was given" in output.err


def test_a_download_that_breaks_off_goes_on_where_it_stopped(site, tmp_path):
    site.break_after = [1000, 500, 0, 700]
    fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1000-", "bytes=1500-", "bytes=1500-", "bytes=2200-"]


def test_a_server_that_ignores_range_is_read_from_the_start(site, tmp_path):
    site.takes_ranges = False
    site.break_after = [3000, 1000]
    fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_without_length_is_trusted_to_end_the_file_and_the_user_is_told(
    site, tmp_path, capsys
):
    site.gives_length = False
    fetch(site.url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert "gives no length of the file" in capsys.readouterr().err


def test_a_download_that_gave_up_is_kept_and_a_second_call_goes_on(site, tmp_path):
    site.break_after = [2000] + [0] * TRIES
    with pytest.raises(BioqError) as caught:
        fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert f"{TRIES} tries in a row brought nothing new" in str(caught.value)
    assert "the connection ended at 2,000 of 5,000 bytes" in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert _left(tmp_path) == ["a.part", "a.part.json"]

    site.ranges.clear()
    fetch(site.url, tmp_path / "a", sleep=_no_sleep)

    assert site.ranges == ["bytes=2000-"]
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert _left(tmp_path) == ["a"]


def _begin(site, tmp_path, size=2000):
    """Leave a part of `size` bytes."""
    site.break_after = [size] + [0] * TRIES
    with pytest.raises(BioqError):
        fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    site.break_after.clear()
    assert (tmp_path / "a.part").stat().st_size == size


@pytest.mark.parametrize("etag", ['"second"', None])
@pytest.mark.parametrize("length", [1000, 4000, 6000])
def test_a_file_that_changed_meanwhile_is_fetched_anew(site, tmp_path, etag, length):
    site.etag = etag and '"first"'
    _begin(site, tmp_path)
    site.content, site.etag = CONTENT[::-1].ljust(6000)[:length], etag
    fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert (tmp_path / "a").read_bytes() == site.content


def test_a_part_of_another_address_is_not_gone_on_with(site, tmp_path):
    _begin(site, tmp_path)
    site.content = CONTENT[::-1]
    fetch(site.url + "?other", tmp_path / "a", sleep=_no_sleep)
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_part_whose_note_is_lost_is_fetched_anew(site, tmp_path):
    _begin(site, tmp_path)
    (tmp_path / "a.part.json").unlink()
    (tmp_path / "a.part").write_bytes(b"something else")
    fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_whole_part_is_finished_without_asking_again(site, tmp_path):
    _begin(site, tmp_path)
    (tmp_path / "a.part").write_bytes(CONTENT)
    site.ranges.clear()
    fetch(site.url, tmp_path / "a")
    assert site.ranges == []
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again_later_and_later(site, tmp_path, status):
    waits = []
    site.statuses = [status] * 3
    fetch(site.url, tmp_path / "a", sleep=waits.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert waits == sorted(waits)
    assert len(waits) == 3


@pytest.mark.parametrize("status", [404, 403])
def test_a_refusal_is_final(site, tmp_path, status):
    site.statuses = [status]
    with pytest.raises(BioqError, match=f"{site.url}: the server answered {status}"):
        fetch(site.url, tmp_path / "a", sleep=_no_sleep)
    assert len(site.ranges) == 1
    assert _left(tmp_path) == []


def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BioqError, match=r"http://127.0.0.1:1/a: 6 tries.*refused"):
        fetch("http://127.0.0.1:1/a", tmp_path / "a", sleep=_no_sleep)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "bundle.tar.gz"])
def test_anything_but_a_web_address_is_refused(tmp_path, url):
    with pytest.raises(BioqError, match="is not a web address"):
        fetch(url, tmp_path / "a")


def test_a_full_disk_is_noticed_before_the_download(site, tmp_path):
    with pytest.raises(BioqError) as caught:
        fetch(site.url, tmp_path / "a", room_factor=2.0, free_bytes=lambda _: 9999)
    assert f"{tmp_path}: has 9,999 bytes free, 10,000 are needed" in str(caught.value)
    assert not (tmp_path / "a").exists()
    fetch(site.url, tmp_path / "a", room_factor=2.0, free_bytes=lambda _: 10000)


def test_a_disk_that_fills_up_on_the_way_is_one_line_and_what_came_is_kept(
    site, tmp_path, monkeypatch
):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_append", no_space)
    with pytest.raises(BioqError, match=r"could not be written: No space left on device; .* kept"):
        fetch(site.url, tmp_path / "a", sleep=_no_sleep)


def test_the_right_checksum_is_accepted_in_either_case(site, tmp_path, capsys):
    fetch(
        site.url,
        tmp_path / "a",
        checksum=Checksum("SHA-256", hashlib.sha256(CONTENT).hexdigest().upper()),
    )
    assert "(as expected)" in capsys.readouterr().err


def test_a_wrong_checksum_is_refused_and_the_download_removed(site, tmp_path):
    with pytest.raises(BioqError, match=r"the SHA-256 of the download is .*, expected 0123"):
        fetch(site.url, tmp_path / "a", checksum=Checksum("SHA-256", "0123"))
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.part").exists()


def test_an_existing_file_is_never_replaced(site, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(BioqError, match="exists already"):
        fetch(site.url, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"


def _archive(**members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def test_the_bundle_is_unpacked_and_its_archive_removed(site, tmp_path, capsys):
    site.content = _archive(**{"deepsea_train/train.mat": CONTENT, "deepsea_train/README": b"hi"})
    fetch_deepsea(
        tmp_path / "bundle", url=site.url, sha256=hashlib.sha256(site.content).hexdigest()
    )
    assert (tmp_path / "bundle/deepsea_train/train.mat").read_bytes() == CONTENT
    assert _left(tmp_path) == ["bundle"]
    assert "train.mat: 5,000 bytes" in capsys.readouterr().err


def test_force_replaces_an_unpacked_bundle(site, tmp_path):
    out = tmp_path / "bundle"
    site.content = _archive(**{"train.mat": CONTENT})
    fetch_deepsea(out, url=site.url)
    assert json.loads((out / "source.json").read_text()) == {"url": site.url}
    site.content = _archive(**{"valid.mat": CONTENT})
    with pytest.raises(BioqError, match=r"bundle: exists already; .*--force to replace"):
        fetch_deepsea(out, url=site.url)
    fetch_deepsea(out, url=site.url, force=True)
    assert _left(out) == ["source.json", "valid.mat"]


def test_an_archive_that_is_there_already_is_checked_and_unpacked(site, tmp_path):
    content = _archive(**{"train.mat": CONTENT})
    (tmp_path / "bundle.tar.gz").write_bytes(content)
    fetch_deepsea(tmp_path / "out", url=site.url, sha256=hashlib.sha256(content).hexdigest())
    assert site.ranges == []
    assert (tmp_path / "out/train.mat").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "content",
    [_archive(a=CONTENT)[:-3000], CONTENT, _archive(**{"../evil": b"x"})],
    ids=["cut short", "no archive", "a member outside"],
)
def test_a_bundle_that_cannot_be_unpacked_leaves_no_folder(site, tmp_path, content):
    site.content = content
    with pytest.raises(BioqError, match=r"bundle.tar.gz: cannot be unpacked .*download it again"):
        fetch_deepsea(tmp_path / "in" / "out", url=site.url)
    assert _left(tmp_path / "in") == ["bundle.tar.gz"]
    assert _left(tmp_path) == ["in"]


def test_an_existing_bundle_folder_is_refused_before_the_download(site, tmp_path):
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BioqError, match="exists already"):
        fetch_deepsea(tmp_path / "bundle", url=site.url)
    assert site.ranges == []


def test_a_name_that_no_server_has_is_one_line_at_once(tmp_path, monkeypatch):
    def no_name(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def sleep(_):
        pytest.fail("tried again")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    with pytest.raises(BioqError, match=r"no answer \(.*\); check the network; give the file"):
        fetch("http://no.such.host/a", tmp_path / "a", remedy="give the file", sleep=sleep)
    assert _left(tmp_path) == []
