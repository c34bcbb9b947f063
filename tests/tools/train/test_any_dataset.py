"""`train-segnet hr` on a folder of one's own, which `evaluate-segnet` then scores: no command knows it."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.segnet import load_network
from gopseg.tools.evaluate.main import main as evaluate
from gopseg.tools.train.main import main as train

CLASSES = ("ground", "sky", "thing")


@pytest.fixture
def yard(tmp_path):
    """Four pictures to train on, two to validate: a grey ground below a bright sky."""
    root = tmp_path / "yard"
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            labels = np.full((64, 96), 1, np.uint8)
            labels[24 + 4 * i :], labels[:2] = 0, 255
            for part, array in (("images", np.where(labels[..., None] == 0, 70, 200)), ("labels", labels)):
                path = root / split / part / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), array.astype(np.uint8))
    colours = {name: [i, i, i] for i, name in enumerate(CLASSES)}
    (root / "classes.json").write_text(json.dumps(colours))
    return root


def test_train_and_evaluate(yard, tmp_path):
    run = tmp_path / "run"
    arguments = ["--crop", "64x96", "--batch", "2", "--epochs", "1", "--validate-every", "1", "--precision", "fp32"]
    done = CliRunner().invoke(train, ["hr", "--dataset", str(yard), "-o", str(run), *arguments])
    assert done.exit_code == 0, done.output
    weights = run / "best.safetensors"
    assert load_network(weights).classes == CLASSES
    card = json.loads((run / "best.json").read_text())
    assert card["classes"] == list(CLASSES)
    assert card["palette"] == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert "yard" in card["licence_note"]
    assert set(card["metrics"]["iou_val"]) == set(CLASSES)
    arguments = ["--dataset", str(yard), "--model", str(weights), "--stills", "--precision", "fp32"]
    done = CliRunner().invoke(evaluate, [*arguments, "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    [record] = json.loads((tmp_path / "report" / "report.json").read_text())["modes"]
    assert np.sum(record["confusion"]) == 2 * 62 * 96
