r"""Train the learned delineator on cardiologists' marks (LUDB) and export it to ONNX.

    python -m gem.training.delineator ../shared/data/ludb --out grounding/delineation/weights
    # leave a fifth of the records out
    python -m gem.training.delineator ../shared/data/ludb --fold 0 --folds 5 --out OUT
    # learn from recordings without marks too
    python -m gem.training.delineator ../shared/data/ludb --out OUT \
        --teachers A/delineator.onnx B/delineator.onnx --unmarked ../shared/data/ptbxl

A small 1-D U-Net takes one lead at 250 Hz, scaled and in mV, and three channels that all leads share (RMS and spatial
velocity), and gives the class none / P / QRS / T of each 4 ms. The loss covers only the part of a lead that
cardiologists marked; synthetic records add P waves without a QRS. The shipped network is quantised to 8 bits, which
takes a third of the time on processors that have instructions for it. With ``--teachers``, half of every batch are
recordings without marks, whose targets are the teachers' mean probabilities.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from grounding import EcgError, read_record, synthesize
from grounding.delineation.features import CHANNELS, FS_HZ, net_input
from grounding.delineation.learned import probabilities
from grounding.record import fill_missing
from grounding.signal.quality import assess
from grounding.synthetic import Rhythm

from ..errors import GemConfigError
from ..extras import how_to_install
from .paired_samples import in_pairs

CLASSES = ("none", "P", "QRS", "T")
LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
EDGE_MARGIN = 6  # samples around an edge of a synthetic wave that are left out of the loss
WARP, KNOT = 0.2, 25  # time warping: standard deviation of the log speed, and samples between its changes
SYMBOLS = {"p": 1, "N": 2, "t": 3}


class DelineatorBlock(nn.Module):
    """Residual block: two convolutions and a shortcut.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        kernel: size of both convolutions.
        stride: of the first.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int = 7, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
        self.second = nn.Conv1d(n_out, n_out, kernel, 1, kernel // 2, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(n_out), nn.BatchNorm1d(n_out)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(leads, n_in, length) -> (leads, n_out, length / stride, rounded up)."""
        x = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(x + self.norms[1](self.second(x)))


class Delineator(nn.Module):
    """A 1-D U-Net that classifies every sample of a lead.

    Args:
        widths: channels of each level.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 32, 40, 56, 72)) -> None:
        super().__init__()
        pairs = list(zip((CHANNELS, *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList([DelineatorBlock(a, b, 9 if n == 0 else 7, 2) for n, (a, b) in enumerate(pairs)])
        ups = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.up = nn.ModuleList([DelineatorBlock(a + b, b, 5) for a, b in ups])
        self.head = nn.Conv1d(widths[0], 2 * len(CLASSES), 5, padding=2)  # two outputs per sample of the first level

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(leads, CHANNELS, samples at 250 Hz, a multiple of 32) -> class logits (leads, 4, samples)."""
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, reversed(levels[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), level], 1))
        out: torch.Tensor = self.head(x)
        batch, _, length = out.shape
        return out.reshape(batch, len(CLASSES), 2, length).transpose(2, 3).reshape(batch, len(CLASSES), 2 * length)


