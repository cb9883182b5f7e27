"""The fact files: devices, models, prices, each number with its source."""
