"""From overrides and YAML files to values: what is asked, where it stands, what is wrong."""
