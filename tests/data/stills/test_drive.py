"""Stills taken apart and driven past: roles, planes, paths, and what is rendered."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.data import VOID, CamVid, DatasetError, Sample, SyntheticStreet, load_palette
from gopseg.data.class_lists import CITYSCAPES, VSPW_NAMES
from gopseg.data.label_files import read_class_indices, write_labels
from gopseg.data.sample import read_labels
from gopseg.data.stills.camera import CAMERA_HEIGHT, random_path
from gopseg.data.stills.drive import StillMotion
from gopseg.data.stills.layers import NOTHING, take_apart
from gopseg.data.stills.rendering import StillRenderer
from gopseg.data.stills.roles import Role, role_of, roles_of, speed_of

SHARED = Path(__file__).parents[4] / "shared" / "data" / "camvid"
PALETTE = load_palette("camvid")
SKY, BUILDING, POLE, ROAD, CAR = (PALETTE.names.index(n) for n in ("sky", "building", "pole", "road", "car"))
HEIGHT, WIDTH, HORIZON = 120, 160, 60


def street() -> np.ndarray:
    """Labels: sky, a road from row 60 down, a building from the left edge, a pole and a car on the road."""
    labels = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    labels[HORIZON + 3 :] = ROAD
    labels[20:75, :50] = BUILDING
    labels[10:80, 70:74] = POLE
    labels[70:90, 100:130] = CAR
    return labels


def still(labels: np.ndarray) -> Sample:
    """An image that shows its labels."""
    return Sample("street", PALETTE.color(labels), labels)


def render(sample: Sample, position: tuple[float, float, float], moved: dict[int, float] | None = None):
    """The view from `position`; `moved` metres along Z of the thing of a class."""
    layered = take_apart(sample, PALETTE.names)
    travelled = np.zeros((1 + max(layer.thing for layer in layered.layers), 3))
    for layer in layered.layers:
        travelled[layer.thing, 2] = (moved or {}).get(layer.class_index, 0)
    return StillRenderer(layered, roles_of(PALETTE.names)).render(np.array(position), np.eye(3), travelled)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("sky", Role.SKY),
        ("road", Role.GROUND),
        ("traffic sign", Role.THIN),
        ("pole", Role.THIN),
        ("bicyclist", Role.OBJECT),
        ("Truck_Bus", Role.OBJECT),
        ("building", Role.UPRIGHT),
        ("vegetation", Role.UPRIGHT),
        ("class 17", Role.UPRIGHT),
        ("athletic_field", Role.GROUND),
        ("handrail_or_fence", Role.UPRIGHT),
    ],
)
def test_roles_follow_names(name: str, role: Role) -> None:
    assert role_of(name) is role


def test_every_data_set_has_sky_ground_and_objects() -> None:
    for classes in (PALETTE.names, tuple(CITYSCAPES), VSPW_NAMES):
        assert {Role.SKY, Role.GROUND, Role.OBJECT, Role.UPRIGHT} <= {
            Role(r) for r in roles_of(classes)[: len(classes)]
        }
    assert roles_of(PALETTE.names)[VOID] == Role.UPRIGHT
    assert speed_of("car") > speed_of("bicyclist") > speed_of("pedestrian") > 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 30), fps=st.sampled_from([10.0, 15.0, 30.0]))
def test_paths_are_the_stills_at_its_frame_and_a_cars_elsewhere(seed: int, count: int, fps: float) -> None:
    path = random_path(count, fps, np.random.default_rng(seed))
    assert len(path) == count
    assert 0 <= path.still < count
    np.testing.assert_allclose(path.positions[path.still], 0, atol=1e-12)
    np.testing.assert_allclose(path.rotations[path.still], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        path.rotations @ path.rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (count, 3, 3)), atol=1e-9
    )
    assert path.seconds[path.still] == 0
    steps = np.linalg.norm(np.diff(path.positions, axis=0), axis=1) * fps
    assert (steps < 20).all()


def test_cameras_mostly_drive_forward() -> None:
    paths = [random_path(12, 15, np.random.default_rng(seed)) for seed in range(300)]
    ahead = np.array([path.positions[-1, 2] - path.positions[0, 2] for path in paths])
    assert (ahead > -0.05).mean() > 0.95
    assert 2 < np.median(ahead) < 5  # metres in 0.73 s: 10 to 25 km/h
    assert (ahead < 0.1).mean() < 0.2
    assert np.mean([path.still for path in paths]) < 5.5  # late stills are rare


def test_cameras_look_where_they_go_and_some_turn() -> None:
    turned = []
    for seed in range(200):
        path = random_path(12, 15, np.random.default_rng(seed))
        steps = np.diff(path.positions, axis=0)
        ahead = path.rotations[:, 2]  # the third row is the camera's forward axis in the still's coordinates
        if np.linalg.norm(steps, axis=1).min() > 0.2:
            heading = steps / np.linalg.norm(steps, axis=1, keepdims=True)
            assert (np.einsum("ij,ij->i", heading, ahead[1:]) > 0.99).all()
        turned.append(np.degrees(np.arccos(np.clip(ahead[0] @ ahead[-1], -1, 1))))
    assert np.median(turned) < 2
    assert np.quantile(turned, 0.95) > 5


def test_ground_goes_on_behind_things_up_to_the_horizon() -> None:
    layered = take_apart(still(street()), PALETTE.names)
    ground = next(i for i, layer in enumerate(layered.layers) if layer.role is Role.GROUND)
    levels = layered.ids.reshape(layered.levels, HEIGHT, WIDTH)
    assert (levels[1:, 75:85, 105:125] == ground).all()  # behind the car
    assert not (levels[:, : int(layered.camera[1, 2])] == ground).any()


def test_hidden_bases_are_no_farther_than_they_seem() -> None:
    """Cars along a facade hide where it meets the road; what is seen of its base bounds its depth."""
    labels = street()
    labels[20:90, 10:50] = BUILDING
    labels[90:100, 10:50] = CAR
    layered = take_apart(still(labels), PALETTE.names)
    rays = np.linalg.inv(layered.camera) @ np.array([[25, 35, 45], [89, 89, 89], [1, 1, 1]])
    for column, ray in zip((25, 35, 45), rays.T, strict=True):
        facet = layered.layers[layered.ids[50, column]]
        assert facet.class_index == BUILDING
        assert facet.normal @ ray >= 0.99 * ray[1] / CAMERA_HEIGHT


def test_layers_lie_where_the_labels_say() -> None:
    layered = take_apart(still(street()), PALETTE.names)
    assert (layered.ids[:HEIGHT] != NOTHING).all()
    for index, (x0, y0, x1, y1) in enumerate(layered.boxes):
        rows, columns = np.nonzero(layered.ids[:HEIGHT] == index)
        assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (y0, y1, x0, x1)
    by_class = {layer.class_index: layer for layer in layered.layers}
    focal, horizon = layered.camera[0, 0], layered.camera[1, 2]
    assert horizon == pytest.approx(HORIZON, abs=3)
    assert (by_class[SKY].normal == 0).all()
    np.testing.assert_allclose(by_class[ROAD].normal, [0, 1 / CAMERA_HEIGHT, 0])
    assert 1 / by_class[CAR].normal[2] == pytest.approx(focal * CAMERA_HEIGHT / (89 - horizon), rel=1e-6)
    assert by_class[POLE].role is Role.THIN
    assert by_class[CAR].normal[2] > by_class[POLE].normal[2]  # it stands nearer
    assert layered.levels > 1
    things = [layer.thing for layer in layered.layers]
    assert len(set(things)) == 5


def test_a_facade_along_the_road_recedes() -> None:
    labels = street()
    labels[:, :] = SKY
    labels[HORIZON:] = ROAD
    for x in range(70):
        labels[20 : 110 - x // 2, x] = BUILDING
    layered = take_apart(still(labels), PALETTE.names)
    facets = sorted(
        (layered.boxes[i, 0], layer.normal) for i, layer in enumerate(layered.layers) if layer.class_index == BUILDING
    )
    assert len(facets) > 2
    for x in (5, 30, 60):
        normal = next(n for start, n in reversed(facets) if start <= x)
        ray = np.linalg.inv(layered.camera) @ [x, 0, 1]
        base = (109 - x // 2 - layered.camera[1, 2]) / layered.camera[1, 1]
        assert normal @ ray == pytest.approx(base / CAMERA_HEIGHT, rel=0.06)


def test_the_same_place_shows_the_still() -> None:
    image, labels = render(still(street()), (0, 0, 0))
    np.testing.assert_array_equal(labels, street())
    np.testing.assert_array_equal(image, still(street()).image)


def test_driving_on_enlarges_near_things_and_leaves_the_sky() -> None:
    sample = still(street())
    layered = take_apart(sample, PALETTE.names)
    depth = 1 / next(layer.normal[2] for layer in layered.layers if layer.class_index == CAR)
    _, labels = render(sample, (0, 0, depth / 4))
    was, now = (np.argwhere(found == CAR) for found in (street(), labels))
    grown = (np.ptp(now, 0) + 1) / (np.ptp(was, 0) + 1)
    np.testing.assert_allclose(grown, 4 / 3, rtol=0.06)
    middle = np.array([layered.camera[1, 2], layered.camera[0, 2]])
    np.testing.assert_allclose(now.mean(0) - middle, (was.mean(0) - middle) * 4 / 3, atol=1.5)
    assert (labels[:15, 90:] == SKY).all()


def test_labels_and_image_move_together() -> None:
    """The image is painted in the labels' colours, so every label that is given shows in its colour."""
    for position in ((0, 0, 1.5), (0.4, 0, 0.7), (0, 0, -1.0)):
        image, labels = render(still(street()), position)
        told = labels != VOID
        assert told.mean() > 0.7
        wrong = (np.abs(PALETTE.color(labels).astype(int) - image).max(2) > 40) & told
        assert wrong.mean() < 0.025  # edges are blended


