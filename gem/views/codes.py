"""Codes of other systems for what is measured and found: LOINC, ISO/IEEE 11073-10101 (MDC), SNOMED CT and UCUM.

Sources:
    LOINC: the panel 34534-8 (12 lead EKG) of LOINC 2.77, https://loinc.org/34534-8.
    MDC and the algorithms of QT correction (DCM): DICOM PS3.16, context groups CID 3227 (QTc), CID 3228 (ECG timing),
    CID 3229 (ECG axis), CID 3678 (QT correction); the heart rate: ISO/IEEE 11073-10101, MDC_ECG_HEART_RATE. A code is
    ``partition * 65536 + term``, as HL7 writes it: the PR interval, 2:15872 in DICOM, is 146944.
    SNOMED CT: DICOM PS3.16, CID 3230 (ECG findings), which may be used without a licence of SNOMED CT.
    UCUM: https://ucum.org.
"""

from __future__ import annotations

from typing import NamedTuple

LOINC, MDC, SNOMED, DCM, UCUM = "loinc", "mdc", "snomed", "dcm", "ucum"


class Code(NamedTuple):
    """A concept of a coding system.

    Attributes:
        system: ``LOINC``, ``MDC``, ``SNOMED``, ``DCM`` or ``UCUM``.
        value: as the system writes it; of MDC, as HL7 does.
        display: its name.
    """

    system: str
    value: str
    display: str


class Quantity(NamedTuple):
    """How a measured value is told to other programs.

    Attributes:
        codes: the most widely known first.
        unit: of UCUM; values of ``Measurement`` are in it already.
        unit_text: for people.
        method: how it was worked out, where the codes leave that open.
    """

    codes: tuple[Code, ...]
    unit: str
    unit_text: str
    method: Code | None = None


def _mdc(partition: int, term: int, display: str) -> Code:
    return Code(MDC, str(partition * 65536 + term), display)


_QTC = Code(LOINC, "8636-3", "Q-T interval corrected")
# name in Measurement -> its codes
QUANTITIES = {
    "heart_rate": Quantity(
        (Code(LOINC, "8867-4", "Heart rate"), _mdc(2, 16770, "MDC_ECG_HEART_RATE")), "/min", "beats/minute"
    ),
    "rr": Quantity((Code(LOINC, "8637-1", "R-R interval"), _mdc(2, 16168, "RR interval global")), "ms", "ms"),
    "p": Quantity((_mdc(2, 16184, "P duration global"),), "ms", "ms"),
    "pr": Quantity((Code(LOINC, "8625-6", "P-R Interval"), _mdc(2, 15872, "PR interval global")), "ms", "ms"),
    "qrs": Quantity((Code(LOINC, "8633-0", "QRS duration"), _mdc(2, 16156, "QRS duration global")), "ms", "ms"),
    "qt": Quantity((Code(LOINC, "8634-8", "Q-T interval"), _mdc(2, 16160, "QT interval global")), "ms", "ms"),
    "qtc_bazett": Quantity(
        (_QTC, _mdc(2, 15880, "QTc global using Bazett formula")),
        "ms",
        "ms",
        Code(DCM, "122730", "Bazett QT Correction Algorithm"),
    ),
    "qtc_fridericia": Quantity(
        (_QTC, _mdc(2, 15892, "QTc global using Fredericia formula")),
        "ms",
        "ms",
        Code(DCM, "122732", "Fridericia QTc Algorithm"),
    ),
    "qtc_framingham": Quantity(
        (_QTC, _mdc(2, 15876, "QTc interval global")), "ms", "ms", Code(DCM, "122733", "Framingham QTc Algorithm")
    ),
    "qtc_hodges": Quantity(
        (_QTC, _mdc(2, 15876, "QTc interval global")),
        "ms",
        "ms",
        Code(DCM, "122731", "Hodges QT Correction Algorithm"),
    ),
    "axis_p": Quantity((Code(LOINC, "8626-4", "P wave axis"), _mdc(2, 16128, "P Axis")), "deg", "degrees"),
    "axis": Quantity((Code(LOINC, "8632-2", "QRS axis"), _mdc(2, 16132, "QRS axis")), "deg", "degrees"),
    "axis_t": Quantity((Code(LOINC, "8638-9", "T wave axis"), _mdc(2, 16136, "T axis")), "deg", "degrees"),
}
STUDY = Code(LOINC, "11524-6", "EKG study")
AGE = Code(LOINC, "30525-0", "Age")

# finding of our criteria -> its concept; a finding that is not here has our name alone
FINDINGS = {
    name: Code(SNOMED, value, display)
    for name, value, display in (
        ("atrial_fibrillation", "49436004", "Atrial Fibrillation"),
        ("supraventricular_tachycardia", "6456007", "Supraventricular tachycardia"),
        ("premature_atrial_complex", "284470004", "Atrial premature contraction"),
        ("premature_ventricular_complex", "251175005", "Ventricular premature contraction"),
        ("first_degree_av_block", "270492004", "First degree Atrioventricular block"),
        ("second_degree_av_block", "195042002", "Second degree Atrioventricular block"),
        ("third_degree_av_block", "27885002", "Third degree Atrioventricular block"),
        ("incomplete_right_bundle_branch_block", "251124007", "Incomplete Right bundle branch block"),
        ("incomplete_left_bundle_branch_block", "251120003", "Incomplete Left bundle branch block"),
        ("nonspecific_intraventricular_conduction_delay", "4554005", "Intraventricular conduction disturbance"),
        ("left_anterior_fascicular_block", "37760005", "Left anterior fascicular block"),
        ("left_posterior_fascicular_block", "62026008", "Left posterior fascicular block"),
        ("wolff_parkinson_white", "195060002", "Ventricular pre-excitation"),
        ("st_elevation", "76388001", "ST elevation"),
        ("st_depression", "26141007", "ST depression"),
        ("early_repolarisation", "428417006", "Early repolarization"),
        # "complete" has no concept of its own in CID 3230; the label says it
        ("complete_left_bundle_branch_block", "63467002", "Left bundle branch block"),
        ("complete_right_bundle_branch_block", "59118001", "Right bundle branch block"),
    )
}
