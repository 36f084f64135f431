"""ECG-CoCa: ECG tower, text tower and captioning decoder, contrastive and captioning losses.

References:
    Zhao et al., ECG-Chat, arXiv 2408.08849; Yu et al., CoCa, arXiv 2205.01917.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils.generic import ModelOutput

from .. import forking  # noqa: F401  (a forked child can use a model)
from ..configuration import EcgCocaConfig
from ..encoders.ecg_coca import EcgCoca, ResidualAttentionBlock
from ..errors import GemConfigError, GemInputError
from ..untrusted import TEXT_TOWERS, check_arguments, transformers_config


@dataclass
class EcgCocaOutput(ModelOutput):
    """What a forward pass returns; N texts, B records.

    Attributes:
        loss: contrastive plus weighted captioning loss, when both inputs are given in pairs.
        last_hidden: (B, 1 + patches, width), what GEM feeds its LLM.
        tokens: (B, patches, width) after the last norm, to which the decoder attends.
        pooled: (B, embed_dim), projected, not normalised.
        ecg_embeds: (B, embed_dim), of length one.
        text_embeds: (N, embed_dim), of length one.
        logits_per_ecg: (B, N), scaled cosines.
        caption_logits: (B, L - 1, vocabulary): position i predicts token i + 1.
    """

    loss: Tensor | None = None
    last_hidden: Tensor | None = None
    tokens: Tensor | None = None
    pooled: Tensor | None = None
    ecg_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    logits_per_ecg: Tensor | None = None
    caption_logits: Tensor | None = None


class _TextTower(nn.Module):
    """A BERT, mean-pooled over the mask, then a projection without bias."""

    def __init__(self, settings: dict[str, Any], embed_dim: int) -> None:
        super().__init__()
        config = transformers_config({"model_type": "bert", **settings}, TEXT_TOWERS, "text")
        self.transformer = AutoModel.from_config(config, add_pooling_layer=False)
        self.proj = nn.Linear(config.hidden_size, embed_dim, bias=False)

    def forward(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) ids -> (N, embed_dim) not normalised, (N, L, width)."""
        hidden = self.transformer(input_ids=input_ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return self.proj((hidden * weight).sum(1) / weight.sum(1).clamp(min=1)), hidden


class _Decoder(nn.Module):
    """Causal self-attention blocks, each followed by cross-attention to the ECG tokens."""

    def __init__(
        self,
        width: int = 768,
        heads: int = 8,
        layers: int = 12,
        vocab_size: int = 49408,
        mlp_width: int | None = None,
    ) -> None:
        super().__init__()
        block = partial(ResidualAttentionBlock, width, heads, mlp_width=mlp_width)
        self.resblocks = nn.ModuleList([block() for _ in range(layers)])
        self.cross_attn = nn.ModuleList([block(cross=True) for _ in range(layers)])
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, vocab_size) * width**-0.5)

    def forward(self, text: Tensor, ecg: Tensor) -> Tensor:
        """(B, L, width), (B, patches, width) -> (B, L, vocabulary)."""
        length = text.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=text.device).triu(1)
        for block, cross in zip(self.resblocks, self.cross_attn, strict=True):
            text = cross(block(text, mask=future), kv=ecg)
        out: Tensor = self.ln_final(text) @ self.text_projection
        return out


