"""The command line: parse, call one function, print. Results on stdout, progress on stderr.

Commands are imported when they are called: `bioq --help` loads neither torch nor pandas.
"""

import atexit
import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter

from bioq import __version__
from bioq.cli.first_steps import first_steps
from bioq.cli.help_text import HelpFormatter
from bioq.cli.interrupts import INTERRUPTED, TERMINATED, describe, stoppable
from bioq.cli.tables import print_line
from bioq.errors import BioqError, ReportedElsewhere, UsageError, nearest
from bioq.progress import say

USAGE, BAD_INPUT = 2, 1
_LONGEST_LINE = 4000

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("bioq.cli.demo:demo", "Try everything on simulated data, in minutes."),
    "completion": (
        "bioq.cli.completion:completion",
        "Complete commands, options and names with the Tab key.",
    ),
    "train": ("bioq.cli.train:train", "Train a model on a data set."),
    "ensemble": ("bioq.cli.ensemble:ensemble", "Make one run of several, by their mean."),
    "import": (
        "bioq.cli.import_model:import_model",
        "Make a run of a published model: DeepSEA, Beluga, DanQ, BioQ.",
    ),
    "evaluate": ("bioq.cli.evaluate:evaluate", "Score a run on a data set, with a report."),
    "calibrate": (
        "bioq.cli.calibrate:calibrate",
        "Calibrate a run's probabilities on the validation split.",
    ),
    "predict": (
        "bioq.cli.predict:predict",
        "Predict the targets of sequences or genomic regions.",
    ),
    "variants": ("bioq.cli.variants:variants", "Score the variants of a VCF."),
    "background": (
        "bioq.cli.background:background",
        "Measure the effects of common variants, for E-values and z-scores.",
    ),
    "mutagenesis": (
        "bioq.cli.mutagenesis:mutagenesis",
        "Predict the effect of every single-base substitution.",
    ),
    "attribution": (
        "bioq.cli.attribution:attribution",
        "Compute how much each base adds to a target, by gradients.",
    ),
    "motifs": (
        "bioq.cli.motifs:motifs",
        "Write the motifs that a run's filters detect.",
    ),
    "motif-effects": (
        "bioq.cli.motif_effects:motif_effects",
        "Measure what known motifs change in the predictions.",
    ),
    "models": ("bioq.cli.models:models", "List the runs that have a name."),
    "targets": ("bioq.cli.targets:targets", "List the targets of a run or a data set."),
    "summary": ("bioq.cli.summary:summary", "Print the layers of a model and their parameters."),
    "card": ("bioq.cli.card:card", "Write a run's README.md, for sharing it."),
    "serve": ("bioq.cli.serve:serve", "Start a web page and a REST API for a trained model."),
}
"""Command -> where its function is, and its line in the list; in the order of the work."""
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Start": ("demo", "completion"),
    "Data": ("data",),
    "Train and evaluate": ("train", "ensemble", "import", "evaluate", "calibrate"),
    "Predict and variants": ("predict", "variants", "background", "rank"),
    "Explain": ("mutagenesis", "attribution", "motifs", "motif-effects"),
    "Look up": ("models", "targets", "summary"),
    "Share": ("card", "serve"),
}
"""Group of `bioq --help` -> its commands."""
_RANK_COMMANDS: Mapping[str, tuple[str, str]] = {
    "fit": ("bioq.cli.rank:fit", "Fit a score to two sets of alleles."),
    "apply": ("bioq.cli.rank:apply", "Add a fitted score to the alleles of a VCF."),
}
_DATA_COMMANDS: Mapping[str, tuple[str, str]] = {
    "fetch": ("bioq.cli.data:fetch", "Download the DeepSEA training bundle."),
    "deepsea": ("bioq.cli.data:deepsea", "Make a data set from DeepSEA's .mat files."),
    "peaks": ("bioq.cli.data:peaks", "Make a data set from peak files and a genome."),
    "simulate": (
        "bioq.cli.data:simulate",
        "Make a data set of random DNA with planted motifs.",
    ),
    "info": ("bioq.cli.data:info", "Print what a data set contains."),
    "verify": ("bioq.cli.data:verify", "Check every checksum and shape of a data set."),
}


