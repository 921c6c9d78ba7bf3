"""The folder of one run: trajectories, status of every frame, report, plots, cloud; written as the run goes."""
