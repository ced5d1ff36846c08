"""One batch of windows to probabilities: BioQ beside PyTorch, Keras, ONNX Runtime and OpenVINO.

    python benchmarks/peers/inference.py [--model bioq] [--batches 1 32 100 256] [--threads 1]
        [--strands both] [--tiny]

A published-size model with 919 targets, the same weights everywhere, one strand. The peers get
float32 one-hot windows that lie ready in the layout they like; BioQ gets bases as codes and makes
what it needs within its time. With --strands both the answer is the mean of a window and its
reverse complement; the peers get both ready, in one batch.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from contest import TINY, Call, Contender, main, parser
from lively import lively_model, one_hot, random_codes, window_bp_of
from measuring import parse

# A compiler is free to round otherwise than PyTorch; bf16 keeps 8 bits, and 919 x 256 answers
# have a worst one.
BF16_TOLERANCE = 0.1


def eager(options: argparse.Namespace, batch: str, *, precision: Any = torch.float32) -> Call:
    model = _model(options)
    windows = _windows(options, model, batch)

    def call() -> Any:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16),
        ):
            return torch.sigmoid(model(windows).float()).numpy()

    return _mean_of(options, call)


def eager_bf16(options: argparse.Namespace, batch: str) -> Call:
    return eager(options, batch, precision=torch.bfloat16)


def compiled(options: argparse.Namespace, batch: str) -> Call:
    model = _model(options)
    windows = _windows(options, model, batch)
    fast = torch.compile(model)

    def call() -> Any:
        with torch.inference_mode():
            return torch.sigmoid(fast(windows)).numpy()

    return _mean_of(options, call)


def bioq(options: argparse.Namespace, batch: str, *, precision: Any = "32") -> Call:
    from bioq.forward import predict_codes

    model = _model(options)
    codes = random_codes(_rows(batch), length=window_bp_of(model))
    return lambda: predict_codes(model, codes, strands=options.strands, precision=precision)


def bioq_bf16(options: argparse.Namespace, batch: str) -> Call:
    return bioq(options, batch, precision="bf16")


def keras_model(options: argparse.Namespace, batch: str) -> Call:
    from keras_danq import keras_danq

    original = _model(options)
    model = keras_danq(original)
    windows = _windows(options, original, batch).transpose(1, 2).contiguous().numpy()
    return _mean_of(options, lambda: model.predict_on_batch(windows))


def onnx_runtime(options: argparse.Namespace, batch: str) -> Call:
    session, windows = onnx_session(options, batch)
    return _mean_of(options, lambda: session.run(None, {"windows": windows})[0])


def onnx_session(
    options: argparse.Namespace, batch: str, profile: Path | None = None
) -> tuple[Any, Any]:
    """Return a session of ONNX Runtime, which writes its times to `profile`, and the windows."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    if profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(profile)
    path = str(_exported(options))
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return session, _windows(options, _model(options), batch).numpy()


def openvino(options: argparse.Namespace, batch: str, *, precision: str = "f32") -> Call:
    ready, windows = openvino_network(options, batch, precision=precision)
    return _mean_of(options, lambda: ready(windows)[0].copy())


def openvino_network(
    options: argparse.Namespace, batch: str, *, precision: str, counts: bool = False
) -> tuple[Any, Any]:
    """Return the network compiled by OpenVINO, which may count its times, and the windows."""
    import openvino

    windows = _windows(options, _model(options), batch)
    network = openvino.convert_model(_probability(options), example_input=windows)
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": options.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": counts,
    }
    return openvino.compile_model(network, "CPU", settings), windows.numpy()


def openvino_bf16(options: argparse.Namespace, batch: str) -> Call:
    return openvino(options, batch, precision="bf16")


CONTENDERS = (
    Contender("PyTorch eager", eager, ("torch",)),
    Contender("BioQ", bioq, ours=True, tolerance=1e-5),
    Contender("torch.compile", compiled, programs=("c++",)),
    Contender("BioQ bf16", bioq_bf16, tolerance=BF16_TOLERANCE, ours=True),
    Contender("PyTorch eager bf16", eager_bf16, tolerance=BF16_TOLERANCE),
    Contender("Keras on PyTorch", keras_model, ("keras",), environment={"KERAS_BACKEND": "torch"}),
    Contender("Keras on JAX", keras_model, ("keras", "jax"), environment={"KERAS_BACKEND": "jax"}),
    Contender("ONNX Runtime", onnx_runtime, ("onnxruntime", "onnx")),
    Contender("OpenVINO", openvino, ("openvino",)),
    Contender("OpenVINO bf16", openvino_bf16, ("openvino",), tolerance=BF16_TOLERANCE),
)


def _model(options: argparse.Namespace) -> torch.nn.Module:
    torch.set_num_threads(options.threads)
    return lively_model(options.model, tiny=options.tiny)


def _probability(options: argparse.Namespace) -> torch.nn.Module:
    return torch.nn.Sequential(_model(options), torch.nn.Sigmoid()).eval()


def _rows(batch: str) -> int:
    return int(batch.split()[-1])


def _windows(options: argparse.Namespace, model: torch.nn.Module, batch: str) -> torch.Tensor:
    windows = one_hot(random_codes(_rows(batch), length=window_bp_of(model)))
    if options.strands == "both":
        windows = torch.cat([windows, windows.flip(1, 2)])
    return windows.contiguous()


def _mean_of(options: argparse.Namespace, call: Call) -> Call:
    """Return a call whose answer is the mean of the two strands, if there are two."""
    if options.strands == "forward":
        return call

    def of_both() -> Any:
        answers = call()
        half = len(answers) // 2
        return (answers[:half] + answers[half:]) / 2

    return of_both


def _exported(options: argparse.Namespace) -> Path:
    path: Path = options.folder / f"contender-{options.turns_of}" / "model.onnx"
    torch.onnx.export(
        _probability(options),
        (one_hot(random_codes(2)),),
        path,
        dynamo=False,
        input_names=["windows"],
        output_names=["probability"],
        dynamic_axes={"windows": {0: "batch"}, "probability": {0: "batch"}},
    )
    return path


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument(
        "--model", default="bioq", help="a model of BioQ; sizes may follow: 'danq gates=hard'"
    )
    arguments.add_argument("--strands", choices=("forward", "both"), default="forward")
    arguments.add_argument("--batches", type=int, nargs="+", default=[1, 32, 100, 256])
    chosen = parse(arguments, tiny={**TINY, "batches": [1, 20]})
    main(
        chosen,
        CONTENDERS,
        {f"batch {batch}": batch for batch in chosen.batches},
        subject=f"inference of {chosen.model}, strands {chosen.strands}",
        unit="windows",
    )
