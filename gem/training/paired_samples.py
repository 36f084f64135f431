"""The quantised delineator in another arrangement: the same whole numbers, in three quarters of the time.

A network that doubles the rate of a signal by repeating it, and then convolves it, multiplies each value by several
weights in turn. Here such a layer stays at the lower rate and gives two samples at once, so that the weights of equal
values are added beforehand. Layers with few channels take two samples as one of twice the channels, which fills the
registers of processors. Both change no sum of whole numbers, so the outputs are the same to the last bit. Channels come
last throughout, as onnxruntime convolves them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Whole = NDArray[np.int64]
COLUMNS = 16  # outputs that a processor's register holds
LARGEST, MOST = 255, 64  # activation, weight before weights are added
# a processor without VNNI adds two products in 16 bits before it adds the sums in 32
LOWEST_PAIR, HIGHEST_PAIR = -(2**15), 2**15 - 1


class Range(NamedTuple):
    """How whole numbers stand for activations: value = (number - zero) * scale."""

    scale: NDArray[np.float32]
    zero: NDArray[np.uint8]


class Layer(NamedTuple):
    """A quantised convolution.

    Attributes:
        weights: (outputs, inputs, taps).
        scales: (outputs,), of the weights.
        bias: (outputs,).
        stride: samples.
        before: range of its inputs.
        after: range of its outputs.
    """

    weights: Whole
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]
    stride: int
    before: Range
    after: Range


class Block(NamedTuple):
    """A residual block; the first layer of the network is in float32 and absent here."""

    first: Layer | None
    second: Layer
    total: Range


def at_half_rate(weights: Whole, samples: int) -> Whole:
    """The weights of a layer that gives two samples at once.

    Args:
        weights: (outputs, inputs, taps) with an odd number of taps.
        samples: 2 where the inputs hold two samples side by side, 1 where one stands for two equal ones.

    Returns:
        (2 * outputs, samples * inputs, taps at half the rate), again an odd number.

    Example:
        >>> at_half_rate(np.array([[[1, 2, 4]]]), 1).tolist()
        [[[1, 6, 0]], [[0, 3, 4]]]
    """
    outputs, inputs, taps = weights.shape
    reach = taps // 2
    low_reach = (reach + 1) // 2
    out = np.zeros((2, outputs, samples, inputs, 2 * low_reach + 1), weights.dtype)
    for sample in (0, 1):
        for tap in range(taps):
            low, phase = divmod(sample + tap - reach, 2)
            out[sample, :, phase % samples, :, low + low_reach] += weights[:, :, tap]
    return out.reshape(2 * outputs, samples * inputs, 2 * low_reach + 1)


def overflows(weights: Whole) -> bool:
    """Whether a sum of two neighbouring channels' products leaves 16 bits, or a weight 8.

    Args:
        weights: (outputs, inputs, taps) with an even number of inputs.
    """
    pairs = weights.reshape(len(weights), -1, 2, weights.shape[2])
    high, low = np.maximum(pairs, 0).sum(axis=2), np.minimum(pairs, 0).sum(axis=2)
    narrow = weights.min() >= -128 and weights.max() <= 127
    return bool(not narrow or LARGEST * high.max() > HIGHEST_PAIR or LARGEST * low.min() < LOWEST_PAIR)


def harmless_order(weights: Whole) -> NDArray[np.intp]:
    """An order of the inputs in which no neighbours overflow, where there is one.

    Args:
        weights: (outputs, inputs, taps) with an even number of inputs.

    Returns:
        (inputs,). The half of the inputs that overflow with most others are each given one of the other half.
    """
    high, low = np.maximum(weights, 0), np.minimum(weights, 0)
    clash = np.stack(
        [
            (LARGEST * (high + one) > HIGHEST_PAIR).any(axis=(0, 2))
            | (LARGEST * (low + other) < LOWEST_PAIR).any(axis=(0, 2))
            for one, other in zip(high.swapaxes(0, 1)[:, :, None], low.swapaxes(0, 1)[:, :, None], strict=True)
        ]
    )
    easy_first = np.argsort(clash.sum(axis=1), kind="stable")
    easy, hard = np.split(easy_first, 2)
    rows, columns = linear_sum_assignment(clash[np.ix_(hard, easy)])
    return np.stack([hard[rows], easy[columns]], axis=1).reshape(-1)


class _QuantisedNetwork:
    """A network as onnxruntime quantises it, read back."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.user = {name: node for node in model.graph.node for name in node.input}
        of_type = {kind: [n for n in model.graph.node if n.op_type == kind] for kind in ("Conv", "Add", "Concat")}
        self.start, *convolutions, self.head = of_type["Conv"]
        layers = [None, *(self._layer(node) for node in convolutions)]
        totals = [self._range(self.user[node.output[0]]) for node in of_type["Add"]]
        parts = zip(layers[::2], layers[1::2], totals, strict=True)
        self.blocks = [Block(first, second, total) for first, second, total in parts if second is not None]
        self.joined = [self._range(self.user[node.output[0]]) for node in of_type["Concat"]]

    def _range(self, node: Any) -> Range:
        return Range(*(self.values[name] for name in node.input[1:3]))

    def _layer(self, node: Any) -> Layer:
        weights, scales, _ = (self.values[name] for name in self.maker[node.input[1]].input)
        (stride,) = next(one.ints for one in node.attribute if one.name == "strides")
        bias = self.values[self.maker[node.input[2]].input[0]]
        before, after = self._range(self.maker[node.input[0]]), self._range(self.user[node.output[0]])
        return Layer(weights.astype(np.int64), scales, bias, stride, before, after)


