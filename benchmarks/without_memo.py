"""The command line, with a data plane that keeps no heads."""

from parkmeter.cli import main
from parkmeter.proxy.data_plane import DataPlane

if __name__ == "__main__":
    vars(DataPlane)["__init__"].__kwdefaults__["memo"] = False
    main()
