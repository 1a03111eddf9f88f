"""Where arrays live: a mesh of (data, fsdp, tensor) and ordered rules from parameter paths to partition specs."""
