"""The command line: parses options, calls the library, prints; holds no logic of its own."""
