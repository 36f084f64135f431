"""Untrusted model folders: no code of theirs runs, nothing is downloaded, and any error is a GemError at once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import socket
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import gem
import grounding
from gem import GemError
from gem.checkpoints.building import on_meta
from gem.encoders import build_encoder
from gem.untrusted import DECODERS, TEXT_TOWERS, VISION_TOWERS, matches_type, transformers_config

sys.path.insert(0, str(Path(__file__).parent))
import strangers

SECONDS = 10  # far above the tenths that a refusal takes, for a machine with other work
MUTATIONS = 60


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("folders")
    return {make.__name__: make(base / make.__name__) for make in (strangers.ours, strangers.coca, strangers.published)}


@pytest.fixture
def ours(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a folder in our layout, to be spoiled."""
    shutil.copytree(folders["ours"], tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that was asked for; none answers. The hub's own offline switch is off."""
    asked: list[Any] = []

    def refuse(*address: Any, **_: Any) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


def test_the_trap_catches_who_asks(network: list[Any]) -> None:
    import timm

    with pytest.raises(Exception, match=r".+"):
        timm.create_model("hf_hub:stranger/model")
    assert network, "a test that sees no request would see none of gem.load's either"


def test_these_folders_load(folders: dict[str, Path], network: list[Any]) -> None:
    record = grounding.read_record(grounding.sample_path())
    for name, folder in folders.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # no setting of ours is unknown to us
            model = gem.load(folder)
        inputs = model.processor(record=record, prompt=None if name == "coca" else "What is the rhythm?")
        assert model(**inputs) is not None
        assert model.name_or_path == str(folder)
    assert not network


class Code:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def set_timm(**kwargs: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: config.update(
        vision_encoder={"name": "timm", "kwargs": {"model": "test_vit", "img_size": [64, 64], **kwargs}}
    )


def set_text(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["text_config"].update(values)


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint_path",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "cache_dir",
        "pretrained",
        "scriptable",
        "features_only",
    ],
)
def test_timm_takes_sizes_and_no_files(name: str, ours: Path, tmp_path: Path, network: list[Any]) -> None:
    torch.save({"state_dict": Code(tmp_path / "ran")}, ours / "extra.pth")
    value: Any = {"file": str(ours / "extra.pth")} if "cfg" in name else str(ours / "extra.pth")
    strangers.edit(ours, set_timm(**{name: value}))
    with pytest.raises(GemError, match=f"does not take {name}"):
        gem.load(ours)
    with pytest.raises(GemError, match="does not take"):  # by transformers' own door too
        gem.GemForConditionalGeneration.from_pretrained(ours)
    assert not (tmp_path / "ran").exists()
    assert not network


@pytest.mark.parametrize(
    "model",
    [
        "hf_hub:stranger/model",
        "hf-hub:stranger/model",
        "HF-HUB:a/b",
        "local-dir:.",
        "../x",
        "stranger/model",
        "test_vit ",
        "",
        "a\x00b",
    ],
)
def test_timm_models_are_names_of_timm(model: str, ours: Path, network: list[Any]) -> None:
    strangers.edit(ours, lambda config: config.update(vision_encoder={"name": f"timm/{model}", "kwargs": {}}))
    with pytest.raises(GemError):
        gem.load(ours)
    with pytest.raises(gem.GemConfigError, match="timm has no model"):
        build_encoder("timm", {"model": model})
    assert not network


CODE = "import pathlib\npathlib.Path({path!r}).touch()\nfrom transformers import PreTrainedTokenizerFast as T\n"


def test_no_code_of_the_folder_runs(
    ours: Path, tmp_path: Path, network: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A foreign auto_map is not followed and not asked about; a tokenizer class that only the code has is refused."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("nobody is asked"))
    (ours / "evil.py").write_text(CODE.format(path=str(tmp_path / "ran")))
    strangers.edit(ours, lambda c: c.update(auto_map={"AutoConfig": "evil.T", "AutoModel": "evil.T"}))
    strangers.edit(
        ours,
        lambda c: c.update(auto_map={"AutoTokenizer": ["evil.T", "evil.T"]}, trust_remote_code=True),
        "tokenizer_config.json",
    )
    (ours / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "stranger/model", "peft_type": "LORA"})
    )
    (ours / "custom_generate").mkdir()
    (ours / "custom_generate" / "generate.py").write_text(CODE.format(path=str(tmp_path / "ran")))
    strangers.edit(ours, lambda c: c.update(custom_generate="stranger/code"), "generation_config.json")
    model = gem.load(ours)
    assert model.processor.tokenizer("PR")["input_ids"] == strangers.tokenizer()("PR")["input_ids"]
    strangers.edit(ours, lambda c: c.update(tokenizer_class="EvilTokenizer"), "tokenizer_config.json")
    with pytest.raises(GemError, match="EvilTokenizer"):
        gem.load(ours)
    assert not (tmp_path / "ran").exists()
    assert not network


