"""From a request to an answer: one operating point of one model on one kind of device."""
