"""Which extra of this package installs an optional library."""

from __future__ import annotations

# the name a library is imported by -> the extra in setup.cfg that installs it
EXTRAS = {
    "ecgdatakit": "formats",
    "edfio": "formats",
    "pyarrow": "formats",
    "pydicom": "formats",
    "defusedxml": "formats",
    "rapidocr": "ocr",
    "typst": "report",
    "jsonargparse": "train",
    "lightgbm": "train",
    "matplotlib": "train",
    "onnx": "train",
    "rich": "train",
    "tensorboard": "train",
    "peft": "lora",
    "accelerate": "accelerate",
    "google": "published",
    "sentencepiece": "published",
    "dask": "cluster",
    "bm25s": "retrieval",
    "gguf": "smollm",
    "anywidget": "notebook",
    "traitlets": "notebook",
    "starlette": "app",
    "uvicorn": "app",
    "python_multipart": "app",
}
# what models need, and the install without them leaves out (requirements-light.txt)
FULL = ("lightning", "nltk", "safetensors", "timm", "tokenizers", "torch", "torchmetrics", "transformers", "triton")


def how_to_install(module: str) -> str:
    """The command that installs a library that could not be imported.

    Args:
        module: the name it is imported by.

    Example:
        >>> how_to_install("typst"), how_to_install("torch"), how_to_install("nowhere_else")
        ('pip install "gem-ecg[report]"', 'pip install gem-ecg', 'pip install nowhere_else')
    """
    top = module.split(".")[0]
    if top in FULL:
        return "pip install gem-ecg"
    return f'pip install "gem-ecg[{EXTRAS[top]}]"' if top in EXTRAS else f"pip install {top}"
