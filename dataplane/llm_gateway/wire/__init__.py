"""Bytes in, values out: HTTP/1.1 answers, event streams, what the gateway reads of a chat. No I/O, no clock."""
