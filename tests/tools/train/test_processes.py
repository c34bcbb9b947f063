"""Several processes of a training are one run: their gradients are averaged, and only the main one writes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import cv2
import pytest
import torch

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from gopseg.codec import EncodeSettings
from gopseg.codec.writing.pictures import pictures_of_images
from gopseg.codec.writing.transcoding import transcode
from gopseg.data import SyntheticStreet

TOLERANCE, EXACT = 1e-5, 1e-12
"""Bounds of the gradients' relative error in single and in double precision; `temporal` and `clip` need the latter, as
discrete choices (MRCFA's of tokens) turn on the last bits. Without averaged gradients it would be about 1."""

SCRIPT = Path(__file__).with_name("five_trainers.py")


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """Four stills of a street, and two labelled GOPs of others."""
    root = tmp_path_factory.mktemp("camvid")
    for part in ("train", "trainannot", "gops"):
        (root / part).mkdir()
    for index, (image, labels) in enumerate(SyntheticStreet(1, (64, 96)).frames(4)):
        cv2.imwrite(str(root / "train" / f"{index}.png"), image[..., ::-1])
        cv2.imwrite(str(root / "trainannot" / f"{index}.png"), labels)
    for seed in (3, 4):
        folder = root / "gops" / f"street{seed}_labels"
        folder.mkdir()
        frames = list(SyntheticStreet(seed, (64, 96)).frames(12))
        pictures = pictures_of_images((image for image, _ in frames), "street", Fraction(15), len(frames))
        transcode(pictures, root / "gops" / f"street{seed}.mp4", EncodeSettings(gop=12, bitrate_bps=500_000))
        for index, (_, truth) in enumerate(frames):
            cv2.imwrite(str(folder / f"{index:06d}.png"), truth)
    return root


def start(camvid, output, batch, rank, port, count):
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = os.environ | ({key: str(value) for key, value in place.items()} if count > 1 else {})
    command = [sys.executable, str(SCRIPT), str(camvid), str(output), str(batch)]
    return subprocess.Popen(command, env=environment | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)


def test_two_processes_of_one_sample_are_one_of_two(camvid, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [start(camvid, tmp_path / "two", 1, rank, port, 2) for rank in range(2)]
    running.append(start(camvid, tmp_path / "one", 2, 0, port, 1))
    for process in running:
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    compare(tmp_path)


def compare(folder):
    two, one = (torch.load(folder / name / "gradients.pt", weights_only=True, mmap=True) for name in ("two", "one"))
    assert two.keys() == one.keys()
    square, total = Counter(), Counter()
    for key, expected in one.items():
        step = "/".join(key.split("/")[:2])
        square[step] += float((two[key] - expected).square().sum())
        total[step] += float(expected.square().sum())
    assert {step.split("/")[0] for step in total} == {"hr", "lr", "temporal", "ar", "propagation", "clip"}
    for step, whole in total.items():
        assert (square[step] / whole) ** 0.5 < (EXACT if step.startswith(("temporal", "clip")) else TOLERANCE), step
    states = [torch.load(folder / name / "hr" / "last.pt", weights_only=True) for name in ("two", "one")]
    assert states[0]["progress"]["step"] == states[1]["progress"]["step"] == 2
    for key, value in states[1]["average"].items():
        torch.testing.assert_close(states[0]["average"][key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert len(list((folder / "two" / "hr" / "tensorboard").iterdir())) == 1
    assert sorted(file.name for file in (folder / "two" / "hr").iterdir()) == ["last.pt", "tensorboard"]
