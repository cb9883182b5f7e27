"""The report's testable claims, each answered with numbers computed here and now."""
