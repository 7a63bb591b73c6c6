"""Selection policies on replayed measurements and in the simulated market."""
