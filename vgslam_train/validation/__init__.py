"""How good a network is on windows that it was not trained on."""
