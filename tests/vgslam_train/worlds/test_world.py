"""Rendered worlds against analytic geometry, and against themselves from another place."""

import numpy as np
import pytest
import torch
from covisibility import covisible, reproject, sample_bilinear

from vgslam.geometry import se3
from vgslam.geometry.camera import Camera
from vgslam_train.worlds.lighting import Lighting, bake
from vgslam_train.worlds.motion import Motion
from vgslam_train.worlds.scenes import WORLD_KINDS, generate
from vgslam_train.worlds.sequences import Shot, render_sequence
from vgslam_train.worlds.surfaces import Paint, SceneBuilder
from vgslam_train.worlds.terrain import Terrain
from vgslam_train.worlds.texture_kinds import KINDS
from vgslam_train.worlds.textures import TextureBank
from vgslam_train.worlds.trajectories import MOTIONS, Region, look
from vgslam_train.worlds.world import World, render

CAMERA = Camera.from_fov(64, 48, 70.0)
REGION = Region(-np.ones(3), np.ones(3), np.zeros(3))


def world_of(builder, bank, motions=(), terrain=None):
    """A world of what is in `builder` under even light."""
    planes, quadrics = builder.planes(), builder.quadrics()
    even = Lighting(np.full(3, 0.8), np.full(3, 0.8))
    light_map = bake(planes, quadrics, even, 4, 0, 0)
    looks = builder.looks()
    return World("test", 0, planes, quadrics, looks, even, light_map, bank, REGION, None, tuple(motions), terrain)


@pytest.fixture(scope="module")
def bank():
    bank = TextureBank(4, 64)
    bank.material("shapes")
    return bank


def rays(camera):
    v, u = np.mgrid[: camera.height, : camera.width]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1)


def pose(x, y, z, yaw, pitch=0.0, roll=0.0):
    return look(np.array([[x, y, z]], float), *(np.array([a], float) for a in (yaw, pitch, roll)))


def test_depth_of_a_wall_is_analytic(bank):
    builder = SceneBuilder(np.random.default_rng(0))
    builder.plane((3, 0, 0), (0, -20, 0), (0, 0, 20), Paint(0))  # faces -x
    T = pose(0.3, -0.2, 0.4, 0.3, -0.2, 0.15)
    depth = render(world_of(builder, bank), T, CAMERA).depth[0].numpy()
    way = rays(CAMERA) @ T[0, :3, :3].T
    np.testing.assert_allclose(depth, (3 - T[0, 0, 3]) / way[..., 0], rtol=1e-5)


def test_a_plane_is_not_seen_from_behind(bank):
    builder = SceneBuilder(np.random.default_rng(0))
    builder.plane((3, 0, 0), (0, 20, 0), (0, 0, 20), Paint(0))  # faces +x, away from the camera
    result = render(world_of(builder, bank), pose(0, 0, 0, 0), CAMERA)
    assert torch.isinf(result.depth).all()
    assert (result.images == 0).all()


def test_outline_of_a_small_rectangle(bank):
    """1 m x 0.5 m at 4 m, straight ahead: exactly the pixels whose centre lies inside the projected outline."""
    builder = SceneBuilder(np.random.default_rng(0))
    builder.plane((4, 0, 0), (0, -0.5, 0), (0, 0, 0.25), Paint(0))
    seen = torch.isfinite(render(world_of(builder, bank), pose(0, 0, 0, 0), CAMERA).depth[0]).numpy()
    r = rays(CAMERA) * 4
    np.testing.assert_array_equal(seen, (np.abs(r[..., 0]) <= 0.5) & (np.abs(r[..., 1]) <= 0.25))


@pytest.mark.parametrize("radius_m", [0.05, 0.3, 1.2])
def test_depth_of_a_sphere_is_analytic(bank, radius_m):
    builder = SceneBuilder(np.random.default_rng(0))
    center = np.array([3.0, 0.2, -0.1])
    builder.ellipsoid(center, radius_m, Paint(0))
    T = pose(0, 0, 0, 0.05, 0.02, 0.3)
    depth = render(world_of(builder, bank), T, CAMERA).depth[0].numpy()
    way = rays(CAMERA) @ T[0, :3, :3].T
    a, b, c = (way**2).sum(-1), -(way @ center), center @ center - radius_m**2
    root = b**2 - a * c
    expected = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    edge = np.abs(root) < 1e-3 * b**2
    np.testing.assert_allclose(depth[~edge], expected[~edge], rtol=1e-4)
    assert np.isfinite(depth).any()


