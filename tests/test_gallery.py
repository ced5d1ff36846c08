"""The gallery shows every figure that BioQ draws, and each of its pictures is made by a command."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import make_gallery

import bioq.plots

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/gallery.md").read_text("utf-8")
FOLDER = ROOT / "docs/images/gallery"
PARTS = {
    "bioq.plots.interpretation.draw_logo": "a panel of plot_effects and plot_contributions",
    "bioq.plots.window_track.draw_axis": "below the lanes of draw_lane",
}
"""Functions that draw a part of a figure of the gallery, and of which."""


PICTURES = make_gallery.read_page(PAGE)


def figure_functions() -> set[str]:
    """Return the public functions of bioq.plots that draw: plot_ROC and their like."""
    names = set()
    for found in pkgutil.walk_packages(bioq.plots.__path__, "bioq.plots."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == found.name and re.match("plot_|draw_", name):
                names.add(f"{found.name}.{name}")
    return names


def test_every_figure_that_bioq_draws_is_in_the_gallery() -> None:
    named = set(re.findall(r"`(bioq\.plots\.[\w.]+)`", PAGE))
    assert named == figure_functions() - set(PARTS)
    assert "bioq.plots.evaluation.plot_roc" in named


def test_every_picture_has_its_source_and_its_file() -> None:
    shown = set(re.findall(r"\(images/gallery/(\S+)\.png\)", PAGE))
    assert {picture.name for picture in PICTURES} == shown
    assert {path.stem for path in FOLDER.iterdir()} == shown


def test_every_source_is_written_by_a_command_above_it() -> None:
    for picture in PICTURES:
        commands = " ".join(picture.commands)
        if picture.source.startswith("/"):
            assert "bioq serve" in commands, picture
        else:
            assert picture.source.split("/")[0] in commands, picture


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert [name for name, size in sizes.items() if size > 150_000] == []
    assert sum(sizes.values()) < 2_500_000


def test_commands_are_read_across_lines_up_to_the_picture() -> None:
    page = """# G

```
bioq demo --out d
```

## A

```
bioq summary d \\
    --out a.png
```

![a](images/gallery/a.png)
<!-- from: a.png -->

## B

```
bioq motifs d --out m
```

![b](images/gallery/b.png)
<!-- from: m/motifs.html main article -->
"""
    first, second = make_gallery.read_page(page)
    assert [first.name, first.source, first.part] == ["a", "a.png", ""]
    assert [line.split() for line in first.commands] == [
        ["bioq", "demo", "--out", "d"],
        ["bioq", "summary", "d", "--out", "a.png"],
    ]
    assert [second.source, second.part] == ["m/motifs.html", "main article"]
    assert second.commands[-1] == "bioq motifs d --out m"
