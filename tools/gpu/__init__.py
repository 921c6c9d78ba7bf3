"""Steps for a machine with a GPU; `session.sh` runs them."""
