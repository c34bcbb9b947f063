"""The renderer of the synthetic street: paints one moment from far to near, then looks at it through a sensor."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from . import models, textures
from .camera import Camera
from .canvas import Canvas, Shape, Texture
from .cars import car
from .facades import FacadeStyle, facade, gable
from .ground import GroundTile, paint_ground, paint_sky
from .light import brightness, footprints, ground_shade, house_shadows
from .world import BLOCK, Block, Lot, Theme, Thing, make_block, make_theme, moving_things, travelled

BUILDING, POLE, TREE, SIGN, FENCE, CAR, PERSON, CYCLIST = 1, 2, 5, 6, 7, 8, 9, 10
VIEW_METRES = 170.0
_BEHIND_METRES = 14.0
_LOTS_KEPT = 72
# Metres beyond which small things are left out.
_REACH = {"person": 90.0, "bollard": 60.0, "sign": 90.0, "car": 130.0, "lamp": 120.0}
_UP = np.array([0.0, 1.0, 0.0])


class StreetRenderer:
    """Paints the street of one seed; everything kept between calls only saves work and never changes a picture."""

    def __init__(self, seed: int, size_hw: tuple[int, int]) -> None:
        self.seed, self.size_hw = seed, size_hw
        self.theme: Theme = make_theme(seed)
        rng = np.random.default_rng([seed, 6])
        theme = self.theme
        self._tile = GroundTile(textures.ground_tile(rng))
        self._panorama = textures.sky_panorama(rng, theme.cloud_cover, theme.sky_blue, theme.sky_tone)
        self._skyline = np.maximum(0.016 + 0.007 * textures.noise(rng, (1, 4096), 300, 6)[0], 0.003)
        tint = np.array(theme.leaf_tint)
        self._winter = bool(rng.random() < 0.4)
        self._trees = [
            textures.bare_tree(rng) if self._winter else textures.leafy_tree(rng, tint * rng.uniform(0.85, 1.15))
            for _ in range(5)
        ]
        self._hedges = [textures.hedge(rng, tint * rng.uniform(0.7, 1.0)) for _ in range(2)]
        self._fences = {
            "planks": textures.plank_fence(rng),
            "railing": textures.railing(rng),
            "wall": textures.low_wall(rng),
        }
        self._roofs = [textures.slates(rng) for _ in range(3)]
        grain = rng.standard_normal((size_hw[0] + 61, size_hw[1] + 67, 3)).astype(np.float32)
        self._grain = 2.2 * grain + np.float32(0.5)
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
        radius = np.hypot((rows / size_hw[0] - 0.5) * 0.8, columns / size_hw[1] - 0.5)
        self._vignette = (1 - 0.28 * radius**2 - 0.1 * radius**4).astype(np.float32)
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._fronts: OrderedDict[tuple[int, int, int], tuple[Texture, Texture]] = OrderedDict()

    def render(self, index: int, frame_rate: Fraction) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `index`: image (H, W, 3) uint8 RGB and labels (H, W) uint8."""
        seconds = float(index / frame_rate)
        theme = self.theme
        camera = self._camera(seconds)
        canvas = Canvas(camera, theme.haze, theme.haze_metres)
        first = int(np.floor((camera.s - _BEHIND_METRES - 20) / BLOCK))
        last = int(np.floor((camera.s + VIEW_METRES) / BLOCK))
        blocks = [self._block(b) for b in range(first, last + 1)]
        low, high = camera.s - _BEHIND_METRES, camera.s + VIEW_METRES
        things = [t for b in blocks for t in b.things if low < t.s < camera.s + _REACH.get(t.kind, VIEW_METRES)]
        things += moving_things(self.seed, theme, camera.s, seconds, _BEHIND_METRES, 110.0)
        placed = [(t, camera.place(t.s, t.u)) for t in things]

        paint_sky(canvas, self._panorama, self._skyline, seconds)
        shade = ground_shade(camera, footprints(theme, camera, placed))
        house_shadows(theme, camera, (lot for block in blocks for lot in block.lots), shade)
        paint_ground(canvas, theme, self._tile, blocks, light=brightness(self.theme, _UP, camera), shade=shade)

        queue: list[tuple[float, Lot | Thing, NDArray[np.float64]]] = []
        for lot in (lot for b in blocks for lot in b.lots if lot.s1 > low and lot.s0 < high):
            far = camera.place(lot.s1, lot.side * theme.front)
            queue.append((float(np.hypot(far[0], far[2])), lot, far))
        for thing, where in placed:
            far = camera.place(thing.s + thing.size, thing.u) if thing.kind == "guardrail" else where
            metres = float(np.hypot(far[0], far[2]))
            if metres > 2.2:
                queue.append((metres, thing, where))
        for _, what, where in sorted(queue, key=lambda entry: -entry[0]):
            if isinstance(what, Lot):
                self._paint_lot(canvas, what)
            else:
                self._paint_thing(canvas, what, where, seconds)
        return self._sensor(canvas.planes, index), canvas.labels

    def _camera(self, seconds: float) -> Camera:
        theme = self.theme
        width = self.size_hw[1]
        bounce = 0.0012 * np.sin(9.1 * seconds) + 0.0009 * np.sin(5.3 * seconds + 1)
        return Camera(
            theme.road,
            s=travelled(theme, seconds) + 1000.0,
            u=theme.camera_u + 0.16 * float(np.sin(0.21 * seconds)),
            yaw=0.018 * float(np.sin(0.17 * seconds)) + 0.008 * float(np.sin(0.53 * seconds)),
            height=theme.camera_height,
            focal=theme.focal * width,
            horizon=theme.horizon * self.size_hw[0] + float(bounce) * theme.focal * width,
            size_hw=self.size_hw,
        )

    def _block(self, index: int) -> Block:
        if index not in self._blocks:
            self._blocks[index] = make_block(self.seed, self.theme, index)
            while len(self._blocks) > 12:
                self._blocks.popitem(last=False)
        return self._blocks[index]

    def _front(self, lot: Lot) -> tuple[Texture, Texture]:
        if lot.key not in self._fronts:
            assert lot.style is not None
            self._fronts[lot.key] = (
                facade(lot.style, lot.s1 - lot.s0, lot.height),
                gable(lot.style, lot.depth, lot.height),
            )
            while len(self._fronts) > _LOTS_KEPT:
                self._fronts.popitem(last=False)
        self._fronts.move_to_end(lot.key)
        return self._fronts[lot.key]

    def _paint_lot(self, canvas: Canvas, lot: Lot) -> None:
        camera, theme = canvas.camera, self.theme
        line = lot.side * theme.front
        if lot.kind == "junction":
            self._paint_side_street(canvas, lot)
            return
        if lot.kind == "park":
            rng = np.random.default_rng([k + 2**20 for k in lot.key])
            near, far = camera.place(np.array([lot.s0, lot.s1]), line + lot.side * 14)
            along = far - near
            length = float(np.linalg.norm(along))
            thicket = self._hedges[lot.key[2] % 2]
            canvas.wall(thicket, near, along / length, _UP, (length, 4.6), TREE, gain=0.7 * theme.ambient)
            for k in range(int((lot.s1 - lot.s0) / 3.5), -1, -1):
                s, u = lot.s0 + 3.5 * k + rng.uniform(-1.5, 1.5), line + lot.side * rng.uniform(3.5, 10)
                self._paint_tree(canvas, camera.place(s, u), int(rng.integers(5)), float(rng.uniform(0.9, 1.5)))
            self._paint_boundary(canvas, lot, line)
            return
        u = line + lot.side * lot.setback
        near, far = camera.place(lot.s0, u), camera.place(lot.s1, u)
        along = far - near
        length = float(np.linalg.norm(along))
        along /= length
        back = np.array([along[2], 0, -along[0]]) * lot.side
        front, side = self._front(lot)
        toward = brightness(self.theme, -back, camera)
        end_light = brightness(self.theme, -along, camera)
        gap = 1.2 if lot.kind == "garden" else 0.0
        start, width = near + along * gap, length - 2 * gap + (0.0 if gap else 0.06)
        if lot.bare_end:
            canvas.wall(side, start, back, _UP, (lot.depth, lot.height), BUILDING, gain=end_light)
        if lot.pitched:
            self._paint_roof(canvas, lot, start, along, back, width, toward)
        canvas.wall(front, start, along, _UP, (width, lot.height), BUILDING, gain=toward)
        if lot.kind == "garden":
            rng = np.random.default_rng([k + 2**20 for k in (*lot.key, 1)])
            if rng.random() < 0.6:
                where = camera.place(rng.uniform(lot.s0 + 1, lot.s1 - 1), line + lot.side * rng.uniform(1, 2.5))
                self._paint_tree(canvas, where, int(rng.integers(5)), float(rng.uniform(0.45, 0.8)))
            self._paint_boundary(canvas, lot, line)

    def _paint_roof(
        self,
        canvas: Canvas,
        lot: Lot,
        start: NDArray[np.float64],
        along: NDArray[np.float64],
        back: NDArray[np.float64],
        width: float,
        light: float,
    ) -> None:
        rise, half = lot.depth * 0.36, lot.depth / 2
        slope = back * half + _UP * rise
        size = float(np.linalg.norm(slope))
        roof = self._roofs[(lot.key[0] * 7 + lot.key[2]) % 3]
        top = start + _UP * lot.height
        if lot.bare_end:
            tint = 0.62 * light
            end = np.array([top, top + back * lot.depth, top + slope])
            canvas.polygons([(end, (118 * tint, 100 * tint, 88 * tint))], BUILDING, float(start[2]))
        over = top - slope / size * 0.3
        canvas.wall(roof, over, along, slope / size, (width, size + 0.3), BUILDING, gain=light * 1.05)
        if start[2] > 100:
            return
        shapes: list[Shape] = []
        tint = 0.9 * light
        for place in (0.12, 0.88):
            foot = top + slope * 0.93 + along * width * place
            stack = [foot + along * dx + _UP * dy for dx, dy in ((-0.45, 0), (0.45, 0), (0.45, 1.3), (-0.45, 1.3))]
            cap = [foot + along * dx + _UP * dy for dx, dy in ((-0.5, 1.2), (0.5, 1.2), (0.5, 1.4), (-0.5, 1.4))]
            shapes.append((np.array(stack), (104 * tint, 78 * tint, 64 * tint)))
            shapes.append((np.array(cap), (84 * tint, 64 * tint, 54 * tint)))
        canvas.polygons(shapes, BUILDING, float(start[2]))

    def _paint_side_street(self, canvas: Canvas, lot: Lot) -> None:
        """Houses that close the view into a side street."""
        camera, theme = canvas.camera, self.theme
        u = lot.side * (theme.front + 34)
        near, far = camera.place(lot.s0 - 16, u), camera.place(lot.s1 + 26, u)
        along = (far - near) / np.linalg.norm(far - near)
        back = np.array([along[2], 0, -along[0]]) * lot.side
        texture = self._closing(lot)
        canvas.wall(
            texture,
            near,
            along,
            _UP,
            (float(np.linalg.norm(far - near)), 8.5),
            BUILDING,
            gain=brightness(self.theme, -back, camera),
        )

    def _closing(self, lot: Lot) -> Texture:
        key = lot.key
        if key not in self._fronts:
            style = FacadeStyle("brick", "house", tuple(k + 2**20 for k in key))
            texture = facade(style, 24.0, 8.5)
            self._fronts[key] = (texture, texture)
        self._fronts.move_to_end(key)
        return self._fronts[key][0]

    def _paint_boundary(self, canvas: Canvas, lot: Lot, u: float) -> None:
        if not lot.front:
            return
        camera = canvas.camera
        count = max(1, round((lot.s1 - lot.s0) / 6))
        edges = np.linspace(lot.s0, lot.s1, count + 1)
        points = camera.place(edges, u)
        for k in range(count - 1, -1, -1):
            along = points[k + 1] - points[k]
            length = float(np.linalg.norm(along))
            if length == 0:  # both ends lie beyond the road that the camera keeps
                continue
            along /= length
            back = np.array([along[2], 0, -along[0]]) * lot.side
            light = brightness(self.theme, -back, camera)
            if lot.front == "hedge":
                texture = self._hedges[lot.key[2] % 2]
                canvas.wall(texture, points[k], along, _UP, (length, 1.7), TREE, gain=light)
                continue
            height = {"planks": 1.8, "railing": 1.3, "wall": 1.0}[lot.front]
            canvas.wall(
                self._fences[lot.front],
                points[k],
                along,
                _UP,
                (length, height),
                FENCE,
                gain=light,
                solid=lot.front == "railing",
            )

    def _paint_tree(self, canvas: Canvas, where: NDArray[np.float64], variant: int, size: float) -> None:
        texture = self._trees[variant]
        width, height = texture.width_m * size, texture.height_m * size
        origin = where - np.array([width / 2, 0, 0])
        light = self.theme.ambient * (1.0 + 0.25 * self.theme.sun)
        canvas.wall(texture, origin, np.array([1.0, 0, 0]), _UP, (width, height), TREE, gain=light)

    def _paint_thing(self, canvas: Canvas, thing: Thing, where: NDArray[np.float64], seconds: float) -> None:
        camera, theme = canvas.camera, self.theme
        metres = float(np.hypot(where[0], where[2]))
        turn = camera.psi(thing.s) + thing.heading
        sin, cos = np.sin(turn), np.cos(turn)
        axes = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        spot = models.Placement(where, axes, camera.height)
        gain = theme.ambient * (1.0 + 0.15 * theme.sun)
        if thing.kind == "tree":
            self._paint_tree(canvas, where, thing.look % 5, thing.size)
        elif thing.kind == "car":
            faces = {"left": -axes[0], "right": axes[0], "front": axes[2], "rear": -axes[2]}
            lights = {name: brightness(self.theme, normal, camera) / gain for name, normal in faces.items()}
            braking = thing.phase != 0 and bool(np.sin(0.4 * seconds + thing.look) > 0.6)
            canvas.polygons(spot.polygons(car(thing.look, spot.eye, lights, braking=braking)), CAR, metres, gain=gain)
        elif where[2] < 0.8:
            return
        elif thing.kind == "person":
            limbs = models.person(thing.look, thing.phase, walking=thing.phase != 0)
            canvas.polygons(spot.limbs(limbs), PERSON, metres, gain=gain)
        elif thing.kind == "cyclist":
            canvas.polygons(spot.limbs(models.cyclist(thing.look, thing.phase)), CYCLIST, metres, gain=gain)
        elif thing.kind == "bollard":
            canvas.polygons(spot.limbs(models.bollard(thing.look)), POLE, metres, gain=gain)
        elif thing.kind == "lamp":
            limbs = models.lamp(thing.look, thing.size, -1.6 if thing.u > 0 else 1.6)
            canvas.polygons(spot.limbs(limbs), POLE, metres, gain=gain)
        elif thing.kind == "guardrail":
            along = camera.place(thing.s + thing.size, thing.u) - where
            length = float(np.linalg.norm(along))
            canvas.wall(
                self._fences["railing"], where, along / length, _UP, (length, 1.1), FENCE, gain=gain, solid=True
            )
        else:
            stage, seen = int(seconds / 4 + thing.look) % 3, bool(spot.eye[2] < 0)
            if thing.kind == "sign":
                post, plates = models.sign(thing.look, seen=seen)
            else:
                post, plates = models.traffic_lights(stage, seen=seen)
            canvas.polygons(spot.limbs(post), POLE, metres, gain=gain)
            canvas.polygons(spot.polygons(plates), SIGN, metres, gain=gain)

    def _sensor(self, planes: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        """Exposure, a contrast curve, lens shading, slight blur and noise: (3, H, W) light to (H, W, 3) uint8."""
        theme = self.theme
        rng = np.random.default_rng([self.seed, 7, index])
        drift = theme.exposure * (1 + 0.03 * np.sin(0.02 * index)) / 255
        for plane, tint in zip(planes, theme.tint, strict=True):
            plane *= self._vignette * np.float32(tint * drift)
        picture = cv2.merge([np.clip(plane, 0, 1.6) for plane in planes])
        picture = cv2.pow(picture, theme.contrast)
        picture = cv2.GaussianBlur(picture, (0, 0), 0.55 * max(1.0, self.size_hw[1] / 960))
        row, column = int(rng.integers(61)), int(rng.integers(67))
        picture *= np.float32(255)
        picture += self._grain[row : row + self.size_hw[0], column : column + self.size_hw[1]]
        return np.asarray(np.clip(picture, 0, 255), np.uint8)
