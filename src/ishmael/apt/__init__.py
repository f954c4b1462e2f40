"""What runs around APT: the hook that locks updates and keeps packages, and the installing of what the master brought."""
