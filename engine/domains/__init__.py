"""What a study's data is about: instruction, wording, metrics and features of each domain."""
