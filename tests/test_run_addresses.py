"""A run at an address: what is downloaded, from where, and what a bad server can do."""

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from download_site import Site

import bioq
from bioq.cli import main
from bioq.errors import BioqError, UsageError
from bioq.files import download
from bioq.runs.addresses import HubAddress, WebAddress, ZenodoAddress, parse_address
from bioq.runs.fetched import is_run_file
from bioq.runs.named import resolve_run
from bioq.runs.origin import RECORD
from bioq.runs.weights import read_tensors, save_tensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGITS = "ab" * 32
WINDOW = "ACGT" * 50


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> Path:
    """Make both services the local server, with an empty cache."""
    monkeypatch.setenv("BIOQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", site.server)
    monkeypatch.setenv("BIOQ_ZENODO", site.server)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return tmp_path / "cache"


def files_of(run: Path) -> dict[str, bytes]:
    return {
        file.relative_to(run).as_posix(): file.read_bytes()
        for file in sorted(run.rglob("*"))
        if file.is_file()
    }


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def serve_hub(
    site: Site, files: Mapping[str, bytes], *, revision: str = "main", repository: str = "o/n"
) -> dict[str, Any]:
    """Serve a repository of Hugging Face; return the answer of its API, which a test may change."""
    siblings: list[dict[str, Any]] = []
    for name, content in files.items():
        entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
        if name.endswith(".safetensors"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry |= {"blobId": "0" * 40}
            entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        siblings.append(entry)
        site.files[f"/{repository}/resolve/{COMMIT}/{name}"] = content
    answer = {"id": repository, "sha": COMMIT, "siblings": siblings}
    answer["cardData"] = {"license": "cc-by-4.0"}
    set_answer(site, f"/api/models/{repository}/revision/{revision}", answer)
    return answer


def serve_zenodo(site: Site, files: Mapping[str, bytes], record: int = 123) -> dict[str, Any]:
    """Serve a record of Zenodo; return the answer of its API."""
    entries = []
    for name, content in files.items():
        path = f"/api/records/{record}/files/{name}/content"
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        entries.append(
            {"key": name, "size": len(content), "checksum": checksum,
             "links": {"self": f"{site.server}{path}"}}
        )  # fmt: skip
        site.files[path] = content
    answer = {"id": record, "files": entries, "metadata": {"license": {"id": "mit"}}}
    set_answer(site, f"/api/records/{record}", answer)
    return answer


def serve_web(site: Site, content: bytes, path: str = "/models/best%20run.tar.gz") -> str:
    """Serve an archive; return its address."""
    site.files[path] = content
    return f"{site.server}{path}#sha256={hashlib.sha256(content).hexdigest()}"


def set_answer(site: Site, path: str, answer: object) -> None:
    site.files[path] = json.dumps(answer).encode()


def zipped(files: Mapping[str, bytes], folder: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(folder + name, text)
    return content.getvalue()


def tarred(files: Mapping[str, bytes], folder: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def refused(address: str) -> str:
    with pytest.raises(BioqError) as caught:
        resolve_run(address)
    line = str(caught.value)
    assert "\n" not in line
    return line


ADDRESSES = {
    "hf:a/b.c-d": HubAddress("a", "b.c-d"),
    "hf:a/b@main": HubAddress("a", "b"),
    "hf:a/b@refs/pr/1": HubAddress("a", "b", "refs/pr/1"),
    "zenodo:1466993": ZenodoAddress("1466993"),
    "zenodo:1/run 1.tar.gz": ZenodoAddress("1", "run 1.tar.gz"),
    f"https://x.org/r.zip?download=1#sha256={DIGITS}":
        WebAddress("https://x.org/r.zip?download=1", DIGITS),
    f"https:/x.org/r.zip#sha256={DIGITS.upper()}": WebAddress("https://x.org/r.zip", DIGITS),
}  # fmt: skip
INCOMPLETE = [
    "hf:", "hf:a", "hf:a/b/c", "hf:a/..", "hf:../b", "hf:a/b@", "hf:a/b@../../x", "hf:a b/c",
    "zenodo:", "zenodo:abc", "zenodo:1/", "https://", "https://x.org/r.zip",
    "https://x.org/r.zip#sha256=12", f"https://x.org/r.zip#md5={DIGITS}",
    f"https://x.org/\u202er.zip#sha256={DIGITS}", "zenodo:1/\udcff", "zenodo:1/\x1b[31m",
]  # fmt: skip


def test_addresses_are_recognised_and_paths_are_none() -> None:
    for text, address in ADDRESSES.items():
        assert parse_address(text) == address
        again = parse_address(str(address))
        assert again is not None
        assert (again.folder, again.name) == (address.folder, address.name)
    for text in ("run", "runs/hf", "./hf:a", "C:/run", ""):
        assert parse_address(text) is None
    for text in INCOMPLETE:
        with pytest.raises(UsageError, match=r"expected (hf|zenodo|https):|has no checksum"):
            parse_address(text)


@pytest.mark.parametrize("server", ["x.org:a", "x.org:99999", "[::1", "x" * 70, ".."])
def test_an_address_without_a_server_is_refused(server: str, site: Site, cache: Path) -> None:
    line = refused(f"https://{server}/r.zip#sha256={DIGITS}")
    assert "/r.zip: has no server, or a port that is none; expected https://SERVER/FILE" in line
    assert not cache.exists()


def test_a_password_is_in_no_message_and_no_file(
    run: Path, site: Site, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = serve_web(site, zipped(files_of(run)), "/my-run-é.zip").replace("#", "?key=secret#")
    site.files["/my-run-%C3%A9.zip"] = site.files.pop("/my-run-é.zip")
    fetched = resolve_run(address)
    assert files_of(fetched) == files_of(run)
    assert all(b"secret" not in content for content in files_of(cache).values())
    assert "secret" not in refused(address.replace("://", "://me:secret@").replace("#", "x#"))
    site.statuses = [403]
    assert "the server answered 403" in (
        line := refused(address.split("#")[0] + f"#sha256={DIGITS}")
    )
    assert "secret" not in line + capsys.readouterr().err


@pytest.mark.parametrize("token", ["two words secret", "secret\u2603"])
def test_a_token_that_no_header_can_have_is_not_shown(
    token: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    line = refused("hf:o/n")
    assert line.startswith("HF_TOKEN has a space or a letter that no token has")
    assert "secret" not in line


@pytest.mark.parametrize("target", ["http://[::1/x", "http://x:y/", "file:///etc/passwd"])
def test_a_redirect_to_no_address_is_one_line(target: str, site: Site) -> None:
    site.redirects["/r.zip"] = target
    line = refused(f"{site.server}/r.zip#sha256={DIGITS}")
    assert re.search("redirects to|not allowed|has no server", line)


def test_a_run_of_hugging_face_predicts_the_same_and_needs_no_network_again(
    run: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(run)
    others = {"pytorch_model.bin": b"a pickle", ".gitattributes": b"", "last.safetensors": b"x"}
    serve_hub(site, {**files, **others, "README.md": b"# card"})
    expected = bioq.predict(run, [WINDOW])
    np.testing.assert_array_equal(bioq.predict("hf:o/n", [WINDOW]), expected)
    fetched = resolve_run("hf:o/n")
    assert files_of(fetched) == {**files, "README.md": b"# card"}
    assert fetched.name == "n"
    said = capsys.readouterr().err
    assert f"this is hf:o/n@{COMMIT}" in said
    assert "licence cc-by-4.0" in said
    site.paths.clear()
    site.files.clear()
    np.testing.assert_array_equal(bioq.predict("hf:o/n", [WINDOW]), expected)
    assert not site.paths
    assert sorted(path.name for path in fetched.parent.iterdir()) == [RECORD, "n"]


def test_a_revision_is_another_run(run: Path, site: Site) -> None:
    serve_hub(site, files_of(run))
    serve_hub(site, {**files_of(run), "README.md": b"other"}, revision="refs%2Fpr%2F1")
    assert resolve_run("hf:o/n@refs/pr/1") != resolve_run("hf:o/n")
    assert (resolve_run("hf:o/n@refs/pr/1") / "README.md").exists()


def test_an_ensemble_with_its_evaluation_is_downloaded(
    run: Path, site: Site, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "second")
    last = tmp_path / "second" / "model.safetensors"
    save_tensors({name: tensor * 1.5 for name, tensor in read_tensors(last)[0].items()}, last)
    bioq.make_ensemble([run, tmp_path / "second"], tmp_path / "both")
    evaluation = tmp_path / "both" / "evaluation"
    evaluation.mkdir()
    (evaluation / "metrics.json").write_text("{}")
    (evaluation / "report.html").write_text("<html>")
    files = files_of(tmp_path / "both")
    serve_hub(site, files)
    fetched = resolve_run("hf:o/n")
    del files["evaluation/report.html"]
    assert files_of(fetched) == files
    np.testing.assert_array_equal(
        bioq.predict(fetched, [WINDOW]), bioq.predict(tmp_path / "both", [WINDOW])
    )


def test_only_files_of_a_run_are_downloaded() -> None:
    of_run = ["config.json", "LICENSE.txt", "members/a/model.safetensors"]
    of_run += ["evaluation-valid/metrics.json"]
    others = ["pytorch_model.bin", "members/a/b/config.json", "members/config.json"]
    others += ["evaluation/a/metrics.json", "evaluation-x/y/metrics.json", "model.pth"]
    others += ["evaluation/report.html", "resume/state.safetensors", "last.safetensors"]
    assert all(map(is_run_file, of_run))
    assert not any(map(is_run_file, others))


def test_a_download_that_breaks_off_continues_with_the_next_call(
    run: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(run)
    serve_hub(site, files)
    resolve_run("hf:o/n")
    requests = len(site.paths)
    shutil.rmtree(os.environ["BIOQ_CACHE"])
    # The API, config.json and targets.tsv arrive; the weights break off after 500 bytes, for ever.
    site.break_after = [10**9] * 3 + [500] + [0] * 6
    line = refused("hf:o/n")
    assert "6 tries in a row brought nothing new" in line
    site.break_after.clear()
    site.ranges.clear()
    site.paths.clear()
    assert files_of(resolve_run("hf:o/n")) == files
    assert "bytes=500-" in site.ranges
    assert len(site.paths) < requests


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_another_content_than_the_checksum_is_refused(run: Path, site: Site, name: str) -> None:
    files = files_of(run)
    serve_hub(site, files)
    content = files[name]
    site.files[f"/o/n/resolve/{COMMIT}/{name}"] = content[:-1] + bytes([content[-1] ^ 1])
    line = refused("hf:o/n")
    assert name in line
    assert "of the download is" in line
    assert "it was removed" in line
    site.files[f"/o/n/resolve/{COMMIT}/{name}"] = content
    assert files_of(resolve_run("hf:o/n")) == files


@pytest.mark.parametrize("gives_length", [True, False])
def test_a_server_that_sends_more_than_the_api_announces_is_stopped(
    run: Path, site: Site, gives_length: bool
) -> None:
    serve_hub(site, files_of(run))
    site.gives_length = gives_length
    site.files[f"/o/n/resolve/{COMMIT}/model.safetensors"] = bytes(3 << 20)
    size = (run / "model.safetensors").stat().st_size
    assert f"expected {size:,}" in refused("hf:o/n")
    assert not list(Path(os.environ["BIOQ_CACHE"]).rglob("model.safetensors*"))


def test_a_server_that_announces_more_than_it_sends_is_tried_again_and_named(
    run: Path, site: Site
) -> None:
    serve_hub(site, files_of(run))
    resolve_run("hf:o/n@main")
    shutil.rmtree(os.environ["BIOQ_CACHE"])
    site.extra_length = -1  # all answers end before their last byte
    assert "JSON" in refused("hf:o/n")
    site.extra_length = 1
    assert "JSON" not in refused("hf:o/n")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "needs a token in HF_TOKEN"), (404, "no such repository"), (503, "try again later")],
)
def test_a_repository_that_cannot_be_read_is_named(site: Site, status: int, words: str) -> None:
    site.statuses = [status]
    line = refused("hf:o/n")
    assert words in line
    assert not site.statuses


def test_a_file_that_the_server_refuses_is_named_with_the_token(run: Path, site: Site) -> None:
    """Of a gated repository everybody may read the list of files, and nobody the files."""
    serve_hub(site, files_of(run))
    site.files[f"/o/n/resolve/{COMMIT}/model.safetensors"] = None
    line = refused("hf:o/n")
    assert "model.safetensors: the server answered 404" in line
    assert "a private or gated repository needs a token in HF_TOKEN" in line


def test_no_network_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "no answer (Connection refused); check the network" in refused("hf:o/n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda answer: answer.pop("sha"), "has no sha"),
        (lambda answer: answer.update(sha="../../x"), "expected letters and digits"),
        (lambda answer: answer.update(siblings={}), "siblings is {}, expected a list"),
        (lambda answer: answer["siblings"][0].update(size=-1), "size is -1"),
        (lambda answer: answer["siblings"][0].update(rfilename=3), "rfilename is 3"),
        (lambda answer: answer.update(siblings=answer["siblings"][1:]), "has no config.json"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    run: Path, site: Site, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    answer = serve_hub(site, files_of(run))
    answer["siblings"].sort(key=lambda entry: entry["rfilename"] != "config.json")
    change(answer)
    set_answer(site, "/api/models/o/n/revision/main", answer)
    assert words in refused("hf:o/n")
    site.files["/api/models/o/n/revision/main"] = b"<html>"
    assert "is not JSON" in refused("hf:o/n")


def test_a_name_that_leads_out_of_the_run_is_refused(run: Path, site: Site, cache: Path) -> None:
    serve_hub(site, {**files_of(run), "members/../config.json": b"x"})
    assert "expected a file in this folder" in refused("hf:o/n")
    serve_hub(site, files_of(run))
    resolve_run("hf:o/n")


def test_a_model_of_another_program_is_refused_before_its_weights_arrive(site: Site) -> None:
    serve_hub(site, {"config.json": b'{"architectures": []}', "model.safetensors": bytes(1000)})
    assert "is no run that this BioQ reads: config.json: is not a run's configuration" in refused(
        "hf:o/n"
    )
    assert not any("safetensors" in path for path in site.paths)


def test_a_run_without_weights_or_targets_is_refused(run: Path, site: Site) -> None:
    for name in ("model.safetensors", "targets.tsv"):
        files = files_of(run)
        del files[name]
        serve_hub(site, files)
        line = refused("hf:o/n")
        assert f"{name}: no such file" in line
        assert "cache" not in line


def test_redirects_are_followed_and_the_token_is_sent_to_its_server_only(
    run: Path, site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    files = files_of(run)
    serve_hub(site, files)
    weights = f"/o/n/resolve/{COMMIT}/model.safetensors"
    other_site.files["/blob"] = files["model.safetensors"]
    site.redirects[weights] = f"{other_site.server}/blob"
    site.redirects[f"/o/n/resolve/{COMMIT}/targets.tsv"] = "/here"
    site.files["/here"] = files["targets.tsv"]
    assert files_of(resolve_run("hf:o/n")) == files
    assert {headers.get("Authorization") for headers in site.headers} == {"Bearer secret"}
    assert [headers.get("Authorization") for headers in other_site.headers] == [None]


def test_several_calls_at_the_same_time_download_once(run: Path, site: Site) -> None:
    serve_hub(site, files_of(run))
    site.pause_s = 0.05
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve_run("hf:o/n"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*found}) == 1
    assert len(found) == 3
    assert len(site.paths) == len({*site.paths})


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("folder", ["", "v1/best/"])
def test_a_record_of_zenodo_with_one_archive(
    run: Path, site: Site, pack: Callable[..., bytes], folder: str
) -> None:
    name = "run.zip" if pack is zipped else "run.tar.gz"
    serve_zenodo(site, {name: pack(files_of(run), folder), "paper.pdf": b"x"})
    fetched = resolve_run("zenodo:123")
    assert files_of(fetched) == files_of(run)
    assert fetched.name == "zenodo-123"
    assert sorted(path.name for path in fetched.parent.iterdir()) == [RECORD, "zenodo-123"]
    assert not any("paper" in path for path in site.paths)


def test_a_record_of_zenodo_with_the_files_themselves(run: Path, site: Site) -> None:
    serve_zenodo(site, {**files_of(run), "paper.pdf": b"x"})
    assert files_of(resolve_run("zenodo:123")) == files_of(run)
    assert not any("paper" in path for path in site.paths)


def test_a_record_of_zenodo_with_several_archives(run: Path, site: Site) -> None:
    serve_zenodo(site, {"one.zip": zipped(files_of(run)), "two.zip": zipped({"a": b""})})
    assert "2 archives" in refused("zenodo:123")
    assert "zenodo:123/one.zip" in refused("zenodo:123")
    assert "did you mean one.zip?" in refused("zenodo:123/one.zpi")
    assert resolve_run("zenodo:123/one.zip").name == "one"
    assert "found no config.json" in refused("zenodo:123/two.zip")
    site.files["/api/records/7"] = None
    assert "no such record" in refused("zenodo:7")


def test_a_damaged_archive_of_zenodo_is_refused(run: Path, site: Site) -> None:
    serve_zenodo(site, {"run.zip": zipped(files_of(run))})
    site.files["/api/records/123/files/run.zip/content"] = zipped({"config.json": b"{}"})
    assert "the MD5 of the download is" in refused("zenodo:123")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_at_any_address(
    run: Path, site: Site, pack: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"pytorch_model.bin": b"a pickle", "evaluation/report.html": b""}
    address = serve_web(site, pack({**files_of(run), **extra}, "run/"))
    assert refused(address.partition("#")[0]).endswith("('sha256sum FILE' prints them)")
    fetched = resolve_run(Path(address))  # a path, which has one slash less
    assert files_of(fetched) == files_of(run)
    assert fetched.name == "best-run"
    assert (
        "2 files in the archive that no command reads, not unpacked: run/pytorch_model.bin"
        in capsys.readouterr().err
    )
    assert resolve_run(address) == fetched
    assert len(site.paths) == 1


def test_an_archive_with_another_checksum_is_refused(run: Path, site: Site) -> None:
    address = serve_web(site, zipped(files_of(run)))
    site.files["/models/best%20run.tar.gz"] = zipped({**files_of(run), "README.md": b""})
    assert "the SHA-256 of the download is" in refused(address)
    assert not list(Path(os.environ["BIOQ_CACHE"]).rglob("*.archive*"))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/config.json": b"{}", "b/config.json": b"{}"}, "found a/config.json, b/config.json"),
        ({"config.json": b"{}"}, "is no run that this BioQ reads: config.json: is not a run's"),
        ({"../config.json": b"{}"}, "leads out of the folder"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    site: Site, files: Mapping[str, bytes], words: str, cache: Path
) -> None:
    assert words in refused(serve_web(site, zipped(files)))
    left = {file.name for file in cache.rglob("*") if file.is_file()}
    assert left <= {RECORD}


def test_no_command_writes_into_a_downloaded_run(
    run: Path, masked_data: bioq.dataset.Dataset, site: Site, tmp_path: Path
) -> None:
    serve_hub(site, files_of(run))
    with pytest.raises(UsageError, match=r"no command writes into a run .*; give --out"):
        bioq.evaluate("hf:o/n", masked_data)
    with pytest.raises(UsageError, match="calibrate the copy: 'cp -r "):
        bioq.calibrate("hf:o/n", masked_data)
    assert files_of(resolve_run("hf:o/n")) == files_of(run)
    bioq.evaluate("hf:o/n", masked_data, out=tmp_path / "here")
    assert (tmp_path / "here" / "evaluation" / "metrics.json").exists()
    assert files_of(resolve_run("hf:o/n")) == files_of(run)


def test_a_refused_option_downloads_nothing(
    run: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    serve_hub(site, files_of(run))
    assert main(["predict", "hf:o/n", "x.fa", "--out", "o.tsv", "--batch-size", "0"]) == 2
    assert main(["predict", "hf:o/n", "x.fa", "--out", "o.csv"]) == 2
    assert not site.paths


def test_zenodo_over_https_gives_no_link_without_encryption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = {"key": "run.zip", "size": 1, "checksum": "md5:0"}
    entry["links"] = {"self": "http://zenodo.org/run.zip"}
    answer = json.dumps({"id": 1, "files": [entry]})
    monkeypatch.setenv("BIOQ_ZENODO", "https://zenodo.org")
    monkeypatch.setattr("bioq.runs.sites.read_text", lambda url, **_: answer)
    assert "expected https" in refused("zenodo:1")
