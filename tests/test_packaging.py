"""Tests of what is shipped: the wheel, the command in a clean environment, the public names."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import bioq

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXCLUSION_LISTS = ("hg19", "hg38", "mm10")
EXTRAS = ("distributed", "motifs", "rank", "ray", "serve", "tensorboard")
MODULES = {"lightning": "lightning-fabric", "sklearn": "scikit-learn"}
"""Module -> package, where the names differ."""
HEAVY = ("torch", "pandas", "numpy", "scipy", "matplotlib", "h5py", "pysam", "sklearn")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    files = {
        file.relative_to(source).as_posix()
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    lists = {f"bioq/genome/encode_lists/{build}-blacklist.v2.bed.gz" for build in EXCLUSION_LISTS}
    tables = {f"bioq/published/{name}.tsv" for name in ("deepsea_targets", "beluga_roadmap")}
    assert {"bioq/py.typed", *tables, *lists} <= files
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
    assert packed == files
    assert metadata == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_installed_wheel_answers_help(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"),
        *("--no-index", wheel),
        cwd=tmp_path,
    )
    site = Path(run(python, "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=venv))
    # The dependencies are those of this environment: to download them again would take minutes.
    # A .pth file inside that folder, as of an editable BioQ, is not read from there.
    (Path(str(site).strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import bioq; print(bioq.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(venv)
    assert "train" in run(venv / "bin" / "bioq", "--help", cwd=tmp_path)
    assert run(venv / "bin" / "bioq", "--version", cwd=tmp_path).strip() == bioq.__version__
    assert "train" in run(python, "-m", "bioq", "--help", cwd=tmp_path)


@pytest.mark.parametrize("tokens", [["--help"], ["--version"], ["data", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(tokens: list[str], tmp_path: Path) -> None:
    # What makes `bioq --help` answer at once: a fast machine would hide a slow import from a timer.
    script = (
        f"import sys; from bioq.cli import main; status = main({tokens!r}); "
        f"print(status, *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    assert run(sys.executable, "-c", script, cwd=tmp_path).splitlines()[-1] == "0"


def test_importing_bioq_loads_nothing_heavy(tmp_path: Path) -> None:
    script = f"import sys, bioq; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    assert run(sys.executable, "-c", script, cwd=tmp_path).strip() == ""


def test_all_is_what_is_exported() -> None:
    assert bioq.__file__ is not None
    tree = ast.parse(Path(bioq.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bioq")
        for alias in node.names
    }
    assert set(bioq.__all__) == typed | {"__version__"}
    assert len(bioq.__all__) == len(set(bioq.__all__))
    assert set(bioq.__all__) <= set(dir(bioq))


def test_no_public_name_is_that_of_a_module() -> None:
    # Importing bioq.train would put the module in place of the function bioq.train.
    modules = {module.name for module in pkgutil.iter_modules(bioq.__path__)}
    assert modules.isdisjoint(bioq.__all__)


@pytest.mark.parametrize("name", sorted(set(bioq.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    value = getattr(bioq, name)
    assert callable(value)
    assert getattr(importlib.import_module(value.__module__), name) is value
    assert value.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bioq' has no attribute 'nothing'"):
        _ = bioq.nothing


def test_the_citation_has_the_version_of_the_package() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", text, flags=re.MULTILINE) == [bioq.__version__]


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    pinned = {normal(pin.partition("==")[0]) for pin in pins}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = {name_of(line) for group in groups for line in group}
    assert wanted - {"bioq"} <= pinned
    assert "torch==2.13.0" in pins


def test_every_dependency_is_imported() -> None:
    # One that nothing imports still costs every user its size.
    imported = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module))
    extras = PROJECT["optional-dependencies"]
    groups = [PROJECT["dependencies"], *(extras[name] for name in EXTRAS)]
    needed = {name_of(line) for group in groups for line in group}
    # Starlette imports the first, for forms and uploads; PyTorch the second.
    needed -= {"python-multipart", "tensorboard"}
    found = {MODULES.get(name.partition(".")[0], name.partition(".")[0]) for name in imported}
    assert needed <= {normal(name) for name in found}


def test_the_extra_all_has_every_extra_for_users() -> None:
    extras = PROJECT["optional-dependencies"]
    assert sorted(extras) == sorted([*EXTRAS, "all", "dev", *({"docs"} & set(extras))])
    assert extras["all"] == [f"bioq[{','.join(EXTRAS)}]"]


def test_every_message_that_names_an_extra_names_one_that_exists() -> None:
    named = set()
    for file in (ROOT / "src").rglob("*.py"):
        named |= set(re.findall(r"'bioq\[(\w+)\]'", file.read_text(encoding="utf-8")))
    assert named == set(EXTRAS)


def test_the_recipe_of_conda_has_the_dependencies_and_the_version() -> None:
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
    requirements, context = recipe["requirements"], recipe["context"]
    conda = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # the second has no Qt
    lines = [line.partition(";")[0] for line in PROJECT["dependencies"]]
    expected = {
        f"{conda.get(name_of(line), name_of(line))} >={line.partition('>=')[2]}" for line in lines
    }
    assert context["version"] == bioq.__version__
    assert f">={context['python_min']}" == PROJECT["requires-python"]
    assert set(requirements["run"]) == expected | {"python >=${{ python_min }}"}
    (command, function), *rest = PROJECT["scripts"].items()
    assert not rest
    assert recipe["build"]["python"]["entry_points"] == [f"{command} = {function}"]


def test_the_container_and_the_release_install_what_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for name in ("packaging/Dockerfile", ".github/workflows/release.yml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        exact = re.findall(r"([\w-]+==[\d.]+)", text)
        assert exact
        assert set(exact) <= set(pins)


def name_of(line: str) -> str:
    """Return the name of the package of a requirement."""
    return normal(re.split(r"[<>=~!\[; ]", line)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
