"""Merges two maps into one, which must not hold the same run: every keyframe would be there twice."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from vgslam.map.enlarged import enlarge_alike
from vgslam.map.paged_keyframe import PagedKeyframe
from vgslam.map.pictures import PictureKind
from vgslam.map.slam_map import SlamMap


class Joiner(Protocol):
    """Finds places that components of a map have in common. notes: a line for each thing that went wrong."""

    @property
    def notes(self) -> list[str]: ...

    def join(self, slam_map: SlamMap) -> int:
        """Join what can be proven to belong together; returns how many components were joined to another."""
        ...


def put_beside(slam_map: SlamMap, other: SlamMap) -> None:
    """Add everything of `other` to `slam_map`, as separate components and sessions; `other` stays as it is. Ids of
    keyframes, landmarks, frames and components of `other` are raised by the number of those in `slam_map`. Images of
    frames of one size are enlarged alike. Raises MapError when a picture of `other` cannot be read, OutputError
    when the memory budget needs a disk that is full."""
    m = slam_map
    k0, l0 = len(m.keyframes), len(m.landmarks)
    f0 = 1 + max((f.frame_id for f in m.frames), default=-1)
    c0 = 1 + max((k.component_id for k in m.keyframes), default=-1)
    _take_place_codes(m, other)
    m.image_names |= {frame_id + f0: name for frame_id, name in other.image_names.items()}
    m.sessions += [replace(s, first_frame_id=s.first_frame_id + f0) for s in other.sessions]
    for keyframe, (ids, pixels) in zip(other.keyframes, other.observed, strict=True):
        mine = PagedKeyframe.without_pictures(keyframe, m.pictures)
        mine.id, mine.frame_id = keyframe.id + k0, keyframe.frame_id + f0
        mine.component_id = keyframe.component_id + c0
        take_pictures(m, mine.id, other, keyframe.id)
        m.add_keyframe(mine, ids + l0, pixels)
    m.worlds |= {component + c0: world for component, world in other.worlds.items()}
    marks = other.landmarks
    new = m.landmarks.add(k0, marks.xyz_host, marks.rel_sigma, marks.color)
    m.landmarks.host[new] = marks.host + k0
    m.landmarks.is_triangulated[new] = marks.is_triangulated
    for (a, b), edge in other.edges.items():
        m.edges[a + k0, b + k0] = replace(edge, id_a=edge.id_a + k0, id_b=edge.id_b + k0)
    for f in other.frames:
        ref = f.ref_id + k0 if f.ref_id >= 0 else f.ref_id
        m.frames.append(
            replace(f, frame_id=f.frame_id + f0, ref_id=ref, component_id=f.component_id + (c0 if f.ref_id >= 0 else 0))
        )
    enlarge_alike(m)


def _take_place_codes(m: SlamMap, other: SlamMap) -> None:
    """Codes of `other` where those of m are complete and of the same kind; else they are made when asked for."""
    mine, others = m.place_codes, other.place_codes
    if not len(mine.codes):
        mine.vocabulary = others.vocabulary.copy()
    if len(mine.codes) == len(m.keyframes) and np.array_equal(mine.vocabulary, others.vocabulary):
        mine.codes.extend(others.codes.view)


def take_pictures(m: SlamMap, new_id: int, other: SlamMap, old_id: int) -> None:
    """Image and depth of a keyframe of another map for one of m; those in files stay there. Raises as `put_beside`."""
    for kind in PictureKind:
        file = other.pictures.file((old_id, kind))
        if file is not None:
            m.pictures.put_file((new_id, kind), file)
            continue
        picture = other.pictures.get((old_id, kind))
        if picture is not None:
            m.pictures.put((new_id, kind), np.array(picture))


def shared_session(a: SlamMap, b: SlamMap) -> str | None:
    """Name and time of a run that went into both maps, None if there is none: it has the same name, began at the same
    time, and its frames have the same times and inliers, which nothing changes later."""
    for i, mine in enumerate(a.sessions):
        for j, other in enumerate(b.sessions):
            if (mine.name, mine.began) == (other.name, other.began) and _is_same(a, i, b, j):
                return f"'{mine.name}' of {mine.began}"
    return None


def _is_same(a: SlamMap, i: int, b: SlamMap, j: int) -> bool:
    rows = [
        np.array([(f.timestamp_s, f.n_inliers) for f in m.session_frames(k)], np.float64).reshape(-1, 2)
        for m, k in ((a, i), (b, j))
    ]
    n = min(map(len, rows))
    return n > 0 and np.array_equal(rows[0][:n], rows[1][:n])
