# mypy: disable-error-code="untyped-decorator,no-untyped-def"
"""DanQ by two Triton kernels, which do not write the largest intermediate results to memory.

The first kernel convolves and pools, so the map before pooling (975 x 320 numbers per window) stays
on the chip. The second kernel computes one step of an LSTM layer in both directions: recurrent
product, gates and new state. cuBLAS computes the matrix products of whole layers.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.nn import functional

from bioq.models.danq import DanQ
from bioq.models.hard_lstm import HardLSTM

_GATES = 4


@dataclass(frozen=True)
class Tiles:
    """The work of one program of the step kernel. The defaults are not measured: no card was
    available."""

    windows: int = 128
    units: int = 32
    """Hidden units; the tile of the product is four times as wide, with one column per gate."""
    inner: int = 64
    """Hidden units of the previous step that are read at a time."""
    warps: int = 8
    stages: int = 3
    """Reads in progress at a time; each takes 32 KB of shared memory in bf16."""


class TritonDanQ:
    """A DanQ that reads codes, prepared for one number type (bfloat16; float32 for tests)."""

    def __init__(self, model: DanQ, dtype: torch.dtype, tiles: Tiles | None = None):
        """Copy the weights in the order that the kernels read. Raises ValueError if a filter
        or a pool is too wide for the first kernel."""
        self._dtype = dtype
        self._tiles = tiles or Tiles()
        pool = model.pool.kernel_size
        self._pool_width = pool if isinstance(pool, int) else pool[0]
        self._filters, _, self._filter_width = model.conv.weight.shape
        if self._filter_width > 64 or self._pool_width > 64:
            raise ValueError(
                f"filters of {self._filter_width} bp and pools of {self._pool_width}; "
                "the kernel takes up to 64"
            )
        # (width * base, filter): one row per position of the filter and base
        rows = model.conv.weight.detach().permute(2, 1, 0).flatten(0, 1)
        self._rows = rows.to(dtype).contiguous()
        self._bias = _bias_of(model.conv).float()
        self._layers = [
            _Layer(model.lstm, number, dtype) for number in range(model.lstm.num_layers)
        ]
        self._dense = _transposed(model.dense, dtype)
        self._output = _transposed(model.output, dtype)

    def __call__(self, codes: Tensor) -> Tensor:
        """Return logits float32 `(n, targets)` of codes uint8 `(n, window_bp)`."""
        states = self.pooled(codes)
        for layer in self._layers:
            states = self.step_through(layer, states, last=layer is self._layers[-1])
        hidden = functional.relu(_affine(torch.flatten(states, 1), self._dense))
        return _affine(hidden, self._output).float()

    def pooled(self, codes: Tensor) -> Tensor:
        """Return `(position, n, filter)` of codes uint8 `(n, window_bp)`, after ReLU."""
        windows, length = codes.shape
        positions = (length - self._filter_width + 1) // self._pool_width
        out = torch.empty(
            (positions, windows, self._filters), dtype=self._dtype, device=codes.device
        )
        slots = triton.next_power_of_2(self._pool_width)
        at_once = max(1, 128 // slots)
        _convolve_and_pool[(windows, triton.cdiv(positions, at_once))](
            codes.contiguous(),
            self._rows,
            self._bias,
            out,
            windows,
            length,
            positions,
            FILTERS=self._filters,
            WIDTH=4 * self._filter_width,
            POOL=self._pool_width,
            SLOTS=slots,
            AT_ONCE=at_once,
            INNER=max(16, triton.next_power_of_2(4 * self._filter_width)),
            FILTERS_AT_ONCE=64,
            num_warps=8,
            num_stages=1,
        )
        return out

    def step_through(self, layer: "_Layer", states: Tensor, *, last: bool) -> Tensor:
        """Return the output of an LSTM layer for inputs `(position, n, inputs)`:
        `(position, n, 2 * units)` or, for the last layer, `(n, position, 2 * units)`, the order of
        the dense layer."""
        positions, windows, _ = states.shape
        units, tiles = layer.units, self._tiles
        gates = _affine(states.flatten(0, 1), (layer.of_inputs, layer.bias))
        shape = (windows, positions, 2 * units) if last else (positions, windows, 2 * units)
        read = torch.empty(shape, dtype=self._dtype, device=states.device)
        cell = torch.empty((2, windows, units), dtype=torch.float32, device=states.device)
        position_stride, window_stride = (
            (read.stride(1), read.stride(0)) if last else (read.stride(0), read.stride(1))
        )
        grid = (triton.cdiv(units, tiles.units), triton.cdiv(windows, tiles.windows), 2)
        for step in range(positions):
            _step[grid](
                gates,
                layer.of_states,
                read,
                cell,
                step,
                positions,
                windows,
                position_stride,
                window_stride,
                UNITS=units,
                HARD=layer.has_hard_gates,
                WINDOWS_AT_ONCE=tiles.windows,
                UNITS_AT_ONCE=tiles.units,
                INNER=tiles.inner,
                num_warps=tiles.warps,
                num_stages=tiles.stages,
            )
        return read


class _Layer:
    """The weights of a bidirectional LSTM layer, the four gates of a unit side by side."""

    def __init__(self, lstm: nn.LSTM | HardLSTM, number: int, dtype: torch.dtype):
        self.units, self.has_hard_gates = lstm.hidden_size, isinstance(lstm, HardLSTM)
        of_inputs, of_states, bias = [], [], []
        for suffix in (f"l{number}", f"l{number}_reverse"):
            of_inputs.append(self._side_by_side(getattr(lstm, f"weight_ih_{suffix}")))
            of_states.append(self._side_by_side(getattr(lstm, f"weight_hh_{suffix}")).T)
            sums = getattr(lstm, f"bias_ih_{suffix}") + getattr(lstm, f"bias_hh_{suffix}")
            bias.append(self._side_by_side(sums))
        # (inputs, direction * unit * gate), (direction, previous unit, unit * gate)
        self.of_inputs = torch.cat(of_inputs).to(dtype).T.contiguous()
        self.of_states = torch.stack(of_states).to(dtype).contiguous()
        self.bias = torch.cat(bias).to(dtype)

    def _side_by_side(self, rows: Tensor) -> Tensor:
        """Bring rows `(gate * unit, ...)`, as PyTorch keeps them, into the order unit, gate."""
        by_gate = rows.detach().view(_GATES, self.units, *rows.shape[1:])
        return by_gate.transpose(0, 1).flatten(0, 1)


def _bias_of(layer: nn.Conv1d) -> Tensor:
    if layer.bias is None:
        return layer.weight.new_zeros(len(layer.weight))
    return layer.bias.detach()


def _transposed(layer: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return layer.weight.detach().to(dtype).T, layer.bias.detach().to(dtype)


def _affine(rows: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
    weight, bias = layer
    return torch.addmm(bias, rows, weight)


@triton.jit
def _convolve_and_pool(
    codes,
    rows,
    bias,
    out,
    windows,
    length,
    positions,
    FILTERS: tl.constexpr,
    WIDTH: tl.constexpr,
    POOL: tl.constexpr,
    SLOTS: tl.constexpr,
    AT_ONCE: tl.constexpr,
    INNER: tl.constexpr,
    FILTERS_AT_ONCE: tl.constexpr,
):
    """Compute some pooled positions of one window; one-hot and its product stay in registers.

    A row of the product is a position of the map, with SLOTS rows per pooled position (a power of
    two, of which POOL are used); a column of one-hot is a base (column % 4) at a position of the
    filter (column // 4).
    """
    window = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * AT_ONCE
    row = tl.arange(0, AT_ONCE * SLOTS)
    position, slot = first + row // SLOTS, row % SLOTS
    used = (position < positions) & (slot < POOL)
    column = tl.arange(0, INNER)
    base = (position * POOL + slot)[:, None] + (column // 4)[None, :]
    wanted = used[:, None] & (column < WIDTH)[None, :]
    letters = tl.load(codes + window * length + base, mask=wanted, other=4).to(tl.int32)
    is_base = letters == (column % 4)[None, :]
    one_hot = tl.where(is_base, 1.0, 0.0).to(rows.dtype.element_ty)
    to = first + tl.arange(0, AT_ONCE)
    for start in range(0, FILTERS, FILTERS_AT_ONCE):
        filter_ = start + tl.arange(0, FILTERS_AT_ONCE)
        known = (filter_ < FILTERS)[None, :]
        weight = tl.load(
            rows + column[:, None] * FILTERS + filter_[None, :],
            mask=(column < WIDTH)[:, None] & known,
            other=0.0,
        )
        sums = tl.dot(one_hot, weight, input_precision="ieee")
        sums = tl.where(used[:, None], sums, float("-inf"))
        sums = tl.reshape(sums, (AT_ONCE, SLOTS, FILTERS_AT_ONCE))
        best = tl.max(sums, axis=1) + tl.load(bias + filter_, mask=filter_ < FILTERS)[None, :]
        best = tl.maximum(best, 0.0)
        address = out + (to[:, None].to(tl.int64) * windows + window) * FILTERS + filter_[None, :]
        tl.store(address, best.to(out.dtype.element_ty), mask=(to < positions)[:, None] & known)


@triton.jit
def _gate(total, HARD: tl.constexpr):
    """Return a sigmoid, or a hard one (see `models.hard_lstm`)."""
    if HARD:
        return tl.minimum(tl.maximum(0.2 * total + 0.5, 0.0), 1.0)
    return tl.sigmoid(total)


@triton.jit(do_not_specialize=["step"])
def _step(
    gates,
    of_states,
    read,
    cell,
    step,
    positions,
    windows,
    position_stride,
    window_stride,
    UNITS: tl.constexpr,
    HARD: tl.constexpr,
    WINDOWS_AT_ONCE: tl.constexpr,
    UNITS_AT_ONCE: tl.constexpr,
    INNER: tl.constexpr,
):
    """Compute one step of some units of some windows in one direction.

    The direction is `tl.program_id(2)`; direction 1 reads backwards. `gates`
    `(position, window, direction, unit, gate)` contains the part of the gates that comes from the
    inputs and the bias. The states are written to `read` `(..., direction, unit)`; `cell` float32
    `(direction, window, unit)` is updated in place. Gates are in PyTorch's order: in, forget, cell,
    out.
    """
    direction = tl.program_id(2)
    backwards = direction == 1
    position = tl.where(backwards, positions - 1 - step, step).to(tl.int64)
    before = tl.where(backwards, position + 1, position - 1)
    window = tl.program_id(1) * WINDOWS_AT_ONCE + tl.arange(0, WINDOWS_AT_ONCE).to(tl.int64)
    unit = tl.program_id(0) * UNITS_AT_ONCE + tl.arange(0, UNITS_AT_ONCE)
    column = tl.program_id(0) * (UNITS_AT_ONCE * 4) + tl.arange(0, UNITS_AT_ONCE * 4)
    in_batch = (window < windows)[:, None]
    in_columns = (column < 4 * UNITS)[None, :]
    of_inputs = gates + ((position * windows + window) * 2 + direction)[:, None] * (4 * UNITS)
    total = tl.load(of_inputs + column[None, :], mask=in_batch & in_columns, other=0.0).to(
        tl.float32
    )
    if step > 0:
        states = read + before * position_stride + direction * UNITS
        weights = of_states + direction * UNITS * (4 * UNITS)
        for start in range(0, UNITS, INNER):
            inner = start + tl.arange(0, INNER)
            state = tl.load(
                states + window[:, None] * window_stride + inner[None, :],
                mask=in_batch & (inner < UNITS)[None, :],
                other=0.0,
            )
            weight = tl.load(
                weights + inner[:, None] * (4 * UNITS) + column[None, :],
                mask=(inner < UNITS)[:, None] & in_columns,
                other=0.0,
            )
            total = tl.dot(state, weight, total, input_precision="ieee")
    by_gate = tl.reshape(total, (WINDOWS_AT_ONCE, UNITS_AT_ONCE, 2, 2))
    in_and_cell, forget_and_out = tl.split(by_gate)
    let_in, new = tl.split(in_and_cell)
    forget, let_out = tl.split(forget_and_out)
    known = in_batch & (unit < UNITS)[None, :]
    cells = cell + (direction * windows + window)[:, None] * UNITS + unit[None, :]
    state = _gate(let_in, HARD) * (2.0 * tl.sigmoid(2.0 * new) - 1.0)
    if step > 0:
        state += _gate(forget, HARD) * tl.load(cells, mask=known, other=0.0)
    tl.store(cells, state, mask=known)
    shown = _gate(let_out, HARD) * (2.0 * tl.sigmoid(2.0 * state) - 1.0)
    to = read + position * position_stride + window[:, None] * window_stride + direction * UNITS
    tl.store(to + unit[None, :], shown.to(read.dtype.element_ty), mask=known)
