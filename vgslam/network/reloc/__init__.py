"""Relocalization in one forward pass: the first of the database frames, which have poses, is the anchor, the last frame
the query (Reloc-VGGT, arXiv 2512.21883)."""
