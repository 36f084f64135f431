"""Greedy decoding of a small Llama decoder on the CPU.

A step of such a decoder is a millisecond of products; the calls of a general decoder around them take five more. Here
a step is the products alone, with a cache that is allocated once. ``can_decode`` says for which models and options that
gives the tokens of transformers' ``generate``, which decodes everything else.

A step reads all weights, for one token or for ten. So a single text is guessed on, from the texts that the decoder
wrote before in this process; one step checks the guess, and what the decoder itself would have written is kept
(speculative decoding: Leviathan et al., ICML 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import LlamaConfig

MAX_PARAMETERS = 50_000_000  # in a larger decoder the products take nearly all of the time
OPTIONS = {"max_new_tokens", "do_sample"}
CONTEXT, LONGEST_GUESS, MOST_CONTEXTS = 4, 12, 50_000  # tokens before a guess and in it; contexts that are remembered
# settings of a generation config that change nothing here
HARMLESS = {"max_new_tokens", "max_length", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache"}
HARMLESS |= {"output_attentions", "output_hidden_states", "transformers_version", "_from_model_config"}


class _LayerWeights(NamedTuple):
    """The weights of a layer; products of the same input are one."""

    norm: Tensor  # (hidden,)
    qkv: Tensor  # (3 x heads x head size, hidden)
    out: Tensor  # (hidden, heads x head size)
    feed_norm: Tensor  # (hidden,)
    gate_up: Tensor  # (2 x intermediate, hidden)
    down: Tensor  # (hidden, intermediate)


def can_decode(model: Any, options: Mapping[str, Any]) -> bool:
    """Whether ``decode`` gives the tokens that transformers would.

    Args:
        model: with ``language_model``, ``config`` and ``generation_config``.
        options: of ``generate``.
    """
    from transformers import LlamaForCausalLM

    decoder = model.language_model
    if type(decoder) is not LlamaForCausalLM or model.config.fusion != "tokens" or model.training:
        return False
    given = {name for name, value in options.items() if value is not None}
    if given != OPTIONS or options["do_sample"] or options["max_new_tokens"] < 1:
        return False
    if set(model.generation_config.to_diff_dict()) - HARMLESS:
        return False
    config: LlamaConfig = decoder.config
    plain = config.hidden_act == "silu" and not config.attention_bias and not config.mlp_bias
    plain = plain and decoder.lm_head.bias is None
    plain = plain and config.num_key_value_heads == config.num_attention_heads
    plain = plain and (config.rope_parameters or {}).get("rope_type") == "default"
    if not plain or any(_is_changed(part) for part in decoder.modules()):
        return False
    weights = list(decoder.parameters())
    on_cpu = all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in weights)
    return on_cpu and sum(weight.numel() for weight in weights) <= MAX_PARAMETERS


def decode(model: Any, embeds: Tensor, mask: Tensor, max_new_tokens: int) -> Tensor:
    """The most probable tokens, one after the other.

    Args:
        model: as in ``can_decode``, or the bundled one (``gem.bundled``).
        embeds: (B, L, hidden), the prompts' vectors, padded on the left.
        mask: (B, L), 0 where a prompt is padded.
        max_new_tokens: most tokens of a text.

    Returns:
        (B, N) ids up to the longest text's end; shorter ones are filled with the padding's id.
    """
    decoder, settings = model.language_model, model.generation_config
    ends, pad = settings.eos_token_id, settings.pad_token_id
    ends = torch.tensor([] if ends is None else ends, dtype=torch.long).flatten()
    if pad is None:
        pad = int(ends[0]) if len(ends) else 0
    if len(embeds) == 1:
        return torch.tensor([_decode_one(decoder, embeds, mask, max_new_tokens, set(ends.tolist()))])
    steps = _DecodingSteps(decoder, mask, max_new_tokens)
    open_rows = torch.ones(len(embeds), dtype=torch.bool)
    tokens: list[Tensor] = []
    while len(tokens) < max_new_tokens:
        token = F.linear(steps(embeds, 1)[:, 0], decoder.lm_head.weight).argmax(-1).where(open_rows, pad)
        tokens.append(token)
        open_rows = open_rows & ~torch.isin(token, ends)
        if not open_rows.any():
            break
        embeds = F.embedding(token, decoder.model.embed_tokens.weight)[:, None]
    return torch.stack(tokens, 1)


def _decode_one(decoder: Any, embeds: Tensor, mask: Tensor, max_new_tokens: int, ends: set[int]) -> list[int]:
    """The tokens of one text, several a step where the guess is right."""
    known = _followers.setdefault(decoder, {})
    steps = _DecodingSteps(decoder, mask, max_new_tokens + LONGEST_GUESS)
    written: list[int] = []
    guess: list[int] = []
    while True:
        found: list[int] = F.linear(steps(embeds, len(guess) + 1)[0], decoder.lm_head.weight).argmax(-1).tolist()
        right = next((place for place, token in enumerate(guess) if token != found[place]), len(guess))
        steps.read -= len(guess) - right  # what followed the first wrong token is read over
        for token in found[: right + 1]:
            if len(known) < MOST_CONTEXTS:
                known[tuple(written[-CONTEXT:])] = token
            written.append(token)
            if token in ends or len(written) == max_new_tokens:
                return written
        guess = _guess(known, written)
        embeds = F.embedding(torch.tensor([written[-1], *guess]), decoder.model.embed_tokens.weight)[None]


# decoder -> the token that followed each few tokens in the texts that it wrote in this process
_followers: WeakKeyDictionary[Any, dict[tuple[int, ...], int]] = WeakKeyDictionary()


def _guess(known: Mapping[tuple[int, ...], int], written: Sequence[int]) -> list[int]:
    """How a text goes on, if it does as earlier ones did."""
    text = list(written[-CONTEXT:])
    first = len(text)
    while len(text) < first + LONGEST_GUESS and (token := known.get(tuple(text[-CONTEXT:]))) is not None:
        text.append(token)
    return text[first:]


class _DecodingSteps:
    """The decoder's layers, with the keys and values of what they have read.

    Args:
        decoder: the decoder.
        mask: (B, L) of the prompts.
        more: tokens that may follow them.
    """

    def __init__(self, decoder: Any, mask: Tensor, more: int) -> None:
        config, (batch, length) = decoder.config, mask.shape
        self.heads, self.eps = config.num_attention_heads, config.rms_norm_eps
        self.layers = [_weights(layer) for layer in decoder.model.layers]
        self.norm = decoder.model.norm.weight
        self.padded = not bool(mask.all())
        self.known = F.pad(mask.bool(), (0, more), value=True)  # (B, T)
        positions = (self.known.long().cumsum(1) - 1).clamp(min=0)
        size = len(self.layers[0].qkv) // (3 * self.heads)
        speeds = config.rope_parameters["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float) / size)
        angles = (positions[..., None].float() * (1.0 / speeds))[:, :, None]  # (B, T, 1, half the head size)
        self.cos, self.sin = angles.cos(), angles.sin()
        shape = (len(self.layers), batch, self.heads, length + more, size)
        self.keys, self.values, self.read = torch.empty(shape), torch.empty(shape), 0

    def __call__(self, x: Tensor, last: int) -> Tensor:
        """Read vectors (B, L, hidden), and give the states of the last ones (B, last, hidden)."""
        batch, length, _ = x.shape
        here = slice(self.read, self.read + length)
        cos, sin, mask = self.cos[:, here], self.sin[:, here], self._mask(here)
        for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True):
            products = F.linear(F.rms_norm(x, x.shape[-1:], layer.norm, self.eps), layer.qkv)
            split = products.view(batch, length, 3 * self.heads, -1)
            turned, value = split[:, :, : 2 * self.heads], split[:, :, 2 * self.heads :]
            a, b = turned.chunk(2, -1)
            query, key = torch.cat((a * cos - b * sin, b * cos + a * sin), -1).transpose(1, 2).chunk(2, 1)
            keys[:, :, here], values[:, :, here] = key, value.transpose(1, 2)
            seen = F.scaled_dot_product_attention(
                query, keys[:, :, : here.stop], values[:, :, : here.stop], mask, is_causal=mask is None and length > 1
            )
            x = x + F.linear(seen.transpose(1, 2).reshape(batch, length, -1), layer.out)
            gate, up = F.linear(F.rms_norm(x, x.shape[-1:], layer.feed_norm, self.eps), layer.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        self.read = here.stop
        return F.rms_norm(x[:, -last:], x.shape[-1:], self.norm, self.eps)

    def _mask(self, here: slice) -> Tensor | None:
        """(B, 1, L, T) of the positions that each vector sees; None where it is all up to its own."""
        length = here.stop - here.start
        if not self.padded and (length == 1 or here.start == 0):
            return None
        own = torch.arange(here.start, here.stop)[:, None]
        position = torch.arange(here.stop)
        # a padding vector sees itself, since attention to nothing is NaN
        return (self.known[:, None, None, : here.stop] & (position <= own)) | (position == own)


def _is_changed(part: nn.Module) -> bool:
    """Whether a module does something of its own: an adapter, quantised weights, a hook, a replaced ``forward``."""
    known = type(part) in (nn.Linear, nn.Embedding, nn.ModuleList) or type(part).__module__.startswith("transformers.")
    return not known or bool(part._forward_hooks or part._forward_pre_hooks) or "forward" in vars(part)


def _weights(layer: Any) -> _LayerWeights:
    attention, feed = layer.self_attn, layer.mlp
    return _LayerWeights(
        layer.input_layernorm.weight,
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
        attention.o_proj.weight,
        layer.post_attention_layernorm.weight,
        torch.cat([feed.gate_proj.weight, feed.up_proj.weight]),
        feed.down_proj.weight,
    )
