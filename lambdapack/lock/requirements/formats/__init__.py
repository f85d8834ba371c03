"""Files that say what is needed, one module each."""
