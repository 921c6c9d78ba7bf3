"""The map: keyframes, landmarks, edges, frames; its pictures in memory and on disk."""
