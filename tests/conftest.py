"""One thread a test process: the matrices are small, and the test runner uses the cores itself."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import cv2  # noqa: E402

cv2.setNumThreads(1)
