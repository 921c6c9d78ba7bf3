"""Each lacks something."""

A_TEXT = "not a sink"


class unopenable:  # noqa: N801
    """A source kind without `open`."""

    @staticmethod
    def matches(path):
        return False


class Idle:
    """A source kind that knows every input and opens none."""

    @staticmethod
    def matches(path):
        raise OSError("cannot look")

    @staticmethod
    def open(path, options):
        return "no recording"


class DeafSink:
    """Without `send`."""

    where, n_dropped, failure = "", 0, None

    def __init__(self, rest):
        pass

    def close(self):
        pass


def open_lonely():
    """A sink that takes no argument."""


class Headless:
    """A backbone without `decode`."""

    spec = weights = None

    def __init__(self, options, show):
        pass

    def prepare(self, images):
        pass

    def max_frames(self, height_px, width_px):
        return 2

    def encode(self, images, want, mask=None):
        pass


class SilentVerifier:
    """Without `verify`."""

    def __init__(self, slam_map, places, features, config):
        pass
