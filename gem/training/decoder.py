"""Move the decoder of one model folder into another: its weights, its tokenizer and its settings.

    python -m gem.training.decoder runs/gem-nano-answers runs/gem-nano-measured

The decoder and the signal side are trained apart; so the newest of each can be put together.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import GemConfigError

PREFIX = "language_model."
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def move_decoder(source: str | Path, target: str | Path) -> int:
    """Replace a model's decoder by another one's, in its folder.

    Args:
        source: folder of the model with the decoder.
        target: folder of the model with the encoders and the classification head; changed in place.

    Returns:
        The number of tensors that were moved.

    Raises:
        GemConfigError: a file is missing, or the encoders' tokens do not have the width of the decoder.
    """
    from safetensors.torch import load_file, save_file

    there, here = Path(source), Path(target)
    for folder in (there, here):
        for name in (WEIGHTS, CONFIG, *TOKENIZER_FILES):
            if not (folder / name).is_file():
                raise GemConfigError(f"there is no {name}", where=str(folder), remedy="give folders of saved models")
    configs = [json.loads((folder / CONFIG).read_text(encoding="utf-8")) for folder in (there, here)]
    new, old = (config["text_config"] for config in configs)
    if new["hidden_size"] != old["hidden_size"]:
        raise GemConfigError(
            f"the decoder is {new['hidden_size']} wide, the encoders' tokens {old['hidden_size']}",
            where=str(here),
            remedy="train the projectors for this decoder",
        )
    moved = {name: value for name, value in load_file(there / WEIGHTS).items() if name.startswith(PREFIX)}
    kept = {name: value for name, value in load_file(here / WEIGHTS).items() if not name.startswith(PREFIX)}
    configs[1]["text_config"] = new
    partial = here / f"{WEIGHTS}.partial"
    save_file(moved | kept, partial, metadata={"format": "pt"})
    shutil.copymode(here / CONFIG, partial)
    partial.rename(here / WEIGHTS)
    (here / CONFIG).write_text(json.dumps(configs[1], indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(there / name, here / name)
    return len(moved)


def main(words: Sequence[str] | None = None) -> None:
    """Move a decoder from the first folder to the second.

    Args:
        words: the two folders; those of the command line when None.
    """
    given = list(sys.argv[1:] if words is None else words)
    if len(given) != 2:
        raise SystemExit("usage: python -m gem.training.decoder SOURCE TARGET")
    print(f"moved {move_decoder(*given)} tensors from {given[0]} to {given[1]}")


if __name__ == "__main__":
    main()
