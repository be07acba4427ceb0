"""Which experiments exist, what they need, and which runs an experiment asks for."""
