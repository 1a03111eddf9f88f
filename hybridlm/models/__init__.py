"""Tokens and facts in, hidden states out: one decoder, which knows no mask kind, no loss and no mesh.

`decoder` is the entrance (`init`, `apply`, `shapes`, `head`); what attends to what is handed in as `mix`, and where
arrays live as `constrain`. Parameters are a plain nested dict, so Flax stays inside this room.
"""
