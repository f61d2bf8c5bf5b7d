"""The domain: what a draft, an act and a pair are. Imports neither torch nor textual nor onnxruntime."""
