"""What a study's data is about: a domain is one record (domain.py), and registry.py says which there are.

`smart_home/` and `chat.py` come with Persona Lab; a user's own is one file that the workspace's settings
name. Nothing outside a domain knows what its replies do.
"""
