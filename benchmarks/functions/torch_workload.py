"""A matrix product with PyTorch."""

import mark  # noqa: F401 - first: says when the dependencies are there

import torch


def handler(event, context):
    return (torch.arange(1.0, 7.0).reshape(2, 3) @ torch.ones(3)).tolist()
