"""`Slam.open`: poses of a stream in a loop, and the programs that the documents show."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
from live_servers import Server, jpeg, part

from vgslam.errors import ConfigError, InputError
from vgslam.session.pose_stream import PoseStream
from vgslam.slam import Slam
from vgslam.sources.trajectory_io import read_trajectory
from vgslam.types import Status

DEMO = Path(str(resources.files("vgslam"))) / "assets" / "demo"
ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
N = 28


@pytest.fixture(scope="module")
def parts() -> list[bytes]:
    """The first frames of the demo as a Motion JPEG body, with its clock."""
    with av.open(str(DEMO / "demo.mp4")) as video:
        frames = [f.to_ndarray(format="rgb24") for _, f in zip(range(N), video.decode(video=0))]
    return [part(jpeg(image), 1000.0 + i / 30.0) for i, image in enumerate(frames)]


@pytest.fixture
def server(parts: list[bytes]) -> Iterator[Server]:
    with Server(lambda _: iter(parts)) as running:
        yield running


def test_poses_of_a_stream_in_a_loop(server: Server) -> None:
    with Slam.open(server.url, calib=DEMO / "calib.json", keep_all=True, give_up_s=0.0) as stream:
        poses = list(stream)
    assert [p.frame_id for p in poses] == list(range(N))
    assert poses[0].status is Status.INITIALIZING
    assert poses[0].T_world_cam is None
    tracked = [p for p in poses if p.has_pose]
    assert len(tracked) > N / 2
    assert all(p.latency_s is not None and p.latency_s > 0 for p in poses)
    assert all(p.covariance is not None and np.linalg.eigvalsh(p.covariance).min() > 0 for p in tracked[2:])
    assert [p.timestamp_s for p in poses] == pytest.approx(1000.0 + np.arange(N) / 30.0)
    truth = read_trajectory(DEMO / "groundtruth.txt")
    ids = [p.frame_id for p in tracked]
    T = truth.T_world_cam[ids]
    found = np.array([p.T_world_cam for p in tracked])
    turned = np.einsum("nji,njk->nik", T[:-1, :3, :3], T[1:, :3, :3])
    turned_found = np.einsum("nji,njk->nik", found[:-1, :3, :3], found[1:, :3, :3])
    np.testing.assert_allclose(turned_found, turned, atol=0.02)


def test_a_recording_is_taken_frame_by_frame_and_closing_twice_is_fine() -> None:
    stream = Slam.open(DEMO / "demo.mp4", calib=DEMO / "calib.json")
    for pose in stream:
        if pose.frame_id == 24:
            break
    stream.close()
    stream.close()
    assert len(stream.slam.map.frames) == 25
    assert len(stream.slam.map.trajectory()) == 25  # the first frames got theirs afterwards


def test_what_is_opened_is_said_before_the_first_pose(caplog: pytest.LogCaptureFixture) -> None:
    """To a function, or by default to the log."""
    said: list[str] = []
    Slam.open(DEMO / "demo.mp4", calib=DEMO / "calib.json", say=said.append).close()
    assert said == [f"{DEMO / 'demo.mp4'}: video, 220 frames"]
    with caplog.at_level("INFO", "vgslam.session.pose_stream"):
        Slam.open(DEMO / "demo.mp4", calib=DEMO / "calib.json").close()
    assert caplog.messages == said


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_the_map_of_a_live_source_is_adjusted_as_a_whole_where_that_is_asked_for(
    is_asked_for: bool, server: Server
) -> None:
    with Slam.open(
        server.url, calib=DEMO / "calib.json", keep_all=True, give_up_s=0.0, adjust_at_end=is_asked_for
    ) as stream:
        list(stream)
    assert (stream.slam.refined is not None) is is_asked_for


def test_a_map_is_gone_on_with(parts: list[bytes]) -> None:
    def options(slam_map: object, is_localizing: bool) -> dict[str, object]:
        return {"calib": DEMO / "calib.json", "keep_all": True, "give_up_s": 0.0, "slam_map": slam_map,
                "is_localizing": is_localizing}  # fmt: skip

    with Server(lambda n: iter(parts)) as server:
        first = Slam.open(server.url, **options(None, False))
        n = len(list(first))
        n_keyframes = len(first.slam.map.keyframes)
        again = Slam.open(server.url, **options(first.slam.map, True))
        poses = list(again)
    assert [p.frame_id for p in poses] == list(range(n, 2 * n))
    assert poses[0].status is Status.RELOCALIZED
    assert all(p.component_id == 0 for p in poses if p.has_pose)
    assert len(again.slam.map.keyframes) == n_keyframes


@pytest.mark.parametrize("option", ["calib", "mask"])
def test_names_of_files_may_be_text(option: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, InputError), match=r"nowhere\.png"):
        Slam.open(DEMO / "demo.mp4", **{option: str(tmp_path / "nowhere.png")})


def test_what_cannot_be_opened_leaves_no_thread(server: Server) -> None:
    with pytest.raises(ConfigError, match="field of view"):
        Slam.open(server.url, fov_deg=500)
    with pytest.raises(InputError):
        Slam.open("no/such/file.mp4")
    with pytest.raises(TypeError):
        Slam.open(server.url, field_of_view=62)


def test_a_callback_that_raises_ends_the_stream(server: Server) -> None:
    stream = Slam.open(server.url, fov_deg=62)

    def on_pose(pose: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        stream.run(on_pose)
    assert len(stream.slam.map.frames) == 1
    assert isinstance(stream, PoseStream)


def programs() -> list[tuple[str, str]]:
    """The Python programs in the documents that open a stream."""
    blocks = []
    for path in DOCUMENTS:
        for i, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S)):
            if "Slam.open(" in code:
                blocks.append((f"{path.name} {i}", code))
    return blocks


def test_the_documents_show_programs() -> None:
    assert len(programs()) >= 2


@pytest.mark.parametrize(("where", "code"), programs(), ids=lambda x: x if " " in x and "\n" not in x else "")
def test_the_programs_of_the_documents_run(
    where: str, code: str, parts: list[bytes], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shown, but for the address, and that the stream is over at its end."""
    assert len(code.strip().splitlines()) <= 14
    given_open = Slam.open
    monkeypatch.setattr(Slam, "open", lambda s, **o: given_open(s, **{"give_up_s": 0.0, "keep_all": True} | o))
    with Server(lambda _: iter(parts)) as server:
        code, n = re.subn(r"rtsp://[^\"']*", server.url, code)
        assert n == 1
        exec(compile(code, where, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= 20
    assert any("TRACKED" in line for line in printed)
