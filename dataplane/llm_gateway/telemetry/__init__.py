"""What the gateway tells of itself: metrics, and a log line per request. None of it delays a request."""
