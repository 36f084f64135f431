"""All of gem-nano, from an empty folder to the files that ship, by one command.

    python -m gem.training.nano --data PTBXL --out runs [--jobs 2]

Each step is a process of one thread (sums over several threads differ in their last bits), as many at once as
``--jobs`` says and their order allows: the signal encoder; four more of it, each without two of the folds 1-8, with
trees of their own, so that every record has an answer by a model that never saw it; the picture encoder; the decoder on
explanations, then on questions; the trees; and calibration, on those answers. What has ended is not run again, so that
the same command goes on after a break.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from ..data.ptbxl import load_ptbxl
from ..errors import GemConfigError
from ..terminal import print_lines

FOLDS = tuple(range(1, 9))
APART = ((1, 2), (3, 4), (5, 6), (7, 8))  # of the folds, which one of the models never sees
CALIBRATED = 9  # fold whose pages give the picture's calibration and share of the vote


@dataclass(frozen=True)
class RecipeStep:
    """One step of the recipe.

    Attributes:
        name: of the step, of its folder of logs and of the model folder that it writes.
        commands: words behind ``python -m``, one command after another.
        after: names of the steps that come before.
    """

    name: str
    commands: Sequence[Sequence[str]]
    after: Sequence[str] = ()

    def folder(self, out: Path) -> Path:
        """The folder of its logs.

        Args:
            out: folder of all results.
        """
        return out / "steps" / self.name.replace("/", "-")


def steps(data: Path, out: Path, limit: int | None = None) -> list[RecipeStep]:
    """The steps, each with its commands.

    Args:
        data: folder with PTB-XL.
        out: folder of all results.
        limit: steps of each training, to try the recipe out; None for whole trainings.
    """
    tried = [] if limit is None else ["--trainer.max_epochs=-1", f"--trainer.max_steps={limit}"]

    def train(config: str, output: str, *options: str) -> list[str]:
        places = (f"--data.root={data}", f"--data.cache={out / 'cache'}", f"--model.init_args.output={out / output}")
        return ["gem", "train", config, *places, "--trainer.enable_progress_bar=false", *options, *tried]

    def grow(model: str, output: str, folds: Sequence[int]) -> list[str]:
        words = (str(out / model), "--data", str(data), "--out", str(out / output), "--folds", *map(str, folds))
        words += ("--cache", str(out / "cache"))
        return ["gem.training.measured", *words]

    parts = []
    for pair in APART:
        name = "-".join(map(str, pair))
        seen = [fold for fold in FOLDS if fold not in pair]
        folds = (f"--data.train_folds={seen}", f"--data.val_folds={list(pair)}")
        network = f"networks/{name}"
        commands = [train("gem_nano_signal", network, *folds), grow(network, f"apart/{name}", seen)]
        parts.append(RecipeStep(f"apart/{name}", commands))
    init, features = "--model.init_args.init=", f"--model.init_args.feature_cache={out / 'cache' / 'features'}"
    whole = "--model.init_args.half=false"  # the last step saves float16
    picture = (f"--model.init_args.teacher={out / 'signal'}",)
    explain = (f"{init}{out / 'signal'}", f"--model.init_args.picture_from={out / 'picture'}", features)
    shipped = [str(out / "measured"), "--data", str(data), "--out", str(out / "gem-nano"), "--half"]
    shipped += ["--folds", *map(str, FOLDS), "--apart", str(out / "apart"), "--picture-folds", str(CALIBRATED)]
    return [
        RecipeStep("signal", [train("gem_nano_signal", "signal")]),
        RecipeStep("picture", [train("gem_nano_picture", "picture", *picture)], ("signal",)),
        RecipeStep("explain", [train("gem_nano_explain", "explain", *explain)], ("picture",)),
        RecipeStep("again", [train("gem_nano", "again", f"{init}{out / 'explain'}", features, whole)], ("explain",)),
        RecipeStep("answers", [train("gem_nano_answers", "answers", f"{init}{out / 'again'}", whole)], ("again",)),
        *parts,
        RecipeStep("measured", [grow("answers", "measured", FOLDS)], ("answers",)),
        RecipeStep("gem-nano", [["gem.training.calibration", *shipped]], ("measured", *(part.name for part in parts))),
    ]


def run(step: RecipeStep, out: Path) -> float:
    """Run one step's commands in a folder of its own.

    Args:
        step: whose commands are run.
        out: folder of all results.

    Returns:
        Seconds it took.

    Raises:
        GemConfigError: a command failed; the message has the end of what it printed.
    """
    folder = step.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    started, log = time.monotonic(), folder / "log.txt"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as file:
        for words in step.commands:
            command = [sys.executable, "-m", *words]
            if subprocess.run(command, cwd=folder, env=one_thread, stdout=file, stderr=file, check=False).returncode:
                end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
                raise GemConfigError(f"step {step.name} failed: {end}", where=str(log), remedy="mend it and run again")
    (folder / "done").touch()
    return time.monotonic() - started


def run_all(recipe: Sequence[RecipeStep], out: Path, jobs: int = 2) -> None:
    """Run the steps that have not ended before, each as soon as those before it have.

    Args:
        recipe: the steps.
        out: folder of all results.
        jobs: most processes at once.

    Raises:
        GemConfigError: a step failed; those that run beside it end first.
    """
    named = {step.name: step for step in recipe}
    place = {step.name: number for number, step in enumerate(recipe)}  # the longest chain comes first
    order = TopologicalSorter({step.name: step.after for step in recipe})
    order.prepare()
    waiting: list[str] = []
    running: dict[Future[float], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active():
            waiting += order.get_ready()
            for name in sorted(waiting, key=place.__getitem__):
                if (named[name].folder(out) / "done").exists():
                    order.done(name)
                elif len(running) < jobs:
                    print_lines(f"{name} ...")
                    running[pool.submit(run, named[name], out)] = name
                else:
                    continue
                waiting.remove(name)
            for ended in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                name = running.pop(ended)
                print_lines(f"{name}: {ended.result() / 60:.1f} minutes")
                order.done(name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe.

    Args:
        arguments: of the command line, see ``--help``; those of the process when None.

    Raises:
        GemConfigError: a step failed.
        GemInputError: the data are not PTB-XL, or lack raw records of one of the folds 1-9.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with PTB-XL")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of all results (default: runs)")
    parser.add_argument("--jobs", type=int, default=2, help="most processes at once (default: 2)")
    parser.add_argument("--limit", type=int, help="only so many steps of each training, to try it out")
    options = parser.parse_args(arguments)
    for fold in (*FOLDS, CALIBRATED):  # before an hour's work, not after
        load_ptbxl(options.data, [fold], ("raw",))
    out = options.out.resolve()
    run_all(steps(options.data.resolve(), out, options.limit), out, options.jobs)
    print_lines(f"{out / 'gem-nano'}: ready for gem.load")


if __name__ == "__main__":
    main()
