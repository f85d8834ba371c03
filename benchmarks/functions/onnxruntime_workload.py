"""ONNX Runtime, imported and asked for its providers."""

import onnxruntime


def handler(event, context):
    return onnxruntime.get_device()
