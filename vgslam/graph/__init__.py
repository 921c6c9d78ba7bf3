"""The graphs over the map's keyframes (gtsam): solved at once, grown, and with false loops among them."""
