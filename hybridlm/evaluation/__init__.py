"""What a model says of every token of a text, read in every way a config names, while it trains and afterwards."""
