"""Compile every kernel ahead of time and print the resources that each needs: ``python -m gem.kernels.aot``.

No GPU is needed, so kernels can be checked for architectures that are not at hand.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import tempfile
from pathlib import Path

from ..errors import GemError
from .launch import INTERPRET, Build

FILES = ("dual_projector", "ecg_front_end", "layer_norm", "merge_rows", "segment_pooling")
# architecture -> most shared memory of a program, bytes (CUDA programming guide, compute capabilities)
SHARED = {80: 166_912, 90: 232_448, 100: 232_448}
# loads, stores and asynchronous copies between the GPU's memory and a thread or shared memory; without a size 4 bytes
ACCESS = re.compile(r"\b(?:LDG|STG|LDGSTS)\b[\w.]*?(?:\.(64|128))?(?![\w.])")


def compile_for(build: Build, capability: int) -> dict[str, int]:
    """Compile one build for ``sm_<capability>``.

    Args:
        build: kernel and configuration.
        capability: such as 90.

    Returns:
        ``registers``, ``spill_bytes`` (stack), ``shared_bytes``, ``access_bytes`` (of a thread's widest access to the
        GPU's memory, asynchronous copies included) and ``wgmma`` (number of Hopper's matrix instructions).

    Raises:
        GemError: under ``TRITON_INTERPRET``, or if the kernel exceeds its limits.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if INTERPRET.value:
        raise GemError("kernels can't be compiled where they are interpreted", remedy="unset TRITON_INTERPRET")
    signature = {name: build.signature.get(name, "constexpr") for name in build.kernel.arg_names}
    known = [name for name, kind in signature.items() if build.aligned and (kind.startswith("*") or name in build.even)]
    attributes = {(build.kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in known}
    source = ASTSource(fn=build.kernel, signature=signature, constexprs=build.constants, attrs=attributes)
    options = {"num_warps": build.warps, "num_stages": build.stages}
    done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(done.asm["cubin"])
        file.flush()
        shown, code = (
            subprocess.run([str(tool), what, file.name], capture_output=True, text=True, check=True).stdout
            for what in ("--dump-resource-usage", "--dump-sass")
        )
    found = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", shown)}
    usage = {
        "registers": found["REG"],
        "spill_bytes": found["STACK"] + found["LOCAL"],
        "shared_bytes": int(done.metadata.shared),
        "access_bytes": max((int(bits or 32) // 8 for bits in ACCESS.findall(code)), default=0),
        "wgmma": len(re.findall(r"\bHGMMA\b", code)),
    }
    limits = {"registers": build.registers, "spill_bytes": build.spill_bytes, "shared_bytes": SHARED[capability]}
    for name, most in limits.items():
        if usage[name] > most:
            raise GemError(f"{usage[name]} {name} where {most} are allowed", where=f"{build.name}, sm_{capability}")
    return usage


def main() -> None:
    """Print one line per build and architecture; stops at the first kernel that exceeds its limits."""
    for name in FILES:
        for build in importlib.import_module(f".{name}", __package__).builds():
            for capability in SHARED:
                usage = compile_for(build, capability)
                print(f"sm_{capability}  {build.name}: " + ", ".join(f"{v} {k}" for k, v in usage.items()))


if __name__ == "__main__":
    main()
