"""Training and reading models: the only room that knows that time passes."""
