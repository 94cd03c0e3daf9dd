"""The version, in the one place that packaging and reports read it from."""

from functools import cache

__version__ = "0.1.0"


@cache
def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that results and pages are made with: do not change what is returned."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    told = {"Python": platform.python_version()}
    for name in ("dpkt", "numpy", "msgspec", "Jinja2", "matplotlib"):
        try:
            told[name] = version(name)
        except PackageNotFoundError:
            told[name] = "not installed"
    return told
