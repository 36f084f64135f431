"""What reads, measures, checks and draws works where no torch is installed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "transformers", "timm", "triton", "gem"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import grounding

record = grounding.read_record(grounding.sample_path())
measurement = grounding.measure(record)
assert any(finding.present for finding in grounding.find(measurement))
assert grounding.check("PR 245 ms", measurement)[0].verdict == "supported"
assert grounding.render(record) is not None
print(measurement)
"""


def test_grounding_needs_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ptbxl_102" in done.stdout
