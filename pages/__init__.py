"""The pages of the app, one a question, and what they share. Only these and app.py know Streamlit."""
