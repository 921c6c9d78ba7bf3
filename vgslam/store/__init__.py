"""Maps on disk: saved, opened again, checked, merged, exported."""