def test_what_was_hidden_is_guessed_near_edges_and_void_elsewhere() -> None:
    """A step to the right shows what was behind the car's right side and the building's."""
    sample = still(street())
    _, labels = render(sample, (0.5, 0, 0))
    was, now = (np.argwhere(found == CAR)[:, 1] for found in (street(), labels))
    shift = was.mean() - now.mean()
    assert shift > 5
    uncovered = labels[72:85, int(now.max()) + 2 : int(was.max())]
    assert uncovered.size
    assert set(np.unique(uncovered)) <= {ROAD, VOID}
    assert (uncovered == ROAD).any()


def test_things_hide_each_other_by_depth() -> None:
    """The car overtakes the pole's place from behind and from before."""
    labels = street()
    labels[70:90, 60:95] = SKY
    labels[HORIZON + 3 : 70, 60:95] = ROAD
    labels[70:90, 60:95] = ROAD
    labels[10:80, 70:74] = POLE
    sample = still(labels)
    side = np.zeros(3)
    layered = take_apart(sample, PALETTE.names)
    travelled = np.zeros((1 + max(layer.thing for layer in layered.layers), 3))
    car = next(layer for layer in layered.layers if layer.class_index == CAR)
    travelled[car.thing, 0] = -(100 - 62) / layered.camera[0, 0] / car.normal[2]  # its left side to column 62
    renderer = StillRenderer(layered, roles_of(PALETTE.names))
    _, moved = renderer.render(side, np.eye(3), travelled)
    assert (moved[72:79, 70:74] == CAR).all()  # nearer than the pole
    travelled[car.thing, 0] *= 66.5 / 38  # four times as far, its left side comes to column 68
    travelled[car.thing, 2] = 3 / car.normal[2]
    _, moved = renderer.render(side, np.eye(3), travelled)
    assert (moved[65:67, 70:74] == POLE).all()  # farther
    assert (moved[65:67, 68:70] == CAR).all()
    assert (moved[65:67, 74:75] == CAR).all()


