"""Parts of ``eval.gpu_check``: models made on the spot, arms of fine-tuning, tagging and serving."""
