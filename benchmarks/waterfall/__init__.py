"""Where each millisecond of a cold start goes: marks from inside, accounts, tables and a picture."""
