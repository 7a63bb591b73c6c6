"""Make a synthetic market from stated parameters, for a first look at the dashboards."""