def main(tokens: Sequence[str] | None = None) -> int:
    """Run `bioq TOKENS`; return the exit status: 0, 1 bad input, 2 wrong usage, 130 interrupted
    by Ctrl-C, 143 terminated by SIGTERM."""
    tokens = _started_as_program() if tokens is None else list(tokens)
    debug = "--debug" in tokens
    trust = "--trust" in tokens
    tokens = [token for token in tokens if token not in ("--debug", "--trust")]
    try:
        with stoppable(), _trusting() if trust else nullcontext():
            _call(tokens)
    except KeyboardInterrupt as error:
        return _stop(*describe(error), debug)
    except MissingArgumentError as error:
        return _stop(f"{_missing(error)} Try '{_command(tokens)} --help'.", USAGE, debug)
    except CycloptsError as error:
        line = " ".join(str(error).split())
        return _stop(f"{line} Try '{_command(tokens)} --help'.", USAGE, debug)
    except ReportedElsewhere:
        return BAD_INPUT
    except BioqError as error:
        return _stop(str(error), USAGE if isinstance(error, UsageError) else BAD_INPUT, debug)
    except BrokenPipeError:
        sys.stderr.close()  # the program that read stdout has ended; print nothing
        return BAD_INPUT
    except MemoryError:
        return _stop(_OUT_OF_MEMORY, BAD_INPUT, debug)
    except OSError as error:
        return _stop(_system_line(error), BAD_INPUT, debug)
    except Exception as error:  # noqa: BLE001 the only handler of every exception
        line = _OUT_OF_MEMORY if _is_out_of_memory(error) else _unexpected_line(error)
        return _stop(line, BAD_INPUT, debug)
    return 0


def _started_as_program() -> list[str]:
    """Turn the garbage collector off until the command starts (`_call`), and let its last
    collection, at the end, skip what is left. Return the words with which the process was started.

    PyTorch and pandas make 300,000 objects, which stay. To look at them again and again takes a
    quarter of the time of a short command (docs/log/performance.md, 2026-11-30).
    """
    gc.disable()
    atexit.register(_skip_last_collection)
    return sys.argv[1:]


def _skip_last_collection() -> None:
    """At the end of the process: see `_started_as_program`."""
    if "triton" in sys.modules:  # it prints each of its objects that is not collected
        gc.unfreeze()
    else:
        gc.freeze()


def _call(tokens: Sequence[str]) -> None:
    if tokens:
        _require_command(tokens)
        command, bound, _ = _make_app(tokens).parse_args(
            tokens, exit_on_error=False, print_error=False
        )
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        command(*bound.args, **bound.kwargs)
        return
    for line in first_steps().splitlines():
        print_line(line)


def _require_command(tokens: Sequence[str]) -> None:
    """Raise UsageError for a command that does not exist. cyclopts would do so too, but for its
    line it imports every command, which takes seconds."""
    of_parent = {"data": _DATA_COMMANDS, "rank": _RANK_COMMANDS}
    commands: Sequence[str] = [name for names in _GROUPS.values() for name in names]
    word, *others = tokens
    if word in of_parent and others:
        commands, word = list(of_parent[word]), others[0]
    flags = ["--help", "-h", "--version"]
    if word in (*commands, *flags):
        return
    is_flag = word.startswith("-")
    near = nearest(word, flags if is_flag else commands)[:1]
    meant = f'Did you mean "{near[0]}"? ' if near else ""
    raise UsageError(
        f'Unknown {"option" if is_flag else "command"} "{word}". {meant}'
        f"Commands: {', '.join(commands)}. Try '{_command(tokens)} --help'."
    )


def _trusting() -> AbstractContextManager[None]:
    from bioq.runs.trust import trusting

    return trusting()


_OUT_OF_MEMORY = "out of memory; try a smaller --batch-size, or --data-in disk"


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether PyTorch found no memory: for a CPU it raises a RuntimeError of no own type."""
    is_cuda = type(error).__name__ == "OutOfMemoryError"
    return is_cuda or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _missing(error: MissingArgumentError) -> str:
    """Return a sentence about an argument that was not given, or an option without its value."""
    argument = error.argument
    if argument is None:
        return " ".join(str(error).split())
    given = [token.keyword for token in argument.tokens if token.keyword is not None]
    name = error.keyword or (given[-1] if given else None)
    if name is not None:
        count, _ = argument.token_count()
        return f"{name} needs {count} values." if count > 1 else f"{name} has no value after it."
    name = argument.name if argument.name.startswith("-") else argument.name.upper()
    return f"{name} is missing."


def _system_line(error: OSError) -> str:
    """Return one line about an error of the operating system."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, path, reason = error.args[0][0]  # the first file of a folder that could not be copied
        return f"{path}: could not be written: {reason}"
    if error.errno is None:
        return _unexpected_line(error)
    path = os.fsdecode(error.filename) if error.filename else "a file"
    return f"{path}: could not be used: {os.strerror(error.errno)}"


