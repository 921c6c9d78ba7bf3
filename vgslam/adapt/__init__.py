"""Self-supervised adaptation of the network to the video that it is watching (after GPA-VGGT, arXiv 2601.16885)."""