def reordered(block: Block, order: NDArray[np.intp]) -> Block:
    """A block that gives its channels in another order.

    Args:
        block: any but the network's first.
        order: (outputs,).
    """
    first, second = block.first, block.second
    if first is None:
        raise ValueError("the first block's channels are given as they are")
    first = first._replace(weights=first.weights[order], scales=first.scales[order], bias=first.bias[order])
    weights = second.weights[order][:, order]
    second = second._replace(weights=weights, scales=second.scales[order], bias=second.bias[order])
    return block._replace(first=first, second=second)


def in_pairs(model: Any) -> Any:
    """Arrange a quantised delineator anew.

    Args:
        model: ``onnx.ModelProto`` of a ``Delineator`` that onnxruntime quantised (QDQ).

    Returns:
        ``onnx.ModelProto`` with the same input and, bit for bit, the same output.
    """
    old = _QuantisedNetwork(model)
    depth = len(old.joined) + 1
    down, up = old.blocks[:depth], old.blocks[depth:]
    path = [down[-1], *up]  # each block's rate is doubled for the next
    joins: list[Layer] = []
    for n in reversed(range(len(up))):  # the last first: an order of channels changes the layer that gives them
        first = path[n + 1].first
        assert first is not None
        lower = path[n].second.weights.shape[0]
        doubled = at_half_rate(first.weights[:, :lower], 1)
        order = harmless_order(doubled)
        path[n] = reordered(path[n], order)
        parts = [doubled[:, order]]
        if overflows(parts[0]):  # in every order that was tried: each value comes twice, with a part of the weight
            parts = [np.clip(parts[0], -MOST, MOST), parts[0] - np.clip(parts[0], -MOST, MOST)]
        weights = np.concatenate([*parts, at_half_rate(first.weights[:, lower:], 2)], axis=1)
        joins.insert(0, first._replace(weights=weights, scales=np.tile(first.scales, 2), bias=np.tile(first.bias, 2)))
    down[-1], up = path[0], path[1:]
    return _PairedNetwork(old).network(down, up, joins)


