"""How the starter model was trained."""
