"""What a text holds and what a run is, before anything is run."""
