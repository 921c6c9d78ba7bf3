"""Trajectories, positions, times, the status of frames."""

from collections.abc import Callable
from pathlib import Path

from fuzz.grammar import NESTED, ROWS
from fuzz.mutations import mostly, mutated_files
from fuzz.parser import Files, Parser
from hypothesis import strategies as st

from vgslam.errors import VgslamError
from vgslam.results.status import read_status
from vgslam.sources.position_file import read_accelerations, read_fixes
from vgslam.sources.times import parse_time, read_list, read_times
from vgslam.sources.trajectory_io import read_trajectory, sensor_T_body
from vgslam.sources.trajectory_rows import is_untimed

TUM = "# timestamp tx ty tz qx qy qz qw\n" + "".join(f"{i}.5 {i} 0 0.1 0 0 0 1\n" for i in range(5))
TEXTS = {
    "a.tum": TUM,
    "a.kitti": "1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 1 0 1 0 0 0 0 1 0.5\n",
    "a.csv": "#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m],q_RS_w [],q_RS_x [],q_RS_y [],q_RS_z []\n"
    "1403636579763555584,4.688,-1.786,0.783,1,0,0,0\n1403636579813555584,4.7,-1.786,0.783,1,0,0,0\n",
    "b.csv": "time;x;y;z;qw;qx;qy;qz\n0,5;1;2;3;1;0;0;0\n1,5;1;2;3;1;0;0;0\n",
    "fixes.csv": "time,latitude,longitude,altitude,sigma\n1,47.1,8.2,400,1\n2,47.10001,8.2,400,1\n3,"
    "47.10002,8.2,401,1\n",
    "east.csv": "time_ns,east,north,up,sigma_x,sigma_y,sigma_z\n1000000000,1,2,3,1,1,1\n2000000000,2,2,3,1,1,1\n",
    "acc.csv": "t,ax,ay,az\n0,0,0,9.81\n0.01,0,0,9.8\n",
    "times.txt": "0.0\n0.1\n0.2\n",
    "status.csv": "frame_id,timestamp_s,status,n_inliers,inlier_ratio,component,keyframe,rotation_only\n"
    "0,0.5,TRACKED,50,0.9,0,1,0\n1,1.5,LOST,0,0.0,0,0,0\n",
    "sensor.yaml": "T_BS:\n  cols: 4\n  rows: 4\n  data: [1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1]\n",
}
WORDS = (
    b"timestamp",
    b"time [ns]",
    b"qx",
    b"tx",
    b"TRACKED",
    b"lengths are metres",
    b";",
    b"latitude",
    b"1e300",
    b"0 0 0 0",
    b"\xc2\xb5s",
)


def _by(*readers: Callable[[Path], object]) -> Callable[[Path], None]:
    """A reader of each file of a folder by all of some readers; refuses what none of them reads."""

    def read(folder: Path) -> None:
        refusals: list[VgslamError] = []
        paths = sorted(folder.iterdir())
        for path in paths:
            for reader in readers:
                try:
                    reader(path)
                except VgslamError as error:
                    refusals.append(error)
        if refusals and len(refusals) == len(paths) * len(readers):
            raise refusals[0]

    return read


def _lenient(path: Path) -> None:
    """With mending, and notes of it."""
    read_trajectory(path, notes=[])
    is_untimed(path)


INVENTED = st.tuples(
    st.sampled_from(sorted(TEXTS)), st.one_of(ROWS, ROWS.map(lambda rows: rows.replace(b" ", b",")), NESTED)
).map(lambda pair: {pair[0]: pair[1]})


def _inputs(*names: str) -> st.SearchStrategy[Files]:
    """Mutations of some of the samples, and rows by the grammar."""
    return mostly(mutated_files(lambda: [{name: TEXTS[name].encode()} for name in names], WORDS), INVENTED)


POSES = ("a.tum", "a.kitti", "a.csv", "b.csv")
PARSERS = [
    Parser(
        "trajectory",
        _inputs(*POSES),
        _by(
            read_trajectory,
            _lenient,
            lambda p: read_trajectory(p, "kitti"),
            lambda p: read_trajectory(p, "euroc", drop_unordered=True),
        ),
    ),
    Parser("positions", _inputs("fixes.csv", "east.csv", "acc.csv", *POSES), _by(read_fixes, read_accelerations)),
    Parser("status of frames", _inputs("status.csv"), _by(read_status)),
    Parser(
        "times",
        _inputs("times.txt"),
        _by(lambda p: [parse_time(p, row[0]) for row in read_list(p, 1)], lambda p: read_times(p, 3)),
    ),
    Parser("sensor.yaml", _inputs("sensor.yaml"), _by(sensor_T_body)),
]
