"""Judge a candidate policy: held-out predictions, off-policy estimates, simulation, gates and report."""
