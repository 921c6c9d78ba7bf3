"""A keyframe whose image and depth may lie on disk."""

from typing import cast

from vgslam.map.pictures import PictureKind, Pictures
from vgslam.types import Float32, Image, Keyframe


class PagedKeyframe(Keyframe):
    """A keyframe of the map: as `Keyframe`, but image, depth and confidence are kept by `Pictures`.

    Reading them may read a file (MapError when that is damaged), setting them may write one (OutputError).
    """

    _pictures: Pictures

    @staticmethod
    def of(keyframe: Keyframe, pictures: Pictures) -> "PagedKeyframe":
        """The keyframe with its pictures handed over to `pictures`."""
        paged = PagedKeyframe.without_pictures(keyframe, pictures)
        paged.image, paged.depth, paged.confidence = keyframe.image, keyframe.depth, keyframe.confidence
        return paged

    @staticmethod
    def without_pictures(keyframe: Keyframe, pictures: Pictures) -> "PagedKeyframe":
        """Everything else of a keyframe; its pictures are those that `pictures` has under its id."""
        paged: PagedKeyframe = object.__new__(PagedKeyframe)
        paged._pictures = pictures
        for name in vars(keyframe):
            if name not in ("image", "depth", "confidence", "_pictures"):
                setattr(paged, name, getattr(keyframe, name))
        return paged

    def is_in(self, pictures: Pictures) -> bool:
        """Whether it is there that its pictures are kept."""
        return self._pictures is pictures

    @property
    def has_depth(self) -> bool:
        """Whether there is dense depth, without reading it."""
        return (self.id, PictureKind.DEPTH) in self._pictures

    @property
    def image(self) -> Image:
        image = self._pictures.get((self.id, PictureKind.IMAGE))
        assert image is not None
        return cast(Image, image)

    @image.setter
    def image(self, image: Image) -> None:
        self._pictures.put((self.id, PictureKind.IMAGE), image)

    @property
    def depth(self) -> Float32 | None:
        return cast(Float32 | None, self._pictures.get((self.id, PictureKind.DEPTH)))

    @depth.setter
    def depth(self, depth: Float32 | None) -> None:
        self._pictures.put((self.id, PictureKind.DEPTH), depth)

    @property
    def confidence(self) -> Float32 | None:
        return cast(Float32 | None, self._pictures.get((self.id, PictureKind.CONFIDENCE)))

    @confidence.setter
    def confidence(self, confidence: Float32 | None) -> None:
        self._pictures.put((self.id, PictureKind.CONFIDENCE), confidence)
