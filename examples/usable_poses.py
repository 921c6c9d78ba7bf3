"""Print the poses of a recording that are sure enough, from the poses.parquet of `vgslam fleet`.

python examples/usable_poses.py lab/demos/results/NAME-KEY/poses.parquet [MOST_SIGMA_M]
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

USAGE = "usage: python examples/usable_poses.py POSES.parquet [MOST_SIGMA]"


def main(file: Path, most_sigma: float) -> None:
    table = pq.read_table(file)
    unit = (table.schema.metadata or {}).get(b"unit", b"?").decode()
    kept = 0
    for row in table.to_pylist():
        if row["covariance"] is None:
            continue
        sigma = float(np.sqrt(np.trace(np.array(row["covariance"]).reshape(6, 6)[3:, 3:])))
        if sigma <= most_sigma:
            kept += 1
            print(f"{row['timestamp_s']:.6f} {row['tx']:.4f} {row['ty']:.4f} {row['tz']:.4f} +- {sigma:.4f} {unit}")
    print(f"{kept} of {table.num_rows} frames", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) == 3 else float("inf"))
