"""What an index of many repositories costs, and how well it answers, as tables: python -m tests.bench.fleet COMMAND."""
