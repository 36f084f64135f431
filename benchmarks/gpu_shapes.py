"""Part 5 of ``gpu.sh``: a model of GEM-7B's shapes with random weights, made on the device: times and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from gpu_parts import Run

PLACEHOLDER = -200
PROMPT = 64  # ids


def build(device: str, tiny: bool = False) -> Any:
    """GEM-7B as published (Vicuna-7B, CLIP-L at 336 px, ECG-CoCa), bfloat16, random.

    Args:
        device: on which the weights are drawn; ``"meta"`` makes none.
        tiny: the same layout in the smallest sizes, float32.
    """
    from gem.configuration import GemConfig
    from gem.modeling import GemForConditionalGeneration
    from gem.presets import LLAMA_7B, gem_7b

    config = gem_7b()
    if tiny:
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = GemConfig(
            ecg_encoder={
                "name": "ecg_coca",
                "kwargs": {"n_samples": 100, "width": 64, "layers": 1, "embed_dim": 16},
            },
            vision_encoder={
                "name": "clip_vision",
                "kwargs": {"config": {**sizes, "patch_size": 14, "image_size": 28}},
            },
            share_projector=True,
            ecg_projector={"type": "linear", "width": 32},
            text_config={**LLAMA_7B, "vocab_size": 512, "num_key_value_heads": 2, **sizes},
        )
    before, dtype = torch.get_default_dtype(), torch.float32 if tiny else torch.bfloat16
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = GemForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    return model.to(dtype=dtype).eval()


def inputs(model: Any, rows: int, device: str) -> dict[str, torch.Tensor]:
    """Noise for ``rows`` records: prompt ids with a placeholder, signal, picture."""
    generator = torch.Generator(device).manual_seed(1)
    contract, size = model.config.signal, model.config.picture["size"]
    ids = torch.randint(3, model.config.text_config.vocab_size, (rows, PROMPT), generator=generator, device=device)
    ids[:, 1] = PLACEHOLDER
    ecg = torch.randn(rows, len(contract["leads"]), contract["n_samples"], generator=generator, device=device)
    pixels = torch.randn(rows, 3, *size, generator=generator, device=device)
    return {"input_ids": ids, "ecg": ecg.to(model.dtype), "pixel_values": pixels.to(model.dtype)}


def measure_shapes(run: Run) -> None:
    """Build the model; time encode, prefill and a decoding step; memory.

    Args:
        run: the part.
    """
    from gpu_report import add_failure

    from gem.kernels import use
    from gem.kernels.bench.timing import measure

    device, gpu = run.device, run.device == "cuda"
    begun = time.monotonic()
    model = build(device, run.rehearse)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    run.row("GEM-7B", "made in", time.monotonic() - begun, "s")
    run.row("GEM-7B", "weights", weights / 2**30, "GiB")
    budget_s = 0.01 if run.rehearse else 1.0

    def timed(what: str, step: Callable[[Any], Any], note: str = "", prepare: Callable[[], Any] | None = None) -> None:
        """Three rows: time, spread and peak memory, in inference mode."""
        if not run.has_time(what, 1 if run.rehearse else 4):
            return
        try:
            if gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            with torch.inference_mode():
                timing = measure(step, device, prepare, budget_s=budget_s)
        except Exception as error:
            add_failure(run.part, what, error)
            return
        spread = f"p20 {timing.p20:.4g}, p80 {timing.p80:.4g}, {timing.repetitions} repetitions"
        run.row(what, "median", timing.median, "ms", note=f"{spread}; {note}" if note else spread)
        if gpu:
            run.row(what, "peak memory, weights included", torch.cuda.max_memory_allocated() / 2**30, "GiB")

    for rows in (1, 8):
        given = inputs(model, rows, device)
        ecg, pixels = given["ecg"], given["pixel_values"]
        for mode, note in (("torch", "eager"), ("triton", "kernels and a CUDA graph")):
            if mode == "triton" and not gpu:
                continue

            def encode(_: Any, mode: str = mode, ecg: Any = ecg, pixels: Any = pixels) -> Any:
                with use(mode):
                    return model.encode(ecg, pixels)

            timed(f"encode, batch {rows}, {note}", encode)
        timed(
            f"prefill, batch {rows}",
            lambda _, given=given: model(**given, use_cache=True, logits_to_keep=1).logits,  # type: ignore[misc]
            "towers, merge and the decoder up to the first token's logits",
        )
        try:
            with torch.inference_mode():
                begun_with = model(**given, use_cache=True, logits_to_keep=1)
        except Exception as error:
            add_failure(run.part, f"a decoding step, batch {rows}", error)
            continue
        cache, token = begun_with.cache, begun_with.logits[:, -1].argmax(-1, keepdim=True)
        length = cache.get_seq_length()
        del begun_with

        def step(_: Any, cache: Any = cache, token: Any = token) -> Any:
            return model(input_ids=token, cache=cache, use_cache=True).logits

        def back(cache: Any = cache, length: int = length) -> None:
            if cache.get_seq_length() > length:
                cache.crop(length - cache.get_seq_length())  # negative: how many to drop

        timed(f"a decoding step, batch {rows}", step, f"after {length} positions", back)
    ecg, pixels = (inputs(model, 1, device)[name] for name in ("ecg", "pixel_values"))
    if gpu and run.has_time("encode, batch 1, torch.compile", 25):

        def both(a: torch.Tensor, b: torch.Tensor) -> list[Any]:
            out = model.encode(a, b)
            return [*out.ecg, *out.vision]  # what isn't returned would not be computed

        compiled = torch.compile(both)
        with use("torch"):
            timed("encode, batch 1, torch.compile", lambda _: compiled(ecg, pixels))
