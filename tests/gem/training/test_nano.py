"""The recipe of gem-nano: from an empty folder to a model that loads, and what has ended is not run again."""

from __future__ import annotations

from pathlib import Path

import pytest

import gem
import grounding
from gem.errors import GemConfigError, GemInputError
from gem.training.nano import RecipeStep, main, run_all


def test_the_recipe_ends_in_a_calibrated_model(
    nine_folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(nine_folds), "--out", str(tmp_path), "--limit", "1"]
    main(words)
    assert capsys.readouterr().out.count("minutes") == 11
    model = gem.load(tmp_path / "gem-nano")
    bundled = gem.load("gem-nano")
    assert model.state_dict().keys() == bundled.state_dict().keys()
    assert {name: part.shape for name, part in model.state_dict().items()} == {
        name: part.shape for name, part in bundled.state_dict().items()
    }
    assert set(model.config.class_votes) == {"ecg", "measured", "vision"}
    assert gem.explain(grounding.sample_path("ptbxl_13"), model=model).text

    main(words)
    assert "minutes" not in capsys.readouterr().out


def test_data_without_one_of_the_folds_are_refused_at_once(ptbxl_like: Path, tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match="no record of fold"):
        main(["--data", str(ptbxl_like), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_steps_wait_for_those_before_them_and_go_on_after_a_failure(tmp_path: Path) -> None:
    module = tmp_path / "one_step.py"
    module.write_text(
        "import pathlib, sys\n"
        "name, *before = sys.argv[1:]\n"
        "assert all(pathlib.Path(one).exists() for one in before), before\n"
        "assert not pathlib.Path('broken').exists(), 'broken here'\n"
        "with open(name, 'a') as file: file.write('x')\n"
    )

    def step(name: str, *after: str) -> RecipeStep:
        places = [str(tmp_path / one) for one in (name, *after)]
        return RecipeStep(name, [["one_step", *places]], after)

    recipe = [step("a"), step("b", "a"), step("c"), step("d", "b", "c")]
    (tmp_path / "steps" / "b").mkdir(parents=True)
    (tmp_path / "steps" / "b" / "broken").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(GemConfigError, match=r"(?s)step b failed.*broken here"):
            run_all(recipe, tmp_path)
        assert not (tmp_path / "d").exists()
        (tmp_path / "steps" / "b" / "broken").unlink()
        run_all(recipe, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in "abcd"} == dict.fromkeys("abcd", "x")
