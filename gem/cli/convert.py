"""``gem convert``: a published checkpoint into our layout."""

from __future__ import annotations

import argparse

from ..terminal import print_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gem convert``."""
    parser.description = "Write a published GEM, PULSE, ECG-CoCa, ECG-Chat or MEIT checkpoint in this library's layout."
    parser.add_argument("source", help="a folder in a published layout, or a .pt file (opened with weights_only=True)")
    parser.add_argument("out", help="the folder to write")
    parser.add_argument("--ecg-tower", help="a GEM folder without its ECG tower is completed from cpt_wfep_epoch_20.pt")
    parser.add_argument(
        "--vision-tower", help="a folder without its picture tower is completed from CLIP's safetensors"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and print what became of every key.

    Args:
        args: of the command line.
    """
    from ..checkpoints.convert import convert

    report = convert(args.source, args.out, args.ecg_tower, args.vision_tower)
    print_lines(f"{args.out}: {report or 'copied, it was in this layout already'}")
    return 0
