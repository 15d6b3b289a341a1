"""How manifests are written: boxes, CBOR, and bytes inside plain text."""
