"""Two masks of a user's own beside plain causal, trained alike and compared by kind of token."""
