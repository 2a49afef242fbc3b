"""What may be opened at all."""

from pathlib import Path


def is_special(path: Path) -> bool:
    """Neither file nor folder: to open a FIFO waits for its writer, and a device may never end."""
    return path.exists() and not path.is_file() and not path.is_dir()
