"""The command line: parse, call one function, print. Results on stdout, progress on stderr.

Commands are imported when they are called: `bioq --help` loads neither torch nor pandas.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from bioq import __version__
from bioq.cli.help_text import HelpFormatter
from bioq.errors import BioqError, UsageError

USAGE, BAD_INPUT, INTERRUPTED, TERMINATED = 2, 1, 130, 143
_MOST_SAID = 4000

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("bioq.cli.train:train", "Train a model on a data set."),
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
    "serve": ("bioq.cli.serve:serve", "Start a web page and a REST API for a trained model."),
    "summary": ("bioq.cli.summary:summary", "Print the layers of a model and their parameters."),
    "demo": ("bioq.cli.demo:demo", "Try everything on simulated data, in minutes."),
}
"""Command -> where its function is, and its line in the list; in the order of the work."""
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
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    try:
        with _stoppable():
            _make_app(tokens)(
                tokens, exit_on_error=False, print_error=False, result_action="return_value"
            )
    except KeyboardInterrupt as error:
        resumes = tokens[:1] in (["train"], ["predict"]) or "--ray" in tokens
        advice = "; --resume goes on from there" if resumes else ""
        terminated = isinstance(error, _Terminated)
        word, status = ("terminated", TERMINATED) if terminated else ("interrupted", INTERRUPTED)
        return _stop(f"{word}{advice}", status, debug)
    except CycloptsError as error:
        line = " ".join(str(error).split())
        return _stop(f"{line} Try '{_command(tokens)} --help'.", USAGE, debug)
    except BioqError as error:
        return _stop(str(error), USAGE if isinstance(error, UsageError) else BAD_INPUT, debug)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone; there is nobody to tell
        return BAD_INPUT
    except MemoryError:
        return _stop(
            "out of memory; try a smaller --batch-size, or --data-in disk", BAD_INPUT, debug
        )
    except OSError as error:
        return _stop(_of_the_system(error), BAD_INPUT, debug)
    except Exception as error:  # noqa: BLE001 the one place that catches everything
        return _stop(_unexpected(error), BAD_INPUT, debug)
    return 0


def _of_the_system(error: OSError) -> str:
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, place, reason = error.args[0][0]  # the first file of a folder that could not be copied
        return f"{place}: could not be written: {reason}"
    if error.errno is None:
        return _unexpected(error)
    place = os.fsdecode(error.filename) if error.filename else "a file"
    return f"{place}: could not be used: {os.strerror(error.errno)}"


def _unexpected(error: Exception) -> str:
    line = f"{type(error).__name__}: {error}".split("\n")[0]
    return f"unexpected error, run again with --debug to see where: {line}"


class _Terminated(KeyboardInterrupt):
    """SIGTERM: leaves as Ctrl-C does, so that what is temporary is removed."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Have SIGTERM raise as Ctrl-C does, unless the program around us wants it otherwise.

    Libraries written in C turn what a signal raises into errors of their own, or into Ctrl-C: after
    a signal everything that is raised counts as it.
    """
    seen: list[type[KeyboardInterrupt]] = []
    raised = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: _Terminated}

    def leave(number: int, _: object) -> None:
        seen.append(raised[signal.Signals(number)])
        raise seen[-1]

    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in raised if is_main and signal.getsignal(number) == usual[number]]
    try:
        for number in ours:
            signal.signal(number, leave)
        yield
    except BaseException as error:
        if seen:
            raise seen[0] from error
        raise
    finally:
        for number in ours:
            signal.signal(number, usual[number])


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
    app = App(name="bioq", help=_HELP, **settings)  # type: ignore[arg-type]
    data = App(name="data", help="Make, download and check data sets.", sort_key=0)
    app.command(data)
    _register(app, _COMMANDS, words[0] if words else "")
    _register(data, _DATA_COMMANDS, words[1] if len(words) > 1 else "")
    return app


_HELP = """Predict chromatin targets, such as binding and open chromatin, from DNA sequence.

Start with the demo, which needs no data:

    bioq demo

With data of your own, make a data set, train a model on it and evaluate the model:

    bioq data peaks --genome genome.fa --targets targets.tsv --out data
    bioq train data --out run
    bioq evaluate run data

Every command has --help. With --debug an error shows its traceback."""


def _register(app: App, commands: Mapping[str, tuple[str, str]], called: str) -> None:
    for number, (name, (function, line)) in enumerate(commands.items(), start=1):
        if name == called:
            app.command(function, name=name, sort_key=number)
        else:
            app.command(function, name=name, help=line, sort_key=number)


def _command(tokens: Sequence[str]) -> str:
    """Return the command that `tokens` begin with, as far as there is one."""
    if tokens[:1] == ["data"]:
        known = [token for token in tokens[1:2] if token in _DATA_COMMANDS]
        return " ".join(["bioq data", *known])
    return " ".join(["bioq", *(token for token in tokens[:1] if token in _COMMANDS)])


def _cut(line: str) -> str:
    """Return a line without its middle where it quotes a whole file, its advice kept."""
    return (
        line
        if len(line) <= _MOST_SAID
        else f"{line[: _MOST_SAID // 2]} ... {line[-_MOST_SAID // 4 :]}"
    )


def _stop(line: str, status: int, debug: bool) -> int:
    if debug and status not in (INTERRUPTED, TERMINATED):
        raise
    if line:  # empty where another process of the same training says it
        print(f"bioq: {_cut(' '.join(line.splitlines()))}", file=sys.stderr)
    return status
