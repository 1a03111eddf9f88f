"""What a training step will take before anything is paid: memory, traffic and time, without the machine."""
