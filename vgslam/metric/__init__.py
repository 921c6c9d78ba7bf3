"""Metres and gravity: what gives a map its scale and its vertical axis, and how sure they are."""
