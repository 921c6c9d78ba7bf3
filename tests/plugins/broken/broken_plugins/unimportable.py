"""Fails when it is imported, with a text of two lines."""

raise RuntimeError("the licence server\nsays no")
