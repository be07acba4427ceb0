"""The grammar that reads replies: words (lexicon), symbols (tokens), clauses, and the rules over them."""
