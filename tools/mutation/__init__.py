"""Small wrong changes made to the code, one at a time, to see whether the tests notice: `make mutate`."""
