"""The street's camera, canvas and textures: projection, clipping, cover, labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopseg.data.street.camera import Camera, Road
from gopseg.data.street.canvas import NEAR, Canvas, Texture, clip_near
from gopseg.data.street.cars import car
from gopseg.data.street.models import Placement, person
from gopseg.data.street.textures import noise

UP = np.array([0.0, 1.0, 0.0])
RIGHT = np.array([1.0, 0.0, 0.0])


def make_camera(bend=0.1, yaw=0.02, s=1234.5, u=-1.7):
    road = Road(np.array([bend]), np.array([300.0]), np.array([0.4]))
    return Camera(road, s=s, u=u, yaw=yaw, height=1.4, focal=100.0, horizon=50.0, size_hw=(100, 101))


@settings(max_examples=60, deadline=None)
@given(ahead=st.floats(2, 120), u=st.floats(-12, 12), bend=st.floats(-0.15, 0.15), yaw=st.floats(-0.1, 0.1))
def test_ground_undoes_place(ahead, u, bend, yaw):
    camera = make_camera(bend, yaw)
    point = camera.place(camera.s + ahead, u)
    s_back, u_back = camera.ground(np.array([[point[0]]]), np.array([[point[2]]]))
    assert s_back[0, 0] == pytest.approx(camera.s + ahead, abs=0.02)
    assert u_back[0, 0] == pytest.approx(u, abs=0.02)


def test_a_straight_road_is_a_pinhole():
    camera = make_camera(bend=0.0, yaw=0.0, u=-2.0)
    point = camera.place(camera.s + 10, 1.0)
    np.testing.assert_allclose(point, [3.0, 0.0, 10.0], atol=1e-9)
    np.testing.assert_allclose(camera.project(point), [50 + 30, 50 + 14], atol=1e-9)


def test_the_camera_stands_on_its_place():
    camera = make_camera(bend=0.15, yaw=0.05)
    np.testing.assert_allclose(camera.place(camera.s, camera.u), [0, 0, 0], atol=1e-6)


def test_plane_is_project():
    camera = make_camera()
    origin, along = np.array([-2.0, 0.5, 8.0]), np.array([0.6, 0.0, 0.8])
    mapped = camera.plane(origin, along, UP) @ np.array([1.5, 2.0, 1.0])
    expected = camera.project(origin + 1.5 * along + 2.0 * UP)
    np.testing.assert_allclose(mapped[:2] / mapped[2], expected)


def test_world_points_stay_put_while_the_camera_moves():
    """The distance of two points of the street is the same from everywhere."""
    distances = []
    for s in (1000.0, 1000.37, 1007.9):
        camera = make_camera(s=s)
        one, other = camera.place(1030.0, 3.0), camera.place(1050.0, -4.0)
        distances.append(np.linalg.norm(one - other))
    assert np.ptp(distances) < 1e-6


def canvas():
    return Canvas(make_camera(bend=0.0, yaw=0.0, u=0.0), (200.0, 200.0, 200.0), 1e9)


def square(x0, y0, x1, y1, z=10.0):
    return np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], float)


def test_a_polygon_covers_its_pixels_and_labels_half_covered_ones():
    picture = canvas()
    # 100 pixels / 10 m: one metre is ten pixels; the left edge at x = 50 - 20.2 covers 0.7 of column 30, 0 of 29.
    picture.polygons([(square(-2.02, 1.4, 1.0, 2.4), (100.0, 50.0, 20.0))], 7, 10.0)
    rows, columns = np.nonzero(picture.labels == 7)
    assert (rows.min(), rows.max()) in [(40, 49), (40, 50), (41, 50)]
    assert columns.min() == 30
    assert columns.max() in (59, 60)
    np.testing.assert_allclose(picture.planes[:, 45, 45], [100, 50, 20], atol=0.5)
    assert picture.planes[0, 20].max() == 0


def test_cover_of_thin_things_fades_before_their_label_goes():
    areas = []
    for width in (0.02, 0.04, 0.2):
        picture = canvas()
        picture.polygons([(square(0.0, 0.4, width, 2.4), (200.0, 200.0, 200.0))], 2, 10.0)
        areas.append((picture.planes[0].sum() / 200, int((picture.labels == 2).sum())))
    assert areas[0][1] == 0
    assert areas[0][0] > 0
    assert areas[2][1] > 0
    # Two metres by 0.2 are 20 by 2 pixels.
    assert areas[2][0] == pytest.approx(40, rel=0.2)


def test_a_wall_shows_its_texture_where_it_stands():
    rgba = np.full((40, 80, 4), 255, np.uint8)
    rgba[:20, :, :3] = (250, 0, 0)
    rgba[20:, :, :3] = (0, 0, 250)
    picture = canvas()
    picture.wall(Texture(rgba, 20.0), np.array([-2.0, 0.4, 10.0]), RIGHT, UP, (4.0, 2.0), 1)
    assert picture.planes[0, 44, 50] > 240
    assert picture.planes[2, 56, 50] > 240
    rows, columns = np.nonzero(picture.labels == 1)
    assert abs(len(rows) - 20 * 40) <= 60
    assert abs(columns.min() - 30) <= 1
    assert abs(rows.max() - 59) <= 1


def test_a_wall_along_the_street_has_no_seam_between_its_parts():
    rgba = np.full((64, 256, 4), 255, np.uint8)
    rgba[..., :3] = 120
    picture = canvas()
    picture.wall(Texture(rgba, 16.0), np.array([2.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), UP, (40.0, 4.0), 1)
    row = picture.planes[0, 50]
    inside = row[60:100]
    np.testing.assert_allclose(inside, 120, atol=1.5)
    assert (picture.labels[50, 60:100] == 1).all()


def test_solid_labels_what_one_sees_through():
    rgba = np.zeros((40, 40, 4), np.uint8)
    for solid, expected in ((False, 0), (True, 400)):
        picture = canvas()
        wall = Texture(rgba, 20.0)
        picture.wall(wall, np.array([-1.0, 0.4, 10.0]), RIGHT, UP, (2.0, 2.0), 7, solid=solid)
        assert abs((picture.labels == 7).sum() - expected) <= 45
        assert picture.planes.max() == 0


def test_haze_hides_what_is_far():
    shapes = [(square(-1, 0.4, 1, 2.4), (0.0, 0.0, 0.0))]
    near, far = (Canvas(make_camera(0, 0, u=0), (200.0, 200.0, 200.0), 100.0) for _ in range(2))
    near.polygons(shapes, 1, 1.0)
    far.polygons(shapes, 1, 300.0)
    assert near.planes[0, 50, 50] < 5
    assert far.planes[0, 50, 50] > 185


def test_clipping_keeps_what_is_ahead():
    points = np.array([(0, 0, -1.0), (0, 0, 3.0), (1, 0, 3.0), (1, 0, -1.0)])
    clipped = clip_near(points)
    assert clipped[:, 2].min() == pytest.approx(NEAR)
    assert clipped[:, 2].max() == 3
    assert len(clip_near(points - np.array([0, 0, 10]))) == 0
    ahead = points + np.array([0, 0, 10])
    np.testing.assert_array_equal(clip_near(ahead), ahead)


def test_things_behind_the_camera_paint_nothing():
    picture = canvas()
    picture.polygons([(square(-1, 0, 1, 2, z=-5.0), (255.0, 0.0, 0.0))], 8, 5.0)
    picture.wall(Texture(np.full((8, 8, 4), 255, np.uint8), 4.0), np.array([-1.0, 0, -5]), RIGHT, UP, (2, 2), 1)
    assert picture.planes.max() == 0
    assert picture.labels.max() == 0


@pytest.mark.parametrize("look", range(6))
@pytest.mark.parametrize("turn", [0.0, 0.3, 2.0, 3.1])
def test_a_car_is_whole(look, turn):
    """No hole in its outline, no bigger than a van."""
    picture = canvas()
    axes = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    spot = Placement(np.array([1.0, 0.0, 9.0]), axes, 1.4)
    picture.polygons(spot.polygons(car(look, spot.eye, {}, braking=False)), 8, 9.0)
    body = picture.labels == 8
    rows, columns = np.nonzero(body)
    assert np.ptp(rows) < 36
    assert np.ptp(columns) < 65
    for row in range(rows.min() + 1, rows.min() + int(0.7 * np.ptp(rows))):
        filled = np.flatnonzero(body[row])
        assert np.ptp(filled) + 1 - len(filled) <= 2, row


def test_a_walker_moves_the_legs():
    masks = []
    for phase in (0.1, np.pi / 2):
        picture = canvas()
        axes = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
        spot = Placement(np.array([0.0, 0.0, 4.0]), axes, 1.4)
        picture.polygons(spot.limbs(person(1, phase, walking=True)), 9, 4.0)
        masks.append(picture.labels == 9)
    rows = np.nonzero(masks[0])[0]
    assert 35 < np.ptp(rows) < 52
    feet = slice(rows.max() - 8, rows.max())
    assert np.ptp(np.nonzero(masks[1][feet])[1]) > np.ptp(np.nonzero(masks[0][feet])[1]) + 4


def test_noise_tiles():
    field = noise(np.random.default_rng(0), (64, 96), 16, 3)
    assert field.shape == (64, 96)
    assert abs(float(field.mean())) < 1e-4
    assert float(field.std()) == pytest.approx(1, abs=0.01)
    inner = np.abs(np.diff(field, axis=1)).mean()
    assert np.abs(field[:, 0] - field[:, -1]).mean() < 2 * inner
