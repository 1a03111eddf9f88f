"""Which hybrid predicts which tokens better? Families of models and the systems of the articles, trained alike."""