def test_what_is_passed_is_gone() -> None:
    sample = still(street())
    car = next(layer for layer in take_apart(sample, PALETTE.names).layers if layer.class_index == CAR)
    assert (render(sample, (0, 0, 0.5 / car.normal[2]))[1] == CAR).any()
    _, labels = render(sample, (0, 0, 1.1 / car.normal[2]))
    assert (labels != CAR).all()
    assert (labels[70:110, 40:60] == ROAD).any()


def test_beyond_the_border_the_ground_goes_on_and_nothing_is_black() -> None:
    labels = street()
    sample = Sample("bright", np.full((HEIGHT, WIDTH, 3), 200, np.uint8), labels)
    image, seen = render(sample, (0, 0, -1.0))
    assert image.min() == 200
    assert (seen[-1, WIDTH // 2 - 30 : WIDTH // 2 + 30] == ROAD).mean() > 0.9
    image, seen = render(sample, (0, 0, -30.0))
    assert (seen[-1] == VOID).all()


def test_stills_are_frames_of_their_motion_and_seeds_decide() -> None:
    sample = still(street())

    def make(seed: int) -> StillMotion:
        return StillMotion(sample, PALETTE.names, count=8, fps=15, rng=np.random.default_rng(seed))

    motion, again = make(5), make(5)
    frames = list(motion)
    assert len(frames) == 8
    np.testing.assert_array_equal(frames[motion.path.still].image, sample.image)
    np.testing.assert_array_equal(frames[motion.path.still].labels, sample.labels)
    for one, other in zip(frames, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert any((one.labels != other.labels).any() for one, other in zip(frames, make(6), strict=True))
    with pytest.raises(IndexError):
        motion[8]


def test_objects_move_on_their_own_and_buildings_do_not() -> None:
    went = []
    for seed in range(60):
        motion = StillMotion(still(street()), PALETTE.names, count=12, fps=15, rng=np.random.default_rng(seed))
        if np.abs(motion.path.positions).max() > 0.02:
            continue
        end = motion[0 if motion.path.still > 5 else 11].labels
        now, was = ([np.argwhere(labels == value).mean(0) for value in (CAR, BUILDING)] for labels in (end, street()))
        camera, focal = motion.path.rotations[[0, -1]], 0.95 * WIDTH
        shake = 2 + focal * np.abs(camera - np.eye(3)).max()
        assert np.abs(now[1] - was[1]).max() < shake
        went.append(np.abs(now[0] - was[0]).max() > shake)
    assert len(went) >= 3
    assert 0 < sum(went) < len(went)


@pytest.mark.parametrize("value", [SKY, ROAD, BUILDING, CAR])
def test_stills_of_one_class(value: int) -> None:
    sample = still(np.full((48, 64), value, np.uint8))
    for frame in StillMotion(sample, PALETTE.names, count=6, fps=15, rng=np.random.default_rng(1)):
        assert frame.image.shape == (48, 64, 3)
        assert set(np.unique(frame.labels)) <= {value, VOID}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_labels_can_be_driven_past(seed: int) -> None:
    """Blobs of any class anywhere, with void, in odd sizes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 12, (5, 7)).astype(np.uint8)
    coarse[coarse == 11] = VOID
    labels = cv2.resize(coarse, (63, 45), interpolation=cv2.INTER_NEAREST)
    image = rng.integers(0, 255, (45, 63, 3)).astype(np.uint8)
    motion = StillMotion(Sample("any", image, labels), PALETTE.names, count=4, fps=5, rng=rng)
    for frame in motion:
        assert frame.image.shape == (45, 63, 3)
        assert set(np.unique(frame.labels)) <= set(np.unique(labels)) | {VOID}


def test_stills_without_labels_are_refused() -> None:
    with pytest.raises(DatasetError, match="no labelled pixel"):
        take_apart(still(np.full((48, 64), VOID, np.uint8)), PALETTE.names)


def test_label_files_keep_values_and_show_colours(tmp_path: Path) -> None:
    labels = street()
    labels[0, 0] = VOID
    write_labels(tmp_path / "l.png", labels, PALETTE)
    np.testing.assert_array_equal(read_labels(tmp_path / "l.png"), labels)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "l.png"))[..., ::-1], PALETTE.color(labels))
    np.testing.assert_array_equal(read_class_indices(tmp_path / "l.png", 4) == VOID, (labels > 3))


def assert_mostly_told(sample: Sample, seed: int) -> None:
    """After a second, most of what is seen was in the still."""
    motion = StillMotion(sample, PALETTE.names, count=12, fps=15, rng=np.random.default_rng(seed))
    assert (motion[11].labels == VOID).mean() < (sample.labels == VOID).mean() + 0.2


def test_a_drive_is_mostly_told() -> None:
    image, labels = SyntheticStreet(3, (180, 240)).frame(5)
    assert_mostly_told(Sample("street", image, labels), 5)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no CamVid in ../shared/data")
def test_camvid_is_mostly_told() -> None:
    data = CamVid(SHARED).stills("train")
    for index in (5, 200):
        assert_mostly_told(data[index], index)
