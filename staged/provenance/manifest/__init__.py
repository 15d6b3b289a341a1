"""C2PA 2.4 manifests: pure functions on bytes."""
