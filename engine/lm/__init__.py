"""Everything that needs a language model: loading, prompting, training, generating, retrieving, scoring."""
