"""The notebooks run from top to bottom in a fresh kernel."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# what is printed when all went well
SAYS = {
    "audit_a_data_set": "spoiled and missed: []",
    "error_analysis": "truth RBBB at 20 dB",
    "explain": "Checked against the recording",
    "explore": "PR 245 ms before, 185 ms now",
    "ground_and_compare": "contradicted   Left bundle branch block.",
    "plug_in_an_encoder": "right on 24 synthetic recordings",
    "read_a_photograph": "of each lead [0.25 1.   0.25",
    "measure_with_pandas": "ptbxl_330 has no PR: a P wave was found before",
}
NANO = (ROOT / "gem" / "weights" / "gem-nano" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not NANO, reason="gem-nano's weights are not in this checkout")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    execute = pytest.importorskip("nbconvert.preprocessors")
    pytest.importorskip("ipykernel")
    book = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "outputs are not committed"
    (tmp_path / "python3").mkdir()
    # the kernel of this interpreter, whatever kernels the machine has registered
    (tmp_path / "python3" / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "p",
                "language": "python",
            }
        )
    )
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager(kernel_dirs=[str(tmp_path)], ensure_native_kernel=False)
    worker = execute.ExecutePreprocessor(timeout=120, kernel_name="python3")
    from jupyter_client import AsyncKernelManager

    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=manager)
    worker.preprocess(book, {"metadata": {"path": str(tmp_path)}}, km=kernel)
    printed = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", ()))
    assert SAYS[path.stem] in printed
