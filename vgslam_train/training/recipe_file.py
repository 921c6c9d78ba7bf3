"""Which kind of recipe a file is."""

from pathlib import Path

from vgslam.config import names_in_yaml, read_yaml
from vgslam_train.training.recipe import Recipe
from vgslam_train.training.reloc_recipe import RelocRecipe

RELOC_SECTION = "adapter"


def read_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file: of relocalization where it has a section `adapter`, else of a VGGT. ConfigError as
    `config.read_yaml`."""
    return read_yaml(path, RelocRecipe() if RELOC_SECTION in names_in_yaml(path) else Recipe())
