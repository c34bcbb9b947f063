"""House fronts of the synthetic street, drawn from a style and a seed: walls, windows, doors, shops, offices."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import Texture
from .textures import bricks, noise, opaque

PPM = 28

_WALLS = {
    "brick": ((122, 82, 66), (134, 96, 76), (98, 70, 60), (146, 124, 96), (160, 140, 108)),
    "plaster": ((206, 200, 186), (188, 176, 152), (214, 212, 206), (176, 172, 168), (196, 186, 140), (150, 160, 166)),
    "stone": ((138, 132, 120), (118, 114, 108), (156, 148, 130)),
    "office": ((128, 128, 128), (104, 102, 100), (150, 146, 138), (112, 92, 80)),
}


@dataclass(frozen=True)
class FacadeStyle:
    """What a front looks like: `wall` is a key of the wall table, `ground` 'house', 'shop' or 'office'."""

    wall: str
    ground: str
    seed: tuple[int, ...]


class _Front:
    """A sheet of wall being drawn, in metres from the lower left corner."""

    def __init__(self, rng: np.random.Generator, style: FacadeStyle, width: float, height: float) -> None:
        self.rng = rng
        self.width, self.height = width, height
        self.rows, self.columns = round(height * PPM), round(width * PPM)
        tones = _WALLS[style.wall]
        self.base = np.array(tones[int(rng.integers(len(tones)))], float) * rng.uniform(0.72, 1.02)
        shape = (self.rows, self.columns)
        if style.wall == "brick":
            self.rgb = bricks(rng, shape, self.base)
        else:
            tone = 1 + 0.035 * noise(rng, shape, 90, 5) + 0.02 * noise(rng, shape, 3, 1)
            if style.wall == "stone":
                tone[:: PPM // 2] *= 0.86
            self.rgb = self.base * tone[..., None].astype(np.float64)
        grime = np.linspace(0.94, 1.02, self.rows)[::-1] ** 2
        self.rgb *= grime[:, None, None]
        self.trim = self.base * 0.35 + np.array([215, 212, 204]) * 0.65 * rng.uniform(0.75, 1)

    def box(self, x: float, y: float, w: float, h: float, colour: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill a rectangle (metres, lower left corner first) and give the part of the picture that it covers."""
        x0, x1 = round(x * PPM), round((x + w) * PPM)
        y0, y1 = self.rows - round((y + h) * PPM), self.rows - round(y * PPM)
        part = self.rgb[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        part[...] = colour
        return part

    def window(self, x: float, y: float, w: float, h: float, *, bars: int, frame: NDArray[np.float64]) -> None:
        """A sash window: lintel and sill, frame, glass that shows sky above, dark room below, perhaps a curtain."""
        rng = self.rng
        self.box(x - 0.1, y + h, w + 0.2, 0.18, self.trim * 0.92)
        self.box(x - 0.12, y - 0.12, w + 0.24, 0.12, self.trim)
        self.box(x, y, w, h, frame)
        glass = self.box(x + 0.07, y + 0.07, w - 0.14, h - 0.14, np.array([40.0, 44, 50]))
        if glass.size == 0:
            return
        shine = np.linspace(1, 0, glass.shape[0])[:, None, None] * rng.uniform(0, 70) * np.array([0.95, 1, 1.06])
        glass += shine + rng.uniform(-12, 14)
        if rng.random() < 0.35:
            side = max(1, int(glass.shape[1] * rng.uniform(0.12, 0.28)))
            cloth = np.array([150, 142, 130]) * rng.uniform(0.6, 1.1)
            glass[:, :side] = cloth
            glass[:, -side:] = cloth * 0.92
        glass[: max(1, glass.shape[0] // 9)] *= 0.6
        for bar in range(1, bars):
            self.box(x + w * bar / bars - 0.025, y, 0.05, h, frame)
        self.box(x, y + h / 2 - 0.03, w, 0.06, frame)

    def door(self, x: float, h: float = 2.1) -> None:
        """A panelled door with a light above it."""
        tones = ((40, 52, 74), (88, 34, 34), (34, 62, 48), (52, 48, 46), (120, 112, 100))
        colour = np.array(tones[int(self.rng.integers(len(tones)))], float)
        self.box(x - 0.12, 0, 1.24, h + 0.55, self.trim)
        self.box(x, 0.08, 1.0, h, colour)
        self.box(x + 0.14, 0.25, 0.3, 0.7, colour * 0.8)
        self.box(x + 0.56, 0.25, 0.3, 0.7, colour * 0.8)
        self.box(x + 0.14, 1.15, 0.3, 0.75, colour * 0.8)
        self.box(x + 0.56, 1.15, 0.3, 0.75, colour * 0.8)
        self.box(x, h + 0.14, 1.0, 0.32, np.array([58.0, 62, 68]))

    def shop(self) -> None:
        """A shop front across the ground floor: stall riser, panes with goods behind, door, fascia with letters."""
        rng = self.rng
        tones = ((30, 44, 64), (92, 30, 30), (34, 58, 44), (46, 46, 48), (160, 150, 130), (120, 90, 30), (50, 80, 110))
        paint = np.array(tones[int(rng.integers(len(tones)))], float) * rng.uniform(0.8, 1.15)
        self.box(0.1, 0, self.width - 0.2, 3.35, paint * 0.85)
        panes = max(2, round(self.width / rng.uniform(1.6, 2.6)))
        pitch = (self.width - 0.4) / panes
        entrance = int(rng.integers(panes))
        for i in range(panes):
            x = 0.2 + i * pitch
            low = 0.1 if i == entrance else 0.55
            pane = self.box(x + 0.06, low, pitch - 0.12, 2.5 - low, np.array([46.0, 46, 48]) * rng.uniform(0.7, 1.4))
            if pane.size == 0:
                continue
            pane += np.linspace(18, 0, pane.shape[0])[:, None, None]
            for _ in range(int(rng.integers(2, 7))):
                w, h = rng.uniform(0.15, 0.6), rng.uniform(0.15, 0.7)
                px, py = rng.uniform(x + 0.1, x + max(0.12, pitch - 0.2 - w)), rng.uniform(low, 2.4 - h)
                self.box(px, py, w, h, rng.uniform(40, 190) * rng.uniform(0.75, 1.1, 3))
            if i == entrance:
                self.box(x + pitch / 2 - 0.03, low, 0.06, 2.4, paint)
        fascia = self.box(0.1, 2.62, self.width - 0.2, 0.62, paint)
        letters = np.array([225.0, 220, 205]) if paint.mean() < 110 else np.array([50.0, 40, 40])
        self._letters(fascia, letters)
        self.box(0.0, 3.25, self.width, 0.14, self.trim)

    def _letters(self, board: NDArray[np.float64], colour: NDArray[np.float64]) -> None:
        """Strokes that read as lettering from a car."""
        rows, columns = board.shape[:2]
        size = int(rows * 0.55)
        x, end = int(columns * 0.2), int(columns * self.rng.uniform(0.55, 0.85))
        top = (rows - size) // 2
        while x < end:
            width = int(self.rng.integers(size // 2, size))
            stroke = max(1, size // 5)
            board[top : top + size, x : x + stroke] = colour
            if self.rng.random() < 0.7:
                row = top + int(self.rng.integers(0, size - stroke))
                board[row : row + stroke, x : x + width] = colour
            if self.rng.random() < 0.6:
                board[top : top + size, x + width - stroke : x + width] = colour
            x += width + stroke * (3 if self.rng.random() < 0.15 else 1)

    def storeys(self, first: float, *, office: bool) -> None:
        """Rows of windows from `first` metres up to the eaves."""
        rng = self.rng
        floor = rng.uniform(2.75, 3.3)
        count = int((self.height - first - 0.4) / floor)
        pitch = rng.uniform(1.5, 2.0) if office else rng.uniform(1.9, 3.0)
        columns = max(1, int((self.width - 0.5) / pitch))
        pitch = (self.width - 0.3) / columns
        w = pitch * (0.82 if office else rng.uniform(0.38, 0.52))
        h = floor * (rng.uniform(0.5, 0.62) if office else rng.uniform(0.48, 0.6))
        frame = np.array([70.0, 72, 74]) if office else np.array([222.0, 220, 214]) * rng.uniform(0.7, 1)
        bars = int(rng.integers(1, 4))
        for row in range(count):
            y = first + row * floor + (floor - h) * 0.45
            for column in range(columns):
                x = 0.15 + column * pitch + (pitch - w) / 2
                self.window(x, y, w, h * (0.85 if row == count - 1 and count > 2 else 1), bars=bars, frame=frame)
            if row and rng.random() < 0.4:
                self.box(0, first + row * floor - 0.05, self.width, 0.12, self.trim * 0.9)


def facade(style: FacadeStyle, width: float, height: float) -> Texture:
    """The front of a house, `width` by `height` metres, at 28 pixels a metre."""
    rng = np.random.default_rng(style.seed)
    front = _Front(rng, style, width, height)
    if style.ground == "shop":
        front.shop()
        front.storeys(3.4, office=False)
    elif style.ground == "office":
        front.storeys(0.4, office=True)
        front.box(width / 2 - 1.2, 0, 2.4, 2.6, np.array([52.0, 56, 60]))
    else:
        doors = max(1, round(width / 6))
        front.storeys(0.35, office=False)
        for i in range(doors):
            x = (i + rng.uniform(0.1, 0.35)) * width / doors
            front.box(x - 0.3, 0, 1.6, 2.7, front.base * 0.96)
            front.door(x)
        front.box(0, 0, width, 0.35, front.base * 0.72)
        for i in range(doors):
            front.box((i + 0.5) * width / doors, 0, 0.09, height, np.array([58.0, 58, 60]))
    front.box(0, height - 0.35, width, 0.25, front.trim * 0.85)
    front.box(0, height - 0.1, width, 0.1, front.trim * 0.6)
    edge = cv2.GaussianBlur(front.rgb.astype(np.float32), (3, 3), 0.6)
    return Texture(opaque(edge), PPM)


def gable(style: FacadeStyle, depth: float, height: float) -> Texture:
    """The bare side of a house, `depth` by `height` metres, in the colour of its front."""
    front = _Front(np.random.default_rng(style.seed), style, depth, height)
    front.box(0, height - 0.12, depth, 0.12, front.trim * 0.7)
    return Texture(opaque(front.rgb), PPM)
