"""vl2: run, serve, fine-tune, train and evaluate the DeepSeek-VL2 family."""
