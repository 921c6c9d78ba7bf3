"""What the operating system refuses to look at costs no more than itself, and is one line where nothing is left."""

from pathlib import Path

import pytest
from sources.conftest import ImageWriter
from sources.test_bag import image_messages, write_bag

from vgslam.errors import InputError
from vgslam.sources import open_source

TOO_LONG = "a" * 300
"""Longer than a name may be: to look where such a link leads is an error of its own (ENAMETOOLONG)."""
NAMES = ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("target", [TOO_LONG, "nowhere", "loop.png"])
def test_a_link_that_leads_nowhere_is_an_image_left_out(target: str, tmp_path: Path, write_images: ImageWriter) -> None:
    write_images(tmp_path, NAMES)
    (tmp_path / "loop.png").symlink_to(target)
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == NAMES
    assert any("1 image skipped, the file cannot be read" in line and "loop.png" in line for line in source.warnings)


def test_a_folder_of_the_links_alone_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "seq-01").symlink_to(TOO_LONG)
    with pytest.raises(InputError, match=r"no images or known data set in it \(it holds seq-01\)"):
        open_source(tmp_path)


def test_a_folder_inside_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root every folder may be read: the system's answer is stood in for."""
    (tmp_path / "rgb").mkdir()
    allowed = Path.iterdir

    def iterdir(self: Path) -> object:
        if self.name == "rgb":
            raise PermissionError(13, "Permission denied", str(self))
        return allowed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(InputError, match=r"rgb: cannot be read \(Permission denied\)"):
        open_source(tmp_path)


def test_a_count_of_messages_that_is_none_leaves_the_number_open(tmp_path: Path, write_images: ImageWriter) -> None:
    images = write_images(tmp_path / "made", NAMES)
    bag = write_bag(tmp_path, "ros2", image_messages("ros2", images))
    text = (bag / "metadata.yaml").read_text()
    changed = text.replace("message_count: 3\n    topic_metadata", "message_count: null\n    topic_metadata")
    assert changed != text
    (bag / "metadata.yaml").write_text(changed)
    source = open_source(bag)
    assert source.n_frames is None
    assert len(list(source)) == 3
