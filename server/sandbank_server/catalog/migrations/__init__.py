"""How the schema came to be, step by step; each is one file that never changes once released."""