def test_tokenizers_read_their_own_folder(ours: Path, tmp_path: Path) -> None:
    """A name of another file is not followed; a FIFO there would be waited for."""
    os.mkfifo(tmp_path / "fifo")
    for name in ("tokenizer_file", "vocab_file", "merges_file", "special_tokens_map_file"):
        strangers.edit(ours, lambda c, name=name: c.update({name: str(tmp_path / "fifo")}), "tokenizer_config.json")
    (ours / "special_tokens_map.json").write_text(
        json.dumps({"tokenizer_file": str(tmp_path / "fifo"), "eos_token": "<eos>"})
    )
    tokenizer = gem.load(ours).processor.tokenizer
    assert tokenizer.eos_token == "<eos>"
    assert tokenizer.name_or_path == str(ours)
    tokenizer.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.json").is_file()


def spoil_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return lambda folder: strangers.edit(folder, change)


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def weights(header: Any, data: bytes = b"") -> Callable[[Path], object]:
    """One safetensors file of these bytes in place of the shards."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()

    def change(folder: Path) -> None:
        (folder / "model.safetensors.index.json").unlink()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)

    return change


def index(value: Any) -> Callable[[Path], object]:
    return write("model.safetensors.index.json", json.dumps(value))


def link(target: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors.index.json").unlink()
        for path in folder.glob("*.safetensors"):
            path.unlink()
        (folder / "model.safetensors").symlink_to(target)

    return change


def endless_header(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**63))


def spoil_processor(change: Callable[[Any], object]) -> Callable[[Path], object]:
    return lambda folder: strangers.edit(folder, change, "gem_processor.json")


def spoil_tokenizer(folder: Path) -> None:
    strangers.edit(folder, lambda c: c.update(post_processor=TEMPLATE), "tokenizer.json")


# puts an id in front of every text that has no embedding
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<x>": {"id": "<x>", "ids": [1_000_000], "tokens": ["<x>"]}},
}
MANY_TOWERS = {"name": "ecg_beats", "kwargs": {"kernels": [5] * 5000}}
TIMM_INSIDE = {"model_type": "timm_wrapper", "architecture": "hf-hub:a/b"}
HUGE_ROPE = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1e7}
OTHER_KIND = {"a": {"dtype": "F8_E5M2", "shape": [4], "data_offsets": [0, 4]}}
F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    # values of another kind
    "config deep": (write("config.json", "[" * 5000), "too deeply"),
    "config very deep": (write("config.json", '{"a":' * 200_000), "JSON"),
    "config a list": (write("config.json", "[]"), "object"),
    "config a long number": (write("config.json", '{"a": ' + "9" * 10_000 + "}"), "JSON"),
    "config not text": (write("config.json", b"\xff\xfe"), "JSON"),
    "model_type a list": (spoil_config(lambda c: c.update(model_type=["gem"])), "model_type"),
    "class_names a number": (spoil_config(lambda c: c.update(class_names=5)), "class_names is 5"),
    "picture a text": (spoil_config(lambda c: c.update(picture="x")), "picture is 'x'"),
    "picture of no size": (spoil_config(lambda c: c["picture"].update(size=[0, 64])), "picture"),
    "picture huge": (spoil_config(lambda c: c["picture"].update(grid_pinpoints=[[10**6, 10**6]])), "picture"),
    "modality_dropout a text": (spoil_config(lambda c: c.update(modality_dropout="x")), "modality_dropout is 'x'"),
    "no attention heads": (spoil_config(set_text(num_attention_heads=0)), "text_config"),
    "negative heads": (spoil_config(set_text(num_attention_heads=-4)), "negative"),
    "size a text": (spoil_config(set_text(hidden_size="256")), "text_config"),
    "an unknown argument": (
        spoil_config(lambda c: c["ecg_encoder"]["kwargs"].update(bogus=1)),
        "does not take these arguments: bogus",
    ),
    "an argument of another kind": (
        spoil_config(lambda c: c["ecg_encoder"]["kwargs"].update(layers="many")),
        "layers is 'many'",
    ),
    "an unknown encoder": (
        spoil_config(lambda c: c.update(ecg_encoder={"name": "ecg_pach", "kwargs": {}})),
        "ecg_patch",
    ),
    "an encoder without a name": (spoil_config(lambda c: c.update(ecg_encoder={})), "name"),
    "an encoder's name a list": (spoil_config(lambda c: c.update(ecg_encoder={"name": ["x"]})), "name"),
    "a projector of another kind": (spoil_config(lambda c: c.update(ecg_projector={"type": 5})), "projector"),
    "a signal contract of another kind": (spoil_config(lambda c: c.update(signal={"bogus": 1})), "bogus"),
    "a placeholder of nothing": (spoil_config(lambda c: c.update(placeholder="")), "placeholder"),
    "a conversation without a prompt": (spoil_config(lambda c: c.update(conversation="{0}")), "prompt"),
    # sizes
    "many layers": (spoil_config(set_text(num_hidden_layers=3000)), "1000 layers"),
    "500 layers": (spoil_config(set_text(num_hidden_layers=500)), "the files hold"),
    "a billion layers": (spoil_config(set_text(num_hidden_layers=10**12)), "num_hidden_layers"),
    "a huge vocabulary": (spoil_config(set_text(vocab_size=10**12)), "vocab_size"),
    "a large vocabulary": (spoil_config(set_text(vocab_size=10**9)), "mismatched"),
    "a huge width": (spoil_config(set_text(hidden_size=2**20, intermediate_size=2**30)), "mismatched"),
    "an infinite rate": (write("gem_processor.json", '{"signal": {"fs_hz": Infinity}}'), "fs_hz"),
    "many towers": (spoil_config(lambda c: c.update(ecg_encoder=MANY_TOWERS)), "the files hold"),
    "deep towers": (spoil_config(set_timm(depth=10**9)), "1000 layers"),
    "a deep projector": (spoil_config(lambda c: c.update(ecg_projector={"type": "mlp999999999x_gelu"})), "projector"),
    "a huge picture": (spoil_config(set_timm(img_size=[10**6, 10**6])), "img_size"),
    "a huge table": (
        spoil_config(set_text(model_type="phi", partial_rotary_factor=1e7, rope_parameters=HUGE_ROPE)),
        ".",
    ),
    # code and other places
    "a kernel from a hub": (spoil_config(set_text(attn_implementation="stranger/kernel")), "no kernel is downloaded"),
    "a kernel for all": (
        spoil_config(lambda c: c.update(attn_implementation={"text_config": "stranger/kernel"})),
        "no kernel is downloaded",
    ),
    "quantized": (spoil_config(lambda c: c.update(quantization_config={"quant_method": "gptq"})), "quantized"),
    "timm inside transformers": (
        spoil_config(
            lambda c: c.update(vision_encoder={"name": "transformers_vision", "kwargs": {"config": TIMM_INSIDE}})
        ),
        "timm_wrapper",
    ),
    "another decoder": (spoil_config(set_text(model_type="musicgen")), "musicgen"),
    "no dtype": (spoil_config(lambda c: c.update(dtype="load")), "dtype"),
    # the processor, the tokenizer, the generation
    "processor broken": (write("gem_processor.json", "{"), "JSON"),
    "processor a list": (write("gem_processor.json", "[]"), "object"),
    "processor deep": (write("gem_processor.json", "[" * 3000), "too deeply"),
    "processor of another window": (spoil_processor(lambda c: c["signal"].update(n_samples=4000)), "4000 samples"),
    "processor of a huge window": (spoil_processor(lambda c: c["signal"].update(n_samples=10**9)), "signal contract"),
    "processor of another picture": (spoil_processor(lambda c: c["picture"].update(size=[32, 32])), "pictures of"),
    "tokenizer of bytes": (write("tokenizer.json", b"\xff" * 100), "tokenizer"),
    "tokenizer with ids of nobody": (spoil_tokenizer, "the id 1000000"),
    "generation of another kind": (write("generation_config.json", json.dumps({"eos_token_id": "x"})), "eos_token_id"),
    "generation without end": (write("generation_config.json", json.dumps({"num_beams": 10**6})), "num_beams"),
    # weights
    "no shard": (index({"weight_map": {"a": "../../etc/passwd"}}), "not a shard of this folder"),
    "an absolute shard": (index({"weight_map": {"a": "/etc/x.safetensors"}}), "not a shard of this folder"),
    "a shard of numbers": (index({"weight_map": {"a": 5}}), "not a shard of this folder"),
    "a shard of lists": (index({"weight_map": {"a": ["x"]}}), "not a shard of this folder"),
    "an index of nothing": (index({"weight_map": {}}), "weight_map"),
    "an index of lists": (index({"weight_map": ["a"]}), "weight_map"),
    "an index too deep": (write("model.safetensors.index.json", "[" * 5000), "too deeply"),
    "a missing shard": (index({"weight_map": {"a": "model-00009-of-00009.safetensors"}}), "missing"),
    "header larger than the file": (weights(b""), "."),
    "header a bomb": (endless_header, "safetensors"),
    "offsets beyond the file": (weights({"a": {**F32, "shape": [10**9, 10**9]}}, b"\0" * 4), "safetensors"),
    "offsets that overflow": (weights({"a": {**F32, "shape": [2**62, 4], "data_offsets": [0, 0]}}), "safetensors"),
    "header deep": (weights(b"[" * 100_000), "safetensors"),
    "other keys": (weights({"a": F32}, b"\0" * 4), "missing_keys"),
    "numbers of another kind": (weights(OTHER_KIND, b"\0" * 4), "F8_E5M2"),
    "a link to nothing": (link("/nowhere/model.safetensors"), "no model.safetensors"),
    "a link to itself": (link("model.safetensors"), "no model.safetensors"),
    "a link to a device": (link("/dev/zero"), "no model.safetensors"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_with_a_folder_is_an_error_of_ours(name: str, ours: Path, network: list[Any]) -> None:
    change, said = HOSTILE[name]
    change(ours)
    began = time.perf_counter()
    with pytest.raises(GemError, match=said):
        gem.load(ours)
    assert time.perf_counter() - began < SECONDS
    assert not network


def test_a_large_header_is_not_parsed(ours: Path) -> None:
    """17 MB of header for no tensor at all."""
    weights(b"{" + b" " * (17 << 20) + b"}")(ours)
    with pytest.raises(GemError, match="header of 18 MB"):
        gem.load(ours)


def test_sizes_cost_no_memory(folders: dict[str, Path], tmp_path: Path) -> None:
    """Layers, widths and vocabularies that the files lack are refused from the headers, in every layout."""
    import gc

    for name in ("ours", "published"):
        folder = tmp_path / name
        shutil.copytree(folders[name], folder)
        for changes in (
            {"num_hidden_layers": 900},
            {"vocab_size": 2**30},
            {"hidden_size": 2**20, "intermediate_size": 2**30},
        ):
            shutil.copyfile(folders[name] / "config.json", folder / "config.json")
            strangers.edit(folder, lambda c, changes=changes: (c.get("text_config") or c).update(changes))
            gc.collect()
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
            with pytest.raises(GemError):
                gem.load(folder)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, (name, changes)  # kB
            assert time.perf_counter() - began < SECONDS


def test_numbers_of_labels_make_no_list(ours: Path) -> None:
    """transformers would write out a name for each of a billion labels."""
    strangers.edit(ours, lambda c: (c.update(num_labels=10**9), c["text_config"].update(num_labels=10**9)))
    assert gem.load(ours).config.num_labels == 2


def test_settings_that_nobody_has_are_named_and_left_out(ours: Path) -> None:
    strangers.edit(ours, lambda c: (c.update(fusion_config={"a": 1}), c["text_config"].update(hiden_size=3)))
    with pytest.warns(UserWarning, match="fusion_config|hiden_size") as caught:
        model = gem.load(ours)
    assert {word for one in caught for word in ("fusion_config", "hiden_size") if word in str(one.message)} == {
        "fusion_config",
        "hiden_size",
    }
    assert not hasattr(model.config, "fusion_config")


def test_a_model_of_many_more_tensors_is_not_built_to_its_end(tiny_config: Callable[..., gem.GemConfig]) -> None:
    config = tiny_config()
    assert len(on_meta(config).state_dict()) == len(on_meta(config, None, 50).state_dict())
    config.text_config.num_hidden_layers = 900
    began = time.perf_counter()
    with pytest.raises(gem.GemConfigError, match="the files hold 50"):
        on_meta(config, None, 50)
    assert time.perf_counter() - began < SECONDS


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_mutated_folders(seed: int, folders: dict[str, Path], tmp_path: Path, network: list[Any]) -> None:
    """With one damaged file the model loads or a GemError is raised, quickly and without network access."""
    pick = random.Random(seed)
    source = folders[pick.choice(sorted(folders))]
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.suffix in (".json", ".safetensors"))
    shutil.copytree(source, tmp_path / "model")
    strangers.spoil(tmp_path / "model" / pick.choice(files), pick)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(GemError):
            gem.load(tmp_path / "model")
    assert time.perf_counter() - began < SECONDS
    assert not network


def kinds(known: tuple[str, ...]) -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return [
        name for name in known if name in CONFIG_MAPPING
    ]  # the oldest transformers that is supported has not all of them


@pytest.mark.parametrize("kind", [*kinds(DECODERS), *kinds(VISION_TOWERS), *kinds(TEXT_TOWERS)])
def test_what_transformers_stores_comes_back(kind: str) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    stored = json.loads(CONFIG_MAPPING[kind]().to_json_string(use_diff=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = transformers_config(stored, [kind], kind)
    again = json.loads(made.to_json_string(use_diff=False))
    assert {key: value for key, value in stored.items() if again.get(key) != value} == {}


@pytest.mark.parametrize("kind", kinds(DECODERS))
def test_every_decoder_reads_and_writes(kind: str, network: list[Any]) -> None:
    text = {**strangers.TEXT, "model_type": kind, "vocab_size": 64, "eos_token_id": None, "head_dim": 8}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = gem.GemForConditionalGeneration(gem.GemConfig(ecg_encoder=strangers.PATCHES, text_config=text)).eval()
    ids = torch.tensor([[5, -200, 7]])
    ecg = torch.randn(1, 12, 500)
    assert model(input_ids=ids, ecg=ecg).logits.shape == (1, 12, 64)
    assert model.generate(input_ids=ids, ecg=ecg, max_new_tokens=2, do_sample=False).shape == (1, 5)
    assert not network


@pytest.mark.parametrize("kind", kinds(VISION_TOWERS))
def test_every_picture_tower_counts_its_tokens(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the small sizes are CLIP's, and some towers have no use for one
        encoder = build_encoder("transformers_vision", {"config": {**strangers.CLIP, "model_type": kind}})
    assert encoder(torch.randn(1, 3, 28, 28)).shape == (1, encoder.n_tokens, encoder.width)


@pytest.mark.parametrize(
    ("value", "hint", "right"),
    [
        (3, int, True),
        (True, int, False),
        (3, float, True),
        ("3", float, False),
        (None, int | None, True),
        ([1, 2], tuple[int, int], True),
        ([1], tuple[int, int], False),
        ([1, 2, 3], list[int], True),
        (["a"], list[int], False),
        ({"a": 1.0}, dict[str, float], True),
        ({"a": "b"}, dict[str, float], False),
        ("abc", list[str], False),
        (("a",), tuple[str, ...], True),
    ],
)
def test_kinds_of_values(value: Any, hint: Any, right: bool) -> None:
    assert matches_type(value, hint) is right


def deep_json(text: str) -> Iterator[str]:
    yield "[" * 1000 + "]" * 1000
    yield '{"a":' * 5000
    yield text[: len(text) // 2]


def test_other_json_of_ours_may_be_deep(tmp_path: Path) -> None:
    from gem.instruct.output import read_gem_json

    for text in deep_json('{"statements": []}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(GemError, match="not a saved explanation"):
            gem.Explanation.from_json(tmp_path / "x.json")
        with pytest.raises(grounding.EcgError):
            read_gem_json(tmp_path / "x.json")
