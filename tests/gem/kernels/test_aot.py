"""Every kernel and configuration compiles for GPUs that are not here, within limits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_every_build_compiles_within_limits() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "gem.kernels.aot"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    for capability in (80, 90, 100):
        mine = [line for line in lines if line.startswith(f"sm_{capability} ")]
        assert len(mine) >= 61
        assert all(" 0 spill_bytes" in line for line in mine if "projector back fp32" not in line)
    # what memory bounds moves 16 bytes a thread at once, as it can where rows begin at multiples of 16 bytes
    bound = [line for line in lines if re.search(r"layer_norm|merge (rows|backward)|pooling .* 768", line)]
    assert len(bound) == 3 * 23
    assert all(" 16 access_bytes" in line for line in bound)
    # the large products in half precision use Hopper's matrix instructions
    products = [line for line in lines if re.search(r"sm_90 .*(projector .*(bf16|fp16 1024)|forward coca 808)", line)]
    assert len(products) == 12
    assert not [line for line in products if " 0 wgmma" in line]
