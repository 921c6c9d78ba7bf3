"""The project's own measurements: `python -m bench NAME`. Not installed; they run from the repository."""
