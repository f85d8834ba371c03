"""The recipe that everybody copies: an archive in S3, boto3, extractall, sys.path."""

import os
import sys
import zipfile

import boto3

folder = "/tmp/dependencies"
if not os.path.isdir(folder):
    archive = "/tmp/dependencies.zip"
    boto3.client("s3").download_file(os.environ["BENCH_BUCKET"], os.environ["BENCH_KEY"], archive)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    os.remove(archive)
sys.path.insert(0, folder)

from workload import handler  # noqa: E402, F401
