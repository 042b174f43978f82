"""`python -m jmap_proxy`."""

from jmap_proxy.cli import main

if __name__ == "__main__":
    main()
