"""The launch file of the examples, with a stand-in for `launch`: what it starts is a command that the program takes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vgslam.cli import parse
from vgslam.poses_out.ros2 import Ros2Options

FILE = Path(__file__).parents[2] / "examples" / "ros2_live.launch.py"


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    modules = {
        "launch": {"LaunchDescription": list},
        "launch.actions": {
            "DeclareLaunchArgument": lambda name, **about: SimpleNamespace(name=name, **about),
            "ExecuteProcess": lambda **about: SimpleNamespace(**about),
        },
        "launch.substitutions": {"LaunchConfiguration": lambda name: SimpleNamespace(variable=name)},
    }  # fmt: skip
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("ros2_live_launch", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def test_it_starts_a_run_with_the_arguments_and_leaves_it_time_to_end(description: list[Any]) -> None:
    *declared, process = description
    values = {d.name: d.default_value for d in declared} | {"map_frame": "odom"}

    def text(word: Any) -> str:
        if isinstance(word, list):
            return "".join(map(text, word))
        return word if isinstance(word, str) else values[word.variable]

    program, *words = map(text, process.cmd)
    assert program == "vgslam"
    args = parse(words)
    assert args.address == "ros2:/camera/image_raw"
    (poses,) = args.poses
    assert Ros2Options.parse(poses.removeprefix("ros2:")) == Ros2Options(map="odom")
    assert float(process.sigterm_timeout) >= 60
    assert float(process.sigkill_timeout) >= 60
