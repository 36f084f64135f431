"""The list of findings that ``grounding.find`` gives."""

from __future__ import annotations

from ..evidence import Finding
from ..tables import findings_table


class Findings(list[Finding]):
    """A list of findings, which Jupyter shows as a table of the present and the undecided ones."""

    @property
    def present(self) -> Findings:
        """The findings that are present."""
        return Findings(finding for finding in self if finding.present)

    def _repr_html_(self) -> str:
        return findings_table(self)
