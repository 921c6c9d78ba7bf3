"""Names of a report's fields as people read them: words, and the unit in brackets."""

KNOWN = {
    "frame_a": "first seen in frame", "frame_b": "seen again in frame", "shift": "moved by [map units]",
    "joined": "joined component", "cpu_s": "CPU time [s]", "wall_s": "time [s]", "sha256": "SHA-256",
    "model_id": "network", "fov_x_deg": "horizontal field of view [°]", "fx": "focal length, x [px]",
    "fy": "focal length, y [px]", "cx": "principal point, x [px]", "cy": "principal point, y [px]",
    "width": "width [px]", "height": "height [px]", "is_estimated": "focal length estimated", "k1": "distortion k1",
    "removed_k1": "distortion k1 that was found and removed", "cpu": "processor", "cores": "processor cores",
    "memory_gib": "memory [GiB]", "system": "operating system", "python": "Python",
    "is_localizing": "only localized in",
    "n_parameters": "parameters", "is_random": "random weights", "frame_id": "frame", "timestamp_s": "time [s]",
    "lost_s": "time without a pose [s]", "scale_from": "scale from", "gravity_from": "vertical from",
    "metres_per_unit": "metres in a map unit", "n_keyframes_before": "keyframes before", "is_metric": "in metres",
    "is_upright": "z is up", "is_torch_loaded": "torch loaded", "n_asked": "questions", "n_believed": "believed",
}  # fmt: skip
"""Fields that have a name of their own."""
UNITS = {
    "s": "s", "ms": "ms", "px": "px", "deg": "°", "m": "m", "mib": "MiB", "gib": "GiB", "percent": "%", "hz": "Hz",
}  # fmt: skip
"""Units by the last part of a field's name."""
_KIND_OF_NUMBER = ("n", "is", "has")


def label(field: str) -> str:
    """What to call a field: a known name, or its own words without what marks counts, with the unit in brackets."""
    if field in KNOWN:
        return KNOWN[field]
    words = field.split("_")
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    words = words[:-1] if unit else words
    if len(words) > 1 and words[0] in _KIND_OF_NUMBER:
        words = words[1:]
    name = " ".join(words).strip() or field
    return f"{name} [{unit}]" if unit else name
