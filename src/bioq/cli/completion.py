"""`bioq completion`: a script with which a shell completes BioQ's commands with the Tab key.

The script is cyclopts'. It has every word in it, so the Tab key starts no Python. Two things are
changed in its text: an argument that takes a name or a file offers both, and a file that is called
like a command, such as the data set `data`, is not taken for a command.
"""

import os
import re
from collections.abc import Callable, Mapping
from inspect import unwrap
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from bioq.cli.tables import print_line
from bioq.errors import BioqError, UsageError
from bioq.files import new_file
from bioq.genome.named import GENOMES
from bioq.models.families import PUBLISHED
from bioq.published.named import NAMED
from bioq.runs.named import RUNS

PROGRAM = "bioq"
Shell = Literal["bash", "zsh", "fish"]
SHELLS: tuple[Shell, ...] = get_args(Shell)
_NAMES: Mapping[str, tuple[str, ...]] = {
    "run": tuple(run.name for run in RUNS),
    "genome": tuple(GENOMES),
    "from_run": tuple(run.name for run in RUNS),
    "what": tuple(NAMED),
    "model": (*PUBLISHED, *(run.name for run in RUNS)),
    "motifs": ("JASPAR2024",),
}
"""Argument that takes a name or a file -> its names."""
_FILES = ("source",)
"""Arguments of text that are files, too."""


def completion(shell: Shell | None = None, /, *, install: bool = False) -> None:
    """Print the script with which a shell completes BioQ's commands; --install installs it.

    Afterwards the Tab key completes commands, options, the choices of an option, files, and the
    names of runs and genomes. --install writes the script where the shell looks for it: into
    ~/.local/share/bash-completion, ~/.zsh/completions or ~/.config/fish/completions; it adds lines
    to ~/.bashrc or ~/.zshrc. It then works in each new shell. Do this again after an update of
    BioQ.

    For example:

        bioq completion --install
        bioq completion bash > bioq.bash

    Parameters
    ----------
    shell
        By default the shell from which the command is started.
    install
        Write the script and the line that loads it; without it the script is printed.
    """
    shell = shell or _this_shell()
    script = completion_script(shell)
    if not install:
        for line in script.splitlines():
            print_line(line)
        return
    from cyclopts.completion.install import add_to_rc_file, get_default_completion_path

    start = Path.home() / f".{shell}rc"
    if shell != "fish" and start.exists() and not start.is_file():
        raise BioqError(
            f"{start}: is not a file; expected the file that {shell} reads at its start"
        )
    file = get_default_completion_path(shell, PROGRAM)
    with new_file(file) as partial:
        partial.write_text(script, encoding="utf-8")
    print_line(f"written: {file}")
    if shell != "fish" and any([add_to_rc_file(file, PROGRAM, shell), _add_compinit(shell, start)]):
        print_line(f"changed: ~/.{shell}rc, which loads it")
    print_line(f"It works in each new shell; here after: exec {shell}")


def _add_compinit(shell: Shell, start: Path) -> bool:
    """Have zsh load its completions, unless its file does so or Oh My Zsh, which does, is used.
    Return whether the file was changed."""
    is_done = "ZSH" in os.environ or "ZSH_CUSTOM" in os.environ
    if shell != "zsh" or is_done or re.search(rb"(?m)^[^#\n]*compinit", start.read_bytes()):
        return False
    with start.open("ab") as file:
        file.write(b"\nautoload -Uz compinit && compinit\n")
    return True


def completion_script(shell: Shell) -> str:
    """Return the script for a shell."""
    from bioq.cli import make_full_app

    app = make_full_app(_with_names)
    script = app.generate_completion(prog_name=PROGRAM, shell=shell)
    for argument, names in _NAMES.items():
        script = _OFFER[shell](script, _mark(argument), " ".join(names))
    found, wanted = _IS_COMMAND[shell]
    return script.replace(found, wanted)


def _this_shell() -> Shell:
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        found = detect_shell()
    except ShellDetectionError:
        found = None
    shell = next((shell for shell in SHELLS if shell == found), None)
    if shell is None:
        raise UsageError(f"the shell is not known; give one of {', '.join(SHELLS)}")
    return shell


def _mark(argument: str) -> str:
    """Return the word that stands for the names and the files of an argument."""
    return f"__{argument}__"


def _with_names(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command of which the arguments that take a name have one choice, their mark."""
    function = unwrap(function)  # the function whose arguments the command has
    hints = get_type_hints(function, include_extras=True)
    for argument, hint in hints.items():
        kept = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        if argument in _NAMES:
            kind: Any = Literal[_mark(argument)]
        elif argument in _FILES:
            kind = Path
        else:
            continue
        hints[argument] = Annotated[(kind, *kept, Parameter(show_choices=False))]
    assert isinstance(function, FunctionType)
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    copy.__annotations__ = hints
    return copy


def _in_bash(script: str, mark: str, names: str) -> str:
    block = rf'local -a _c=\("{mark}"\)\n.*?\n\s+done'
    words = names.replace(" ", r"\n")
    offered = f"COMPREPLY=( $(compgen -f -W $'{words}' -- \"${{cur}}\") )"
    script = re.sub(block, lambda _: offered, script, flags=re.S)
    # Names of files may have blanks.
    script = script.replace("  local cur prev\n\n", "  local cur prev IFS=$'\\n'\n\n")
    return script.replace(f"complete -F _{PROGRAM}", f"complete -o filenames -F _{PROGRAM}")


def _in_zsh(script: str, mark: str, names: str) -> str:
    offered = f"compadd -- {names}; _files"
    script = script.replace(f"({mark})", f"{{{offered}}}")
    return script.replace(f"compadd -- '{mark}'", offered)


def _in_fish(script: str, mark: str, names: str) -> str:
    return re.sub(rf"-[xf] -a '{mark}'", f"-r -F -a '{names}'", script)


_OFFER = {"bash": _in_bash, "zsh": _in_zsh, "fish": _in_fish}
"""Shell -> the function that puts the names and the files of an argument in place of its mark."""
_IS_COMMAND = {
    "bash": (
        'if [[ " $all_commands " =~ " $word " ]]; then',
        'if [[ " $all_commands " =~ " $word " && ( ${#cmd_path[@]} -eq 0 || '
        '( ${#cmd_path[@]} -eq 1 && " data rank " =~ " ${cmd_path[0]} " ) ) ]]; then',
    ),
    "zsh": ("", ""),
    "fish": (
        'if string match -q -- "* $word *" " $all_commands "',
        'if string match -q -- "* $word *" " $all_commands "; '
        "and string match -qr -- '^(data|rank)?$' \"$subcommands\"",
    ),
}
"""Shell -> the line that looks for a command among the words, and a line that looks for it only
where a command can be: first, and after `data` and `rank`."""