def _unexpected_line(error: Exception) -> str:
    line = f"{type(error).__name__}: {error}".split("\n")[0]
    return f"unexpected error, run again with --debug to see where: {line}"


def _make_app(tokens: Sequence[str]) -> App:
    """Return the app; the command that is called shows its full help, every other one line."""
    words = [token for token in tokens if not token.startswith("-")]
    settings = {
        "version": __version__,
        "help_format": "plaintext",  # Markdown would remove the asterisks of patterns
        "help_formatter": HelpFormatter(words[0] if words else ""),
        "group_arguments": "Options",  # one panel, which HelpFormatter splits
        "group_parameters": "Options",
        "suppress_keyboard_interrupt": False,
        "default_parameter": Parameter(negative_iterable=(), consume_multiple=True),
    }
    options = Group("Options", sort_key=len(_GROUPS))  # --help and --version
    app = App(name="bioq", help=_HELP, group_commands=options, **settings)  # type: ignore[arg-type]
    groups: dict[str, Group] = {}
    for number, (title, names) in enumerate(_GROUPS.items()):
        groups |= dict.fromkeys(names, Group(title, sort_key=number))
    data = App(
        name="data",
        help="Make, download and check data sets.",
        group=groups["data"],
        group_commands="Commands",
    )
    rank = App(
        name="rank",
        help="Fit a score to two sets of alleles, and add it to the alleles of a VCF.",
        group=groups["rank"],
        group_commands="Commands",
        sort_key=len(_COMMANDS) + 1,
    )
    app.command(data)
    app.command(rank)
    _register(app, _COMMANDS, words[0] if words else "", groups)
    for parent, commands in ((data, _DATA_COMMANDS), (rank, _RANK_COMMANDS)):
        _register(parent, commands, words[1] if len(words) > 1 else "")
    return app


_HELP = """Predict chromatin targets, such as binding and open chromatin, from DNA sequence.

With your own data, make a data set, train a model on it and evaluate the model:

    bioq data peaks --genome genome.fa --targets targets.tsv --out data
    bioq train data --out run
    bioq evaluate run data

Every command has --help. With --debug an error shows its traceback. With --trust a run is read
whose network is a Python file of its author: the file is executed (docs/how-to/own-network.md)."""


def make_full_app(changed: Callable[[Callable[..., None]], Callable[..., None]]) -> App:
    """Return the app with every command imported, and changed by a function."""
    app = _make_app([])
    parents = ((app, _COMMANDS), (app["data"], _DATA_COMMANDS), (app["rank"], _RANK_COMMANDS))
    for parent, commands in parents:
        for name, (function, line) in commands.items():
            module, _, attribute = function.partition(":")
            command = getattr(import_module(module), attribute)
            group = parent[name].group
            del parent[name]
            parent.command(changed(command), name=name, help=line, group=group)
    return app


def _register(
    app: App,
    commands: Mapping[str, tuple[str, str]],
    called: str,
    groups: Mapping[str, Group] | None = None,
) -> None:
    for number, (name, (function, line)) in enumerate(commands.items(), start=1):
        group = None if groups is None else groups[name]
        help_line = None if name == called else line  # None: the docstring of the function
        app.command(function, name=name, help=help_line, sort_key=number, group=group)


def _command(tokens: Sequence[str]) -> str:
    """Return the command at the beginning of `tokens`, for advice."""
    for name, commands in (("data", _DATA_COMMANDS), ("rank", _RANK_COMMANDS)):
        if tokens[:1] == [name]:
            return " ".join(["bioq", name, *(token for token in tokens[1:2] if token in commands)])
    return " ".join(["bioq", *(token for token in tokens[:1] if token in _COMMANDS)])


def _cut(line: str) -> str:
    """Return a line; a very long line, which quotes a whole file, without its middle."""
    return (
        line
        if len(line) <= _LONGEST_LINE
        else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 4 :]}"
    )


def _stop(line: str, status: int, debug: bool) -> int:
    if debug and status not in (INTERRUPTED, TERMINATED):
        raise
    say(f"bioq: {_cut(' '.join(line.splitlines()))}")
    return status
