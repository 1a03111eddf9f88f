"""Where arrays live: the mesh, ordered rules from parameter paths to partition specs, and attention across devices."""
