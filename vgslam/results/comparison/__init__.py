"""Runs side by side: their figures, their paths over one another, and what differs in their settings."""
