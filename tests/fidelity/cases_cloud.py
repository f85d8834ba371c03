"""Namespace packages of two clouds, and the wire formats below them."""

from __future__ import annotations

import pickle
from typing import Any

from case import Case


def grpcio() -> Any:
    from concurrent import futures

    import grpc

    class Echo(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request + b"!")

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary("/a/b")(b"hello", timeout=20).decode()
    server.stop(None).wait()
    return [answer, grpc.__version__]


def protobuf() -> Any:
    from google.protobuf import descriptor_pb2, json_format, struct_pb2, timestamp_pb2
    from google.protobuf.internal import api_implementation

    message = struct_pb2.Struct()
    message.update({"a": [1, "b"]})
    moment = timestamp_pb2.Timestamp(seconds=1)
    return [
        json_format.MessageToJson(message),
        moment.SerializeToString().hex(),
        api_implementation.Type(),
        len(descriptor_pb2.DESCRIPTOR.message_types_by_name),
        str(pickle.loads(pickle.dumps(moment))),
    ]


def namespace() -> Any:
    import pkgutil

    import google

    return [
        list(google.__path__),
        sorted(found.name for found in pkgutil.iter_modules(google.__path__, "google.")),
        sorted(
            found.name
            for found in pkgutil.walk_packages(google.__path__, "google.")
            if found.name.count(".") < 3
        ),
        google.__spec__.origin,
        getattr(google, "__file__", None),
        type(google.__path__).__name__,
    ]


def google_auth() -> Any:
    from google.auth import credentials, exceptions
    from google.auth.transport import requests

    try:
        import google.auth

        google.auth.default()
    except exceptions.DefaultCredentialsError as error:
        said = str(error)[:40]
    return [said, credentials.AnonymousCredentials().valid, requests.Request.__name__, namespace()]


def google_storage() -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="p", credentials=AnonymousCredentials())
    return [
        client.bucket("b").blob("k").path,
        client.api_endpoint if hasattr(client, "api_endpoint") else None,
        namespace(),
    ]


def google_core() -> Any:
    from google.api_core import exceptions, page_iterator, retry
    from google.rpc import code_pb2

    return [
        exceptions.from_http_status(404, "x").message,
        code_pb2.Code.Name(5),
        retry.Retry().deadline,
        page_iterator.Page.__name__,
    ]


def azure_core() -> Any:
    import azure
    import azure.core
    from azure.core.pipeline import policies, transport

    return [
        list(azure.__path__),
        getattr(azure, "__file__", None),
        type(azure.__path__).__name__,
        policies.RetryPolicy().total_retries,
        transport.HttpRequest("GET", "http://x/y").url,
        azure.core.__version__,
    ]


def azure_blob() -> Any:
    from azure.storage.blob import BlobServiceClient, generate_blob_sas

    client = BlobServiceClient("https://x.blob.core.windows.net", credential="a2V5")
    return [client.get_blob_client("c", "b").url, client.api_version, generate_blob_sas.__module__]


def azure_identity() -> Any:
    from azure.identity import ClientSecretCredential, CredentialUnavailableError, EnvironmentCredential

    try:
        EnvironmentCredential().get_token("x")
    except CredentialUnavailableError as error:
        said = error.message
    return [said, ClientSecretCredential.__mro__[1].__name__]


CASES = (
    Case("grpcio==1.85.1", ("grpc", "grpc.aio", "grpc._cython.cygrpc"), grpcio),
    Case(
        "protobuf==7.36.2",
        ("google.protobuf", "google.protobuf.message", "google.protobuf.any_pb2"),
        protobuf,
    ),
    Case(
        "google-api-core==2.44.0",
        ("google.api_core", "google.api_core.client_options", "google.api.http_pb2"),
        google_core,
    ),
    Case(
        "google-auth==2.62.2",
        ("google.auth", "google.auth.transport.requests", "google.oauth2.service_account"),
        google_auth,
    ),
    Case(
        "google-cloud-storage==3.17.1",
        ("google.cloud.storage", "google.cloud.storage.transfer_manager", "google.resumable_media"),
        google_storage,
    ),
    Case(
        "azure-core==1.41.0",
        ("azure.core", "azure.core.credentials", "azure.core.pipeline.transport"),
        azure_core,
    ),
    Case(
        "azure-storage-blob==12.31.1",
        ("azure.storage.blob", "azure.storage.blob._shared.policies"),
        azure_blob,
    ),
    Case("azure-identity==1.27.0", ("azure.identity", "msal"), azure_identity),
)
