"""What releases have signed: it verifies for ever."""
