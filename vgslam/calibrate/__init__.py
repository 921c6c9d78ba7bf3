"""A camera calibrated from pictures of a board: found, chosen, solved by OpenCV, and judged."""
