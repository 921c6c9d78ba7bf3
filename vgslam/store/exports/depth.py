"""A component's images with depth beside them: PNG, NPZ or EXR, with confidence, scale, cameras and poses."""

from pathlib import Path

from vgslam.atomic import make_folder
from vgslam.errors import InputError
from vgslam.results.saved_depth import DEPTH_FOLDER, Form, NamedDepth, write_depth
from vgslam.store.exports.component import Component
from vgslam.store.exports.images import OTHER_PLACE, number_in_source, write_images


def export_depth(component: Component, out: Path, form: Form) -> str:
    """OUT/images, images.csv (times), and OUT/depth as `write_depth` writes it, each under the name of its image.
    Returns what was written, in words. Raises InputError where no keyframe has dense depth, OutputError."""
    with_depth = [k for k in component.keyframes if k.depth is not None]
    if not with_depth:
        raise InputError(f"component {component.id} has no dense depth")
    names = write_images(component, out)
    make_folder(out / DEPTH_FOLDER, OTHER_PLACE)
    named = [NamedDepth(k, Path(names[k.id]).stem, number_in_source(component, k)) for k in with_depth]
    write_depth(out / DEPTH_FOLDER, component.slam_map, named, form)
    unit = "metres" if component.world.is_metric else "map units"
    return f"{len(names)} images, {len(named)} with depth, in {unit} ({DEPTH_FOLDER}/depth.json)"
