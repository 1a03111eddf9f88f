"""One published autoregressive model, token by token: how it predicts the categories that the articles name."""
