"""vgslam beside a camera's driver: `ros2 launch examples/ros2_live.launch.py image:=/camera/image_raw`

Ctrl-C ends it and keeps map and results, which takes longer than the ten seconds that a launch usually waits.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration

END_S = "300"
"""Time to finish the map and write the results, before the process is killed."""
ARGUMENTS = {
    "image": ("/camera/image_raw", "topic of the images; its camera_info is used"),
    "map": ("robot.vgslam", "the map: made, or continued where it exists"),
    "name": ("/vgslam", "odometry is published on NAME/odometry"),
    "map_frame": ("map", "frame of the map"),
    "camera_frame": ("camera_link", "frame of the camera's body: x forward, y left, z up"),
    "tf": ("yes", "whether to publish the transforms: yes or no"),
    "give_up_s": ("3600", "how long to wait for a camera that has left, in s"),
}


def generate_launch_description() -> LaunchDescription:
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    frames = [",map=", given["map_frame"], ",camera=", given["camera_frame"], ",tf=", given["tf"]]
    vgslam = ExecuteProcess(
        cmd=[
            "vgslam", "live", ["ros2:", given["image"]], "--poses", ["ros2:", given["name"], *frames],
            "--map", given["map"], "--give-up-s", given["give_up_s"],
        ],
        output="screen", sigterm_timeout=END_S, sigkill_timeout=END_S,
    )  # fmt: skip
    declared = [DeclareLaunchArgument(n, default_value=v, description=d) for n, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, vgslam])
