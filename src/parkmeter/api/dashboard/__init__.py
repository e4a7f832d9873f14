"""The dashboard's files, as a browser gets them; served by `web.dashboard_routes`. No code here."""
