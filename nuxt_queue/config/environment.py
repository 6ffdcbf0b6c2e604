"""Which variables of its parent's environment a worker may see."""

from __future__ import annotations

__all__ = ["is_passed"]

# Everything else may be a secret.
_PASSED = frozenset(
    {
        "HOME", "LOGNAME", "USER", "SHELL", "PATH", "TERM", "LANG", "LANGUAGE", "TZ",
        "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "MPLBACKEND", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS",
        "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
        "NODE_ENV", "NODE_PATH", "NODE_EXTRA_CA_CERTS",
    }
)  # fmt: skip
_PASSED_PREFIXES = ("LC_", "XDG_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "CUDA_", "NVIDIA_")


def is_passed(name: str) -> bool:
    """Return True for a variable that every worker gets; others are asked for by name."""
    return name in _PASSED or name.startswith(_PASSED_PREFIXES)