def test_cylinder_is_closed_and_has_its_size(bank):
    builder = SceneBuilder(np.random.default_rng(0))
    builder.cylinder((4, 0, 0), 0.5, 2.0, Paint(0))
    T = pose(0, 0, 0, 0)
    depth = render(world_of(builder, bank), T, CAMERA).depth[0].numpy()
    way = rays(CAMERA) @ T[0, :3, :3].T
    middle = np.abs(way[..., 1]).argmin(axis=1)[0]
    column = depth[:, middle]
    height = way[:, middle, 2] * np.where(np.isfinite(column), column, 0)
    assert np.abs(height).max() <= 1.0 + 1e-4
    assert depth[CAMERA.height // 2, middle] == pytest.approx(3.5, abs=0.01)
    above = render(world_of(builder, bank), pose(4.001, 0, 3, 0, -np.pi / 2 + 1e-3), CAMERA).depth[0].numpy()
    assert above[CAMERA.height // 2, CAMERA.width // 2] == pytest.approx(2.0, abs=0.01)  # the cap at z = 1


def test_depth_of_a_height_field_lies_on_it(bank):
    terrain = Terrain.draw(np.random.default_rng(3), Paint(0))
    world = world_of(SceneBuilder(np.random.default_rng(0)), bank, terrain=terrain)
    T = pose(0.5, 0.2, terrain.highest + 1.0, 0.4, -0.5)
    depth = render(world, T, CAMERA).depth[0].numpy().astype(float)
    seen = np.isfinite(depth)
    points = (rays(CAMERA) * np.where(seen, depth, 0)[..., None]) @ T[0, :3, :3].T + T[0, :3, 3]
    assert seen.mean() > 0.5
    gap = points[..., 2] - terrain.height(points[..., :2].reshape(-1, 2)).reshape(depth.shape)
    assert np.abs(gap[seen]).max() < 6e-3
    assert np.median(np.abs(gap[seen])) < 1e-4
    shorter = points * 0.98 + 0.02 * T[0, :3, 3]  # nothing is met before
    assert (shorter[..., 2] - terrain.height(shorter[..., :2].reshape(-1, 2)).reshape(depth.shape))[seen].min() > -1e-3


def test_moving_object_moves_as_told(bank):
    builder = SceneBuilder(np.random.default_rng(0))
    builder.plane((8, 0, 0), (0, -20, 0), (0, 0, 20), Paint(0))
    builder.body = 1
    builder.box((4, 0, 0), (1, 1, 1), Paint(0))
    motion = Motion(pivot=np.array([4.0, 0, 0]), velocity=np.array([0.5, 0, 0]))
    world = world_of(builder, bank, [motion])
    T = np.repeat(pose(0, 0, 0, 0), 2, axis=0)
    depth = render(world, T, CAMERA, time_s=np.array([0.0, 2.0])).depth.numpy()
    middle = (CAMERA.height // 2, CAMERA.width // 2)
    assert depth[0][middle] == pytest.approx(3.5, abs=1e-4)
    assert depth[1][middle] == pytest.approx(4.5, abs=1e-4)
    assert depth[0][0, 0] == depth[1][0, 0] == pytest.approx(8.0, abs=1e-4)
    np.testing.assert_allclose(motion.T_world_body(np.zeros(1))[0], np.eye(4), atol=1e-12)


def test_turning_object_turns_about_its_pivot():
    motion = Motion(pivot=np.array([1.0, 2.0, 0.0]), turn_rad_s=np.pi / 2)
    T = motion.T_world_body(np.array([1.0]))[0]
    np.testing.assert_allclose(se3.transform(T, np.array([[2.0, 2.0, 5.0]])), [[1.0, 3.0, 5.0]], atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "motion"),
    [("room", "walk"), ("room", "rotate"), ("corridor", "walk"), ("street", "drive"), ("clutter", "orbit"),
     ("hills", "drone")],
)  # fmt: skip
def test_warping_with_exact_depth_reproduces_the_other_view(kind, motion):
    """Mean photometric error below 2 grey levels on co-visible pixels."""
    s = render_sequence(kind, motion, 6, 5, Camera.from_fov(320, 240, 70.0), Shot(supersample=1))
    depth, images = torch.from_numpy(s.depth), torch.from_numpy(s.images).float()
    seen, pixels = covisible(depth[0], depth[5], s.T_world_cam[0], s.T_world_cam[5], s.camera)
    assert seen.float().mean() > 0.4
    error = (sample_bilinear(images[5], pixels) - images[0]).abs().mean(-1)[seen].mean()
    assert error < 2.0


@pytest.mark.parametrize("shift", [(0.5, 0.5), (-0.5, -0.5)])
def test_half_a_pixel_off_is_noticed(shift):
    """The same check as above fails when pixel (0, 0) is taken for the corner of the pixel instead of its centre."""
    s = render_sequence("room", "walk", 6, 5, Camera.from_fov(320, 240, 70.0), Shot(supersample=1))
    depth, images = torch.from_numpy(s.depth), torch.from_numpy(s.images).float()
    seen, pixels = covisible(depth[0], depth[5], s.T_world_cam[0], s.T_world_cam[5], s.camera)
    error = (sample_bilinear(images[5], pixels + torch.tensor(shift)) - images[0]).abs().mean(-1)[seen].mean()
    assert error > 3.0


@pytest.mark.parametrize("kind", sorted(WORLD_KINDS))
def test_a_seed_gives_one_world(kind):
    bank = TextureBank(9, 32)
    T = pose(0, 0, 3.0 if kind == "hills" else 1.5, 0.4, -0.3)
    a, b, c = (render(generate(kind, seed, bank), T, CAMERA) for seed in (1, 1, 2))
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.depth, b.depth)
    assert not torch.equal(a.depth, c.depth)


def test_a_bare_room_has_hardly_any_texture():
    """Its median gradient is a small part of that of a furnished room, seen from the same places."""
    bank = TextureBank(9, 64)
    places = [pose(0, 0, 1.4, yaw) for yaw in np.linspace(0, 2 * np.pi, 6, endpoint=False)]

    def gradient(kind, seed):
        images = torch.stack([render(generate(kind, seed, bank), T, CAMERA).images for T in places])
        return float((images.mean(1) if images.shape[1] == 3 else images.mean(-1)).diff(dim=-1).abs().median())

    bare, furnished = (np.median([gradient(kind, seed) for seed in range(3)]) for kind in ("bare", "room"))
    assert 0 < bare < 0.4 * furnished


def test_own_banks_of_equal_seeds_are_equal():
    a, b = TextureBank(5, 32), TextureBank(5, 32)
    b.material("wood", 1)  # made in another order
    np.testing.assert_array_equal(a.tile(a.material("rug", 2)), b.tile(b.material("rug", 2)))


def test_a_shared_bank_is_used_and_stays_small():
    bank = TextureBank(5, 32)
    world = generate("room", 1, bank, variants=1)
    assert world.bank is bank
    assert 5 < len(bank) <= len(KINDS)
    generate("room", 2, bank, variants=1)
    bank.fill(1)
    assert len(bank) == len(KINDS)


def test_frames_of_a_batch_are_independent(bank):
    world = generate("room", 3, bank)
    T = np.concatenate([pose(0.1 * k, 0, 1.4, 0.8 * k) for k in range(9)])
    together = render(world, T, CAMERA)
    for k in (0, 4, 8):
        alone = render(world, T[k : k + 1], CAMERA)
        same = torch.isclose(together.depth[k], alone.depth[0], rtol=1e-5)
        assert same.float().mean() > 0.999  # rounding may move an outline


def test_supersampling_averages_and_keeps_the_depth_of_the_centre(bank):
    world = generate("room", 3, bank)
    T = pose(0.2, 0.1, 1.4, 0.5)
    plain, fine = render(world, T, CAMERA), render(world, T, CAMERA, supersample=3)
    assert torch.equal(plain.depth, fine.depth)
    assert (plain.images - fine.images).abs().mean() < 0.05
    assert not torch.equal(plain.images, fine.images)


def test_no_gaps_between_surfaces_of_a_room(bank):
    for seed in range(4):
        world = generate("room", seed, bank)
        T = np.concatenate([pose(*world.free.center, a) for a in np.arange(4) * np.pi / 2])
        depth = render(world, T, Camera.from_fov(160, 120, 95.0)).depth
        assert torch.isfinite(depth).all()
        assert (depth > 0.1).all()


def test_reproject_known_point():
    camera = Camera(100.0, 100.0, 31.5, 23.5, 64, 48)
    a = np.eye(4)
    b = np.eye(4)
    b[0, 3] = 0.2  # b is 0.2 m to the right: points move left by f * 0.2 / z
    pixels, z = reproject(torch.full((48, 64), 2.0), a, b, camera)
    assert pixels[10, 40].tolist() == pytest.approx([30.0, 10.0])
    assert z[10, 40] == pytest.approx(2.0)


def test_shadow_darkens_the_floor_below_a_box():
    builder = SceneBuilder(np.random.default_rng(0))
    builder.plane((0, 0, 0), (2, 0, 0), (0, 2, 0), Paint(0))
    builder.box((0, 0, 1.0), (0.8, 0.8, 0.1), Paint(0))
    sun = Lighting(np.full(3, 0.2), np.full(3, 0.2), np.array([0, 0, 1.0]), np.ones(3))
    planes, quadrics = builder.planes(), builder.quadrics()
    lit = bake(planes, quadrics, sun, 9, 0, 0).nodes[0]
    shaded = bake(planes, quadrics, sun, 9, 4, 0).nodes[0]
    assert shaded[4, 4].max() < 0.25  # under the box
    np.testing.assert_allclose(lit, 1.2, atol=1e-5)
    assert shaded[0, 0].min() > 1.0  # corner of the floor


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: generate("moon", 0, b), "unknown world 'moon'"),
        (lambda b: generate("room", 0, b, moving=2), "no moving objects"),
        (lambda b: render(generate("clutter", 0, b), np.eye(4), CAMERA), r"shape \(N,4,4\)"),
        (lambda b: render(generate("clutter", 0, b), np.eye(4)[None], CAMERA, 0), "supersample"),
        (lambda b: render(generate("clutter", 0, b), np.eye(4)[None], CAMERA, time_s=np.zeros(3)), "time_s"),
        (lambda b: render_sequence("room", "fly", 2, 0, CAMERA, bank=b), "unknown camera motion 'fly'"),
        (lambda b: b.material("lava"), "unknown texture kind 'lava'"),
        (lambda b: TextureBank(0, 100), "power of two"),
    ],
)
def test_bad_arguments_are_named(bank, call, message):
    with pytest.raises(ValueError, match=message):
        call(bank)


@pytest.mark.parametrize("motion", sorted(MOTIONS))
def test_sequence_is_complete(bank, motion):
    s = render_sequence("clutter", motion, 3, 1, CAMERA, Shot(supersample=1, shutter=0.5, imaging=1.0), bank)
    assert s.images.shape == (3, 48, 64, 3)
    assert s.images.dtype == np.uint8
    assert s.depth.shape == (3, 48, 64)
    assert s.depth.dtype == np.float32
    np.testing.assert_allclose(np.diff(s.timestamps_s), 1 / 30)
    assert s.images.std() > 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", sorted(WORLD_KINDS))
def test_cuda_renders_what_the_cpu_renders(bank, kind):
    world = generate(kind, 1, bank)
    T = pose(0, 0, 3.0 if kind == "hills" else 1.5, 0.4, -0.3)
    cpu, cuda = render(world, T, CAMERA), render(world, T, CAMERA, device="cuda")
    assert cuda.images.is_cuda
    same = torch.isclose(cpu.depth, cuda.depth.cpu(), rtol=1e-4)
    assert same.float().mean() > 0.995
    assert (cpu.images - cuda.images.cpu()).abs()[same].mean() < 0.005
