"""The gateway's HTTP face: control routes and the data plane."""
