"""Whether a folder is a place for the file: what its file system keeps of what it promises."""

from __future__ import annotations

from pathlib import Path

__all__ = ["about_layer", "about_network"]

_MOUNTS = Path("/proc/self/mounts")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs"})
_LAYERS = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})


def about_network(directory: Path, mounts: Path = _MOUNTS) -> tuple[str, str] | None:
    """Return what is to be feared of a folder of another machine, and what to do about it."""
    kind = _file_system(directory.resolve(), mounts)
    if kind not in _NETWORK:
        return None
    fear = "where locks and fsync may not hold what they promise"
    return f"is on a network file system ({kind}), {fear}", "use a folder on a local disk"


def about_layer(directory: Path, mounts: Path = _MOUNTS) -> tuple[str, str] | None:
    """Return what is to be feared of a folder in a container, and what to do about it.

    The file works there, so it is for who asks, not for each command.
    """
    kind = _file_system(directory.resolve(), mounts)
    if kind not in _LAYERS:
        return None
    fear = "which goes with the container and which no other container shares"
    return f"is in a container's own layer ({kind}), {fear}", "use a folder on a volume"


def _file_system(directory: Path, mounts: Path) -> str | None:
    """Return the type of the file system that a folder is on; None where that cannot be told."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    found, longest = None, -1
    for line in lines:
        _device, where, kind, *_ = line.split(" ")
        place = where.replace("\\040", " ")
        if directory.is_relative_to(place) and len(place) >= longest:  # the last hides the others
            found, longest = kind, len(place)
    return found
