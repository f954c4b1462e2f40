"""Other software that moves an address between two nodes, set up to be measured beside the product.

Each peer is Debian 12's own package on nodes that are otherwise the same: the same wires, services, probe and faults.
"""
