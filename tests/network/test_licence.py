"""What the program says about the use of weights: it never allows what it does not know to be allowed."""

import pytest

from vgslam.network import licence
from vgslam.network.config import VGGT_1B, VGGT_TINY
from vgslam.network.weight_files import METADATA_LICENCE
from vgslam.network.weights_info import licence_of


@pytest.mark.parametrize(
    ("hub_id", "metadata", "config", "name", "allowed"),
    [
        (None, {}, VGGT_TINY, "unknown", None),
        ("owner/model", {}, VGGT_TINY, "unknown", None),
        (None, {METADATA_LICENCE: "CC-BY-NC-4.0"}, VGGT_TINY, "CC-BY-NC-4.0", None),
        (None, {METADATA_LICENCE: "apache"}, VGGT_TINY, "apache", None),
        (None, {METADATA_LICENCE: "Apache-2.0"}, VGGT_TINY, "Apache-2.0", True),
        (None, {}, VGGT_1B, "VGGT-1B or VGGT-1B-Commercial", None),
        ("facebook/VGGT-1B", {}, VGGT_1B, "VGGT-1B, non-commercial", False),
        ("facebook/VGGT-1B", {METADATA_LICENCE: "Apache-2.0"}, VGGT_1B, "VGGT-1B, non-commercial", False),
        ("facebook/VGGT-1B-Commercial", {}, VGGT_1B, "VGGT-1B-Commercial", True),
    ],
)  # fmt: skip
def test_commercial_use_is_allowed_only_where_that_is_known(
    hub_id: str | None, metadata: dict[str, str], config: object, name: str, allowed: bool | None
) -> None:
    found = licence_of(hub_id, metadata, config)  # type: ignore[arg-type]
    assert (found.name, found.allows_commercial_use) == (name, allowed)
    assert found.terms


def test_the_terms_say_what_the_flag_says() -> None:
    assert "not known" in licence.UNKNOWN.terms
    assert "non-commercial use only" in licence.VGGT_1B.terms
    assert "non-commercial use only, unless" in licence.VGGT_1B_FILE.terms
    assert "allow commercial use" in licence.VGGT_1B_COMMERCIAL.terms
