"""The kinds and shapes of a map's arrays, checked before any of them is used."""

from vgslam.store.arrays import Arrays

_N = -1
"""Any length."""
KINDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "keyframe_frame_id": ("i", (_N,)), "keyframe_timestamp_s": ("f", (_N,)), "keyframe_camera": ("i", (_N,)),
    "keyframe_depth_camera": ("i", (_N,)), "keyframe_component": ("i", (_N,)), "keyframe_R": ("f", (_N, 3, 3)),
    "keyframe_t": ("f", (_N, 3)), "keyframe_s": ("f", (_N,)), "observation_count": ("i", (_N,)),
    "observation_landmark": ("i", (_N,)), "observation_px": ("f", (_N, 2)), "landmark_host": ("i", (_N,)),
    "landmark_xyz": ("f", (_N, 3)), "landmark_rel_sigma": ("f", (_N,)), "landmark_is_triangulated": ("b", (_N,)),
    "landmark_color": ("u", (_N, 3)), "edge_ids": ("i", (_N, 2)), "edge_R": ("f", (_N, 3, 3)), "edge_t": ("f", (_N, 3)),
    "edge_s": ("f", (_N,)), "edge_sigmas": ("f", (_N, 7)), "edge_kind": ("u", (_N,)), "edge_inlier_ratio": ("f", (_N,)),
    "frame_id": ("i", (_N,)), "frame_timestamp_s": ("f", (_N,)), "frame_status": ("u", (_N,)),
    "frame_ref": ("i", (_N,)),
    "frame_T": ("f", (_N, 4, 4)), "frame_has_pose": ("b", (_N,)), "frame_covariance": ("f", (_N, 6, 6)),
    "frame_has_covariance": ("b", (_N,)), "frame_n_inliers": ("i", (_N,)), "frame_inlier_ratio": ("f", (_N,)),
    "frame_component": ("i", (_N,)), "frame_rotation_only": ("b", (_N,)), "camera_intrinsics": ("f", (_N, 4)),
    "camera_size": ("i", (_N, 2)), "camera_distortion": ("f", (_N, _N)), "camera_n_distortion": ("i", (_N,)),
    "camera_is_fisheye": ("b", (_N,)), "camera_removed_k1": ("f", (_N,)), "session_first_frame": ("i", (_N,)),
    "session_camera": ("i", (_N,)), "world_component": ("i", (_N,)), "world_known": ("b", (_N, 2)),
    "world_sigma": ("f", (_N, 2)), "place_vocabulary": ("u", (8,)), "place_code": ("u", (_N, 256)),
    "picture_key": ("i", (_N, 2)), "picture_size": ("i", (_N,)), "picture_sha256": ("u", (_N, 32)),
}  # fmt: skip
"""Each array's kind of number (as `numpy.dtype.kind`) and shape."""
TABLES = {
    "keyframe": "keyframe_frame_id", "landmark": "landmark_host", "edge": "edge_ids", "frame": "frame_id",
    "camera": "camera_intrinsics", "session": "session_first_frame", "world": "world_component",
    "picture": "picture_key",
}  # fmt: skip
"""Arrays whose names begin so are columns of one table, as long as this one of them."""
LARGEST_ID = 2**31 - 1


def checked_arrays(arrays: Arrays) -> Arrays:
    """The arrays as they are. Raises ValueError, naming the array, for one of another kind or shape, for columns of
    different lengths, and for ids beyond 31 bits."""
    for name, array in arrays.items():
        if name not in KINDS:
            continue  # of a later program
        kind, shape = KINDS[name]
        is_fit = array.ndim == len(shape) and all(n in (_N, m) for n, m in zip(shape, array.shape, strict=True))
        if array.dtype.kind != kind or not is_fit:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
        first = TABLES.get(name.split("_")[0])
        if first is not None and first in arrays and len(array) != len(arrays[first]):
            raise ValueError(f"{name} has {len(array)} rows and {first} {len(arrays[first])}")
        if kind == "i" and name != "picture_size" and array.size and not -1 <= array.min() <= array.max() <= LARGEST_ID:
            raise ValueError(f"{name} holds numbers that are no ids")
    return arrays