class _PairedNetwork:
    """Writes the nodes of the new arrangement; activations are (leads, samples, channels)."""

    def __init__(self, old: _QuantisedNetwork) -> None:
        self.old = old
        self.nodes: list[Any] = []
        self.values: dict[str, NDArray[Any]] = {}

    def network(self, down: list[Block], up: list[Block], joins: list[Layer]) -> Any:
        """The model.

        Args:
            down: blocks that halve the rate.
            up: blocks that double it.
            joins: the first layer of each block of ``up``, at half its rate.
        """
        x, levels = self._start(down[0]), []
        for n, block in enumerate(down):
            if block.first is not None:
                x = self._layer(f"down.{n}.first", x, block.first)
            x = self._residual(f"down.{n}", x, block)
            levels.append(x)
        for n, (block, join, joined) in enumerate(zip(up, joins, self.old.joined, strict=True)):
            before, at = [down[-1], *up][n], down[-2 - n]
            beside = self._samples(f"level.{n}", levels[-2 - n], 2 * len(at.second.bias))
            times = (join.weights.shape[1] - 2 * len(at.second.bias)) // len(before.second.bias)
            inputs = [*[(x, before.total)] * times, (beside, at.total)]
            flat = [one for name, number in inputs for one in (name, *self._range(f"{name}.of.{n}", number))]
            x = self._node("QLinearConcat", [*self._range(f"joined.{n}", joined), *flat], f"joined.{n}", axis=2)
            x = self._samples(f"up.{n}.in", self._layer(f"up.{n}.first", x, join), len(block.second.bias))
            x = self._residual(f"up.{n}", x, block)
        return self._end(x, up[-1].total)

    def _start(self, block: Block) -> str:
        start = self.old.start
        weights, bias = (self._value(f"start.{n}", self.old.values[start.input[n]]) for n in (1, 2))
        (stride,) = next(one.ints for one in start.attribute if one.name == "strides")
        taps = self.values[weights].shape[2]
        sizes = {"kernel_shape": [taps], "pads": [taps // 2] * 2, "strides": [stride]}
        x = self._node("Conv", ["x", weights, bias], "start", **sizes)
        x = self._node("Relu", [x], "start.relu")
        x = self._node("QuantizeLinear", [x, *self._range("start.range", block.second.before)], "start.whole")
        return self._node("Transpose", [x], "start.last", perm=[0, 2, 1])

    def _residual(self, name: str, x: str, block: Block) -> str:
        """The second layer of a block and the sum with the first one's output."""
        layer, width = block.second, len(block.second.bias)
        paired = at_half_rate(layer.weights, 2)
        if _work(paired) < 2 * _work(layer.weights) and not overflows(paired):
            layer = layer._replace(weights=paired, scales=np.tile(layer.scales, 2), bias=np.tile(layer.bias, 2))
            x = self._samples(f"{name}.pairs", x, 2 * width)
        y = self._layer(f"{name}.second", x, layer)
        numbers = [*self._range(f"{name}.x", layer.before), y, *self._range(f"{name}.y", layer.after)]
        x = self._node("QLinearAdd", [x, *numbers, *self._range(f"{name}.sum", block.total)], name)
        return self._samples(f"{name}.out", x, width) if layer is not block.second else x

    def _end(self, x: str, number: Range) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        x = self._node("Transpose", [x], "end.first", perm=[0, 2, 1])
        x = self._node("DequantizeLinear", [x, *self._range("end.range", number)], "end.float")
        weights, bias = (self._value(f"end.{n}", self.old.values[self.old.head.input[n]]) for n in (1, 2))
        taps = self.old.values[self.old.head.input[1]].shape[2]
        x = self._node("Conv", [x, weights, bias], "end", kernel_shape=[taps], pads=[taps // 2] * 2, strides=[1])
        classes = len(self.values["end.2"]) // 2
        x = self._node("Reshape", [x, self._value("end.two", np.array([0, classes, 2, -1]))], "end.split")
        x = self._node("Transpose", [x], "end.turned", perm=[0, 1, 3, 2])
        self._node("Reshape", [x, self._value("end.all", np.array([0, classes, -1]))], "logits")
        graph = helper.make_graph(
            self.nodes,
            "delineator",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["leads", self._inputs(), "samples"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["leads", classes, "samples"])],
            [numpy_helper.from_array(value, name) for name, value in self.values.items()],
        )
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8, producer_name="gem")

    def _inputs(self) -> int:
        return int(self.values["start.1"].shape[1])

    def _layer(self, name: str, x: str, layer: Layer) -> str:
        taps = layer.weights.shape[2]
        weights = self._value(f"{name}.weights", layer.weights.astype(np.int8))
        scales = self._value(f"{name}.scales", layer.scales)
        zeros = self._value(f"{name}.zeros", np.zeros(len(layer.scales), np.int8))
        before, after = self._range(f"{name}.before", layer.before), self._range(f"{name}.after", layer.after)
        return self._node(
            "QLinearConv",
            [x, *before, weights, scales, zeros, *after, self._value(f"{name}.bias", layer.bias)],
            name,
            channels_last=1,
            kernel_shape=[taps],
            pads=[taps // 2] * 2,
            strides=[layer.stride],
        )

    def _samples(self, name: str, x: str, channels: int) -> str:
        """The same numbers with two samples side by side, or one below the other again."""
        return self._node("Reshape", [x, self._value(f"{name}.shape", np.array([0, -1, channels]))], name)

    def _range(self, name: str, number: Range) -> list[str]:
        return [self._value(f"{name}.scale", number.scale), self._value(f"{name}.zero", number.zero)]

    def _value(self, name: str, value: NDArray[Any]) -> str:
        self.values[name] = np.asarray(value)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        domain = "com.microsoft" if kind.startswith("QLinear") else ""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output


def _work(weights: Whole) -> int:
    """Products of a layer per sample, in registers."""
    outputs, inputs, taps = map(int, weights.shape)
    return -(-outputs // COLUMNS) * inputs * taps
