"""The web process: pages, sign-in, TLS. Unprivileged; it asks the manager's socket and nothing else."""
