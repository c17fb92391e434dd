"""Parts of the alignment experiment: runs, scores, statistics, tables, archive."""
