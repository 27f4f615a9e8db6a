"""What `bench doctor` examines: the machine's knobs, the clock of each backend, its compilation."""
