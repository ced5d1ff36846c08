"""How `--help` is printed: options in four groups, text as it is written, examples unbroken.

The groups are set here and not beside the options: the same option has the same group in every
command, and the packages that define options do not depend on the command line's library.
"""

import textwrap
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel, InlineText
from rich.console import Console, ConsoleOptions
from rich.text import Text

INPUT, OUTPUT, COMPUTE, SPEED = GROUPS = ("Input", "Output", "What to compute", "How fast")
_GROUP_OF = {
    **dict.fromkeys(("--split", "--fold", "--against", "--motifs", "--url"), INPUT),
    **dict.fromkeys(("--from-url", "--all-snvs", "--run", "--sha256"), INPUT),
    **dict.fromkeys(("--out", "--figure", "--format", "--dtype", "--top", "--scores"), OUTPUT),
    **dict.fromkeys(("--force", "--plan", "--allow-none-scored", "--annotate"), OUTPUT),
    **dict.fromkeys(("--hub",), OUTPUT),
    **dict.fromkeys(("--report", "--report-top", "--long", "--max-evalue", "--min-diff"), OUTPUT),
    **dict.fromkeys(("--resume", "--tensorboard", "--checkpoint-min", "--host", "--port"), OUTPUT),
    **dict.fromkeys(("--batch-size", "--precision", "--device", "--devices", "--nodes"), SPEED),
    **dict.fromkeys(("--data-in", "--ray", "--ray-workers", "--ray-shard"), SPEED),
}
"""The group of an option, where `option_group` cannot tell it from the option's type."""
_TRAINING_GROUP_OF = {"--batch-size": COMPUTE}
"""The options that have another group in `bioq train`: its batch size changes the weights."""


def option_group(entry: HelpEntry, command: str) -> str:
    """Return the group of an option or argument.

    A path that is not listed in this module is input; any other option is about what to compute.
    """
    name = entry.names[0] if entry.names else ""
    if command == "train" and name in _TRAINING_GROUP_OF:
        return _TRAINING_GROUP_OF[name]
    if name in _GROUP_OF:
        return _GROUP_OF[name]
    is_path = entry.type is Path or Path in get_args(entry.type)
    return INPUT if is_path or not name else COMPUTE


def entries_by_group(panel: HelpPanel, command: str) -> Iterator[tuple[str, list[HelpEntry]]]:
    """Yield (group, its options with their texts and defaults) of a command's panel."""
    defaults = _defaults(command)
    entries = [_shown(entry, defaults) for entry in panel.entries]
    for group in GROUPS:
        chosen = [entry for entry in entries if option_group(entry, command) == group]
        if chosen:
            yield group, chosen


class HelpFormatter:
    """Prints the panels of one command's help; cyclopts calls its methods."""

    def __init__(self, command: str):
        self._command = command
        self._default = DefaultFormatter()

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel; the options of a command in a panel for each group."""
        if panel.format == "command":
            self._default(console, options, panel)
            return
        for group, entries in entries_by_group(panel, self._command):
            self._default(console, options, panel.copy(title=group, entries=entries))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line that shows how the command is typed."""
        self._default.render_usage(console, options, usage)

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Print the description: paragraphs filled to the width, indented examples unbroken."""
        for paragraph in plain(description).rstrip().split("\n\n"):
            if paragraph.startswith(" "):
                print(textwrap.indent(textwrap.dedent(paragraph), "    "), file=console.file)
            else:
                console.print(Text(" ".join(paragraph.split())))
            console.print()


def _defaults(command: str) -> Mapping[str, str]:
    """Return {option: default} of the options of a command whose default is not one value."""
    if command != "train":
        return {}
    from bioq.cli.training_defaults import training_defaults

    return training_defaults()


def _shown(entry: HelpEntry, defaults: Mapping[str, str]) -> HelpEntry:
    """Return an entry whose text has no line breaks of the source, and no default that is empty."""
    description = InlineText(Text(" ".join(plain(entry.description).split())))
    default = entry.default
    if default is not None and default.startswith("("):  # a tuple: its values as they are typed
        default = " ".join(map(str, literal_eval(default))) or None
    default = defaults.get(entry.names[0], default) if entry.names else default
    return entry.copy(description=description, default=default)


def plain(text: Any) -> str:
    """Return the text of an InlineText that was made from plain text."""
    if isinstance(text, InlineText) and isinstance(text.primary_renderable, Text):
        return text.primary_renderable.plain
    return str(text or "")
