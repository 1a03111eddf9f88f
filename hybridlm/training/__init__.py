"""State, step and loop: the one room that knows that time passes."""