class EcgCocaModel(PreTrainedModel):
    """ECG-CoCa, in the published key layout (without the prefix ``module.`` of the training code).

    Args:
        config: sizes of its towers.
    """

    config: EcgCocaConfig
    config_class = EcgCocaConfig
    base_model_prefix = ""
    main_input_name = "ecg"

    def __init__(self, config: EcgCocaConfig) -> None:
        super().__init__(config)
        tower = {**config.ecg, "embed_dim": config.embed_dim}
        check_arguments(EcgCoca, tower, "ecg")
        self.ecg = EcgCoca(**tower)
        self.text = _TextTower(config.text, config.embed_dim) if config.text else None
        if config.decoder:
            check_arguments(_Decoder, config.decoder, "decoder")
        self.text_decoder = _Decoder(**config.decoder) if config.decoder else None
        if self.text_decoder is not None and self.text is None:
            raise GemConfigError("a caption decoder needs a text tower")
        if self.text_decoder is not None and self.text is not None:
            widths = {self.ecg.width, self.text.proj.in_features, self.text_decoder.ln_final.normalized_shape[0]}
            if len(widths) > 1:
                raise GemConfigError(
                    "ECG tower, text tower and caption decoder differ in width", remedy="give them one width"
                )
        if self.text is not None:
            self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        for parameter in self.parameters():
            if not parameter.is_meta:
                parameter._is_hf_initialized = True  # type: ignore[attr-defined]
        self.processor: Any = None
        self.load_report: Any = None
        self.post_init()

    def encode_ecg(self, ecg: Tensor) -> EcgCocaOutput:
        """Encode recordings.

        Args:
            ecg: (B, leads, samples), mV at 500 Hz.

        Raises:
            GemInputError: another shape.
        """
        assert self.ecg.contract is not None  # for mypy: this encoder has one
        wanted = (self.ecg.conv1.in_channels, self.ecg.contract.n_samples)
        if ecg.dim() != 3 or tuple(ecg.shape[1:]) != wanted:
            raise GemInputError(
                f"ecg has shape {tuple(ecg.shape)}, the encoder takes (batch, {wanted[0]}, {wanted[1]}) at 500 Hz",
                remedy="let model.processor bring the recording to the signal contract",
            )
        hidden = self.ecg(ecg.to(self.dtype))
        normed = self.ecg.ln_post(hidden)
        pooled = normed[:, 0] @ self.ecg.proj
        embeds = F.normalize(pooled, dim=-1)
        return EcgCocaOutput(last_hidden=hidden, tokens=normed[:, 1:], pooled=pooled, ecg_embeds=embeds)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Encode texts.

        Args:
            input_ids: (N, L); pad id 0.
            attention_mask: (N, L); from the pad id when None.

        Returns:
            (N, embed_dim), of length one.

        Raises:
            GemConfigError: the checkpoint has no text tower.
        """
        return F.normalize(self._text(input_ids, attention_mask)[0], dim=-1)

    def _text(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.text is None:
            raise GemConfigError("this checkpoint holds the ECG tower alone", remedy="load the whole cpt_wfep file")
        mask = (input_ids != 0).long() if attention_mask is None else attention_mask
        pooled, hidden = self.text(input_ids, mask)
        return pooled, hidden

    def forward(
        self, ecg: Tensor | None = None, input_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> EcgCocaOutput:
        """Embeddings; with records and texts in pairs, similarities, captions' logits and the loss.

        Args:
            ecg: (B, leads, samples).
            input_ids: (N, L); pad id 0.
            attention_mask: (N, L); from the pad id when None.

        Raises:
            GemInputError: neither input is given.
        """
        if ecg is None and input_ids is None:
            raise GemInputError("neither ecg nor input_ids")
        out = self.encode_ecg(ecg) if ecg is not None else EcgCocaOutput()
        if input_ids is None:
            return out
        latent, hidden = self._text(input_ids, attention_mask)
        out.text_embeds = F.normalize(latent, dim=-1)
        if out.ecg_embeds is None or out.tokens is None:
            return out
        out.logits_per_ecg = self.logit_scale.exp() * out.ecg_embeds @ out.text_embeds.T
        if len(out.ecg_embeds) == len(out.text_embeds):
            target = torch.arange(len(out.ecg_embeds), device=hidden.device)
            ecg_to_text = F.cross_entropy(out.logits_per_ecg, target)
            out.loss = (ecg_to_text + F.cross_entropy(out.logits_per_ecg.T, target)) / 2
            if self.text_decoder is not None:
                out.caption_logits = self.text_decoder(hidden[:, :-1], out.tokens)
                caption = F.cross_entropy(
                    out.caption_logits.flatten(0, 1).float(), input_ids[:, 1:].flatten(), ignore_index=0
                )
                out.loss = out.loss + self.config.caption_weight * caption
        return out

    @torch.no_grad()
    def zero_shot(self, ecg: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Score each text as a label of each record.

        Args:
            ecg: (B, leads, samples), mV at 500 Hz.
            input_ids: (N, L); pad id 0.
            attention_mask: (N, L); from the pad id when None.

        Returns:
            (B, N) in 0..1: a sigmoid of the scaled cosine.
        """
        logits = self(ecg, input_ids, attention_mask).logits_per_ecg
        return torch.sigmoid(logits)

    @torch.no_grad()
    def caption(
        self, ecg: Tensor, bos_token_id: int = 101, eos_token_id: int = 102, max_new_tokens: int = 75, top_k: int = 1
    ) -> Tensor:
        """Generate texts, token by token; each step runs the text tower and the decoder over all tokens so far.

        Args:
            ecg: (B, leads, samples).
            bos_token_id: first token; the default is that of BERT's vocabularies.
            eos_token_id: last token; likewise.
            max_new_tokens: limit on the length.
            top_k: 1 is greedy; otherwise a sample among the k most probable tokens.

        Returns:
            (B, L) ids, from ``bos_token_id`` on; 0 after ``eos_token_id``.

        Raises:
            GemConfigError: the model has no caption decoder.
        """
        if self.text is None or self.text_decoder is None:
            raise GemConfigError("this checkpoint holds no caption decoder", remedy="load the whole cpt_wfep file")
        seen = self.encode_ecg(ecg).tokens
        ids = torch.full((len(ecg), 1), bos_token_id, device=ecg.device)
        done = torch.zeros(len(ecg), dtype=torch.bool, device=ecg.device)
        vocabulary = self.text.transformer.config.vocab_size  # the decoder's table is larger than the tower's
        for _ in range(max_new_tokens):
            _, hidden = self.text(ids, torch.ones_like(ids))
            best = self.text_decoder(hidden, seen)[:, -1, :vocabulary].float().topk(top_k)
            pick = torch.multinomial(best.values.softmax(-1), 1) if top_k > 1 else torch.zeros_like(ids[:, :1])
            new = best.indices.gather(1, pick)[:, 0].masked_fill(done, 0)
            ids = torch.cat([ids, new[:, None]], 1)
            done |= new == eos_token_id
            if bool(done.all()):
                break
        return ids


def retrieval(queries: Tensor, targets: Tensor, ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
    """Retrieval: at which rank each query finds the target that belongs to it.

    Args:
        queries: (N, C) of length one.
        targets: (N, C) of length one; row i belongs to query i.
        ks: ranks for ``R@k``.

    Returns:
        ``R@k`` in percent, and the median rank. Equal cosines count against the query.

    Example:
        >>> retrieval(torch.eye(3), torch.eye(3), ks=(1,))
        {'R@1': 100.0, 'median_rank': 1.0}
    """
    cosines = queries @ targets.T
    ranks = (cosines >= cosines.diagonal()[:, None]).sum(1).float()
    return {f"R@{k}": 100.0 * float((ranks <= k).float().mean()) for k in ks} | {"median_rank": float(ranks.median())}


AutoModel.register(EcgCocaConfig, EcgCocaModel, exist_ok=True)
