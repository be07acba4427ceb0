"""Models that answer over the network: what they are asked, what that costs, and how they are asked politely.

Their clients (openai, anthropic) are imported by clients.py alone, when a request is to be sent.
"""
