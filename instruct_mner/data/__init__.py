"""Readers and writers: any format to ``Example``, and back."""
