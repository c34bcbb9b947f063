"""What a class is in a scene seen by a camera: sky, ground, upright, thin or object, by the words of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Role(IntEnum):
    """How the depth of a class is found, and whether it moves.

    SKY is at infinity; GROUND is the plane that the camera stands on; UPRIGHT stands on the ground, column by column as
    far as its base tells (buildings, trees, fences); THIN stands at one depth (poles, signs); OBJECT too, and may move
    on its own.
    """

    SKY = 0
    GROUND = 1
    UPRIGHT = 2
    THIN = 3
    OBJECT = 4


_WORDS: dict[Role, str] = {
    Role.SKY: "sky",
    Role.GROUND: (
        "road street pavement sidewalk ground floor grass sand terrain path crosswalk athletic_field lane rail "
        "snowfield ice sea river lake water parking earth dirt carpet rug field land runway"
    ),
    Role.THIN: "pole sign light lamp flag goal parasol umbrella billboard board ball_net",
    Role.OBJECT: (
        "car truck bus train tram van caravan trailer vehicle motorcycle bicycle bicyclist cyclist rider bike "
        "pedestrian person people man woman child animal dog cat horse cattle cow sheep bird airplane ship boat raft "
        "machine ball skateboard bag box"
    ),
}
_WORD_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
_SPEEDS = {
    "car": 9.0,
    "truck": 8.0,
    "bus": 7.0,
    "train": 7.0,
    "motorcycle": 8.0,
    "rider": 4.0,
    "bicyclist": 4.0,
    "bicycle": 2.0,
    "pedestrian": 1.3,
    "person": 1.3,
    "ship": 3.0,
    "boat": 3.0,
}
_OTHER_SPEED = 1.0


def role_of(name: str) -> Role:
    """The role of a class by its name: the whole name first, then its last known word; UPRIGHT by default."""
    words = _words(name)
    for candidate in ("_".join(words), *reversed(words)):
        if candidate in _WORD_ROLES:
            return _WORD_ROLES[candidate]
    return Role.UPRIGHT


def roles_of(classes: Sequence[str]) -> NDArray[np.uint8]:
    """The role of every 8-bit label, (256,) uint8; labels beyond the last class are UPRIGHT."""
    table = np.full(256, Role.UPRIGHT, np.uint8)
    table[: len(classes)] = [role_of(name) for name in classes]
    return table


def speed_of(name: str) -> float:
    """How fast a thing of this class goes when it goes, in metres a second."""
    return next((_SPEEDS[word] for word in reversed(_words(name)) if word in _SPEEDS), _OTHER_SPEED)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", name.lower())
