"""Relocalization in one forward pass: database frames enter the network with their known poses (Reloc-VGGT, arXiv
2512.21883). The first frame is the anchor, the last one the query."""
