"""Values that check themselves; nothing here opens a file or imports a framework."""
