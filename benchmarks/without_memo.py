"""The command line, with a data plane that keeps no heads."""

from parkmeter.cli import main
from parkmeter.proxy.data_plane import DataPlane

if __name__ == "__main__":
    defaults = DataPlane.__init__.__kwdefaults__ or {}
    if "memo" not in defaults:
        raise SystemExit("this revision has no memo to switch off")
    defaults["memo"] = False
    main()