def read_marks(path: Path, n_samples: int, fs: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read the cardiologists' marks of a record of LUDB.

    Args:
        path: of the record, without extension.
        n_samples: of the record.
        fs: its sampling rate, Hz.

    Returns:
        The class of each 4 ms of each lead, and where the lead was marked: (12, samples at 250 Hz) each.
    """
    length = int(np.ceil(n_samples * FS_HZ / fs))
    target, known = np.zeros((12, length), np.int64), np.zeros((12, length), bool)
    for row, lead in enumerate(LEADS):
        marks = wfdb.rdann(str(path), lead)
        where = np.asarray(marks.sample) * FS_HZ / fs
        if not len(where):
            continue
        known[row, max(0, int(where.min()) - 5) : int(where.max()) + 6] = True
        for i, symbol in enumerate(marks.symbol):
            if symbol in SYMBOLS and 0 < i < len(where) - 1:
                begin = where[i - 1] if marks.symbol[i - 1] == "(" else where[i]
                end = where[i + 1] if marks.symbol[i + 1] == ")" else where[i]
                target[row, round(begin) : round(end) + 1] = SYMBOLS[symbol]
    return target, known


def synthetic_records(seeds: int = 4) -> list[tuple[Any, ...]]:
    """Synthetic records of rhythms that are rare in LUDB: P waves without a QRS, and fibrillation without P waves.

    The generator's wave edges differ from those that cardiologists mark, so the loss leaves out the edges of P waves,
    all of QRS and T, and leads in which the P wave is hardly visible.

    Args:
        seeds: records per rhythm.

    Returns:
        Signal, classes, and where they count, as from ``read_marks``.
    """
    out: list[tuple[Any, ...]] = []
    rhythms: tuple[Rhythm, ...] = ("avb2_wenckebach", "avb2_mobitz2", "avb3", "af")
    for rhythm, seed in itertools.product(rhythms, range(seeds)):
        rng = np.random.default_rng(1000 + seed)
        rate_bpm = rng.uniform(30, 50) if rhythm == "avb3" else rng.uniform(50, 90)
        record, truth = synthesize(
            rate_bpm,
            p_ms=rng.uniform(80, 120),
            axis_deg=rng.uniform(-60, 100),
            rhythm=rhythm,
            rr_sd_ms=20.0 if rhythm == "avb3" else 0.0,
            noise_snr_db=rng.uniform(20, 35),
            baseline_mv=0.1,
            fs=FS_HZ,
            seed=1000 + seed,
        )
        signal = record.standard().signal
        target, known = np.zeros(signal.shape, np.int64), np.ones(signal.shape, bool)
        known[:, : int(0.3 * FS_HZ)] = known[:, -int(0.3 * FS_HZ) :] = False  # waves cut off at the ends are not listed
        for wave, onset, offset in truth.waves[["wave", "onset", "offset"]].itertuples(index=False):
            begin, end = max(0, round(onset)), max(0, round(offset))
            if wave == "P":
                faint = np.ptp(truth.clean[:, begin : end + 1], axis=1) < 0.04
                target[:, begin : end + 1] = CLASSES.index("P")
                known[faint, max(0, begin - EDGE_MARGIN) : end + EDGE_MARGIN] = False
                for edge in (begin, end):
                    known[:, max(0, edge - EDGE_MARGIN) : edge + EDGE_MARGIN] = False
            else:
                known[:, max(0, begin - 2 * EDGE_MARGIN) : end + 2 * EDGE_MARGIN] = False
        out.append((signal, target, known))
    return out


def augmented(signal: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Augment a record without changing its timing: gain, noise, baseline wander, mains, inverted and missing leads.

    Args:
        signal: (12, samples at 250 Hz), mV.
        rng: source of random numbers.

    Returns:
        (12, samples).
    """
    # the network sees mV, which are sometimes wrong in recordings
    common = rng.uniform(-1.2, 1.2) if rng.random() < 0.3 else 0.0
    out = signal * np.exp(common + rng.normal(0, 0.1, (12, 1))).astype(np.float32)
    seconds = np.arange(signal.shape[1]) / FS_HZ
    scale = np.median(np.std(out, axis=1))
    if rng.random() < 0.5:
        out = out + scale * rng.uniform(0.02, 0.4) * rng.normal(0, 1, out.shape) * rng.uniform(0, 0.5, (12, 1))
    if rng.random() < 0.5:
        for _ in range(2):
            wave = np.sin(2 * np.pi * (rng.uniform(0.05, 0.7) * seconds + rng.random()))
            out = out + scale * rng.uniform(0, 1.0, (12, 1)) * wave
    if rng.random() < 0.2:
        out = out + scale * rng.uniform(0, 0.3) * np.sin(2 * np.pi * (rng.choice([50.0, 60.0]) * seconds))
    if rng.random() < 0.3:
        out = out * rng.choice([1.0, -1.0], (12, 1), p=[0.8, 0.2])
    if rng.random() < 0.2:
        out[rng.choice(12, rng.integers(1, 7), replace=False)] = 0.0
    return np.asarray(out, np.float32)


def labelled_by_teachers(folders: list[Path], teachers: list[Path]) -> list[tuple[Any, ...]]:
    """Recordings without marks, with the teachers' mean probabilities as targets.

    Leads and records that the quality check rejects, and recordings that are not twelve leads in mV, are left out.

    Args:
        folders: of WFDB recordings.
        teachers: ONNX files.

    Returns:
        Signal (12, samples at 250 Hz), probabilities (12, 4, samples), and where they count (12, samples).
    """
    out: list[tuple[Any, ...]] = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.hea")):
        try:
            record = read_record(path).standard()
        except EcgError as error:
            print(f"left out: {error}")
            continue
        usable = np.asarray(assess(record)[0]["usable"], bool)
        if not record.has_millivolts or usable.sum() < 8 or record.duration_s < 6:
            continue
        signal = fill_missing(record.crop(0, min(10.0, record.duration_s)).resample(FS_HZ).signal)
        signal = np.where(usable[:, None], signal - np.median(signal, axis=1, keepdims=True), 0).astype(np.float32)
        target = np.mean([probabilities(signal, teacher) for teacher in teachers], axis=0).astype(np.float16)
        out.append((signal, target, np.repeat(usable[:, None], signal.shape[1], axis=1)))
    return out


def warped_time(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Warped time from 0 to 1, whose speed changes about every 0.1 s, to vary the durations of waves.

    Args:
        length: samples at 250 Hz.
        rng: source of random numbers.

    Returns:
        (length,).
    """
    speed = np.exp(rng.normal(0, WARP, length // KNOT + 4))
    at = np.cumsum(np.interp(np.arange(length), np.arange(len(speed)) * KNOT - rng.uniform(0, KNOT), speed))
    return np.asarray((at - at[0]) / (at[-1] - at[0]))


def is_wide(target: NDArray[np.int64]) -> bool:
    """Whether the median QRS of lead II lasts 112 ms or longer.

    Args:
        target: classes (12, samples at 250 Hz).
    """
    edges = np.flatnonzero(np.diff(target[1] == CLASSES.index("QRS"), prepend=False))
    return len(edges) > 1 and float(np.median(np.diff(edges)[::2])) >= 0.112 * FS_HZ


def batches(records: list[tuple[Any, ...]], rng: np.random.Generator, size: int, length: int) -> Any:
    """Random windows of augmented records, stretched as a whole and warped locally.

    Args:
        records: signal, target and where it counts, each.
        rng: source of random numbers.
        size: records per batch.
        length: samples of a window, at 250 Hz.

    Yields:
        Inputs, targets and where they count, with the leads of all records as rows.
    """
    order = rng.permutation(len(records))
    for start in range(0, len(records), size):
        xs, ys, ms = [], [], []
        for signal, target, known in [records[i] for i in order[start : start + size]]:
            stretch = rng.uniform(0.8, 1.25)
            n = min(signal.shape[1], int(length * stretch))
            first = rng.integers(0, signal.shape[1] - n + 1)
            at = first + warped_time(length, rng) * (n - 1)
            near = at.round().astype(int)
            low = np.floor(at).astype(int)
            high = np.minimum(low + 1, signal.shape[1] - 1)
            part = signal[:, low] + (signal[:, high] - signal[:, low]) * (at - low).astype(np.float32)
            moved = augmented(part, rng)
            alive = np.any(moved != 0, axis=1, keepdims=True)
            xs.append(net_input(moved))
            ys.append(target[..., near].astype(np.int64 if target.dtype.kind == "i" else np.float32))
            ms.append(known[:, near] & alive)
        yield tuple(torch.from_numpy(np.concatenate(part)) for part in (xs, ys, ms))


def marked_loss(net: Delineator, x: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy where the class is known; in bfloat16, which takes two thirds of the time of float32.

    Args:
        net: the network.
        x: its input.
        y: classes (rows, samples), or probabilities (rows, 4, samples).
        known: (rows, samples), where they count.
    """
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    lost: torch.Tensor = functional.cross_entropy(logits.float(), y, reduction="none") * known
    return lost.sum() / known.sum()


def train(
    records: list[tuple[Any, ...]], epochs: int, seed: int = 0, unmarked: list[tuple[Any, ...]] | None = None
) -> Delineator:
    """Train with AdamW and one cosine cycle; records with a wide QRS are rare and used twice.

    Args:
        records: signal, classes and where they count, each.
        epochs: number of epochs.
        seed: of all random numbers.
        unmarked: from ``labelled_by_teachers``, or None.

    Returns:
        A network with the exponential moving average of the weights, in eval mode.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    records = records + [record for record in records if is_wide(record[1])] + synthetic_records()
    net = Delineator()
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99), use_buffers=True
    )
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
    steps = epochs * -(-len(records) // 6)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps + 1, pct_start=0.15)
    started = time.time()
    for epoch in range(epochs):
        total, seen = 0.0, 0
        others = batches(unmarked, rng, 6, 1280) if unmarked else iter(())
        for x, y, m in batches(records, rng, 6, 1280):
            loss = marked_loss(net, x, y, m)
            for more in itertools.islice(others, 1):
                loss = loss + marked_loss(net, *more)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            plan.step()
            mean.update_parameters(net)
            total, seen = total + loss.item(), seen + 1
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {total / seen:.4f}, {time.time() - started:.0f} s", flush=True)
    averaged: Any = mean.module
    trained: Delineator = averaged.eval()
    return trained


def export(net: Delineator, path: Path, examples: list[NDArray[np.float32]] | None = None) -> None:
    """Write the network as ONNX with a variable number of leads and samples.

    Args:
        net: trained.
        path: of the ONNX file.
        examples: inputs of the network, (leads, channels, samples) each, from which the ranges of its activations are
            measured for quantisation: 7 bits for weights, so that sums don't overflow on processors without
            instructions for them, and 8 for activations. The first layer, whose inputs hold small P waves and far
            larger QRS, and the last one stay in float32. None writes everything in float32.
    """
    example = torch.zeros(2, CHANNELS, 1280)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        torch.onnx.export(
            net,
            (example,),
            str(plain),
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "leads", 2: "samples"}, "logits": {0: "leads", 2: "samples"}},
            opset_version=17,
            dynamo=False,
        )
        if examples is None:
            path.write_bytes(plain.read_bytes())
            return
        import onnx
        from onnxruntime import quantization as q
        from onnxruntime.quantization.shape_inference import quant_pre_process

        shown = ({"x": x} for x in examples)

        class Reader(q.CalibrationDataReader):  # type: ignore[misc]
            """Gives the examples to onnxruntime."""

            def get_next(self) -> Any:
                """The next example; None at the end."""
                return next(shown, None)

        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        layers = [node.name for node in onnx.load(str(ready)).graph.node if node.op_type == "Conv"]
        whole = Path(folder) / "whole.onnx"
        q.quantize_static(
            str(ready),
            str(whole),
            Reader(),
            quant_format=q.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            nodes_to_exclude=[layers[0], layers[-1]],
        )
        onnx.save(in_pairs(onnx.load(str(whole))), str(path))


def main(arguments: list[str] | None = None) -> None:
    """Train and export the delineator.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with LUDB's records")
    parser.add_argument("--out", type=Path, required=True, help="folder for delineator.onnx and delineator.json")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--fold", type=int, help="leave this fold of the records out (record number // 2 modulo folds)")
    parser.add_argument("--float32", action="store_true", help="write the network as it was trained, not quantised")
    parser.add_argument("--unmarked", type=Path, nargs="+", default=[], help="folders of WFDB recordings without marks")
    parser.add_argument(
        "--teachers", type=Path, nargs="+", default=[], help="networks (ONNX) whose mean output is their target"
    )
    options = parser.parse_args(arguments)
    if bool(options.unmarked) != bool(options.teachers):
        parser.error("--unmarked and --teachers come together")
    if not options.float32 and importlib.util.find_spec("onnx") is None:  # checked before the long training
        raise GemConfigError("8-bit numbers need the package onnx", remedy=how_to_install("onnx"))
    torch.set_num_threads(1)
    records, held_out = [], []
    for path in sorted(options.data.glob("*.hea"), key=lambda p: int(p.stem)):
        if options.fold is not None and int(path.stem) // 2 % options.folds == options.fold:
            held_out.append(path.stem)
            continue
        record = read_record(path).standard()
        target, known = read_marks(path.with_suffix(""), record.n_samples, record.fs)
        records.append((record.resample(FS_HZ).signal[:, : target.shape[1]], target, known))
    unmarked = labelled_by_teachers(options.unmarked, options.teachers)
    net = train(records, options.epochs, options.seed, unmarked)
    options.out.mkdir(parents=True, exist_ok=True)
    examples = [net_input(signal[:, : signal.shape[1] // 32 * 32]) for signal, _, _ in records[::7]]
    export(net, options.out / "delineator.onnx", None if options.float32 else examples)
    card = {
        "data": "LUDB 1.0.1 (ODC-BY), odd-numbered records, and synthetic ones",
        "records": len(records),
        "unmarked_records": len(unmarked),
        "teachers": len(options.teachers),
        "held_out": held_out,
        "epochs": options.epochs,
        "seed": options.seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "fs_hz": FS_HZ,
        "classes": list(CLASSES),
        "numbers": "float32" if options.float32 else "8 bits",
    }
    (options.out / "delineator.json").write_text(json.dumps(card, indent=1))


if __name__ == "__main__":
    main()
